"""The fixed test sequences that every report shows, kept as small grey pictures that git and people can read.

A picture has one row a sequence and one column a frame; a frame's channels stand below each other.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from benchmarks.files import ResultsError, replacing
from datasets import Sequences

COUNT = 3


def chosen(split: Sequences) -> list[int]:
    """Indices, ascending, of the sequences that are shown of a split.

    The first ones of independent draws; of windows on films, whose neighbours are alike, some that lie far apart.
    """
    count = min(COUNT, len(split))
    if len(split.frames) == len(split) * split.length:
        return list(range(count))
    return [(2 * place + 1) * len(split) // (2 * count) for place in range(count)]


def write(path: Path, frames: NDArray[Any]) -> None:
    """Writes frames [N, T, C, H, W], clipped to [0, 1], as an 8-bit grey PNG."""
    n, t, c, h, w = frames.shape
    grey = (np.clip(frames, 0, 1) * 255).round().astype(np.uint8)
    picture = grey.transpose(0, 2, 3, 1, 4).reshape(n * c * h, t * w)
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")


def read(path: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Reads a picture back as uint8 [N, T, C, H, W]; `shape` is a frame's (C, H, W)."""
    c, h, w = shape
    try:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise ResultsError(f"{path}: no readable picture of samples ({error}); run `dvc repro`") from None
    if grey.shape[0] % (c * h) or grey.shape[1] % w:
        raise ResultsError(f"{path}: size {grey.shape} found, wanted multiples of {(c * h, w)}; run `dvc repro`")
    return grey.reshape(-1, c, h, grey.shape[1] // w, w).transpose(0, 3, 1, 2, 4)
