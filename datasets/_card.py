"""The card of a prepared dataset: what it must say, and how it is read back."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

FORMAT = 2
SPLITS = ("train", "validation", "test")


class DatasetError(ValueError):
    """What a user can get wrong about data: one line that says what was found, what was wanted, what to do."""


class _File(BaseModel):
    """One split: frames [F, C, H, W], how many sequences are cut from them, and statistics by channel."""

    frames: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
    dtype: Literal["uint8", "float32"]
    sequences: PositiveInt
    sha256: str
    starts_sha256: str
    mean: list[float]
    std: list[float]
    min: list[float]
    max: list[float]


class _Read(BaseModel):
    """An official or a user's file that the data were made from."""

    file: str
    bytes: NonNegativeInt
    sha256: str


class _Value(BaseModel):
    """What a value of the data means: quantity = offset + scale * value, in `unit`."""

    unit: str
    offset: float
    scale: float


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[2]
    name: str
    title: str  # as tables and figures show it; one of synthetic data ends in "(synthetic)"
    synthetic: bool  # whether nothing in it was recorded
    kind: str  # real or synthetic, in words
    source: str
    licence: str
    split: str  # the rule by which it is split
    interval: str  # time between two frames
    observed: PositiveInt
    predicted: PositiveInt
    params: dict[str, Any]  # what prepared it
    value: _Value | None = None
    read: list[_Read] = []
    notes: list[str] = []
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
        by_place = sorted(error.errors(), key=lambda one: one["loc"] != ("format",))  # the format says most
        first = by_place[0]
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


def prepare_command(name: str) -> str:
    """What a user types to prepare the dataset `name`."""
    return f"python -m benchmarks.prepare --dataset {name}"
