"""Pictures and sequences of moving datasets from files: the MNIST kind of pictures, and the official test sequences."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from datasets._archives import extract
from datasets._arrays import open_npy, read_idx
from datasets._card import DatasetError
from datasets._dataset import Split
from datasets._moving import SIDE, Frames, Glyphs, Motion, drawn
from datasets._official import File, looked_at, obtain
from datasets._params import demand

FRAMES, CANVAS = 20, 64  # of the official test sequences
BLOCK = 64  # official sequences that are read together
TAR_LIMIT = 2**30  # bytes of official sequences that are unpacked at the most; there are 819,200,128
TOGETHER = 1024  # pictures that are shrunk together, as floats
VALIDATION = 10  # every how-manieth picture is validation's: the last tenth of the train pictures

Source = Literal["official", "images"]


@dataclass(frozen=True)
class Published:
    """What is published of a moving dataset.

    train, test: pictures, idx. sequences: the test sequences, npy [20, N, 64, 64], time first. packed: a tar that
    holds them, where they are published so.
    """

    train: File
    test: File
    sequences: File
    packed: File | None = None


@dataclass(frozen=True)
class Read:
    """What was read: the splits, and what the card says of the files."""

    splits: dict[str, Split]
    read: list[dict[str, Any]]
    notes: list[str]


def read(name: str, root: Path, published: Published, source: Source, move: Motion, params: dict[str, Any]) -> Read:
    """The splits of dataset `name` from the files in the user's folder `root`.

    source: "official" for the official test sequences, "images" for test sequences drawn with the test pictures. The
    last tenth of the train pictures is validation's, so that train and validation share none.
    """
    size, counts, seed = params["digit_size"], params["sequences"], params["seed"]
    files = [published.train, published.sequences if source == "official" else published.test]
    if source == "official":
        found = f"canvas {move.canvas}, digits {move.digits}, digit_size {size}, observed + predicted {move.length}"
        holds = (move.canvas, move.digits, size) == (CANVAS, 2, SIDE) and move.length <= FRAMES
        wanted = f"canvas {CANVAS}, digits 2, digit_size {SIDE}, observed + predicted at most {FRAMES}"
        demand(name, holds, found, f"{wanted}, as the official test sequences are")
        _unpack(root, published)
    paths = [_obtain(root, file) for file in files]
    pictures = read_idx(paths[0], (None, SIDE, SIDE))
    if len(pictures) < 2:
        raise DatasetError(f"{paths[0]}: 1 picture found, wanted at least 2; put the official file there")
    cut = len(pictures) - max(1, len(pictures) // VALIDATION)
    glyphs = {"train": shrink(pictures[:cut], size), "validation": shrink(pictures[cut:], size)}
    if source == "images":
        glyphs["test"] = shrink(read_idx(paths[1], (None, SIDE, SIDE)), size)
    notes = [said for file, path in zip(files, paths, strict=True) for said in _other_than_published(file, path)]
    glyphs["train"], left_out = _apart(paths[0], glyphs)
    if left_out:
        notes.append(f"{left_out} train pictures left out, which validation or test shows too")
    splits = {split: drawn(own, move, counts[split], seed, split) for split, own in glyphs.items()}
    if source == "official":
        splits["test"] = _official(name, paths[1], move.length, counts["test"])
    return Read(splits, [looked_at(root, path) for path in paths], notes)


def shrink(pictures: Glyphs, size: int) -> Glyphs:
    """Pictures [N, 28, 28], block-averaged to `size` pixels, a divisor of 28."""
    small = np.empty((len(pictures), size, size), np.uint8)
    for start in range(0, len(pictures), TOGETHER):
        part = pictures[start : start + TOGETHER].reshape(-1, size, SIDE // size, size, SIDE // size)
        small[start : start + TOGETHER] = part.mean(axis=(2, 4)).round()
    return small


def _apart(path: Path, glyphs: dict[str, Glyphs]) -> tuple[Glyphs, int]:
    """The train pictures that no other split shows, and how many were left out."""
    seen = {glyph.tobytes() for split, own in glyphs.items() if split != "train" for glyph in own}
    own = np.array([glyph.tobytes() not in seen for glyph in glyphs["train"]])
    if not own.any():
        raise DatasetError(
            f"{path}: only pictures that validation or test shows too found; put the official files there"
        )
    return glyphs["train"][own], int((~own).sum())


def _obtain(root: Path, file: File) -> Path:
    """A file of the user's own as it is; a download only with the published digest."""
    return obtain(root, replace(file, digest=None, bytes=None) if os.path.lexists(root / file.path) else file)


def _other_than_published(file: File, path: Path) -> list[str]:
    """A note for the card where a file of the user's own is not the published one, as one packed anew is not."""
    if file.digest is None:
        return []
    with path.open("rb") as content:
        found = f"md5:{hashlib.file_digest(content, 'md5').hexdigest()}"
    return [] if found == file.digest else [f"{file.path} is not the published file: {found}, published {file.digest}"]


def _unpack(root: Path, published: Published) -> None:
    """Puts sequences that are published in a tar where they belong, unless they are there."""
    target = root / published.sequences.path
    if published.packed is not None and not os.path.lexists(target):
        packed = _obtain(root, published.packed)
        (found, *_) = extract(packed, target.parent, lambda name: Path(name).name == target.name, TAR_LIMIT)
        found.replace(target)


def _official(name: str, path: Path, length: int, count: int) -> Split:
    there = open_npy(path, ("uint8",), (FRAMES, None, CANVAS, CANVAS)).shape[1]
    demand(name, count <= there, f"sequences.test {count}", f"at most {there}, as many as {path} has")
    starts = np.arange(count, dtype=np.int64) * length
    return Split((count * length, 1, CANVAS, CANVAS), np.uint8, _official_blocks(path, length, count), starts)


def _official_blocks(path: Path, length: int, count: int) -> Iterator[Frames]:
    """The first `length` frames of the first `count` sequences, sequence by sequence."""
    for start in range(0, count, BLOCK):
        # Mapped anew for each block: pages of a map that were read stay in memory as long as the map does.
        frames = open_npy(path, ("uint8",), (FRAMES, None, CANVAS, CANVAS))
        block = np.array(frames[:length, start : min(start + BLOCK, count)].swapaxes(0, 1), order="C")
        yield block.reshape(-1, 1, CANVAS, CANVAS)
