"""How large a dataset is, known before it is prepared: from its card where there is one, else from params.yaml.

The rules below repeat what datasets/ do with their parameters, so that nothing has to be made or downloaded to know.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.command import Cell
from benchmarks.files import ResultsError, read_json
from benchmarks.settings import SettingsError, kind
from datasets import SPLITS, DatasetError, card

ACTIONS = 6
PERSONS = {"train": 16, "test": 9}  # of the acting figures and of KTH; validation's are taken from train's
WEEK = 336  # half hours
YEAR = 8760  # hours
OFFICIAL = Path("official")
# below OFFICIAL, where the files of a dataset are looked for
FOLDERS = {
    "moving_mnist": "moving_mnist",
    "moving_fashion_mnist": "moving_fmnist",
    "taxibj": "taxibj",
    "kth": "kth",
    "weatherbench": "weatherbench",
    "events": "events",
}


@dataclass(frozen=True)
class Extent:
    """Size of a dataset: frames of shape [C, H, W], `length` frames a sequence, sequences and frames by split."""

    frame: tuple[int, int, int]
    observed: int
    length: int
    sequences: dict[str, int]
    frames: dict[str, int]
    itemsize: int
    origin: str  # "its card", "params.yaml" or "as published"

    @property
    def values(self) -> int:
        """Numbers in all frames of all splits."""
        return sum(self.frames.values()) * prod(self.frame)

    @property
    def bytes(self) -> int:
        """On the disk: frames, and where sequences start."""
        return self.values * self.itemsize + 8 * sum(self.sequences.values())


def extent(cell: Cell) -> Extent | None:
    """The size of the cell's dataset; None for a dataset without a rule that was never prepared."""
    data = cell.settings.data
    for found in (_prepared(cell), _reported(cell)):
        if found is not None and found["params"] == data:
            return _from_card(found)
    rule = RULES.get(kind(cell.dataset))
    if rule is None:
        return None
    try:
        return rule(data)
    except (KeyError, TypeError, ValueError) as error:
        where = f"profiles.{cell.profile}.{cell.dataset}.data"
        said = f"{type(error).__name__} {error}"
        raise SettingsError(
            f"{where}: its size cannot be told ({said}); `python -m benchmarks.prepare` checks it"
        ) from None


def wants(cell: Cell, root: Path = OFFICIAL) -> str:
    """What has to be there before the cell's dataset can be prepared, in one line; an empty string if nothing is known.

    Only whether there is any file is looked at: `prepare` checks them, and downloads what is published.
    """
    folder, source = FOLDERS.get(kind(cell.dataset)), cell.settings.data.get("source")
    if folder is None or source == "embedded" or _prepared(cell) is not None:
        return ""
    if any(path.is_file() for path in (root / folder).rglob("*")):
        return ""
    how = f"python -m benchmarks.prepare --profile {cell.profile} --dataset {cell.dataset}"
    return f"{cell.dataset}: no file found in {root / folder}; `{how}` downloads them or says which to put there"


def _prepared(cell: Cell) -> dict[str, Any] | None:
    try:
        return card(kind(cell.dataset), cell.data)
    except DatasetError:
        return None


def _reported(cell: Cell) -> dict[str, Any] | None:
    """The card as the results have it, which are in git where the data are not."""
    try:
        return dict(read_json(Path("results") / cell.profile / cell.dataset / "trivial.json")["card"])
    except (ResultsError, KeyError):
        return None


def _from_card(found: dict[str, Any]) -> Extent:
    files = found["files"]
    return Extent(
        frame=tuple(files["train"]["frames"][1:]),
        observed=found["observed"],
        length=found["observed"] + found["predicted"],
        sequences={split: files[split]["sequences"] for split in SPLITS},
        frames={split: files[split]["frames"][0] for split in SPLITS},
        itemsize=1 if files["train"]["dtype"] == "uint8" else 4,
        origin="its card",
    )


def _made(data: dict[str, Any], frame: tuple[int, int, int], itemsize: int, **how: Any) -> Extent:
    return Extent(frame, data["observed"], data["observed"] + data["predicted"], itemsize=itemsize, **how)


def _drawn(data: dict[str, Any], side: int, itemsize: int, origin: str = "params.yaml") -> Extent:
    """As many sequences as params.yaml wants, which share no frame."""
    counts = {split: int(data["sequences"][split]) for split in SPLITS}
    frames = {split: count * (data["observed"] + data["predicted"]) for split, count in counts.items()}
    return _made(data, (1, side, side), itemsize, sequences=counts, frames=frames, origin=origin)


def _moving(data: dict[str, Any]) -> Extent:
    return _drawn(data, data["canvas"], 1)


def _advection(data: dict[str, Any]) -> Extent:
    return _drawn(data, data["side"], 4)


def _city_flow(data: dict[str, Any]) -> Extent:
    frames = {split: data["weeks"][split] * WEEK for split in SPLITS}
    last = {split: count - data["observed"] - data["predicted"] for split, count in frames.items()}
    counts = {split: last[split] // data["stride"][split] + 1 for split in SPLITS}
    frame = (2, data["side"], data["side"])
    return _made(data, frame, 4, sequences=counts, frames=frames, origin="params.yaml")


def _acting(data: dict[str, Any], films: dict[str, Any], channels: int) -> Extent:
    """Films of acting figures; at most this many sequences, for a figure may be out of sight."""
    kept = len(films["validation_persons"])
    people = {"train": PERSONS["train"] - kept, "validation": kept, "test": PERSONS["test"]}
    clips = {split: count * ACTIONS * films["clips"] for split, count in people.items()}
    windows = (films["clip_length"] - data["observed"] - data["predicted"]) // data["stride"] + 1
    return _made(
        data,
        (channels, data["side"], data["side"]),
        1,
        sequences={split: count * windows for split, count in clips.items()},
        frames={split: count * films["clip_length"] for split, count in clips.items()},
        origin="params.yaml",
    )


def _stick_actions(data: dict[str, Any]) -> Extent:
    return _acting(data, data, 1)


def _events(data: dict[str, Any]) -> Extent | None:
    return _acting(data, data["simulation"], 2) if data["source"] == "embedded" else None


def _taxibj(data: dict[str, Any]) -> Extent:
    """OpenSTL's file: 20,461 and 500 sequences, which slide by a frame; some of them will be left out."""
    kept = round(20461 * data["validation"])
    counts = {"train": 20461 - kept, "validation": kept, "test": 500}
    return _made(data, (2, 32, 32), 4, sequences=counts, frames=counts, origin="as published")


def _kth(data: dict[str, Any]) -> Extent:
    """OpenSTL's frames: 5,200 and 3,167 sequences of 30 frames, taken for other lengths as well."""
    kept = 5200 * len(data["validation_persons"]) // PERSONS["train"]
    counts = {"train": 5200 - kept, "validation": kept, "test": 3167}
    frames = {split: 30 * count for split, count in counts.items()}
    return _made(data, (1, data["side"], data["side"]), 1, sequences=counts, frames=frames, origin="as published")


def _weatherbench(data: dict[str, Any]) -> Extent:
    frames = {split: YEAR * (data[split][1] - data[split][0] + 1) for split in SPLITS}
    length = data["observed"] + data["predicted"]
    counts = {split: (count - length) // data["stride"] + 1 for split, count in frames.items()}
    return _made(data, (1, 32, 64), 4, sequences=counts, frames=frames, origin="as published")


RULES: dict[str, Callable[[dict[str, Any]], Extent | None]] = {
    "moving_mnist": _moving,
    "moving_fashion_mnist": _moving,
    "advection": _advection,
    "city_flow": _city_flow,
    "stick_actions": _stick_actions,
    "events": _events,
    "taxibj": _taxibj,
    "kth": _kth,
    "weatherbench": _weatherbench,
}
