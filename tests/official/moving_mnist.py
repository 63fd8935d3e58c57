"""Moving MNIST as it is published, with few pictures: idx files of pictures, and test sequences, time first."""

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TRAIN, VALIDATION, TEST = 27, 3, 8  # pictures
SEQUENCES = 7  # official test sequences
PARAMS: dict[str, Any] = {
    "source": "official",
    "canvas": 64,
    "digits": 2,
    "digit_size": 28,
    "step": [0.1, 0.1],
    "observed": 10,
    "predicted": 10,
    "sequences": {"train": 6, "validation": 3, "test": 5},
    "seed": 0,
}


def pictures(count: int, seed: int) -> NDArray[np.uint8]:
    """Pictures [count, 28, 28] with a black margin, as digits have one."""
    made = np.zeros((count, 28, 28), dtype=np.uint8)
    made[:, 4:24, 4:24] = np.random.default_rng(seed).integers(0, 256, (count, 20, 20))
    return made


def write_idx(path: Path, content: NDArray[np.uint8], magic: int = 2051) -> None:
    """An idx file of unsigned bytes, gzipped, always the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">{1 + content.ndim}I", magic, *content.shape)
    path.write_bytes(gzip.compress(header + content.tobytes(), mtime=0))


def sequences(seed: int) -> NDArray[np.uint8]:
    """Test sequences uint8 [20, 7, 64, 64]: two pictures each, which go to and fro between two walls."""
    made = np.zeros((20, SEQUENCES, 64, 64), dtype=np.uint8)
    shown = pictures(2 * SEQUENCES, seed).reshape(SEQUENCES, 2, 28, 28)
    for n in range(SEQUENCES):
        for t in range(20):
            there = abs((4 * t + 5 * n) % 72 - 36)
            for row, column, picture in ((there, 3 * n, shown[n, 0]), (2 * n, 36 - there, shown[n, 1])):
                window = made[t, n, row : row + 28, column : column + 28]
                np.maximum(window, picture, out=window)
    return made


def build(root: Path) -> dict[str, Any]:
    """Writes both idx files and mnist_test_seq.npy to moving_mnist/."""
    folder = root / "moving_mnist"
    write_idx(folder / "train-images-idx3-ubyte.gz", pictures(TRAIN + VALIDATION, 1))
    write_idx(folder / "t10k-images-idx3-ubyte.gz", pictures(TEST, 2))
    np.save(folder / "mnist_test_seq.npy", sequences(3))
    return PARAMS
