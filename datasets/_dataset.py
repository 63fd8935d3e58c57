"""The canonical form of a prepared dataset: one memory-mapped array a split, and a card that says what it is.

<folder>/train.npy  validation.npy  test.npy     uint8 [N, T, C, H, W], 0..255 for 0..1
<folder>/card.json                               what it is, how it was made, the sha256 of each file
"""

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
SPLITS = ("train", "validation", "test")
Frames = NDArray[np.uint8]


class DatasetError(ValueError):
    """What a user can get wrong about data: one line that says what was found, what was wanted, what to do."""


@dataclass(frozen=True)
class Sequences:
    """One split of a prepared dataset, opened without being read.

    `frames` is a read-only memory map [N, T, C, H, W] of uint8; `observed` of the T frames are shown to a model, the
    rest are to be predicted.
    """

    frames: Frames
    observed: int

    def __len__(self) -> int:
        return len(self.frames)

    def batch(self, indices: Any) -> NDArray[np.float32]:
        """The sequences at `indices` (a slice or integers) as float32 [B, T, C, H, W] in [0, 1]."""
        return np.asarray(self.frames[indices], dtype=np.float32) / np.float32(255)


def write(folder: Path, splits: dict[str, Frames], card: dict[str, Any]) -> None:
    """Writes the canonical form to `folder`, whole or not at all; what stood there before is replaced.

    `card` must hold `params` (what prepared it) and `observed`; format, shapes and hashes are added to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        files = {}
        for split, frames in splits.items():
            path = temporary / f"{split}.npy"
            np.save(path, frames, allow_pickle=False)
            with path.open("rb") as file:
                files[split] = {"shape": list(frames.shape), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        full = {"format": FORMAT, **card, "files": files}
        (temporary / "card.json").write_text(json.dumps(full, indent=1, sort_keys=True) + "\n")
        temporary.chmod(0o755)  # mkdtemp makes it private
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_card(folder: Path, how: str) -> dict[str, Any]:
    """The card of the dataset prepared in `folder`; `how` is the command that prepares it, for the messages."""
    path = folder / "card.json"
    try:
        card = json.loads(path.read_text())
    except FileNotFoundError:
        raise DatasetError(f"{folder}: no prepared dataset found; run `{how}`") from None
    except ValueError:
        raise DatasetError(f"{path}: not JSON, wanted the card of a prepared dataset; run `{how}`") from None
    found = card.get("format") if isinstance(card, dict) else None
    if found != FORMAT:
        raise DatasetError(f"{path}: format {found!r} found, {FORMAT} wanted; run `{how}`")
    return dict(card)


def open_split(folder: Path, split: str, how: str) -> Sequences:
    """One split, memory-mapped. The card's word on its shape is checked, the header of the file is not trusted."""
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}; wanted one of {', '.join(SPLITS)}")
    card = read_card(folder, how)
    path = folder / f"{split}.npy"
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f"{path}: missing; run `{how}`") from None
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: not a readable array ({error}); run `{how}`") from None
    wanted = tuple(card["files"][split]["shape"])
    if frames.dtype != np.uint8 or frames.shape != wanted:
        raise DatasetError(f"{path}: {frames.dtype} {frames.shape} found, uint8 {wanted} wanted; run `{how}`")
    return Sequences(frames, int(card["observed"]))
