"""Seconds and bytes of a cell. The constants are seconds of one core as docs/scaling.md has measured them."""

from dataclasses import dataclass
from math import prod

from benchmarks import measure as measuring
from benchmarks import stability as trials
from benchmarks.command import Cell
from benchmarks.plan.counts import Work
from benchmarks.plan.evidence import Evidence, Speed, spent_measuring, trained
from benchmarks.plan.extents import Extent
from benchmarks.settings import kind
from benchmarks.timing import WINDOW

START = 0.3  # of a cell in a process that is forked with its stage imported
IMPORT = 2.0  # of a worker that runs its first cell of a kind
LAUNCH = 7.0  # of a launch: DVC reads the pipeline, Ray starts
LOOK = 0.006  # of a stage: DVC looks whether it is stale
RECORD = 0.02  # of a stage that ran: DVC records it
LOCK = 0.013  # and of each stage in the dvc.lock of its dataset, which is read and written whole
SEED = 0.3  # of a seed, beside its steps
METRICS = 1.2e-4  # of scoring a channel of a predicted frame of the test split
METRICS_VALUE = 1e-7  # and of each of its values on top
NETWORK = 0.035  # of building one that measure has take turns, and of its first calls
LOOKS = 1.3  # seeing spikes, as a multiple of predicting
REACH = 3.0  # looking how far back a neuron reaches, in steps of 20 frames of a training batch
PREPARE = {"events": 3e-7}  # of a value of a dataset
PREPARE_OTHER = 1e-7  # of one of any other dataset
TRAVEL = 3e-6  # of a person in the simulated city, a week
REPORT = 8.0  # of the report
REPORTED = 0.07  # and of each cell that it shows
OTHERS = {"sources": 2.0, "parity": 5.0, "cards": 5.0}

TRIVIAL = 4  # predictors that prepare scores
LOOKED_AT = 8, 20  # sequences and frames that dynamics looks at
RESULTS = 22_000  # bytes of a cell's small files
ROW = 45  # bytes of a row of curves.csv
CHECKPOINT = 2 * 4 * 4  # bytes of a parameter: two files of weights, the best ones and Adam's two moments


@dataclass(frozen=True)
class Disk:
    """Bytes. What DVC keeps (data, weights) lies in its cache as well: a copy, unless the file system has links."""

    data: int = 0
    weights: int = 0
    results: int = 0
    checkpoint: int = 0  # while the cell trains

    def __add__(self, other: "Disk") -> "Disk":
        """Of both; of checkpoints those of the larger, for each worker has one at a time."""
        sums = (self.data + other.data, self.weights + other.weights, self.results + other.results)
        return Disk(*sums, max(self.checkpoint, other.checkpoint))


def prepare(cell: Cell, size: Extent) -> float:
    """Seconds of preparing the cell's dataset."""
    seconds = START + PREPARE.get(kind(cell.dataset), PREPARE_OTHER) * size.values + TRIVIAL * scoring(size)
    if kind(cell.dataset) == "city_flow":
        weeks = cell.settings.data["weeks"]
        seconds += TRAVEL * cell.settings.data["agents"] * (2 * weeks["train"] + weeks["validation"] + weeks["test"])
    return seconds


def scoring(size: Extent) -> float:
    """Seconds of all metrics on predictions of the whole test split."""
    predicted = size.sequences["test"] * (size.length - size.observed)
    return predicted * (METRICS * size.frame[0] + METRICS_VALUE * prod(size.frame))


def batches(cell: Cell, size: Extent, split: str) -> int:
    """Batches that cover a split."""
    return -(-size.sequences[split] // cell.settings.training.batch)


def train(cell: Cell, size: Extent, speed: Speed) -> float:
    """Seconds of training and testing all seeds of the cell one after another."""
    own = trained(cell) if speed.source == "own" else None
    if own is not None:
        return START + own
    training = cell.settings.training
    looks = 1 + -(-training.steps // training.validate_every)
    predicted = looks * batches(cell, size, "validation") + batches(cell, size, "test")
    seed = SEED + training.steps * speed.step + predicted * speed.inference + scoring(size)
    return START + training.seeds * seed


def measure(cell: Cell, speed: Speed, lif: Speed) -> float:
    """Seconds of measuring the cell; where it was never done, as if all its time were used."""
    spent = spent_measuring(cell) if speed.source == "own" else None
    if spent is None:
        cost = cell.settings.cost
        pairs = max(cost.repeats, 2 * WINDOW) + 1
        steps = {"train_step": speed.step + lif.step}
        spent = sum(
            max(share * cost.seconds, pairs * steps.get(what, speed.inference + lif.inference))
            for what, share in measuring.WHAT.items()
        )
    return START + NETWORK * 2 * min(measuring.BUILDS, cell.settings.cost.repeats) + spent


def dynamics(cell: Cell, size: Extent, speed: Speed) -> float:
    """Seconds of looking at the cell's trained network."""
    sequences, frames = LOOKED_AT
    step = speed.step * sequences / cell.settings.training.batch * frames / (size.length - 1)
    return START + LOOKS * batches(cell, size, "test") * speed.inference + REACH * step


def stability(cell: Cell, size: Extent, evidence: Evidence) -> float:
    """Seconds of all trials of the stage `stability` on the cell's dataset, one after another."""
    if cell.settings.stability is None:
        return 0.0
    total = START
    steps = {"steps": cell.settings.stability.steps, "validate_every": cell.settings.stability.steps, "seeds": 1}
    training = cell.settings.training.model_copy(update=steps)
    for neuron, _ in trials.TRIALS:
        one = Cell(cell.profile, cell.dataset, neuron, {}, cell.settings.model_copy(update={"training": training}))
        speed = evidence.speed(one)
        if speed is not None:
            looks = 2 * batches(one, size, "validation") + batches(one, size, "test")
            seed = SEED + training.steps * speed.step + looks * speed.inference
            total += cell.settings.stability.seeds * seed
    return total


def disk(cell: Cell, size: Extent | None, work: Work | None) -> Disk:
    """What a cell leaves on the disk; of a dataset (no neuron), its data."""
    if not cell.neuron:
        return Disk(data=size.bytes if size else 0)
    training, parameters = cell.settings.training, work.parameters if work else 0
    rows = training.seeds * (1 + -(-training.steps // training.validate_every))
    return Disk(0, 4 * parameters, RESULTS + ROW * rows, CHECKPOINT * parameters)
