"""What all stages share on the command line: their options, one-line errors, the cell they work on."""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import datasets
from benchmarks import settings
from benchmarks.files import ResultsError
from benchmarks.settings import CellSettings, SettingsError
from datasets import DatasetError, Sequences
from neurons import NeuronError, UnsupportedError

NOT_THE_NEURON = (SettingsError, DatasetError, OSError)  # no neuron's fault: such an error ends the stage, not a cell
USER_ERRORS = (*NOT_THE_NEURON, NeuronError, ResultsError)


class StoppedError(Exception):
    """What was told of a cell that something else had to stop: its process was killed, or ran into a limit."""

    def __init__(self, ending: str) -> None:
        """`ending`: status and reason, as `failed: ran longer than 60 s`; ValueError for another status."""
        super().__init__(ending)
        self.status, _, self.reason = ending.partition(": ")
        if self.status not in ("failed", "out of memory"):
            raise ValueError(f"{self.status!r} found, wanted `failed: REASON` or `out of memory: REASON`")


@dataclass(frozen=True)
class Cell:
    """One dataset, or one neuron on it, in a profile: its settings and where its data and results lie."""

    profile: str
    dataset: str
    neuron: str
    params: dict[str, Any]
    settings: CellSettings

    @property
    def kind(self) -> str:
        """The neuron that is built; `neuron` may have a label behind it."""
        return settings.kind(self.neuron)

    def open(self, split: str) -> Sequences:
        """A split of the cell's dataset; DatasetError where it is not prepared."""
        return datasets.open(settings.kind(self.dataset), self.data, split)

    def card(self) -> dict[str, Any]:
        """The card of the cell's dataset; DatasetError where it is not prepared as params.yaml says."""
        return datasets.card(settings.kind(self.dataset), self.data, wanted=self.settings.data)

    @property
    def data(self) -> Path:
        return Path("data") / self.profile / self.dataset

    @property
    def results(self) -> Path:
        """Folder of the cell's results; without a neuron, of what belongs to the dataset."""
        return Path("results") / self.profile / self.dataset / self.neuron


def parser(stage: str, what: str) -> argparse.ArgumentParser:
    """The parser of a stage, with the option that every stage has."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{stage}", description=what)
    made.add_argument("--profile", help="a profile of params.yaml (default: the one it names)")
    return made


def cell_parser(stage: str, what: str) -> argparse.ArgumentParser:
    """The parser of a stage that works on one neuron and one dataset."""
    made = parser(stage, what)
    made.add_argument("--dataset", required=True)
    made.add_argument("--neuron", required=True)
    made.add_argument(
        "--keep-going",
        action="store_true",
        help="record a neuron that fails as this cell's result and exit 0, so that a pipeline goes on",
    )
    made.add_argument(
        "--stopped",
        metavar="STATUS: REASON",
        type=StoppedError,
        help="run nothing, but write that the cell ended so: what a launcher says of a cell that it had to stop",
    )
    return made


def cell(options: argparse.Namespace) -> Cell:
    """The cell that the options name; SettingsError where params.yaml has none such."""
    loaded = settings.load(profile=options.profile)
    profile = options.profile or loaded.profile
    neuron = getattr(options, "neuron", None)
    return Cell(
        profile=profile,
        dataset=options.dataset,
        neuron=neuron or "",
        params=loaded.neuron(neuron) if neuron else {},
        settings=loaded.cell(profile, options.dataset),
    )


def run(main: Callable[[], None]) -> None:
    """Runs a stage; what a user can cause ends it with one line and exit status 1, Ctrl-C with 130."""
    try:
        main()
    except USER_ERRORS as error:
        sys.exit(f"error: {one_line(error)}")
    except BrokenProcessPool as error:
        sys.exit(f"error: {ending(error)['reason']}; what is finished is kept")
    except KeyboardInterrupt:
        print("interrupted; run the same command to go on", file=sys.stderr)
        sys.exit(130)


def one_line(error: BaseException) -> str:
    """An error's message without line breaks; for an unexpected kind of error, with its type."""
    message = " ".join(str(error).split()) or "no message"
    return message if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {message}"


def ending(error: BaseException) -> dict[str, str]:
    """How a cell ends in which `error` was raised: its status and, in one line, the reason."""
    if isinstance(error, StoppedError):
        return {"status": error.status, "reason": error.reason}
    if isinstance(error, BrokenProcessPool):
        return {"status": "failed", "reason": "its process was killed, most likely for want of memory"}
    if isinstance(error, UnsupportedError):
        return {"status": "unsupported", "reason": one_line(error)}
    starved = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
    status = "out of memory" if starved and not isinstance(error, NeuronError) else "failed"
    return {"status": status, "reason": one_line(error)}
