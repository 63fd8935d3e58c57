"""The canonical form of a prepared dataset: the frames of each split, where its sequences start, and a card.

<folder>/train.npy  validation.npy  test.npy           frames [F, C, H, W]: uint8 (0..255 for 0..1), or float32
<folder>/train-starts.npy  ...                         int64 [N]: sequence i is the frames from starts[i] on
<folder>/card.json                                     what it is, how it was made, statistics, the sha256 of each file

Sequences may share frames, as windows that slide over a film do, so that a film is kept once.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from datasets._card import FORMAT, DatasetError
from datasets._sequences import Frames, Starts

BLOCK = 64 * 2**20  # bytes of frames that are looked at together


@dataclass(frozen=True)
class Split:
    """What a dataset hands over of one split: frames as blocks [*, C, H, W] in order, made only when written.

    shape: (F, C, H, W) of all blocks together. starts: where sequences start. unit_range: whether values must lie in
    [0, 1]; only data that are standardised by the train split's statistics may leave it, a little.
    """

    shape: tuple[int, int, int, int]
    dtype: type[np.uint8] | type[np.float32]
    blocks: Iterable[Frames]
    starts: Starts
    unit_range: bool = True

    @classmethod
    def of(cls, sequences: Frames) -> "Split":
        """A split of sequences [N, T, C, H, W] that share no frame and are all in memory."""
        count, length, *frame = sequences.shape
        channels, height, width = frame
        frames = sequences.reshape(count * length, channels, height, width)
        return cls(frames.shape, sequences.dtype.type, [frames], np.arange(count, dtype=np.int64) * length)


@dataclass
class _Statistics:
    """Moments and extremes of each channel, gathered block by block."""

    channels: int
    count: int = 0
    totals: list[Any] = field(default_factory=list)

    def add(self, block: Frames) -> None:
        values = block.astype(np.float64) / (255 if block.dtype == np.uint8 else 1)
        over = (0, 2, 3)
        self.totals.append((values.sum(over), np.square(values).sum(over), values.min(over), values.max(over)))
        self.count += values.size // self.channels

    def summary(self) -> dict[str, list[float]]:
        sums, squares, least, greatest = (np.stack(part) for part in zip(*self.totals, strict=True))
        mean = sums.sum(0) / self.count
        spread = np.sqrt(np.maximum(squares.sum(0) / self.count - mean**2, 0))
        named = {"mean": mean, "std": spread, "min": least.min(0), "max": greatest.max(0)}
        return {name: [float(f"{value:.6g}") for value in values] for name, values in named.items()}


def write(folder: Path, splits: dict[str, Split], card: dict[str, Any]) -> None:
    """Writes the canonical form to `folder`, whole or not at all; what stood there before is replaced.

    `card` says everything that `_card` demands but `format` and `files`, which are added to it.
    """
    name, length = str(card["name"]), card["observed"] + card["predicted"]
    with _replacing(folder) as made:
        files = {}
        for split, content in splits.items():
            try:
                files[split] = _write_split(made / split, content, length, f"{name}, {split}")
            except DatasetError as error:
                raise DatasetError(f"{name}, {split}: {error}") from None
        full = {"format": FORMAT, **card, "files": files}
        (made / "card.json").write_text(json.dumps(full, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _write_split(path: Path, split: Split, length: int, title: str) -> dict[str, Any]:
    if not len(split.starts):
        raise DatasetError("no sequence found, wanted at least one")
    if split.starts.min() < 0 or split.starts.max() + length > split.shape[0]:
        raise DatasetError(f"a sequence of {length} frames leaves the {split.shape[0]} frames there are")
    frames_path, starts_path = path.with_suffix(".npy"), path.with_name(f"{path.name}-starts.npy")
    statistics, done = _Statistics(split.shape[1]), 0
    shown = tqdm(desc=title, total=split.shape[0], unit="frame", delay=2, disable=None)
    with shown as bar, _allocated(frames_path, split.shape, split.dtype) as file:
        for block in split.blocks:
            for part in _parts(block):
                if done + len(part) > split.shape[0]:
                    raise DatasetError(f"more than {split.shape[0]} frames found")
                _check_values(part, done, split.unit_range)
                statistics.add(part)
                file.write(np.ascontiguousarray(part, dtype=split.dtype).data)
                done += len(part)
                bar.update(len(part))
    if done != split.shape[0]:
        raise DatasetError(f"{done} frames found, {split.shape[0]} wanted")
    np.save(starts_path, split.starts.astype(np.int64), allow_pickle=False)
    return {
        "frames": list(split.shape),
        "dtype": np.dtype(split.dtype).name,
        "sequences": len(split.starts),
        "sha256": digest(frames_path),
        "starts_sha256": digest(starts_path),
        **statistics.summary(),
    }


@contextmanager
def _allocated(path: Path, shape: tuple[int, ...], dtype: Any) -> Iterator[BinaryIO]:
    """A new npy file with its header and its room on the disk, at its first value: a full disk is an error at once."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start, size = file.tell(), int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), start, size)
        yield file


def _parts(block: Frames) -> Iterator[Frames]:
    size = max(1, BLOCK // max(1, block[:1].nbytes))
    return (block[start : start + size] for start in range(0, len(block), size))


def _check_values(block: Frames, first: int, unit_range: bool) -> None:
    if block.dtype == np.uint8:
        return
    if not np.isfinite(block).all():
        frame, *place = (int(part) for part in np.argwhere(~np.isfinite(block))[0])
        raise DatasetError(f"{block[(frame, *place)]} found in frame {first + frame} at (c, h, w) {tuple(place)}")
    if unit_range and (block.min() < 0 or block.max() > 1):
        raise DatasetError(f"values from {block.min():.6g} to {block.max():.6g} found, wanted 0 to 1")


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place at the end; after an error there is what was there before.

    What a killed run left beside it is removed first.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise _not_written(folder, error) from error
    made, old = temporary / "made", temporary / "old"
    try:
        made.mkdir()
        yield made
        if folder.exists():
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except OSError as error:
        raise _not_written(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _not_written(folder: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{folder}: cannot be written ({error.strerror or error}); is the disk full?")
