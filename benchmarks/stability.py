"""Stage `stability`: what each means against the circuit's fragile gradient and its unbounded membrane does.

    python -m benchmarks.stability --dataset moving_mnist

Trains STC-LIF and STC-PLIF as released and with one means at a time, for fewer steps than the tables. Writes
results/<profile>/<dataset>/stability.json: the test error, the greatest gradient norm met and the membrane's size.
None of these means is on in the tables; every one is a parameter.
"""

import argparse
from functools import partial

from benchmarks import checkpoint, command
from benchmarks.files import write_json
from benchmarks.interventions import TRIALS, budget, trial
from benchmarks.workers import side_by_side


def main() -> None:
    """Runs all trials on one dataset."""
    parser = command.parser("stability", "Measure what stabilises the circuit.")
    parser.add_argument("--dataset", required=True)
    cell = command.cell(parser.parse_args(namespace=argparse.Namespace(neuron=None)))
    cell.check_data()
    of_stage = budget(cell)
    tasks = [(neuron, means, seed) for neuron, means in TRIALS for seed in range(of_stage.seeds)]
    workers, title = cell.settings.training.workers, f"stability on {cell.dataset}"
    with cell.unchanged("stability") as stamp:
        folder = checkpoint.folder(cell, "stability", stamp["key"])
        trials = side_by_side(partial(trial, cell, folder), tasks, workers, of_stage.steps, title)
    records = [{key: value for key, value in record.items() if key != "format"} for record in trials]
    names = {"profile": cell.profile, "dataset": cell.dataset, "steps": of_stage.steps}
    write_json(cell.results / "stability.json", {**stamp, **names, "trials": records})


if __name__ == "__main__":
    command.run(main)
