"""The clips of KTH and the rule that cuts sequences from them, whichever files their frames are in.

The rule is that of the loader PredRNN, E3D-LSTM and OpenSTL share: from the last frame of each run of frames without a
gap, sequences are taken backward; the next one ends one sequence earlier, or 3 frames earlier where people cross the
picture fast and runs are short.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets._sequences import Starts

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
FAST, FAST_STRIDE = ("jogging", "running"), 3
TRAIN, TEST = range(1, 17), range(17, 26)  # persons
NAME = re.compile(rf"person(?P<person>0[1-9]|1\d|2[0-5])_(?P<action>{'|'.join(ACTIONS)})_d[1-4]")

Run = tuple[int, int]  # numbers of the first and the last of frames without a gap, from 1


@dataclass(frozen=True)
class Clip:
    """One recording: a folder of frames or a video, and which of its frames there are, in ascending runs."""

    path: Path
    person: int
    action: str
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, path: Path, name: re.Match[str], ranges: Iterable[Run]) -> "Clip":
        """The clip that `name`, a match of NAME, tells of."""
        return cls(path, int(name["person"]), name["action"], merged(ranges))


def merged(ranges: Iterable[Run]) -> tuple[Run, ...]:
    """The runs without a gap that ranges make together, ascending: they may overlap, touch and come in any order."""
    runs: list[Run] = []
    for first, last in sorted(ranges):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    return tuple(runs)


def sequence_firsts(run: Run, length: int, action: str) -> list[int]:
    """Numbers of the first frames of the sequences of `length` frames that the rule cuts from a run, ascending."""
    first, last = run
    stride = FAST_STRIDE if action in FAST else length
    return list(range(last - length + 1, first - 1, -stride))[::-1]


@dataclass(frozen=True)
class Plan:
    """What a split takes, before a frame is read.

    kept: of each clip, the runs of frames to keep. frames: how many in all. starts: int64 [N], where among them each
    sequence starts.
    """

    kept: tuple[tuple[Clip, tuple[Run, ...]], ...]
    frames: int
    starts: Starts


def plan(clips: Iterable[Clip], length: int) -> Plan:
    """The plan of a split of these clips. A run is kept from the first frame that a sequence shows."""
    kept, starts, frames = [], [], 0
    for clip in clips:
        runs = []
        for run in clip.runs:
            if firsts := sequence_firsts(run, length, clip.action):
                starts += [frames + first - firsts[0] for first in firsts]
                runs.append((firsts[0], run[1]))
                frames += run[1] - firsts[0] + 1
        if runs:
            kept.append((clip, tuple(runs)))
    return Plan(tuple(kept), frames, np.array(starts, dtype=np.int64))


def longest(clips: Iterable[Clip]) -> int:
    """Frames of the longest run of these clips."""
    return max((last - first + 1 for clip in clips for first, last in clip.runs), default=0)
