"""A part of a cell that computes nothing; which one, its file's name says: copied as train.py, dynamics.py, measure.py.

It takes the options of the real one, writes the same files with the cell's real keys, and refuses what that refuses.
times/PART-NEURON.PID says when it started and ended, behave/PART-NEURON what goes wrong, in a word: DVC knows neither.
`python -m standin NAME --reads FILE ... --writes FILE ...` is a stage of any other kind.
"""

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.cell import Cell
from benchmarks.files import ResultsError, replacing, write_json

PART = Path(__file__).stem
WITH_WEIGHTS = ("ok", "diverged")


def main() -> None:
    """A part of a cell."""
    parser = command.cell_parser(PART, "Write what one neuron on one dataset has for results, and compute nothing.")
    if PART == "train":
        parser.add_argument("--workers", type=int)
        parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    cell = command.cell(options)
    cell.check_data()
    ended = {"status": "ok", "reason": ""}
    if PART == "dynamics":
        trained = cell.current("train")["seeds"][0]
        ended = {name: trained[name] for name in ended}
    with cell.unchanged(PART) as stamp:
        if PART == "dynamics" and ended["status"] in WITH_WEIGHTS:
            check_weights(cell)
        if options.stopped is None:
            with noted(name := f"{PART}-{cell.neuron}"):
                behave(Path("behave") / name, cell)
        elif ended["status"] == "ok":
            ended = command.ending(options.stopped)
    PARTS[PART](cell, {**stamp, "profile": cell.profile, "dataset": cell.dataset, "neuron": cell.neuron}, ended)


def train(cell: Cell, stamp: dict[str, Any], ended: dict[str, str]) -> None:
    """What training writes."""
    if ended["status"] in WITH_WEIGHTS:
        write(cell.weights(), text_of(cell))
        for old in set(cell.weights().parent.iterdir()) - {cell.weights()}:
            old.unlink()
    write(cell.results / "curves.csv", f"seed,step\n0,{stamp['key']}\n")
    write(cell.results / "predictions.png", "no picture\n")
    write_json(cell.results / "run.json", {"seconds": 0.0})
    seeds = [{"seed": seed, **ended, "key": stamp["key"]} for seed in range(cell.settings.training.seeds)]
    write_json(cell.results / "accuracy.json", {**stamp, "params": cell.params, "seeds": seeds})


def dynamics(cell: Cell, stamp: dict[str, Any], ended: dict[str, str]) -> None:
    """What a look at the trained network writes."""
    write_json(cell.results / "looked.json", {"seconds": 0.0})
    write_json(cell.results / "dynamics.json", {**stamp, **ended})


def measure(cell: Cell, stamp: dict[str, Any], ended: dict[str, str]) -> None:
    """What measuring writes."""
    write(cell.results / "times.csv", "what,repeat,own,reference\n")
    write_json(cell.results / "cost.json", {**stamp, **ended})


PARTS = {"train": train, "dynamics": dynamics, "measure": measure}


def text_of(cell: Cell) -> str:
    return f"weights of {cell.key('train')}\n"


def check_weights(cell: Cell) -> None:
    path = cell.weights()
    if not path.exists() or path.read_text(errors="replace") != text_of(cell):
        raise ResultsError(f"{path}: missing, or its bytes are not those that training wrote")


def report() -> None:
    """Stage `report`: a digest of each result that is there."""
    parser = command.parser("report", "Digests of the results.")
    parser.add_argument("--keep-going", action="store_true")
    profile = parser.parse_args().profile
    found = sorted(path for path in Path("results", profile).rglob("*.json") if path.name != "looked.json")
    with noted("report"):
        shown = "".join(f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in found)
        write(Path("reports", profile, "index.txt"), shown)


def own() -> None:
    """A stage of another kind: what it writes is a function of its name and of what it reads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--reads", nargs="*", type=Path, default=[])
    parser.add_argument("--writes", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    with noted(options.name):
        read = hashlib.sha256(b"".join(path.read_bytes() for path in options.reads)).hexdigest()
        for path in options.writes:
            write(path, f"{path} {options.name} {read}\n")


@contextmanager
def noted(name: str) -> Iterator[None]:
    """Notes in times/ when what is done meanwhile starts and ends."""
    start = time.monotonic()
    times = Path("times") / f"{name}.{os.getpid()}"
    times.parent.mkdir(exist_ok=True)
    times.write_text(json.dumps({"start": start}))
    say(f"{name} starts")
    yield
    times.write_text(json.dumps({"start": start, "end": time.monotonic(), "arguments": sys.argv[1:]}))


def behave(how: Path, cell: Cell) -> None:
    """Does what the file `how` says.

    wait: until `how` is gone; family: the same, with a child; meet NAME: until that one has started; slow SECONDS;
    exit; die; edit NEURON: its code; full: writes more than it may.
    """
    word, _, what = (how.read_text() if how.exists() else "").partition(" ")
    if word == "exit":
        say("it went wrong")
        sys.exit(1)
    if word == "die":
        say("it dies")
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "slow":
        time.sleep(float(what))
    if word == "edit":
        with Path("neurons", f"{what}.py").open("a") as code:
            code.write("EDITED = True\n")
    if word == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        write(cell.results / "curves.csv", "x" * 8192)
    if word == "family":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    while word in ("wait", "family") and how.exists():
        time.sleep(0.02)
    while word == "meet" and not list(Path("times").glob(f"{what}.*")):
        time.sleep(0.02)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


if __name__ == "__main__":
    command.run(main if PART in PARTS else own)
