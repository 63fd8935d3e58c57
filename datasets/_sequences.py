"""A split of a prepared dataset as it is read: frames and where sequences start, as batches of float32."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets._card import SPLITS, DatasetError, prepare_command, read_card

Frames = NDArray[np.uint8] | NDArray[np.float32]
Starts = NDArray[np.int64]


@dataclass(frozen=True)
class Sequences:
    """One split of a prepared dataset, opened without being read.

    frames: read-only memory map [F, C, H, W]. starts: int64 [N]. A sequence has `length` frames, of which the first
    `observed` are shown to a model and the rest are to be predicted. `origin` is what `open_split` made it from: a
    process that gets it opens the files itself.
    """

    frames: Frames
    starts: Starts
    length: int
    observed: int
    origin: tuple[Path, str, str]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """(N, T, C, H, W) of all sequences."""
        channels, height, width = self.frames.shape[1:]
        return len(self.starts), self.length, channels, height, width

    def batch(self, indices: Any) -> NDArray[np.float32]:
        """The sequences at `indices` (a slice or integers) as float32 [B, T, C, H, W], values 0 to 1."""
        frames = self.frames[self.starts[indices][:, None] + np.arange(self.length)]
        return frames / np.float32(255) if frames.dtype == np.uint8 else frames

    def slices(self, size: int) -> Iterator[slice]:
        """Slices of at most `size` sequences that cover all."""
        return (slice(start, min(start + size, len(self))) for start in range(0, len(self), size))

    def __reduce__(self) -> tuple[Any, ...]:
        return open_split, self.origin


def open_split(folder: Path, name: str, split: str) -> Sequences:
    """One split, memory-mapped. The file's header is held against the card, and nothing in it is executed."""
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}; wanted one of {', '.join(SPLITS)}")
    card = read_card(folder, name)
    said = card["files"][split]
    frames = _opened(folder / f"{split}.npy", said["dtype"], tuple(said["frames"]), name)
    starts = np.array(_opened(folder / f"{split}-starts.npy", "int64", (said["sequences"],), name))
    length = card["observed"] + card["predicted"]
    if starts.min() < 0 or starts.max() + length > len(frames):
        raise DatasetError(
            f"{folder / split}-starts.npy: sequences that leave the {len(frames)} frames; run `{prepare_command(name)}`"
        )
    return Sequences(frames, starts, length, card["observed"], (folder, name, split))


def _opened(path: Path, dtype: str, shape: tuple[int, ...], name: str) -> Any:
    how = prepare_command(name)
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # the npy format alone: no archive, no pickle
    except FileNotFoundError:
        raise DatasetError(f"{path}: missing; run `{how}`") from None
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: not a readable array ({' '.join(str(error).split())}); run `{how}`") from None
    if array.dtype.name != dtype or array.shape != shape:
        raise DatasetError(f"{path}: {array.dtype} {array.shape} found, {dtype} {shape} wanted; run `{how}`")
    return array
