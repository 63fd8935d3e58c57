"""What the tables say: mean, spread and rank of every neuron, and its paired difference to LIF."""

import math
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.report.columns import COLUMNS, Column

REFERENCE = "lif"
STC = "stc_lif"
HEADLINE = "mse"
RESAMPLES = 10_000
ENOUGH = 3  # seeds from which on an interval is given; two differences resampled would only repeat themselves
MOST_NAMED = 8  # neurons in a sentence
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
# shown apart, never best or second: they are another kind of thing
UNRANKED = ("artificial", "trivial", "weighted", "control", "ablation")


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
    trained: bool = True  # whether its training ended well in every seed, whatever its instruments did
    entries: dict[str, Entry] = field(default_factory=dict)
    difference: tuple[float, float, float] | None = None  # of MSE to LIF, paired by seed: mean, low, high
    lift: tuple[float, float, float] | None = None  # of MSE to the neuron under the circuit
    to_stc: tuple[float, float, float] | None = None  # of MSE to STC-LIF, for a neuron without circuit
    to_best: tuple[float, float, float] | None = None  # of MSE to the best neuron of the table, where both are ranked

    @property
    def ranked(self) -> bool:
        """Whether it may be best or second: a spiking neuron in the same network, trained well in every seed."""
        return self.group not in UNRANKED and self.trained

    @property
    def like_best(self) -> bool:
        """Whether it is not the best and cannot be told from it: the interval of the difference holds 0."""
        if self.to_best is None:
            return False
        _, low, high = self.to_best
        return low <= 0 <= high  # never with the NaN ends of too few seeds


def summarise(table: pd.DataFrame, dataset: str) -> list[Line]:
    """The lines of a dataset's table, in the order of params.yaml; trivial predictors first.

    A value that is not a number counts as missing; a neuron whose MSE is none in some seed is not ranked.
    """
    own = table[table["dataset"] == dataset]
    own = own[own["metric"].isna() | own["metric"].isin(SHOWN)]  # the rest, by place, is four fifths of it
    scores = _by_seed(own)
    lines = []
    for neuron, rows in own.groupby("neuron", sort=False):
        groups = [group for group in rows["group"] if group]
        seeds = rows[rows["seed"].notna()]
        line = Line(str(neuron), groups[0] if groups else "", _ended(rows), bool((seeds["status"] == "ok").all()))
        line.entries = _entries(rows[rows["status"] == "ok"])
        _note_gaps(line, rows)
        if neuron != REFERENCE and line.group != "trivial":
            line.difference = _paired(scores, str(neuron), REFERENCE)
        if line.group not in (*UNRANKED, "stc"):
            line.to_stc = _paired(scores, str(neuron), STC)
        if base_of(line):
            line.lift = _paired(scores, str(neuron), base_of(line))
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
    """How a neuron's cell ended: ok, or its first bad status, and in how many of its seeds where not in all."""
    bad = rows[rows["status"] != "ok"]
    if bad.empty:
        return "ok"
    seeds, those = rows["seed"].nunique(), bad["seed"].nunique()
    return f"{those} of {seeds} seeds {bad['status'].iloc[0]}" if 0 < those < seeds else str(bad["status"].iloc[0])


def _entries(rows: pd.DataFrame) -> dict[str, Entry]:
    """The numbers of one neuron, by metric; `rows` are those of its seeds that ended well."""
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


def _note_gaps(line: Line, rows: pd.DataFrame) -> None:
    """Seeds that ended well but whose MSE is not a number take the line out of the ranking, and it says so."""
    scores = rows[(rows["metric"] == HEADLINE) & (rows["status"] == "ok")]
    if scores["value"].isna().any():
        line.trained = False
        if line.status == "ok":
            line.status = f"MSE not a number in {scores['value'].isna().sum()} of {rows['seed'].nunique()} seeds"


def base_of(line: Line) -> str:
    """The neuron that the circuit of this line was put upon; an empty string for a line without circuit.

    STC-PLIF stands on PLIF as published, whatever PLIF's own line has.
    """
    if line.group not in ("stc", "weighted") or not line.neuron.startswith("stc_"):
        return ""
    base = line.neuron.removeprefix("stc_").partition("-")[0]
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


def findings(lines: list[Line]) -> list[str]:
    """What the numbers decide, in words computed from them."""
    said = []
    by_name = {line.neuron: line for line in lines}
    trivial = [line for line in lines if line.group == "trivial" and HEADLINE in line.entries]
    trained = [line for line in lines if line.group not in UNRANKED and HEADLINE in line.entries]
    stc = by_name.get(STC)
    if stc and stc.difference and math.isnan(stc.difference[1]):
        said += _too_few(stc, lines)
    elif stc and stc.difference:
        said += _decided(stc, lines)
    if trivial and trained:
        least = min(trivial, key=lambda line: line.entries[HEADLINE].mean)
        bar = least.entries[HEADLINE].mean
        worse = [line.neuron for line in trained if line.entries[HEADLINE].mean >= bar]
        if not worse:
            subject = "Every trained spiking neuron beats"
        elif len(worse) == len(trained):
            subject = f"None of the {len(trained)} trained spiking neurons beats"
        else:
            subject = f"{len(trained) - len(worse)} of {len(trained)} trained spiking neurons beat"
        rest = f"; {', '.join(worse)} not" if 0 < len(worse) < min(len(trained), MOST_NAMED + 1) else ""
        said.append(f"{subject} the best trivial predictor ({least.neuron}, MSE {bar:.4g}){rest}.")
    bad = [f"{line.neuron}: {line.status}" for line in lines if line.status != "ok"]
    return said + ([f"Not every cell ended well. {'; '.join(bad)}."] if bad else [])


def _decided(stc: Line, lines: list[Line]) -> list[str]:
    """How STC-LIF stands against LIF and the others, and what the circuit does elsewhere, by intervals."""
    mean, low, high = stc.difference or (math.nan,) * 3
    said = []
    verdict = "beats" if high < 0 else "loses to" if low > 0 else "cannot be told from"
    said.append(
        f"STC-LIF {verdict} LIF at this budget: its MSE differs by {mean:+.3g}"
        f" (95 % interval {low:+.3g} to {high:+.3g},"
        f" {stc.entries[HEADLINE].n} seeds)."
    )
    rivals = {line.neuron: line.to_stc for line in lines if line.to_stc and line.neuron != REFERENCE}
    if rivals:
        above, below, undecided = _sides(rivals)
        said.append(
            f"Against the {len(rivals)} other cells without circuit STC-LIF has the lower error {len(above)} times,"
            f" the higher {len(below)} times{_named(below)}; {len(undecided)} undecided{_named(undecided)}."
        )
    lifted = {line.neuron: line.lift for line in lines if line.lift and line.neuron != STC}
    if lifted:
        worse, better, undecided = _sides(lifted)
        said.append(
            f"In {len(lifted)} other cells the circuit lowers the error of the neuron under it {len(better)}"
            f" times{_named(better)}, raises it {len(worse)} times{_named(worse)},"
            f" and leaves {len(undecided)} undecided{_named(undecided)}."
        )
    return said


def _too_few(stc: Line, lines: list[Line]) -> list[str]:
    """The same in plain means, where there are not seeds enough for an interval."""
    mean, _, _ = stc.difference or (math.nan,) * 3
    seeds = stc.entries[HEADLINE].n
    said = [f"STC-LIF's MSE differs from LIF's by {mean:+.3g} ({seeds} seeds: too few for an interval, so no verdict)."]
    rivals = {line.neuron: line.to_stc for line in lines if line.to_stc and line.neuron != REFERENCE}
    below = [name for name, (difference, *_) in rivals.items() if difference < 0]
    if rivals:
        said.append(
            f"Of the {len(rivals)} other cells without circuit {len(rivals) - len(below)} have a mean MSE above that of"
            f" STC-LIF, {len(below)} below it{_named(below)}."
        )
    lifted = {line.neuron: line.lift for line in lines if line.lift and line.neuron != STC}
    raised = [name for name, (difference, *_) in lifted.items() if difference >= 0]
    if lifted:
        said.append(
            f"In {len(lifted)} other cells the circuit lowers the mean MSE of the neuron under it"
            f" {len(lifted) - len(raised)} times, and does not {len(raised)} times{_named(raised)}."
        )
    return said


def _sides(differences: dict[str, tuple[float, float, float]]) -> tuple[list[str], list[str], list[str]]:
    """Names whose interval lies above 0, below 0, and around it."""
    above = [name for name, (_, low, _) in differences.items() if low > 0]
    below = [name for name, (_, _, high) in differences.items() if high < 0]
    return above, below, [name for name in differences if name not in (*above, *below)]


def _named(neurons: list[str]) -> str:
    """The names, where they are few enough to be read; the tables have them all."""
    return f" ({', '.join(neurons)})" if 0 < len(neurons) <= MOST_NAMED else ""


def shown_columns(columns: list[Column], lines: list[Line]) -> list[Column]:
    """Those of `columns` that any line has a number for."""
    return [column for column in columns if any(column.metric in line.entries for line in lines)]


def _rank(lines: list[Line], column: Column) -> None:
    """Marks best and second among those whose training ended well in every seed; equal means share a rank."""
    if column.lower_is_better is None:
        return
    rivals = [line for line in lines if line.ranked and column.metric in line.entries]
    ranked = [line.entries[column.metric] for line in rivals]
    sign = 1 if column.lower_is_better else -1
    levels = sorted({sign * entry.mean for entry in ranked})[:2]
    for entry in ranked:
        if sign * entry.mean in levels:
            entry.rank = levels.index(sign * entry.mean) + 1
