"""How long a step takes: as this cell was measured, else as its neuron was elsewhere, else as LIF was, else by a rate.

What was measured elsewhere is scaled by the multiply-accumulates of a training step.
"""

import csv
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch

from benchmarks.command import Cell
from benchmarks.files import ResultsError, read_json
from benchmarks.plan.counts import Work, count
from benchmarks.plan.extents import Extent, extent
from benchmarks.settings import Settings
from benchmarks.timing import quartiles
from neurons import NeuronError

REFERENCE = "lif"
SHARE = 0.5  # of a convolution's rate that a network reaches: a guess, for where nothing was ever measured
TRIAL = 2.0  # seconds for which the convolution is timed

Source = Literal["own", "same neuron", "LIF", "rate"]


@dataclass(frozen=True)
class Speed:
    """Seconds of a training step and of predicting a batch, and where they are from."""

    step: float
    inference: float
    source: Source

    def scaled(self, factor: float, source: Source) -> "Speed":
        return Speed(self.step * factor, self.inference * factor, source)


@dataclass(frozen=True)
class Rate:
    """Multiply-accumulates a second in training: median and quartiles of what was measured, and in how many cells."""

    low: float
    median: float
    high: float
    cells: int


class Evidence:
    """Everything known of how fast cells are: files of results of any profile, and counted operations."""

    def __init__(self, loaded: Settings, device_rate: float | None = None) -> None:
        """`device_rate`: multiply-accumulates a second of a device that is assumed; earlier figures are left alone."""
        self.loaded, self.device_rate = loaded, device_rate
        self._extents: dict[tuple[str, str], Extent | None] = {}
        self.odd: dict[str, str] = {}  # what could not be counted, and why

    def cell(self, profile: str, dataset: str, neuron: str) -> Cell:
        params = self.loaded.neuron(neuron) if neuron else {}
        return Cell(profile, dataset, neuron, params, self.loaded.cell(profile, dataset))

    def extent(self, cell: Cell) -> Extent | None:
        key = cell.profile, cell.dataset
        if key not in self._extents:
            self._extents[key] = extent(cell)
        return self._extents[key]

    def work(self, cell: Cell) -> Work | None:
        """What one sequence takes; LIF's where the neuron's cannot be counted, None for a dataset of unknown size."""
        size = self.extent(cell)
        if size is None:
            return None
        try:
            return count(cell, size)
        except (NeuronError, RuntimeError) as error:
            self.odd[cell.neuron] = " ".join(str(error).split())[:120]
            return count(replace(cell, neuron=REFERENCE, params={}), size)

    def step_work(self, cell: Cell) -> int | None:
        """Multiply-accumulates of a training step."""
        work = self.work(cell)
        return None if work is None else work.training * cell.settings.training.batch

    def speed(self, cell: Cell) -> Speed | None:
        """How fast the cell is; None where the size of its dataset is not known and it was never measured."""
        if self.device_rate is not None:
            return self._at_rate(cell, self.device_rate)
        own = measured(cell)
        if own is not None:
            return own
        for line, source in ((cell.neuron, "same neuron"), (REFERENCE, "LIF")):
            found = self._scaled(cell, line, source)
            if found is not None:
                return found
        return self._at_rate(cell, self.rate.median)

    def _scaled(self, cell: Cell, line: str, source: Any) -> Speed | None:
        """The cell's speed by that of `line` where it was measured and its work is nearest to the cell's."""
        wanted = self.step_work(cell)
        donors = [(donor, speed) for donor, speed in self._measured if donor.neuron == line]
        factors = [(wanted / work, speed) for donor, speed in donors if wanted and (work := self.step_work(donor))]
        if not factors:
            return None
        factor, speed = min(factors, key=lambda one: abs(math.log(one[0])))
        return speed.scaled(factor, source)

    def _at_rate(self, cell: Cell, rate: float) -> Speed | None:
        work, batch = self.work(cell), cell.settings.training.batch
        return None if work is None else Speed(work.training * batch / rate, work.inference * batch / rate, "rate")

    @cached_property
    def _measured(self) -> list[tuple[Cell, Speed]]:
        """All cells of params.yaml, in any profile, that were measured on a CPU."""
        return [(cell, speed) for cell in self._cells() if (speed := measured(cell)) is not None]

    def _cells(self) -> Iterator[Cell]:
        for profile, of_profile in self.loaded.profiles.items():
            for dataset in of_profile:
                for neuron in self.loaded.neurons:
                    yield self.cell(profile, dataset, neuron)

    @cached_property
    def rate(self) -> Rate:
        """The rate in training of what was measured; where nothing was, of a convolution that is timed now."""
        rates = [work / speed.step for cell, speed in self._measured if (work := self.step_work(cell))]
        if rates:
            low, median, high = quartiles(sorted(rates))
            return Rate(low, median, high, len(rates))
        found = SHARE * convolution_rate()
        return Rate(found, found, found, 0)


def measured(cell: Cell) -> Speed | None:
    """The medians of the cell's own cost.json, where it has one from a CPU."""
    try:
        cost = read_json(cell.results / "cost.json")
        if cost["status"] != "ok" or not cost["machine"]["device"].startswith("CPU"):
            return None
        return Speed(cost["time"]["train_step"]["median"], cost["time"]["inference"]["median"], "own")
    except (ResultsError, KeyError, OSError):
        return None


def spent_measuring(cell: Cell) -> float | None:
    """Seconds of all timed pairs of the cell's own cost.json, the reference's and the warm-up's among them."""
    try:
        times = read_json(cell.results / "cost.json")["time"].values()
    except (ResultsError, KeyError, OSError):
        return None
    return sum((one["pairs"] + one["warm_up"]) * one["median"] * (1 + 1 / one["ratio_to_lif"]) for one in times)


def trained(cell: Cell) -> float | None:
    """Seconds that training the cell took one core, by its run.json; None where other seeds or steps are wanted now.

    Files of before 0.6 do not say how many seeds ran at once.
    """
    training = cell.settings.training
    try:
        run, seeds = read_json(cell.results / "run.json"), read_json(cell.results / "accuracy.json")["seeds"]
        ended = {seed["status"] for seed in seeds}
        if not run["device"].startswith("CPU") or len(seeds) != training.seeds or not ended & {"ok", "diverged"}:
            return None
        with (cell.results / "curves.csv").open(newline="") as file:
            steps = max((int(row["step"]) for row in csv.DictReader(file)), default=0)
        if "ok" in ended and steps != training.steps:
            return None
        rounds = -(-training.seeds // min(run["workers"], training.seeds))
        return run["seconds"] * training.seeds / rounds
    except (ResultsError, KeyError, ValueError, OSError):
        return None


def convolution_rate(seconds: float = TRIAL) -> float:
    """Multiply-accumulates a second, on one thread, of a convolution as networks of this suite have it, both ways."""
    torch.set_num_threads(1)
    layer = torch.nn.Conv2d(32, 32, 3, padding=1, bias=False)
    maps = torch.randn(32, 32, 16, 16, requires_grad=True)
    work = 3 * maps.numel() * layer.weight.numel() // layer.in_channels
    rates, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        layer(maps).sum().backward()
        rates.append(work / (time.perf_counter() - start))
    return statistics.median(rates)
