"""Pond: waves on deep water, each of which travels at the speed that its length gives it.

Real or synthetic: synthetic, computed. [T, 1, side, side] on a torus: what leaves at one edge enters at the other.
Source: the exact solution, made by this suite, of linear gravity waves. A sequence is a sum of plane waves with random
    wave vectors k, amplitudes and phases, of which each obeys the dispersion relation omega = sqrt(g |k|): long waves
    overtake short ones, so that the picture never repeats itself by moving as a whole.
Licence: that of this suite (MIT).
Splits: independent draws; a sequence is a function of (seed, split, its index) and of the parameters alone.
Values: 0.5 + 0.49 of the elevation, where the highest crest that a sequence could have is 1.
"""

# A copy of this file as datasets/my_dataset.py is a dataset of the suite. The docstring above is shown in
# docs/datasets.md; lines of it must begin with Real or synthetic, Source, Licence and Split.

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets._card import SPLITS
from datasets._dataset import Split, write
from datasets._params import Count, Counts, Seed, Side, demand

NAME = "my_dataset"  # the name of this file
MIDDLE, SWING = 0.5, 0.49  # value = MIDDLE + SWING * elevation; rounding must not carry it beyond [0, 1]


def prepare(
    root: Path,
    out: Path,
    side: Side,
    observed: Count,
    predicted: Count,
    waves: Count,
    gravity: Annotated[float, Field(gt=0)],
    sequences: Counts,
    seed: Seed,
) -> None:
    """Writes the canonical form to `out`. `root`, where a user keeps official files, is not read.

    The parameters after the first two are what params.yaml has under `data:`, all of them and no others; their types
    are checked before this runs. side: cells. observed, predicted: frames. waves: in a sequence. gravity: cells a frame
    squared. sequences: how many, by split.
    """
    params = {name: value for name, value in locals().items() if name not in ("root", "out")}
    # What types cannot say is refused here, in one line and before anything is written.
    demand(NAME, waves <= 64, f"waves {waves}", "at most 64")
    counts, length = cast(dict[str, int], sequences), observed + predicted
    # A split says its shape at once and makes its frames block by block, as they are written: no split has to fit into
    # memory. Small ones that do are shorter: Split.of(array [N, T, C, H, W]).
    splits = {
        split: Split(
            shape=(counts[split] * length, 1, side, side),
            dtype=np.float32,  # or np.uint8, where 0..255 stands for 0..1
            blocks=_blocks(split, counts[split], length, side, waves, gravity, seed),
            starts=np.arange(counts[split], dtype=np.int64)
            * length,  # sequences may also overlap, as windows of a film
        )
        for split in SPLITS
    }
    card = {
        "name": NAME,
        "title": "Pond (synthetic)",  # the title of synthetic data says so
        "synthetic": True,
        "kind": "synthetic: the exact solution of linear waves on deep water",
        "source": "computed by this suite; no recorded data",
        "licence": "MIT, as this suite",
        "split": "independent draws for each split",
        "interval": "one unit of time",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        # what a value means: quantity = offset + scale * value; leave it out where values are plain brightness
        "value": {"unit": "of the highest possible crest", "offset": -MIDDLE / SWING, "scale": 1 / SWING},
        # with files that were read: "read": [looked_at(root, path)], see datasets/taxibj.py
    }
    write(out, splits, card)


def _blocks(
    split: str, count: int, length: int, side: int, waves: int, gravity: float, seed: int
) -> Iterator[NDArray[np.float32]]:
    """The frames of one sequence after the other, [length, 1, side, side] each."""
    for index in range(count):
        # A generator for each sequence: its numbers do not depend on how many others are made, nor in which order.
        random = np.random.default_rng([seed, SPLITS.index(split), index])
        yield _sequence(random, length, side, waves, gravity).astype(np.float32)


def _sequence(random: np.random.Generator, length: int, side: int, waves: int, gravity: float) -> NDArray[np.float64]:
    """One sequence [length, 1, side, side]."""
    crests = random.integers(1, max(2, side // 4), (waves, 2)) * random.choice([-1, 1], (waves, 2))  # across the torus
    k = 2 * np.pi * crests / side  # wave vectors (rows, columns), a cell
    omega = np.sqrt(gravity * np.hypot(*k.T))
    amplitude = random.random(waves) + 0.1
    phase = 2 * np.pi * random.random(waves)
    time, row, column = np.ogrid[:length, :side, :side]
    elevation = np.zeros((length, side, side))
    for (down, across), rate, height, start in zip(k, omega, amplitude / amplitude.sum(), phase, strict=True):
        elevation += height * np.cos(down * row + across * column - rate * time + start)
    return MIDDLE + SWING * elevation[:, None]
