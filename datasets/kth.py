"""KTH: people who walk, jog, run, box, wave and clap, filmed by a camera that stands still.

Real or synthetic: real video. Grey, [T, 1, side, side], 25 frames a second.
Source: KTH human actions (Schuldt, Laptev and Caputo, ICPR 2004): 25 persons, six actions, four scenes each, 160x120,
    599 videos (person13_handclapping_d3 was never there). Either official layout, below your folder:
    source "frames": kth/<action>/person01_<action>_d1_uncomp/image_0001.jpg and so on, the frames that OpenSTL
        distributes (or its archive, kth/kth_action.zip); a number that is missing is a gap.
    source "avi": kth/<action>/person01_<action>_d1_uncomp.avi (or the archives, kth/<action>.zip) and
        kth/00sequences.txt, whose ranges say which frames show a person.
    What is missing altogether is downloaded.
Licence: none stated by the authors, who ask to be cited; for research, not to be passed on.
Split: by person: 17 to 25 test, as in the literature; of 1 to 16 `validation_persons` validation, the others train.
Sequences: backward from the end of each run of frames without a gap, one sequence length apart; 3 frames apart for
    jogging and running, where they share frames. Ranges of 00sequences.txt that overlap or touch make one run, in
    whatever order they come, as they do in a folder of frames; what a video does not have is left out, and the card
    says so.
Frames: luma (ITU-R 601), resized bilinearly as OpenCV does, rounded to whole grey values. Small sides, far from the
    official one, are blurred first so that they do not flicker; at 128 that changes nothing.
Official setting: side 128, observed 10, predicted 20 or 40.
Differs from it: OpenSTL selects on the test persons and has no validation split; it takes the red channel, which in a
    grey picture is the luma but for rounding, and keeps fractions of grey values. The folders that it distributes
    need not hold all frames that 00sequences.txt names: compare with published numbers on "frames" alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets._card import DatasetError
from datasets._dataset import Split, write
from datasets._kth_clips import TEST, TRAIN, Clip, Plan, longest, plan
from datasets._kth_files import find
from datasets._kth_pixels import Size, frames
from datasets._params import Count, Side, demand

Person = Annotated[int, Field(ge=TRAIN.start, lt=TRAIN.stop)]


@dataclass(frozen=True)
class _Frames:
    """The frames of a plan, decoded anew whenever they are gone through."""

    plan: Plan
    size: Size
    side: int

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for clip, runs in self.plan.kept:
            yield from frames(clip, runs, self.size, self.side)


def prepare(
    root: Path,
    out: Path,
    source: Literal["frames", "avi"],
    side: Side,
    observed: Count,
    predicted: Count,
    validation_persons: list[Person],
) -> None:
    """Writes the canonical form to `out`, from the official files below `root`.

    source: which layout of them. side: of a frame, in pixels. observed, predicted: frames of a sequence.
    validation_persons: who of 1 to 16 is kept from train to choose by. Raises DatasetError for what a user can get
    wrong, and for a split that no clip can serve.
    """
    params = {
        "source": source,
        "side": side,
        "observed": observed,
        "predicted": predicted,
        "validation_persons": validation_persons,
    }
    chosen = set(validation_persons)
    some = 0 < len(chosen) == len(validation_persons) < len(TRAIN)
    demand("kth", some, f"validation_persons {validation_persons}", "different ones of 1 to 16, one at least, not all")
    found = find(root, source)
    persons = {"train": set(TRAIN) - chosen, "validation": chosen, "test": set(TEST)}
    splits = {}
    for split, own in persons.items():
        planned = _planned(split, own, found.clips, observed + predicted)
        shape = (planned.frames, 1, side, side)
        splits[split] = Split(shape, np.uint8, _Frames(planned, found.size, side), planned.starts)
    width, height = found.size
    kept = ", ".join(map(str, sorted(chosen)))
    card = {
        "name": "kth",
        "title": "KTH",
        "synthetic": False,
        "kind": "real: video of people at six actions",
        "source": f"KTH human actions (Schuldt, Laptev and Caputo, ICPR 2004), {source}, {width}x{height}",
        "licence": "none stated; for research, not to be passed on",
        "split": f"by person: 17 to 25 test, {kept} validation, the others of 1 to 16 train",
        "interval": "0.04 s",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        "read": found.read,
        "notes": found.notes,
    }
    write(out, splits, card)


def _planned(split: str, persons: set[int], clips: tuple[Clip, ...], length: int) -> Plan:
    """The plan of the clips of these persons; DatasetError if there is none of them, or none long enough."""
    own = [clip for clip in clips if clip.person in persons]
    absent = sorted(persons - {clip.person for clip in own})
    if absent and (not own or split == "validation"):
        said = ", ".join(map(str, absent))
        raise DatasetError(f"kth, {split}: no clip of person {said} found, wanted some; put the official files there")
    planned = plan(own, length)
    if not len(planned.starts):
        raise DatasetError(
            f"kth, {split}: no run of {length} frames found, the longest has {longest(own)}; "
            f"set observed + predicted to at most that in params.yaml"
        )
    return planned
