"""Says what a profile takes before anyone starts it: the cells that are due times the seconds that such cells took.

    python -m benchmarks.plan --profile standard --workers 16

Nothing is run, made or downloaded. Times are what stages recorded of themselves; what was never recorded is said to be
unknown and stands in no sum. docs/scaling.md says how far to trust them.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks import command, machine, settings
from benchmarks.cell import FILES, PARTS, Cell
from benchmarks.settings import Settings, SettingsError, near

RECORDS = {"train": "run.json", "dynamics": "looked.json", "measure": "cost.json"}  # part -> where its seconds are
START = 0.73  # seconds of measuring beside the timed calls, where its whole was not recorded (docs/scaling.md)
CHECKPOINTS = 8  # times a network's weights: two files, each of them, the best ones and Adam's two moments


@dataclass(frozen=True)
class Row:
    """A part of all neurons on a dataset. Seconds are those of one core; None: never recorded."""

    dataset: str
    part: str
    cells: int
    due: dict[str, float | None]  # neuron -> seconds
    median: float | None = None  # of all its cells
    source: str = ""  # the profile that recorded them

    @property
    def known(self) -> dict[str, float]:
        return {neuron: seconds for neuron, seconds in self.due.items() if seconds is not None}


def rows(loaded: Settings, profile: str) -> Iterator[Row]:
    """All parts of all datasets of `loaded`."""
    for dataset in loaded.datasets:
        whole = Cell.of(loaded, profile, dataset)
        prepared = whole.is_prepared() and whole.is_current("prepare")
        yield Row(dataset, "prepare", 1, {} if prepared else {"": None})
        due = {neuron: Cell.of(loaded, profile, dataset, neuron).due() for neuron in loaded.neurons}
        for part in PARTS:
            found, source = recorded(loaded, profile, dataset, part)
            units = whole.settings.training.seeds * whole.settings.training.steps if part == "train" else 1
            usual = units * median(found.values()) if found else None
            seconds = {name: units * found[name] if name in found else usual for name in due if part in due[name]}
            yield Row(dataset, part, len(due), seconds, usual, source)


def recorded(loaded: Settings, profile: str, dataset: str, part: str) -> tuple[dict[str, float], str]:
    """What a part took on a dataset, by neuron as `seconds_of` has it, and the profile that it is of; none: ({}, "").

    That is the profile itself, or the first other one that has records of the same work.
    """
    wanted = _work(loaded, profile, dataset, part)
    for name in (profile, *loaded.profiles):
        if dataset in loaded.profiles[name] and _work(loaded, name, dataset, part) == wanted:
            taken = {neuron: seconds_of(Cell.of(loaded, name, dataset, neuron), part) for neuron in loaded.neurons}
            if found := {neuron: seconds for neuron, seconds in taken.items() if seconds is not None}:
                return found, name
    return {}, ""


def _work(loaded: Settings, profile: str, dataset: str, part: str) -> tuple[Any, ...]:
    """The settings by which a part's seconds go, but for the number of steps and seeds."""
    found = loaded.cell(profile, dataset)
    return found.data, found.network, found.training.batch, found.training.device, part == "measure" and found.cost


def seconds_of(cell: Cell, part: str) -> float | None:
    """Core seconds that a part of a cell took, of training a step of a seed; None where nothing says it.

    What failed may have been stopped, and is left out.
    """
    result, record = _content(cell.results / FILES[part]), _content(cell.results / RECORDS[part])
    try:
        if not {one["status"] for one in result.get("seeds", [result])} & {"ok", "diverged"}:
            return None
        if part == "train":
            seeds = record.get("seeds", len(result["seeds"]))  # those of this run; without the entry it was all
            steps = int(result.get("inputs", {}).get("training.steps", cell.settings.training.steps))
            return float(record["seconds"] / math.ceil(seeds / record["workers"]) / steps)
        if part == "measure" and "seconds" not in record:
            timed = record["time"].values()
            return START + sum((t["pairs"] + t["warm_up"]) * t["median"] * (1 + 1 / t["ratio_to_lif"]) for t in timed)
        return float(record["seconds"])
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError):
        return None


def _content(path: Path) -> dict[str, Any]:
    """What a file of results holds, whatever its format: seconds and sizes mean the same in all; {} if unreadable."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def elapsed(found: list[Row], workers: int) -> float:
    """Seconds on some workers: part after part, training and dynamics in parallel, measure one cell at a time."""
    seconds = {part: [one for row in found if row.part == part for one in row.known.values()] for part in PARTS}
    alone = sum(seconds.pop("measure"))
    return alone + sum(max(sum(of_part) / workers, *of_part, 0.0) for of_part in seconds.values())


def lines(loaded: Settings, profile: str, found: list[Row], workers: list[int]) -> Iterator[str]:
    """The plan in lines for a terminal."""
    every = {f"{row.part} of {neuron} on {row.dataset}": one for row in found for neuron, one in row.due.items()}
    whole = Row("all", "", sum(row.cells for row in found), every)
    texts = [["dataset", "part", "cells", "due", "median", "all due", "recorded in"]]
    for row in (*found, whole):
        taken = sum(row.known.values()) if row.known or not row.due else None
        scaled = ", scaled by steps" if row.part == "train" and row.source not in ("", profile) else ""
        said = _duration(row.median), _duration(taken), (row.source or "never") + scaled
        texts.append([row.dataset, row.part, str(row.cells), str(len(row.due)), *said])
    texts[-1][4::2] = "", ""
    width = max(len(text[0]) for text in texts)
    for dataset, part, *numbers, source in texts:
        words = dataset.ljust(width), part.ljust(8), *(number.rjust(7) for number in numbers), source
        yield "  ".join(words).rstrip()
    yield ""
    if whole.known:
        spans = (f"{_duration(elapsed(found, count))} on {count}" for count in workers)
        yield f"at least {', '.join(spans)} cores: training and dynamics in parallel, measure one cell at a time"
        longest, name = max((seconds, name) for name, seconds in whole.known.items())
        yield f"the longest: {name}, {_duration(longest)}"
    yield "in no sum: what was never recorded, and parity, stability, recording in DVC, the report"
    yield from _disk(loaded, profile, found, workers[-1])


def _disk(loaded: Settings, profile: str, found: list[Row], workers: int) -> Iterator[str]:
    """What all that is due will leave, or write anew, and what of it nothing says."""
    sums, unknown, largest = {"data": 0.0, "results": 0.0, "weights": 0.0}, list[str](), 0.0
    for dataset in loaded.datasets:
        due = {row.part: row.due for row in found if row.dataset == dataset}
        concerned = {neuron for part in PARTS for neuron in due[part]}
        counts = {"data": len(due["prepare"]), "results": len(concerned), "weights": len(due["train"])}
        sizes = bytes_of([Cell.of(loaded, profile, dataset, neuron) for neuron in loaded.neurons])
        if lacking := ", ".join(what for what in sizes if counts[what] and not sizes[what]):
            unknown.append(f"{lacking} of {dataset}")
        sums = {what: total + counts[what] * sizes[what] for what, total in sums.items()}
        largest = max(largest, sizes["weights"] if due["train"] else 0)
    parts = ", ".join(f"{what} {size / 1e6:,.1f} MB" for what, size in sums.items())
    yield f"disk: {parts}; checkpoints {CHECKPOINTS * largest * workers / 1e6:,.1f} MB while {workers} train"
    if unknown:
        yield f"of unknown size, in no sum: {'; '.join(unknown)}"


def bytes_of(cells: list[Cell]) -> dict[str, float]:
    """Bytes of a dataset's data, and of a neuron's results and weights on it; 0 where no result says it."""
    files = _content(cells[0].results.parent / FILES["prepare"]).get("card", {}).get("files", {}).values()
    data = sum(math.prod(split["frames"]) * np.dtype(split["dtype"]).itemsize for split in files)
    results = [sum(file.stat().st_size for file in cell.results.iterdir()) for cell in cells if cell.results.exists()]
    counts = [_content(cell.results / FILES["train"]).get("parameters") for cell in cells]
    weights = [4 * count["network"] for count in counts if count]
    return {"data": data, "results": mean(results or [0]), "weights": median(weights or [0])}


def _duration(seconds: float | None) -> str:
    """Seconds for a reader: 4.8 s, 48 s, 12 min, 3.4 h; a question mark where they are not known."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.{int(seconds < 10)}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def main() -> None:
    """Prints the plan."""
    parser = command.parser("plan", "Say what a profile takes: cells, time and disk. Nothing is run.")
    parser.add_argument("--workers", type=int, help="cores to plan for, beside 1 and those here")
    options = parser.parse_args()
    if options.workers is not None and options.workers < 1:
        parser.error(f"--workers: {options.workers} found, wanted 1 or more")
    loaded = settings.load(profile=options.profile)
    profile = options.profile or loaded.profile
    if profile not in loaded.profiles:
        raise SettingsError(f"unknown profile {profile!r}; {near(profile, list(loaded.profiles))}")
    own = loaded.profiles[profile]
    if lacking := [dataset for dataset in loaded.datasets if dataset not in own]:
        print(f"{profile} has no {', '.join(lacking)}: planned is all it has; list that under `datasets:` to run it")
        loaded = loaded.model_copy(update={"datasets": list(own)})
    print(f"profile {profile}: {len(loaded.datasets) * len(loaded.neurons)} cells", end="\n\n")
    workers = sorted({1, machine.cores(), options.workers or 1})
    print(*lines(loaded, profile, list(rows(loaded, profile)), workers), sep="\n")


if __name__ == "__main__":
    command.run(main)
