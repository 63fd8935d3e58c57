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
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

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

    `card` must hold `name`, `params` (what prepared it) and `observed`; format, shapes and hashes are added to it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    made, old = temporary / "made", temporary / "old"
    try:
        made.mkdir()
        files = {}
        for split, frames in splits.items():
            path = made / f"{split}.npy"
            np.save(path, frames, allow_pickle=False)
            with path.open("rb") as file:
                files[split] = {"shape": list(frames.shape), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        full = {"format": FORMAT, **card, "files": files}
        (made / "card.json").write_text(json.dumps(full, indent=1, sort_keys=True) + "\n")
        if folder.exists():
            folder.rename(old)
        try:
            made.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be written ({error.strerror or error}); is the disk full?") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _File(BaseModel):
    shape: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    sha256: str


class _Card(BaseModel):
    """What every card must hold, and the suite relies on; it may say more."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal[1]
    name: str
    params: dict[str, Any]
    observed: PositiveInt
    files: dict[Literal["train", "validation", "test"], _File]


def read_card(folder: Path, name: str) -> dict[str, Any]:
    """The card of the dataset `name` prepared in `folder`; DatasetError where there is none that can be used."""
    path = folder / "card.json"
    how = prepare_command(name)
    try:
        card = _Card.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"{folder}: no prepared dataset found; run `{how}`") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); run `{how}`") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        said = f"{where}: {first['msg']}"
        if not where:
            said = "not a JSON object, wanted the card of a prepared dataset"
        elif where == "format":
            said = f"format {None if first['type'] == 'missing' else first['input']!r} found, {FORMAT} wanted"
        raise DatasetError(f"{path}: {said}; run `{how}`") from None
    if card.name != name:
        raise DatasetError(f"{folder}: dataset {card.name!r} found, {name!r} wanted; run `{how}`")
    return card.model_dump()


def open_split(folder: Path, name: str, split: str) -> Sequences:
    """One split, memory-mapped. The file's header is held against the card, and nothing in it is executed."""
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}; wanted one of {', '.join(SPLITS)}")
    card = read_card(folder, name)
    path = folder / f"{split}.npy"
    how = prepare_command(name)
    try:
        frames = np.lib.format.open_memmap(path, mode="r")  # the npy format alone: no archive, no pickle
    except FileNotFoundError:
        raise DatasetError(f"{path}: missing; run `{how}`") from None
    except (ValueError, OSError, EOFError) as error:
        raise DatasetError(f"{path}: not a readable array ({' '.join(str(error).split())}); run `{how}`") from None
    wanted = tuple(card["files"][split]["shape"])
    if frames.dtype != np.uint8 or frames.shape != wanted:
        raise DatasetError(f"{path}: {frames.dtype} {frames.shape} found, uint8 {wanted} wanted; run `{how}`")
    if card["observed"] >= wanted[1]:
        raise DatasetError(f"{folder}: {card['observed']} of {wanted[1]} frames are observed; run `{how}`")
    return Sequences(frames, card["observed"])


def prepare_command(name: str) -> str:
    """What a user types to prepare the dataset `name`."""
    return f"python -m benchmarks.prepare --dataset {name}"
