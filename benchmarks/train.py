"""Stage `train`: one neuron on one dataset, all seeds, and its score on the test split.

    python -m benchmarks.train --dataset moving_mnist --neuron stc_lif

Writes results/<profile>/<dataset>/<neuron>/: accuracy.json and curves.csv (the same bytes at every run on a CPU),
predictions.png (the fixed test sequences), run.json (where and how long) and weights.safetensors (both of seed 0).
Seeds run side by side on a CPU, one thread each, or several together as one stack of networks. Interrupted, it goes on
where it was.
"""

import csv
import shutil
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import checkpoint, command, distributed, machine, sources
from benchmarks.command import Cell
from benchmarks.files import replacing, write_json
from benchmarks.seeds import run_seeds
from benchmarks.settings import AS_WIDE_AS
from benchmarks.workers import side_by_side
from neurons import NeuronError

# what a trained seed depends on beside its settings, its data and neurons/; the same files stand in dvc.yaml
SOURCES = ("evaluation.py", "loading.py", "metrics.py", "network.py", "samples.py", "seeds.py", "training.py")
FAILURES = ("failed", "unsupported", "out of memory")


def main() -> None:
    """Trains one cell."""
    parser = command.cell_parser("train", "Train one neuron on one dataset, all seeds, and test it.")
    parser.add_argument(
        "--workers", type=int, help="seeds at once (default: as params.yaml says); no result depends on it"
    )
    options = parser.parse_args()
    cell = command.cell(options)
    cell.card()
    training = cell.settings.training
    workers = options.workers or training.workers
    distributed.check(training.devices, machine.settle(training.device))
    machine.warn_of_workers(workers)
    folder = checkpoint.folder(cell.profile, cell.dataset, cell.neuron, fingerprint(cell))
    start = time.monotonic()
    if options.stopped:
        records = [{"seed": seed, **command.ending(options.stopped)} for seed in range(training.seeds)]
    else:
        records = train_seeds(cell, folder, workers)
    failed = next((record for record in records if record["status"] in FAILURES), None)
    if failed and not options.keep_going:
        log = folder / f"seed{failed['seed']}.log"
        where = f" (traceback: {log})" if log.exists() else ""
        raise NeuronError(f"{cell.neuron} on {cell.dataset}: {failed['status']}: {failed['reason']}{where}")
    write_results(cell, folder, records, time.monotonic() - start, workers)
    if failed:
        print(f"{cell.neuron} on {cell.dataset}: {failed['status']}: {failed['reason']}", file=sys.stderr)
    else:
        shutil.rmtree(folder)


def train_seeds(cell: Cell, folder: Path, workers: int) -> list[dict[str, Any]]:
    """The records of all seeds of the cell, `workers` at once; those finished in `folder` are not run again."""
    training = cell.settings.training
    seeds, title = range(training.seeds), f"{cell.neuron} on {cell.dataset}"
    tasks = [seeds[first : first + training.together] for first in range(0, training.seeds, training.together)]
    try:
        done = side_by_side(partial(run_seeds, cell, folder), tasks, workers, training.steps, title)
    except BrokenProcessPool as error:
        return [{"seed": seed, **command.ending(error)} for seed in seeds]
    return [record for task in done for record in task["records"]]


def fingerprint(cell: Cell) -> str:
    """A hash of all that a seed's result depends on."""
    kinds = {cell.kind, *([cell.params[AS_WIDE_AS]["neuron"]] if AS_WIDE_AS in cell.params else [])}
    files = [Path("benchmarks") / name for name in SOURCES]
    files += sorted({file for kind in kinds for file in sources.of(kind)})
    settings = cell.settings.model_dump(include={"network": True, "training": True})
    irrelevant = list(sources.NO_MATTER)
    if cell.settings.training.together > 1:  # but for rounding, which goes by the number of seeds in a stack
        files.append(Path("benchmarks") / "together.py")
        irrelevant.remove("seeds")
    for how in irrelevant:
        del settings["training"][how]
    values = {
        "neuron": [cell.kind, cell.params],
        "settings": settings,
        "data": cell.card()["files"],
        "device": machine.settle(cell.settings.training.device).type,
        "torch": torch.__version__,
    }
    return checkpoint.fingerprint(files, values)


def write_results(cell: Cell, folder: Path, records: list[dict[str, Any]], seconds: float, workers: int) -> None:
    """Writes the cell's files from its seeds' records; `seconds`: wall time of this run of `workers` seeds at once."""
    shared = ("group", "spiking", "note", "parameters")  # the same for every seed
    elsewhere = ("curve", "format", "together")
    known: dict[str, Any] = next((record for record in records if "group" in record), {})
    seeds = [{k: v for k, v in record.items() if k not in (*shared, *elsewhere)} for record in records]
    with replacing(cell.results / "curves.csv") as temporary, temporary.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["seed", "step", "train_loss", "gradient_norm", "validation_mse"])
        for record in records:
            rows.writerows([record["seed"], *row.values()] for row in record.get("curve", []))
    for name in ("predictions.png", "weights.safetensors"):
        with replacing(cell.results / name) as temporary:
            if (folder / name).exists():
                shutil.copyfile(folder / name, temporary)
            else:
                temporary.touch()  # a failed cell has none; DVC wants the file all the same
    where = machine.describe(machine.settle(cell.settings.training.device))
    together = max((record.get("together", 1) for record in records), default=1)
    how = {"seconds": round(seconds, 1), "workers": workers, "together": together}
    write_json(cell.results / "run.json", {**how, **where})
    content: dict[str, Any] = {
        "profile": cell.profile,
        "dataset": cell.dataset,
        "neuron": cell.neuron,
        "params": cell.params,
    }
    content |= {name: known.get(name) for name in shared}
    write_json(cell.results / "accuracy.json", {**content, "seeds": seeds})


if __name__ == "__main__":
    command.run(main)
