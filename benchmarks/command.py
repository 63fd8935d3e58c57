"""What all stages share on the command line: their options, one-line errors, the cell they work on."""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool

import torch

from benchmarks import settings
from benchmarks.cell import Cell
from benchmarks.files import ResultsError
from benchmarks.settings import SettingsError
from datasets import DatasetError
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


def parser(stage: str, what: str) -> argparse.ArgumentParser:
    """The parser of a stage, with the option that every stage has."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{stage}", description=what)
    made.add_argument("--profile", help="a profile of params.yaml (default: the one it names)")
    return made


def cell_parser(stage: str, what: str) -> argparse.ArgumentParser:
    """The parser of a stage that works on one neuron and one dataset."""
    made = parser(stage, what)
    made.set_defaults(stage=stage)
    made.add_argument("--dataset", required=True)
    made.add_argument("--neuron", required=True)
    made.add_argument("--key", help="run only where this is the cell's key: what a launcher has seen before")
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
    found = Cell.of(loaded, options.profile or loaded.profile, options.dataset, getattr(options, "neuron", None) or "")
    wanted = getattr(options, "key", None)
    if wanted is not None and (now := found.key(options.stage)) != wanted:
        what = f"{options.stage} of {found.neuron} on {found.dataset}"
        raise ResultsError(
            f"{what}: key {now} found, {wanted} wanted; code, settings or data have changed, launch again"
        )
    return found


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
