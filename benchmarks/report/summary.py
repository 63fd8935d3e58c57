"""What the tables say: mean, spread and rank of every neuron, and its paired difference to LIF."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.report.columns import COLUMNS, Column
from benchmarks.report.standing import HEADLINE as HEADLINE
from benchmarks.report.standing import INCOMPLETE as INCOMPLETE
from benchmarks.report.standing import UNRANKED as UNRANKED
from benchmarks.report.standing import Standing, groups, standings, with_numbers

REFERENCE = "lif"
STC = "stc_lif"
RESAMPLES = 10_000
ENOUGH = 3  # seeds from which on an interval is given; two differences resampled would only repeat themselves
GROUPS = {
    "trivial": "trivial",
    "paper": "paper",
    "stc": "STC",
    "snntorch": "snnTorch",
    "norse": "Norse",
    "spikingjelly": "SpikingJelly",
    "ablation": "ablation",
    "control": "capacity control",
    "weighted": "with own weights",
    "artificial": "artificial, not spiking",
    "own": "own",
}
# what the columns of the tables are made of
SHOWN = {name for column in COLUMNS for name in (column.metric, column.spread, column.noisy) if name}


@dataclass
class Entry:
    """A number of a table: mean, spread (over seeds, or the column's own), count, and 1 or 2 where best or second."""

    mean: float
    sd: float
    n: int
    rank: int = 0
    noisy: bool = False


@dataclass
class Line:
    """A row of a table: one neuron or trivial predictor on one dataset."""

    neuron: str
    group: str
    status: str
    standing: Standing = field(default_factory=Standing)
    entries: dict[str, Entry] = field(default_factory=dict)
    difference: tuple[float, float, float] | None = None  # of MSE to LIF, paired by seed: mean, low, high
    lift: tuple[float, float, float] | None = None  # of MSE to the neuron under the circuit
    to_stc: tuple[float, float, float] | None = None  # of MSE to STC-LIF, for a neuron without circuit
    to_best: tuple[float, float, float] | None = None  # of MSE to the best neuron of the table, where both are ranked

    @property
    def trained(self) -> bool:
        """Whether its training ended well in every seed that there should be, whatever its instruments did."""
        return not self.standing.fault

    @property
    def ranked(self) -> bool:
        """Whether it may be best or second: a spiking neuron in the same network, trained well in every seed."""
        return self.standing.ranked

    @property
    def like_best(self) -> bool:
        """Whether it is not the best and cannot be told from it: the interval of the difference holds 0."""
        if self.to_best is None:
            return False
        _, low, high = self.to_best
        return low <= 0 <= high  # never with the NaN ends of too few seeds


def faults(lines: Iterable[Line]) -> dict[str, str]:
    """What the results of each of these lines lack: neuron -> words, as `excluded` takes them."""
    return {line.neuron: line.standing.fault for line in lines if line.standing.fault}


def summarise(table: pd.DataFrame, dataset: str) -> list[Line]:
    """The lines of a dataset's table, in the order of params.yaml; trivial predictors first.

    A value that is not a number counts as missing. Differences are of what ended well: a cell that lacks seeds has its
    numbers and none.
    """
    own = table[table["dataset"] == dataset]
    own = own[own["metric"].isna() | own["metric"].isin(SHOWN)]  # the rest, by place, is four fifths of it
    scores = _by_seed(own)
    known, standing = groups(table), standings(table, dataset)
    lines = []
    for name, rows in own.groupby("neuron", sort=False):
        neuron = str(name)
        line = Line(neuron, known[neuron], _ended(rows), standing[neuron])
        if line.status == "ok":
            line.status = line.standing.lost or "ok"
        line.entries = _entries(with_numbers(rows))
        if neuron != REFERENCE and line.group != "trivial":
            line.difference = _paired(scores, neuron, REFERENCE)
        base = base_of(neuron, line.group)
        if base:
            line.lift = _paired(scores, neuron, base)
        elif not line.standing.kind:
            line.to_stc = _paired(scores, neuron, STC)
        lines.append(line)
    for column in COLUMNS:
        _rank(lines, column)
    _hold_to_best(lines, scores)
    return lines


def _hold_to_best(lines: list[Line], by_seed: pd.DataFrame) -> None:
    """Gives every other ranked line its difference to the best one."""
    rivals = [line for line in lines if line.ranked and HEADLINE in line.entries]
    best = next((line for line in rivals if line.entries[HEADLINE].rank == 1), None)
    for line in rivals:
        if best and line.entries[HEADLINE].rank != 1:
            line.to_best = _paired(by_seed, line.neuron, best.neuron)


def _ended(rows: pd.DataFrame) -> str:
    """How a neuron's cell ended: ok, or each kind of bad end, with the seeds that it took where those are not all."""
    bad, seeds = rows[rows["status"] != "ok"], rows["seed"].nunique()
    said = []
    for _, those in bad.groupby(bad["status"].map(lambda status: status.partition(" (")[0]), sort=False):
        count, first = those["seed"].nunique(), str(those["status"].iloc[0])
        some = those["metric"].isna().any() and 0 < count < seeds  # what keeps its numbers is said of the whole cell
        said.append(f"{count} of {seeds} seeds {first}" if some else first)
    return "; ".join(said) or "ok"


def _entries(rows: pd.DataFrame) -> dict[str, Entry]:
    """The numbers of one neuron, by metric; `rows` are those whose numbers are shown."""
    found: dict[str, list[float]] = {}
    # a selection a column would take pandas long
    for metric, value in zip(rows["metric"].tolist(), rows["value"].tolist(), strict=True):
        if not math.isnan(value):
            found.setdefault(metric, []).append(value)
    entries = {}
    for column in COLUMNS:
        values = np.asarray(found.get(column.metric, []), dtype=float)
        if len(values):
            spread = np.asarray(found.get(column.spread, [math.nan]), dtype=float)
            sd = float(spread.mean()) if column.spread else _deviation(values)
            noisy = any(found.get(column.noisy, []))
            entries[column.metric] = Entry(float(values.mean()), sd, len(values), noisy=noisy)
    return entries


def _deviation(values: NDArray[np.float64]) -> float:
    """Standard deviation over seeds: 0 of one, NaN where a value is infinite (the PSNR of a perfect frame)."""
    if len(values) < 2:
        return 0.0
    return float(values.std(ddof=1)) if np.isfinite(values).all() else math.nan


def base_of(neuron: str, group: str) -> str:
    """The neuron that the circuit of this one was put upon; an empty string for one without circuit.

    STC-PLIF stands on PLIF as published, whatever PLIF's own line has. Of a cell without results no group is known
    (an empty string): its name alone decides.
    """
    if group not in ("stc", "weighted", "") or not neuron.startswith("stc_"):
        return ""
    base = neuron.removeprefix("stc_").partition("-")[0]
    return {"plif": "plif-published"}.get(base, base)


def paired_difference(
    table: pd.DataFrame, neuron: str, reference: str = REFERENCE
) -> tuple[float, float, float] | None:
    """Mean over seeds of MSE(neuron) - MSE(reference) with the same seed, and its 95 % bootstrap interval.

    Below ENOUGH seeds that both have the interval's ends are NaN; None without any.
    """
    return _paired(_by_seed(table), neuron, reference)


def _by_seed(table: pd.DataFrame) -> pd.DataFrame:
    """MSE of one dataset: a row a seed, a column a neuron; what is not finite is missing, it has no difference."""
    scores = table[(table["metric"] == HEADLINE) & (table["status"] == "ok")]
    scores = scores[np.isfinite(scores["value"].astype(float))]
    return scores.pivot(index="seed", columns="neuron", values="value")


def _paired(by_seed: pd.DataFrame, neuron: str, reference: str) -> tuple[float, float, float] | None:
    if neuron not in by_seed or reference not in by_seed:
        return None
    differences = (by_seed[neuron] - by_seed[reference]).dropna().to_numpy(dtype=float)
    if not len(differences):
        return None
    return float(differences.mean()), *interval(tuple(differences.tolist()))


@cache  # tables, verdicts and lifts ask for the same ones
def interval(differences: tuple[float, ...]) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean; NaN below ENOUGH differences."""
    if len(differences) < ENOUGH:
        return math.nan, math.nan
    if len(set(differences)) == 1:
        return differences[0], differences[0]
    from scipy.stats import bootstrap  # half a second, which a process that draws does without

    rng = np.random.default_rng(0)
    drawn = bootstrap((differences,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng)
    low, high = drawn.confidence_interval
    return float(low), float(high)


def shown_columns(columns: list[Column], lines: list[Line]) -> list[Column]:
    """Those of `columns` that any line has a number for."""
    return [column for column in columns if any(column.metric in line.entries for line in lines)]


def _rank(lines: list[Line], column: Column) -> None:
    """Marks best and second among those that are ranked; equal means share a rank."""
    if column.lower_is_better is None:
        return
    rivals = [line for line in lines if line.ranked and column.metric in line.entries]
    ranked = [line.entries[column.metric] for line in rivals]
    sign = 1 if column.lower_is_better else -1
    levels = sorted({sign * entry.mean for entry in ranked})[:2]
    for entry in ranked:
        if sign * entry.mean in levels:
            entry.rank = levels.index(sign * entry.mean) + 1
