"""TaxiBJ: how many taxis enter and leave each cell of Beijing, every half hour.

Real or synthetic: real, positions of Beijing's taxis. Two channels (inflow, outflow), [T, 2, 32, 32].
Source: TaxiBJ (Zhang, Zheng and Qi, AAAI 2017, arXiv 1610.00081) as OpenSTL publishes it, cut into sequences of 8.
    Below your folder: taxibj/dataset.npz with X_train, Y_train, X_test and Y_test [N, 4, 2, 32, 32] in [-1, 1], or
    taxibj/taxibj_dataset.zip, which holds it and is downloaded where neither is found.
Licence: unstated; for research, not to be passed on.
Split: test is the published one. Validation is the end of the published training sequences. These slide by one frame,
    so neighbours share frames: a validation sequence that has a frame of test, and a training sequence that has a
    frame of validation or test, bit for bit, are left out.
Values: (x + 1) / 2. How many taxis 1 stands for was not published with the file, so errors cannot be told in taxis.
Official setting (OpenSTL): observed 4, predicted 4.
Differs from it: OpenSTL trains on all training sequences and selects on test.
"""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets._archives import extract
from datasets._arrays import Npz
from datasets._card import DatasetError
from datasets._dataset import Split, write
from datasets._official import File, looked_at, obtain
from datasets._params import demand

Frames = NDArray[np.float32]
Indices = NDArray[np.int64]
Part = Annotated[int, Field(ge=1, le=7)]
Share = Annotated[float, Field(gt=0, lt=1)]

DATA = "taxibj/dataset.npz"
ARCHIVE = File(
    "taxibj/taxibj_dataset.zip",
    ("https://github.com/chengtan9907/OpenSTL/releases/download/v0.1.0/taxibj_dataset.zip",),
    instead="dataset.npz beside it",
)
UNPACKED = 4 * 2**30  # bytes; the published arrays have 1.4 GB as float32, twice that as float64
HALF, FRAME = 4, (2, 32, 32)  # frames of X, and as many of Y; channels, rows, columns
LENGTH = 2 * HALF
BLOCK = 256  # sequences read at a time, 16 MB as float32
AS_PUBLISHED = "wanted values as OpenSTL publishes them, scaled to -1 .. 1; get the file again"


class Choice(NamedTuple):
    """Which sequences of the published parts each split gets, and how many of train and validation were left out."""

    train: Indices
    validation: Indices
    left_out: dict[str, int]


def prepare(root: Path, out: Path, observed: Part, predicted: Part, validation: Share) -> None:
    """Writes the canonical form to `out` from the official file below `root`.

    observed, predicted: frames, 8 together. validation: share of the training sequences, taken from their end.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    said = f"observed {observed}, predicted {predicted}"
    demand("taxibj", observed + predicted == LENGTH, said, f"{LENGTH} frames together")
    path = _find(root)
    data = Npz(path, tuple(f"{half}_{part}" for part in ("train", "test") for half in "XY"))
    known: dict[bytes, int] = {}
    train, test = (_identify(path, data, part, known) for part in ("train", "test"))
    choice = choose(train, test, validation)
    for split, indices in (("train", choice.train), ("validation", choice.validation)):
        if not len(indices):
            said = f"no {split} sequence left of {len(train)} without a frame of another split"
            raise DatasetError(f"{path}: {said}, wanted at least one; change validation in params.yaml")
    splits = {
        "train": _split(path, data, "train", train, choice.train),
        "validation": _split(path, data, "train", train, choice.validation),
        "test": _split(path, data, "test", test, np.arange(len(test))),
    }
    card = {
        "name": "taxibj",
        "title": "TaxiBJ",
        "synthetic": False,
        "kind": "real: taxis that enter and leave each cell of a city",
        "source": "TaxiBJ (Zhang, Zheng and Qi 2017), sequences of OpenSTL v0.1.0",
        "licence": "unstated; for research, not to be passed on",
        "split": "by time: the end of the published training sequences is validation, the published test is test",
        "interval": "30 minutes",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        "value": None,
        "read": [looked_at(root, path)],
        "notes": [
            "how many taxis 1 stands for was not published with the file",
            f"{choice.left_out['train']} train sequences left out: they have a frame of validation or test",
            f"{choice.left_out['validation']} validation sequences left out: they have a frame of test",
        ],
    }
    write(out, splits, card)


def choose(train: Indices, test: Indices, validation: float) -> Choice:
    """Deals out the published training sequences so that no two splits share a frame.

    train [N, 8], test [M, 8]: the frames of each sequence as numbers, the same number for the same frame. The last
    `validation` of the N, at least one, are validation's but for those with a frame of test; those before are train's
    but for those with a frame of test or validation.
    """
    cut = len(train) - max(1, round(validation * len(train)))
    late = cut + np.flatnonzero(~np.isin(train[cut:], test).any(axis=1))
    taken = np.concatenate([test.ravel(), train[late].ravel()])
    early = np.flatnonzero(~np.isin(train[:cut], taken).any(axis=1))
    return Choice(early, late, {"train": cut - len(early), "validation": len(train) - cut - len(late)})


def fresh(frames: Indices) -> NDArray[np.bool_]:
    """Which frames of sequences [N, 8], given as `choose` does, must be stored when films are kept once.

    That is all of a sequence, or only the last frame of one that is its forerunner moved on by one frame.
    """
    new = np.ones(frames.shape, dtype=np.bool_)
    new[1:, :-1] = (frames[1:, :-1] != frames[:-1, 1:]).any(axis=1, keepdims=True)
    return new


def _find(root: Path) -> Path:
    path = root / DATA
    if not path.exists():
        archive = obtain(root, ARCHIVE)
        unpacked = extract(archive, path.parent, lambda name: name.rpartition("/")[2] == path.name, UNPACKED)
        unpacked[0].replace(path)  # an archive may bring a folder of its own
    return path


def _identify(path: Path, data: Npz, part: str, known: dict[bytes, int]) -> Indices:
    """The frames of a part as numbers [N, 8], the same for the same frame, bit for bit; `known` is added to."""
    found, least = [], np.inf
    for block in _blocks(path, data, part):
        least = min(least, block.min())
        digests = (blake2b(frame.tobytes(), digest_size=16).digest() for frame in block.reshape(-1, *FRAME))
        found.append(np.array([known.setdefault(digest, len(known)) for digest in digests], dtype=np.int64))
    if least >= 0.5:
        raise DatasetError(f"{path}: no value below 0 found in {part}, as if in 0 .. 1 already, {AS_PUBLISHED}")
    return np.concatenate(found).reshape(-1, LENGTH)


def _split(path: Path, data: Npz, part: str, frames: Indices, chosen: Indices) -> Split:
    """The `chosen` sequences of a part whose frames are `frames` [N, 8]; windows that slide over a film share it."""
    new = fresh(frames[chosen])
    stored = np.zeros(frames.shape, dtype=np.bool_)
    stored[chosen] = new
    starts = new.sum(axis=1).cumsum() - LENGTH
    return Split((int(new.sum()), *FRAME), np.float32, _stored(path, data, part, stored), starts)


def _stored(path: Path, data: Npz, part: str, stored: NDArray[np.bool_]) -> Iterator[Frames]:
    first = 0
    for block in _blocks(path, data, part):
        yield block[stored[first : first + len(block)]]
        first += len(block)


def _blocks(path: Path, data: Npz, part: str) -> Iterator[Frames]:
    """The sequences of a part, X and Y joined and scaled to 0 .. 1, [<= BLOCK, 8, 2, 32, 32] at a time."""
    keys = f"X_{part}", f"Y_{part}"
    count = [_header(path, data, key) for key in keys]
    if count[0] != count[1]:
        raise DatasetError(f"{path}: {count[0]} sequences of {keys[0]}, {count[1]} of {keys[1]} found, wanted as many")
    first = 0
    for halves in zip(*(data.blocks(key, BLOCK) for key in keys), strict=True):
        for key, values in zip(keys, halves, strict=True):
            _check(path, key, values, first)
        yield ((np.concatenate(halves, axis=1) + 1) / 2).astype(np.float32)
        first += len(halves[0])


def _header(path: Path, data: Npz, key: str) -> int:
    """The number of sequences of an array, whose header is held against what was published."""
    dtype, shape = data.header(key)
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise DatasetError(f"{path}: {key} of {dtype} found, wanted float32 or float64; get the file again")
    if len(shape) != 5 or shape[1:] != (HALF, *FRAME):
        wanted = f"(N, {HALF}, {', '.join(map(str, FRAME))})"
        raise DatasetError(f"{path}: {key} {shape} found, wanted {wanted}; get the file again")
    return shape[0]


def _check(path: Path, key: str, values: NDArray[np.floating], first: int) -> None:
    wrong = np.argwhere(~(np.abs(values) <= 1))  # what is no number is wrong, too
    if len(wrong):
        place = tuple(wrong[0].tolist())
        where = f"{key} at (n, t, c, h, w) {(first + place[0], *place[1:])}"
        said = " (raw counts?)" if values[place] > 1 else ""
        raise DatasetError(f"{path}: {values[place]:.6g}{said} found in {where}, {AS_PUBLISHED}")
