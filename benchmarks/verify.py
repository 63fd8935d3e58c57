"""Reruns cells and says whether they give what the committed results say.

    python -m benchmarks.verify --cells moving_mnist:lif moving_mnist:stc_lif
    python -m benchmarks.verify --against ../another_clone/results

Writes results/<profile>/certificate/, whole or not at all: certificate.json, certificate.md and badge.svg; the next
report shows them. Exit status 1 where a cell is different, missing or not comparable, which is made from other code,
settings or data than a rerun would be, so that none is begun. Results are only read: a rerun lies in data/.rerun/ until
its certificate is written, and an interrupted one goes on there. No time of day and no path is written: the same
results, the same bytes.
"""

import argparse
import hashlib
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import checkpoint, command, distributed, settings
from benchmarks._certificate import FOLDER, counted, refuse_foreign, write
from benchmarks._verdicts import Outcome, compare, of_other_inputs
from benchmarks.cell import RESULTS, Cell, differing
from benchmarks.device import settle
from benchmarks.files import ResultsError, writing
from benchmarks.settings import Settings, SettingsError, near
from benchmarks.train import train_seeds, write_results

RERUN = Path("data") / ".rerun"  # git and DVC pass it over
SAMPLE = 3  # cells rerun where nothing is said: minutes on a laptop with the quick profile


@dataclass(frozen=True)
class Rerun(Cell):
    """A cell whose results are written beside the data."""

    @property
    def results(self) -> Path:
        return RERUN / "results" / self.profile / self.dataset / self.neuron

    def weights(self) -> Path:
        return RERUN / super().weights()


def main() -> None:
    """Compares a rerun with the committed results and writes the certificate."""
    options = _parser().parse_args()
    loaded = settings.load(profile=options.profile)
    profile = options.profile or loaded.profile
    for dataset in loaded.datasets:
        loaded.cell(profile, dataset)  # refuses a profile that is not there
    out = options.out or RESULTS / profile / FOLDER
    refuse_foreign(out)
    listed = [(dataset, neuron) for dataset in loaded.datasets for neuron in loaded.neurons]
    known = [names for names in listed if _has(RESULTS, profile, names)]
    chosen, how = select(options, loaded, known)
    there = [names for names in chosen if names in known]
    if not there:
        raise ResultsError(
            f"{RESULTS / profile}: no results of the cells asked for; run `dvc repro` or name a --profile"
        )
    elsewhere, outdated = options.against or RERUN / "results", dict[tuple[str, str], list[str]]()
    if options.against:
        _refuse_uncommon(options.against, profile, there)
    else:
        cells = [Cell.of(loaded, profile, *names) for names in there]
        outdated = {(cell.dataset, cell.neuron): _changed(cell) for cell in cells}  # all before anything is trained
        for cell in cells:
            if not outdated[cell.dataset, cell.neuron]:
                rerun(cell)
    outcomes = []
    for names in chosen:
        committed, other = (Path(top, profile, *names) for top in (RESULTS, elsewhere))
        others = outdated.get(names)
        outcomes.append(of_other_inputs(*names, committed, others) if others else compare(*names, committed, other))
    cells_word = "cell" if len(chosen) == 1 else "cells"
    scope = f"{len(chosen)} {cells_word} of the {len(listed)} in params.yaml ({how})"
    write(out, profile, scope, outcomes)
    for outcome in outcomes:
        print(f"{outcome.verdict:<16}  {outcome.dataset}:{outcome.neuron}{'  ' * bool(outcome.why)}{outcome.why}")
    print(f"{out / 'certificate.md'}: {counted(outcomes)}; {scope}")
    if not options.against:
        _tidy(profile, outcomes)
    if not all(outcome.reproduced for outcome in outcomes):
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    made = command.parser("verify", "Rerun cells, or take a rerun, and compare with the committed results.")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--cells", nargs="+", metavar="DATASET:NEURON", help="these cells")
    which.add_argument("--all", action="store_true", help="all cells of params.yaml (default with --against)")
    which.add_argument("--sample", type=int, metavar="N", help=f"so many cells, drawn (default: {SAMPLE})")
    made.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    made.add_argument("--dataset", help="of this dataset only; all of its cells, unless --sample is given")
    made.add_argument("--against", type=Path, metavar="FOLDER", help="a rerun's results/ folder; nothing is run")
    made.add_argument("--out", type=Path, help=f"the folder to write (default: {RESULTS}/<profile>/{FOLDER})")
    return made


def select(
    options: argparse.Namespace, loaded: Settings, known: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], str]:
    """The cells (dataset, neuron) that the options ask for, and how they were chosen, in words.

    A sample is drawn from the `known` cells, those with committed results, by a hash of seed and name: the same on
    every machine, and a neuron that is added changes it only by its own cells. SettingsError for unknown names.
    """
    if options.cells:
        if options.dataset:
            raise SettingsError("--dataset and --cells exclude each other: a cell names its dataset")
        return list(dict.fromkeys(_named(cell, loaded) for cell in options.cells)), "as asked for"
    if options.dataset and options.dataset not in loaded.datasets:
        raise SettingsError(f"unknown dataset {options.dataset!r}; {near(options.dataset, loaded.datasets)}")
    datasets = [options.dataset] if options.dataset else loaded.datasets
    whole = options.all or (options.sample is None and (options.dataset or options.against))
    if whole:
        cells = [(dataset, neuron) for dataset in datasets for neuron in loaded.neurons]
        return cells, f"all of {options.dataset}" if options.dataset else "all"
    count = SAMPLE if options.sample is None else options.sample
    if count < 1:
        raise SettingsError(f"--sample is {count}, wanted 1 or more")
    pool = [cell for cell in known if cell[0] in datasets]
    drawn = sorted(pool, key=lambda cell: hashlib.sha256(f"{options.seed}:{cell[0]}:{cell[1]}".encode()).hexdigest())
    of = f" of {options.dataset}" if options.dataset else ""
    return [cell for cell in pool if cell in drawn[:count]], f"a sample{of} drawn with seed {options.seed}"


def _changed(cell: Cell) -> list[str]:
    """The inputs of a cell that are others now than when its committed result was made; refuses missing data."""
    cell.check_data()
    return differing(cell.stored("train")["inputs"], cell.inputs("train"))


def rerun(cell: Cell) -> None:
    """Trains a cell anew, or goes on where an interrupted rerun was; its files go to data/.rerun/results/.

    The checkpoints lie apart from those of the stage `train`, so that nothing of the committed run is taken over.
    """
    training = cell.settings.training
    distributed.check(training.devices, settle(training.device))
    own = RERUN / "checkpoints" / cell.profile / cell.dataset / cell.neuron
    start = time.monotonic()
    with cell.unchanged("train") as stamp:
        folder = own / checkpoint.under(cell, stamp["key"])
        for old in own.glob("*"):
            if old != folder:
                shutil.rmtree(old)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        records = train_seeds(cell, folder, training.workers, {})
    there = Rerun(cell.profile, cell.dataset, cell.neuron, cell.params, cell.settings)
    write_results(there, stamp, folder, records, time.monotonic() - start, training.workers)


def _tidy(profile: str, outcomes: list[Outcome]) -> None:
    """Removes what the reruns of these cells have left, but for the results of those that were not reproduced.

    Another rerun that was interrupted can still go on.
    """
    for outcome in outcomes:
        for part in ("checkpoints", "weights", "results") if outcome.reproduced else ("checkpoints", "weights"):
            shutil.rmtree(RERUN / part / profile / outcome.dataset / outcome.neuron, ignore_errors=True)
    for folder in (*sorted(RERUN.rglob("*"), reverse=True), RERUN):
        with suppress(OSError):  # one that is not empty stays
            folder.rmdir()


def _named(cell: str, loaded: Settings) -> tuple[str, str]:
    """Dataset and neuron of a DATASET:NEURON on the command line."""
    dataset, colon, neuron = cell.partition(":")
    if not colon:
        raise SettingsError(f"--cells: {cell!r} found, wanted DATASET:NEURON, say {loaded.datasets[0]}:lif")
    if dataset not in loaded.datasets:
        raise SettingsError(f"--cells: unknown dataset {dataset!r}; {near(dataset, loaded.datasets)}")
    loaded.neuron(neuron)  # refuses one that is not listed
    return dataset, neuron


def _has(top: Path, profile: str, names: tuple[str, str]) -> bool:
    """Whether a folder of results has a cell (dataset, neuron)."""
    return (top / profile / names[0] / names[1] / "accuracy.json").exists()


def _refuse_uncommon(folder: Path, profile: str, there: list[tuple[str, str]]) -> None:
    """Raises ResultsError for a folder that a comparison would say nothing about."""
    if not folder.is_dir():
        raise ResultsError(f"{folder}: no such folder; wanted the results/ folder of another clone")
    if folder.resolve() == RESULTS.resolve():
        raise ResultsError(f"{folder}: these are the committed results themselves; wanted another clone's")
    if not any(_has(folder, profile, names) for names in there):
        found = f"none of the {len(there)} cells compared, in profile {profile}"
        raise ResultsError(f"{folder}: {found}; wanted the results/ folder of another clone")


if __name__ == "__main__":
    command.run(main)
