"""Stage `train`: one neuron on one dataset, all seeds, and its score on the test split.

    python -m benchmarks.train --dataset moving_mnist --neuron stc_lif

Writes results/<profile>/<dataset>/<neuron>/: accuracy.json and curves.csv (the same bytes at every run on a CPU),
predictions.png (the fixed test sequences, of seed 0), run.json (where and how long); and the weights of seed 0.
Seeds run in parallel on a CPU, one thread each. Interrupted, it goes on where it was. Seeds whose results are there
already, under the same key, are taken over: more seeds cost no more than those that are new.
"""

import csv
import shutil
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import checkpoint, command, distributed, machine, weights
from benchmarks.cell import Cell
from benchmarks.device import settle
from benchmarks.files import ResultsError, read_json, replacing, write_json
from benchmarks.seeds import run_seed
from benchmarks.workers import side_by_side
from neurons import NeuronError

FAILURES = ("failed", "unsupported", "out of memory")
SHARED = ("group", "spiking", "note", "parameters")  # the same for every seed
CURVES = ("step", "train_loss", "gradient_norm", "validation_mse")
Record = dict[str, Any]


def main() -> None:
    """Trains one cell."""
    parser = command.cell_parser("train", "Train one neuron on one dataset, all seeds, and test it.")
    parser.add_argument(
        "--workers", type=int, help="seeds at once (default: as params.yaml says); no result depends on it"
    )
    parser.add_argument("--force", action="store_true", help="train seeds again that are current by their key")
    options = parser.parse_args()
    cell = command.cell(options)
    cell.check_data()
    training = cell.settings.training
    workers = options.workers or training.workers
    distributed.check(training.devices, settle(training.device))
    machine.warn_of_workers(workers)
    start = time.monotonic()
    with cell.unchanged("train") as stamp:
        folder = checkpoint.folder(cell, cell.neuron, stamp["key"])
        if options.force:
            shutil.rmtree(folder)
            folder.mkdir()
        if options.stopped:
            records = [{"seed": seed, **command.ending(options.stopped)} for seed in range(training.seeds)]
        else:
            records = train_seeds(cell, folder, workers, {} if options.force else finished(cell))
    failed = next((record for record in records if record["status"] in FAILURES), None)
    if failed and not options.keep_going:
        log = folder / f"seed{failed['seed']}.log"
        where = f" (traceback: {log})" if log.exists() else ""
        raise NeuronError(f"{cell.neuron} on {cell.dataset}: {failed['status']}: {failed['reason']}{where}")
    write_results(cell, stamp, folder, records, time.monotonic() - start, workers)
    if failed:
        print(f"{cell.neuron} on {cell.dataset}: {failed['status']}: {failed['reason']}", file=sys.stderr)
    else:
        shutil.rmtree(folder)


def train_seeds(cell: Cell, folder: Path, workers: int, known: dict[int, Record]) -> list[Record]:
    """The records of all seeds of the cell, `workers` at once; those `known` or finished in `folder` stay."""
    training = cell.settings.training
    seeds = [seed for seed in range(training.seeds) if seed not in known]
    title = f"{cell.neuron} on {cell.dataset}"
    try:
        new = side_by_side(partial(run_seed, cell, folder), seeds, workers, training.steps, title) if seeds else []
    except BrokenProcessPool as error:
        new = [{"seed": seed, **command.ending(error)} for seed in seeds]
    found = {**known, **dict(zip(seeds, new, strict=True))}
    return [found[seed] for seed in range(training.seeds)]


def finished(cell: Cell) -> dict[int, Record]:
    """The records of the seeds that the cell's results hold under the key now, by seed; {} where they cannot be used.

    Seed 0 is among them where its weights and predictions are there, too.
    """
    try:
        content, key = cell.stored("train"), cell.key("train")
        made, here = read_json(cell.results / "run.json"), machine.describe(settle(cell.settings.training.device))
        if (made["device"], made["versions"]["torch"]) != (here["device"], here["versions"]["torch"]):
            return {}  # seeds of two machines are never averaged
        curves: dict[int, list[Record]] = {}
        with (cell.results / "curves.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                curves.setdefault(int(row["seed"]), []).append({name: row[name] for name in CURVES})
        there = cell.weights().exists() and (cell.results / "predictions.png").exists()
        return {
            seed: {**record, **{name: content[name] for name in SHARED}, "curve": curves[seed]}
            for record in content["seeds"]
            if (seed := record["seed"]) in curves
            and record["key"] == key
            and record["status"] not in FAILURES
            and (there or seed != 0)
        }
    except (ResultsError, OSError, KeyError, TypeError, ValueError):
        return {}


def write_results(
    cell: Cell, stamp: dict[str, Any], folder: Path, records: list[Record], seconds: float, workers: int
) -> None:
    """Writes the cell's files from its seeds' records, accuracy.json last: with it the cell is current.

    `stamp`: key and inputs; `seconds`: wall time of this run of `workers` seeds at once.
    """
    known: Record = next((record for record in records if "group" in record), {})
    elsewhere = (*SHARED, "curve", "format")
    seeds = [{**{k: v for k, v in r.items() if k not in elsewhere}, "key": stamp["key"]} for r in records]
    with replacing(cell.results / "curves.csv") as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["seed", *CURVES])
        for record in records:
            rows.writerows([record["seed"], *row.values()] for row in record.get("curve", []))
    predictions = cell.results / "predictions.png"
    if (folder / predictions.name).exists() or records[0]["status"] != "ok":
        with replacing(predictions) as temporary:
            if (folder / predictions.name).exists():
                shutil.copyfile(folder / predictions.name, temporary)
            else:
                temporary.touch()  # a failed cell has none; DVC wants the file all the same
    if (folder / weights.FILE).exists():
        weights.keep(cell, folder / weights.FILE)
    new = sum("format" in record or record["status"] in FAILURES for record in records)
    if new or not (cell.results / "run.json").exists():
        how = {"seconds": round(seconds, 1), "workers": workers, "seeds": new}
        write_json(cell.results / "run.json", {**how, **machine.describe(settle(cell.settings.training.device))})
    names = {"profile": cell.profile, "dataset": cell.dataset, "neuron": cell.neuron, "params": cell.params}
    shared = {name: known.get(name) for name in SHARED}
    write_json(cell.results / "accuracy.json", {**stamp, **names, **shared, "seeds": seeds})


if __name__ == "__main__":
    command.run(main)
