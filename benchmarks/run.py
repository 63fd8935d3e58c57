"""Brings one cell up to date: training, a look at the trained network, measuring; each only where its key asks for it.

    python -m benchmarks.run --dataset moving_mnist --neuron stc_lif

This is what `dvc repro` runs of a cell. What is current by its key stays as it is; `--force` makes all of it anew, and
so does `dvc repro --force`.
"""

import multiprocessing
import os
import sys
from importlib import import_module
from typing import Any

from benchmarks import command
from benchmarks.cell import PARTS
from benchmarks.pipelines import FOLDER
from benchmarks.workers import start_method


def main() -> None:
    """Runs the parts of one cell that are due."""
    parser = command.parser("run", "Train, look at and measure one neuron on one dataset, as far as it is due.")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--neuron", required=True)
    parser.add_argument("--keep-going", action="store_true", help="record a neuron that fails as a result, and exit 0")
    parser.add_argument("--force", action="store_true", help="all of it, though it is current by its key")
    options = parser.parse_args()
    cell = command.cell(options)
    due = cell.due()
    if force := options.force or (not due and forced_by_dvc(cell.neuron)):
        due = list(PARTS)
    if due:
        cell.check_data()  # refuses missing data before anything is removed
    keys = {part: cell.key(part) for part in due}  # what this process has imported is of these keys
    if force:
        cell.forget()
    shared = ["--profile", cell.profile, "--dataset", cell.dataset, "--neuron", cell.neuron]
    shared += ["--keep-going"] if options.keep_going else []
    for part, key in keys.items():
        run(part, [*shared, "--key", key, *(["--force"] if force and part == "train" else [])])
    if not due:
        print(f"{cell.neuron} on {cell.dataset}: current by its key")


def run(part: str, arguments: list[str]) -> None:
    """Runs `python -m benchmarks.PART ARGUMENTS` in a process of its own; exits with its status where that is not 0.

    Where it can, the process is a copy of this one, which saves the import of torch.
    """
    context: Any = multiprocessing.get_context(start_method())
    process = context.Process(target=_begin, args=(part, arguments))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode if process.exitcode > 0 else 1)


def _begin(part: str, arguments: list[str]) -> None:
    sys.argv = [part, *arguments]
    command.run(import_module(f"benchmarks.{part}").main)


def forced_by_dvc(neuron: str) -> bool:
    """Whether DVC runs this stage though, by its own measure, nothing has changed: it was told to with --force."""
    file, name = FOLDER / neuron / "dvc.yaml", os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    if not name or not file.with_suffix(".lock").exists():
        return False
    from dvc.exceptions import DvcException  # the import takes a second, and this is seldom asked
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            stage = repo.stage.load_one(str(file), name)
            return not (stage.changed_stage() or any(part.status() for part in (*stage.deps, *stage.outs)))
    except DvcException:
        return False


if __name__ == "__main__":
    command.run(main)
