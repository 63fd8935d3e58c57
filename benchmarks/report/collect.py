"""The one tidy long table that every table, figure and check reads, gathered from the files under results/.

Columns: profile, dataset, neuron, group, seed, status, metric, value. A metric that belongs to a place is named
`metric@place`: `mse@3` is the error of the third predicted frame, `validation_mse@400` that after 400 steps,
`firing_rate@1` that of the first layer and `firing_rate@1.4` that of its fourth step, `energy_operations_nj@int8` the
energy in another arithmetic than float32. What dynamics.json says is of seed 0, `_start` before training and `_trained`
after it. Costs have no seed. A cell that did not end well has one row a seed (or one row), with no metric, whose status
says why: nothing disappears.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.files import ResultsError, read_json
from benchmarks.settings import Settings

COLUMNS = ["profile", "dataset", "neuron", "group", "seed", "status", "metric", "value"]
ROOT = Path("results")
OPERATIONS = ("mac", "ac", "dense", "neuron_operations", "normalisation")
ENERGIES = ("operations_nj", "with_memory_nj", "with_memory_reused_nj")
Row = dict[str, Any]


def collect(settings: Settings, profile: str, keep_going: bool) -> pd.DataFrame:
    """The table of all cells that params.yaml lists, in its order, and of the trivial predictors.

    A file that is missing or of another format raises ResultsError; with `keep_going` it becomes a row that says so.
    """
    rows: list[Row] = []
    for dataset in settings.datasets:
        folder = ROOT / profile / dataset
        own = _guarded({"neuron": "trivial", "group": "trivial"}, keep_going, _trivial, folder)
        for neuron in settings.neurons:
            trained = _guarded({"neuron": neuron, "group": ""}, keep_going, _accuracy, folder / neuron)
            group = trained[0]["group"]
            own += trained
            for read in (_cost, _dynamics):
                own += _guarded({"neuron": neuron, "group": group}, keep_going, read, folder / neuron, group)
        rows += [{"profile": profile, "dataset": dataset, **row} for row in own]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"seed": "Int64", "value": "float64"})


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


def _trivial(folder: Path) -> list[Row]:
    rows = []
    for name, summary in read_json(folder / "trivial.json")["predictors"].items():
        ended = {"neuron": name, "group": "trivial", "seed": 0, "status": "ok"}
        rows += [{**ended, "metric": metric, "value": value} for metric, value in _scores(summary)]
    return rows


def _accuracy(folder: Path) -> list[Row]:
    content = read_json(folder / "accuracy.json")
    rows: list[Row] = []
    for record in content["seeds"]:
        ended = {"group": content["group"] or "", "seed": record["seed"], "status": _status(record)}
        if record["status"] != "ok":
            rows.append({**ended, "metric": None, "value": None})
            continue
        values = dict(_scores(record["test"]))
        values |= {"best_step": record["best_step"]}
        values |= {f"{name}_parameters": count for name, count in content["parameters"].items()}
        if "firing_rate" in record:
            values |= {f"firing_rate@{i}": rate for i, rate in enumerate(record["firing_rate"], start=1)}
            values |= {"sparsity": record["sparsity"], "firing_rate": 1 - record["sparsity"]}
        rows += [{**ended, "metric": metric, "value": value} for metric, value in values.items()]
    return rows + _curves(folder / "curves.csv", rows)


def _curves(path: Path, rows: list[Row]) -> list[Row]:
    """The learning curves of the seeds that `rows` has; those of a diverged seed end where it did."""
    try:
        curves = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path}: no readable curves ({error}); run `dvc repro`") from None
    ended = {row["seed"]: {key: row[key] for key in ("group", "seed", "status")} for row in rows}
    return [
        {**ended[seed], "metric": f"{metric}@{step}", "value": value}
        for seed, step, *values in curves.itertuples(index=False)
        for metric, value in zip(("train_loss", "gradient_norm", "validation_mse"), values, strict=True)
        if pd.notna(value)
    ]


def _cost(folder: Path, group: str) -> list[Row]:
    content = read_json(folder / "cost.json")
    ended = {"group": group, "seed": None, "status": _status(content)}
    if content["status"] != "ok":
        return [{**ended, "metric": None, "value": None}]
    values: dict[str, float] = {}
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
    values |= {
        f"{what}_joules": content["joules"][what] for what in content["time"] if what in content.get("joules", {})
    }
    return [{**ended, "metric": metric, "value": value} for metric, value in values.items()]


def _dynamics(folder: Path, group: str) -> list[Row]:
    content = read_json(folder / "dynamics.json")
    if content["status"] != "ok":
        return [{"group": group, "seed": None, "status": _status(content), "metric": None, "value": None}]
    values: dict[str, Any] = {name: content["operations"]["total"][name] for name in OPERATIONS}
    for arithmetic, energies in content["energy"].items():
        at = "" if arithmetic == "float32" else f"@{arithmetic}"
        values |= {f"energy_{name}{at}": energies[name] for name in ENERGIES}
    for i, layer in enumerate(content.get("spikes", {}).get("layers", []), start=1):
        values |= {f"{share}@{i}": layer[share] for share in ("dead", "saturated")}
        values |= {f"firing_rate@{i}.{step}": rate for step, rate in enumerate(layer["rate_by_step"], start=1)}
    for when, layers in content["lags"].items():
        for layer in layers:
            at = f"{when}@{layer['layer']}"
            values[f"gradient_factor_{at}"] = layer["gradient"]["per_step"]
            values[f"memory_{at}"] = layer["memory"] and layer["memory"][-1]
            values[f"membrane_rms_{at}"] = layer["membrane"] and layer["membrane"]["rms"][-1]
    ended = {"group": group, "seed": 0, "status": "ok"}
    return [{**ended, "metric": metric, "value": float(value)} for metric, value in values.items() if value is not None]


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
