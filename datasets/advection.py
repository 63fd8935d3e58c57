"""Advection: smooth fields that the wind carries, that spread, and that are drawn towards a fixed climate.

Real or synthetic: synthetic, computed; weather-like, with no record of weather. [T, 1, side, side] on a torus, what
    leaves at one edge enters at the other.
Source: the exact solution, made by this suite, of the advection-diffusion equation with relaxation

        dq/dt = -u(t) . grad q + D laplacian q + r (climate - q)

    Every sequence has its own start, wind u and diffusivity D; all share the climate, which is a warm belt with warmer
    and colder places, and the rate r. The wind is the same in all places; it keeps its speed, and turns by the same
    angle from one frame to the next, a quarter turn in six frames at most.
    Starts and the anomalies of the climate have the energy spectrum |k| ** -3 of large-scale weather (Nastrom and Gage,
    Journal of the Atmospheric Sciences 42, 1985).
Method: with a wind that is constant between two frames each Fourier mode k is a linear equation of its own, so that
    with lambda = D |k|^2 + r + i k . u a frame later is exactly
        q_k e^(-lambda) + r climate_k (1 - e^(-lambda)) / lambda
    No step size, no numerical diffusion.
Licence: that of this suite (MIT).
Splits: independent draws; a sequence is a function of (seed, split, its index) and of the parameters alone.
Values: 0.5 + 0.4 q, where no start has a |q| above 1. Wind, diffusion and relaxation raise no extreme beyond those of
    start and climate, which between two cells may be a little higher than in either: the room that is left, up to 1.25,
    holds that, and values stay within [0, 1] without being clipped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from pydantic import Field

from datasets._card import SPLITS
from datasets._dataset import Split, write
from datasets._params import Count, Counts, Seed, Side, demand

Floats = NDArray[np.float64]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]

SLOPE = 2.0  # amplitude of a mode falls as |k| ** -SLOPE, which is |k| ** -3 for the energy of all modes of that |k|
SPREAD = 0.22  # root mean square of a start's anomalies, and of the climate
TURN = np.pi / 12  # the greatest turn of the wind between two frames
MIDDLE, SWING = 0.5, 0.4  # value = MIDDLE + SWING * q
BLOCK = 2**22  # numbers in the fields that are computed together, where one sequence has no more
LARGEST = 2**25  # numbers in a sequence at most
MOST = 10**7  # sequences of a split at most
CLIMATE = len(SPLITS)  # the stream of random numbers after those of the splits


def prepare(
    root: Path,
    out: Path,
    side: Side,
    observed: Count,
    predicted: Count,
    wind: Range,
    diffusivity: Range,
    relaxation: Annotated[float, Field(ge=0, le=1)],
    sequences: Counts,
    seed: Seed,
) -> None:
    """Writes the canonical form to `out`. `root` is not read: the fields are computed.

    side: cells. observed, predicted: frames. wind: least and greatest speed, cells a frame. diffusivity: least and
    greatest, cells squared a frame. relaxation: the rate towards the climate, a frame. sequences: how many, by split.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    for name, (least, greatest), most in (("wind", wind, side / 2), ("diffusivity", diffusivity, side**2)):
        ordered = 0 <= least <= greatest <= most  # a wind beyond half the torus a frame looks like one from elsewhere
        demand("advection", ordered, f"{name} [{least}, {greatest}]", f"[least, greatest] between 0 and {most:g}")
    counts, length = cast(dict[str, int], sequences), observed + predicted
    longest = LARGEST // side**2
    demand("advection", length <= longest, f"observed + predicted {length}", f"at most {longest} at side {side}")
    for split in SPLITS:
        demand("advection", counts[split] <= MOST, f"sequences {counts[split]} of {split}", f"at most {MOST}")
    splits = {
        split: Split(
            shape=(counts[split] * length, 1, side, side),
            dtype=np.float32,
            blocks=_blocks(seed, split, counts[split], length, side, wind, diffusivity, relaxation),
            starts=np.arange(counts[split], dtype=np.int64) * length,
        )
        for split in SPLITS
    }
    card = {
        "name": "advection",
        "title": "Advection (synthetic)",
        "synthetic": True,
        "kind": "synthetic: the exact solution of an advection-diffusion equation",
        "source": "computed by this suite; no recorded data",
        "licence": "MIT, as this suite",
        "split": "independent draws for each split",
        "interval": "one unit of time",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        "value": {"unit": "of the greatest deviation", "offset": -MIDDLE / SWING, "scale": 1 / SWING},
    }
    write(out, splits, card)


def _blocks(seed: int, split: str, count: int, length: int, side: int, *physics: Any) -> Iterator[NDArray[np.float32]]:
    size = max(1, BLOCK // (length * side * side))
    for first in range(0, count, size):
        indices = range(first, min(first + size, count))
        fields = sequences_of(seed, split, indices, length, side, *physics)
        yield (MIDDLE + SWING * fields).astype(np.float32).reshape(-1, 1, side, side)


def sequences_of(
    seed: int,
    split: str,
    indices: range,
    length: int,
    side: int,
    wind: list[float],
    diffusivity: list[float],
    relaxation: float,
) -> Floats:
    """The sequences of these indices of a split: q, float64 [B, length, side, side]."""
    climate = climate_of(seed, side)
    start, draws = np.empty((len(indices), side, side)), np.empty((len(indices), 4))
    for row, index in enumerate(indices):
        draw = _generator(seed, SPLITS.index(split), index)
        draws[row] = draw.random(4)
        start[row] = draw.standard_normal((side, side))
    start = SPREAD * smooth(start) + climate
    start /= np.maximum(np.abs(start).max(axis=(1, 2), keepdims=True), 1)
    speed = wind[0] + (wind[1] - wind[0]) * draws[:, :1]
    angle = 2 * np.pi * draws[:, 1:2] + TURN * (2 * draws[:, 2:3] - 1) * np.arange(length - 1)
    winds = speed[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    spread = diffusivity[0] + (diffusivity[1] - diffusivity[0]) * draws[:, 3]
    return evolved(start, climate, winds, spread, relaxation)


def evolved(start: Floats, climate: Floats, winds: Floats, diffusivity: Floats, relaxation: float) -> Floats:
    """Fields [B, T, H, W] from `start` [B, H, W] on, the first one `start` itself.

    winds [B, T - 1, 2]: cells a frame (rows, columns), constant between two frames. diffusivity [B]: cells squared a
    frame. `start` and `climate` [H, W] have nothing at the Nyquist frequency, whose phase a grid cannot hold.
    """
    height, width = climate.shape
    down, across = 2 * np.pi * scipy.fft.fftfreq(height), 2 * np.pi * scipy.fft.rfftfreq(width)
    damping = diffusivity[:, None, None] * (down[:, None] ** 2 + across**2) + relaxation
    decay, source = np.exp(-damping), relaxation * scipy.fft.rfft2(climate)
    modes, fields = scipy.fft.rfft2(start), [start]
    for wind in np.moveaxis(winds, 1, 0):
        turned = [-1j * wind[:, axis, None] * k for axis, k in enumerate((down, across))]
        left = decay * np.exp(turned[0])[:, :, None] * np.exp(turned[1])[:, None, :]
        modes = modes * left
        if relaxation:
            modes += source * (1 - left) / (damping - turned[0][:, :, None] - turned[1][:, None, :])
        fields.append(scipy.fft.irfft2(modes, s=(height, width)))
    return np.stack(fields, axis=1)


def smooth(noise: Floats) -> Floats:
    """White noise [..., H, W] made smooth: power-law spectrum, mean 0, mean square 1, no Nyquist frequency."""
    height, width = noise.shape[-2:]
    down, across = height * scipy.fft.fftfreq(height)[:, None], width * scipy.fft.rfftfreq(width)
    size = np.hypot(down, across)
    kept = (size > 0) & (2 * np.abs(down) < height) & (2 * across < width)
    filtered = np.where(kept, np.where(size > 0, size, 1) ** -SLOPE, 0)
    fields = scipy.fft.irfft2(scipy.fft.rfft2(noise) * filtered, s=(height, width))
    return fields / np.sqrt(np.square(fields).mean(axis=(-2, -1), keepdims=True))


def climate_of(seed: int, side: int) -> Floats:
    """The climate [side, side] that all sequences of a seed share: a warm belt, and places warmer or colder."""
    belt = -np.cos(2 * np.pi * (np.arange(side) + 0.5) / side)[:, None]
    both = belt + 0.5 * smooth(_generator(seed, CLIMATE, 0).standard_normal((side, side)))
    return SPREAD * both / both.std()


def _generator(seed: int, stream: int, index: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream << 32 | index], dtype=np.uint64)))
