"""Brings one cell up to date: training, a look at the trained network, measuring; each only where its key asks for it.

    python -m benchmarks.run --dataset moving_mnist --neuron stc_lif

This is what `dvc repro` runs of a cell. What is current by its key stays as it is; `--force` makes all of it anew, and
so does `dvc repro --force`.
"""

import hashlib
import multiprocessing
import os
import shlex
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from benchmarks import command
from benchmarks.cell import PARTS
from benchmarks.files import read_json
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
    force = options.force or forced_by_dvc(cell.neuron)
    due = list(PARTS) if force else cell.due()
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
    """Whether DVC runs this stage though its lock file says that nothing has changed: it was told to with --force.

    A stage that is written otherwise since, with another command or more outputs, has changed.
    """
    lock, name = FOLDER / neuron / "dvc.lock", os.environ.get("DVC_STAGE", "").rpartition(":")[2]
    known = yaml.safe_load(lock.read_text())["stages"] if lock.is_file() else {}
    if name not in known:
        return False
    entry = known[name]
    stage = yaml.safe_load(lock.with_suffix(".yaml").read_text())["stages"][name.partition("@")[0]]
    as_written = shlex.split(entry["cmd"])[3:] == sys.argv[1:] and all(
        len(entry.get(part, ())) == len(stage[part]) for part in ("deps", "params", "outs")
    )
    files = {file["path"]: file.get("md5") for file in (*entry.get("deps", ()), *entry.get("outs", ()))}
    values = {(file, place): value for file, said in entry.get("params", {}).items() for place, value in said.items()}
    return as_written and (
        all(_md5(Path(file)) == digest for file, digest in files.items())
        and all(reduce(_part, place.split("."), read_json(Path(file))) == v for (file, place), v in values.items())
    )


def _part(of: Any, name: str) -> Any:
    return of.get(name) if isinstance(of, dict) else None


def _md5(path: Path) -> str | None:
    """A file's digest as DVC's lock files have it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else None


if __name__ == "__main__":
    command.run(main)
