"""The one tidy long table that every table, figure and check reads, gathered from the files under results/.

Columns: profile, dataset, neuron, group, seed, status, metric, value. A metric that belongs to a place is named
`metric@place`: `mse@3` is the error of the third predicted frame, `validation_mse@400` that after 400 steps,
`firing_rate@1` that of the first layer and `firing_rate@1.4` that of its fourth step, `energy_operations_nj@int8` the
energy in another arithmetic than float32. What dynamics.json says is of seed 0, `_start` before training and `_trained`
after it. Costs have no seed. A cell that did not end well has one row a seed (or one row), with no metric, whose status
says why: nothing disappears. Numbers made under other conditions than those of most cells of their dataset keep their
rows, with the status `apart (why)` in place of `ok`: no table averages, ranks or pairs them (provenance.py). Those of a
cell without all its seeds have the status `incomplete (why)`: they are shown, and neither ranked nor paired.
"""

import csv
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.cell import FILES, Cell
from benchmarks.files import ResultsError, read_json
from benchmarks.report import provenance
from benchmarks.report.summary import INCOMPLETE
from benchmarks.settings import Settings, is_ablation, is_control, kind

COLUMNS = ["profile", "dataset", "neuron", "group", "seed", "status", "metric", "value"]
ROOT = Path("results")
OPERATIONS = ("mac", "ac", "dense", "neuron_operations", "normalisation")
CURVES = ("seed", "step", "train_loss", "gradient_norm", "validation_mse")
ENERGIES = ("operations_nj", "with_memory_nj", "with_memory_reused_nj")
Row = dict[str, Any]


def collect(settings: Settings, profile: str, keep_going: bool) -> pd.DataFrame:
    """The table of all cells that params.yaml lists, in its order, and of the trivial predictors.

    A file that is missing, damaged or of another format raises ResultsError; with `keep_going` it becomes a row that
    says so.
    """
    rows: list[Row] = []
    for dataset in settings.datasets:
        folder = ROOT / profile / dataset
        own = _guarded({"neuron": "trivial", "group": "trivial"}, keep_going, _trivial, folder)
        by_stage: dict[str, list[Row]] = {stage: [] for stage in provenance.STAGES}
        for neuron in settings.neurons:
            cell = Cell.of(settings, profile, dataset, neuron)
            trained = _guarded({"neuron": neuron, "group": ""}, keep_going, _accuracy, cell)
            names = {"neuron": neuron, "group": trained[0]["group"] if trained else ""}
            costs = _guarded(names, keep_going, _cost, cell, names["group"])
            looks = _guarded(names, keep_going, _dynamics, cell, names["group"])
            by_stage["train"] += trained + looks  # what was looked at are the weights that were trained
            by_stage["dynamics"] += looks
            by_stage["measure"] += costs
            own += trained + costs + looks
        for stage, its in by_stage.items():
            _set_apart(its, folder, stage, keep_going)
        weighted = {kind(row["neuron"]) for row in own if row["group"] == "weighted"}
        for row in own:
            if is_control(row["neuron"]):
                row["group"] = "control"
            elif is_ablation(row["neuron"]):
                row["group"] = "ablation"
            elif kind(row["neuron"]).removeprefix("stc_") in weighted:  # the circuit leaves it its own weights
                row["group"] = "weighted"
        rows += [{"profile": profile, "dataset": dataset, **row} for row in own]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"seed": "Int64", "value": "float64"})


def _set_apart(rows: list[Row], folder: Path, stage: str, keep_going: bool) -> None:
    """Marks, in place, the numbers that one stage made otherwise than most; the row of a failure stays what it is."""
    statuses: dict[str, str] = {}
    known = []
    for neuron in dict.fromkeys(row["neuron"] for row in rows if _has_numbers(row)):
        try:
            provenance.origin(folder / neuron, stage)
            known.append(neuron)
        except ResultsError as error:
            if not keep_going:
                raise
            statuses[neuron] = f"{provenance.APART} ({error})"
    statuses |= provenance.apart(folder, known, stage)
    for row in rows:
        if _has_numbers(row):
            row["status"] = statuses.get(row["neuron"], row["status"])


def _has_numbers(row: Row) -> bool:
    return row["status"] == "ok" or str(row["status"]).startswith(INCOMPLETE)


def described(settings: Settings, profile: str, dataset: str) -> dict[str, Any]:
    """The dataset's card, the neurons' notes by name, the machines: as far as their files are there and readable."""
    folder = ROOT / profile / dataset
    found: dict[str, Any] = {"card": None, "machines": [], "notes": {}}
    with suppress(ResultsError):
        found["card"] = read_json(folder / "trivial.json")["card"]
    for neuron in settings.neurons:
        with suppress(ResultsError):
            note = read_json(folder / neuron / "accuracy.json").get("note")
            if note:
                found["notes"][neuron] = note
        for name in ("run.json", "cost.json"):
            try:
                content = read_json(folder / neuron / name)
            except ResultsError:
                continue
            found["machines"].append(content.get("machine", content))
    return found


def _guarded(names: Row, keep_going: bool, read: Any, *arguments: Any) -> list[Row]:
    try:
        return [{**names, **row} for row in read(*arguments)]
    except ResultsError as error:
        if not keep_going:
            raise
        return [{**names, "seed": None, "status": f"failed ({error})", "metric": None, "value": None}]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Makes a file of the right format number that lacks a part, or has one of another kind, an error of one line."""
    try:
        yield
    except ResultsError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        found = " ".join(str(error).split())
        what = f"{found} missing" if isinstance(error, KeyError) else f"a part is of another kind ({found})"
        raise ResultsError(f"{path}: {what}; remove it and run `dvc repro`") from None


def _finite(path: Path, rows: Iterable[tuple[str, Any]]) -> list[tuple[str, float]]:
    """The values as floats; ResultsError for one that is not finite, but for the PSNR of a perfect prediction."""
    found = [(metric, float(value)) for metric, value in rows]
    for metric, value in found:
        if not math.isfinite(value) and not (metric.startswith("psnr") and value == math.inf):
            raise ResultsError(f"{path}: {metric} {value} found, a finite number wanted; remove it and run `dvc repro`")
    return found


def _trivial(folder: Path) -> list[Row]:
    path, rows = folder / "trivial.json", []
    content = read_json(path)
    with _reading(path):
        for name, summary in content["predictors"].items():
            ended = {"neuron": name, "group": "trivial", "seed": 0, "status": "ok"}
            rows += [{**ended, "metric": metric, "value": value} for metric, value in _finite(path, _scores(summary))]
    return rows


def _accuracy(cell: Cell) -> list[Row]:
    path, rows = cell.results / FILES["train"], []
    content = cell.stored("train")
    with _reading(path):
        incomplete = _incomplete(content, cell.settings.training.seeds)
        for record in content["seeds"]:
            ended = {"group": content["group"] or "", "seed": int(record["seed"]), "status": _status(record)}
            if record["status"] != "ok":
                rows.append({**ended, "metric": None, "value": None})
                continue
            values = dict(_scores(record["test"]))
            values |= {"best_step": record["best_step"]}
            values |= {f"{name}_parameters": count for name, count in content["parameters"].items()}
            if "firing_rate" in record:
                values |= {f"firing_rate@{i}": rate for i, rate in enumerate(record["firing_rate"], start=1)}
                values |= {"sparsity": record["sparsity"], "firing_rate": 1 - float(record["sparsity"])}
            rows += [{**ended, "metric": metric, "value": value} for metric, value in _finite(path, values.items())]
        if not rows:
            raise ResultsError(f"{path}: no seed found in it; remove it and run `dvc repro`")
    rows += _curves(cell.results / "curves.csv", rows)
    return [{**row, "status": incomplete} if incomplete and row["status"] == "ok" else row for row in rows]


def _incomplete(content: dict[str, Any], wanted: int) -> str:
    """The status of the numbers of a cell that has not all its seeds, or has some of another key; empty for others."""
    records = content["seeds"]
    if any(record["key"] != content["key"] for record in records):
        return f"{INCOMPLETE} (seeds of two keys)"
    return f"{INCOMPLETE} ({len(records)} of {wanted} seeds)" if len(records) < wanted else ""


def _curves(path: Path, rows: list[Row]) -> list[Row]:
    """The learning curves of the seeds that `rows` has; those of a diverged seed end where it did."""
    ended = {row["seed"]: {key: row[key] for key in ("group", "seed", "status")} for row in rows}
    found: list[Row] = []
    try:
        with path.open(newline="") as file:
            curves = csv.DictReader(file)
            if lacking := [name for name in CURVES if name not in (curves.fieldnames or ())]:
                raise ResultsError(f"{path}: column {', '.join(lacking)} missing; remove it and run `dvc repro`")
            for line in curves:
                seed, step, *values = (float(line[name]) for name in CURVES)
                if seed not in ended:
                    raise ResultsError(f"{path}: seed {seed:g} found, not in accuracy.json; run `dvc repro --force`")
                found += [
                    {**ended[int(seed)], "metric": f"{metric}@{int(step)}", "value": value}
                    for metric, value in zip(CURVES[2:], values, strict=True)
                    if not math.isnan(value)
                ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ResultsError(f"{path}: no readable curves ({error}); run `dvc repro`") from None
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, ResultsError):
            raise
        where = f"line {curves.line_num}"
        raise ResultsError(f"{path}: {where}: {error}; numbers wanted; remove it and run `dvc repro`") from None
    return found


def _cost(cell: Cell, group: str) -> list[Row]:
    path = cell.results / FILES["measure"]
    content = cell.stored("measure")
    with _reading(path):
        ended = {"group": group, "seed": None, "status": _status(content)}
        if content["status"] != "ok":
            return [{**ended, "metric": None, "value": None}]
        values: dict[str, Any] = {}
        for what, times in content["time"].items():
            low, high = times["quartiles"]
            values |= {f"{what}_ms": 1e3 * times["median"], f"{what}_iqr_ms": 1e3 * (high - low)}
            values |= {f"{what}_ratio": times["ratio_to_lif"]}
            if "noisy" in times:
                values |= {f"{what}_noisy": float(times["noisy"])}
        for what, rates in content.get("throughput", {}).items():
            values |= {f"{what}_{unit}": rate for unit, rate in rates.items()}
        for what, size in content["memory"].items():
            values |= {f"{what}_mib{at}": part / 2**20 for at, part in _places(size)}
        joules = content.get("joules", {})
        values |= {f"{what}_joules": joules[what] for what in content["time"] if what in joules}
        return [{**ended, "metric": metric, "value": value} for metric, value in _finite(path, values.items())]


def _dynamics(cell: Cell, group: str) -> list[Row]:
    path = cell.results / FILES["dynamics"]
    content = cell.stored("dynamics")
    if content["inputs"].get("train") != cell.stored("train")["key"]:
        raise ResultsError(f"{path}: of another training than accuracy.json; run `dvc repro`")
    with _reading(path):
        if content["status"] != "ok":
            return [{"group": group, "seed": None, "status": _status(content), "metric": None, "value": None}]
        values: dict[str, Any] = {name: content["operations"]["total"][name] for name in OPERATIONS}
        for arithmetic, energies in content["energy"].items():
            at = "" if arithmetic == "float32" else f"@{arithmetic}"
            values |= {f"energy_{name}{at}": energies[name] for name in ENERGIES}
        for i, layer in enumerate(content.get("spikes", {}).get("layers", []), start=1):
            values |= {f"{share}@{i}": layer[share] for share in ("dead", "saturated")}
            values |= {f"firing_rate@{i}.{step}": rate for step, rate in enumerate(layer["rate_by_step"], start=1)}
        finite = _finite(path, values.items())
        ended = {"group": group, "seed": 0, "status": "ok"}
        return [{**ended, "metric": metric, "value": value} for metric, value in [*finite, *_reach(content["lags"])]]


def _reach(lags: dict[str, list[dict[str, Any]]]) -> list[tuple[str, float]]:
    """What the curves over lag come down to, at the start and trained, layer by layer; infinite where they explode."""
    values: dict[str, Any] = {}
    for when, layers in lags.items():
        for layer in layers:
            at = f"{when}@{layer['layer']}"
            values[f"gradient_factor_{at}"] = layer["gradient"]["per_step"]
            values[f"memory_{at}"] = layer["memory"] and layer["memory"][-1]
            values[f"membrane_rms_{at}"] = layer["membrane"] and layer["membrane"]["rms"][-1]
    return [(metric, float(value)) for metric, value in values.items() if value is not None]


def _places(value: Any) -> list[tuple[str, Any]]:
    """A number as it is; a list of numbers by place, the first being 1."""
    return [(f"@{i}", part) for i, part in enumerate(value, start=1)] if isinstance(value, list) else [("", value)]


def _scores(summary: dict[str, Any]) -> list[tuple[str, float]]:
    overall = list(summary["overall"].items())
    return overall + [
        (f"{metric}@{frame}", value)
        for metric, values in summary["frames"].items()
        for frame, value in enumerate(values, start=1)
    ]


def _status(record: dict[str, Any]) -> str:
    return f"{record['status']} ({record['reason']})" if record["reason"] else str(record["status"])
