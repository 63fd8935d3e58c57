"""Differences between cells with the same seed, their mean and its interval, and how they are written.

An interval is the 95 % percentile bootstrap of the mean (scipy.stats.bootstrap, a fixed generator): NaN below ENOUGH
differences, as in summary.paired_difference.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from benchmarks.report.standing import HEADLINE, with_numbers
from benchmarks.report.summary import ENOUGH, RESAMPLES, interval

FEW = "Of few seeds such an interval is too narrow, and none is corrected for the number of comparisons."


@dataclass(frozen=True)
class Estimate:
    """A mean of paired differences and its interval, whose ends are NaN where the differences are too few."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def side(self) -> Literal["below", "above", "around", "unknown"]:
        """Where the interval lies to 0."""
        if math.isnan(self.low):
            return "unknown"
        return "below" if self.high < 0 else "above" if self.low > 0 else "around"


def errors(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Test MSE of every seed that ended well: a row a seed, a column a neuron, in the order of the table.

    What is not finite is missing, as in summary.paired_difference, and so is a cell that lacks seeds.
    """
    found = (table["dataset"] == dataset) & (table["metric"] == HEADLINE) & (table["status"] == "ok")
    own = table[found & (table["group"] != "trivial") & np.isfinite(table["value"].astype(float))]
    by_seed = own.pivot(index="seed", columns="neuron", values="value").astype(float)
    return by_seed[own["neuron"].unique()]


def between(by_seed: pd.DataFrame, neuron: str, reference: str, unit: str = "") -> tuple[float, ...]:
    """Error of `neuron` - that of `reference`, for every seed of both; in per cent of `unit`'s where that is given."""
    wanted = list(dict.fromkeys(name for name in (neuron, reference, unit) if name))
    if not set(wanted) <= set(by_seed):
        return ()
    own = by_seed[wanted].dropna()
    if unit:
        own = own[own[unit] > 0]
    differences = own[neuron] - own[reference]
    return tuple((100 * differences / own[unit] if unit else differences).tolist())


def estimate(differences: Sequence[float]) -> Estimate:
    """Mean and bootstrap interval of at least one difference."""
    values = np.asarray(differences, dtype=float)
    return Estimate(float(values.mean()), *interval(tuple(values.tolist())), len(values))


def signed(found: Estimate | None, digits: int | None = None) -> str:
    """An estimate in words: mean [low, high], with so many digits behind the point or with three figures."""
    if found is None:
        return "–"
    form = "+.3g" if digits is None else f"+.{digits}f"
    mean, low, high = (f"{value:{form}}".replace("-", "−") for value in (found.mean, found.low, found.high))
    return mean if math.isnan(found.low) else f"{mean} [{low}, {high}]"


def _resampled(sums: Any, counts: Any, known: int) -> Estimate:
    """Mean sum(sums) / sum(counts) and its interval, the places of both drawn anew together; n is sum(counts)."""
    mean = float(sums.sum() / counts.sum())
    low = high = math.nan
    if known >= ENOUGH:
        low = high = mean
        if np.ptp(sums / counts) > 0:
            drawn = bootstrap(
                (sums, counts), lambda of, by, axis=-1: of.sum(axis) / by.sum(axis), paired=True, vectorized=True,
                n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0),
            )  # fmt: skip
            low, high = map(float, drawn.confidence_interval)
    return Estimate(mean, low, high, int(counts.sum()))


def clustered(by_seed: Sequence[Sequence[float]]) -> Estimate:
    """Mean of all values; its interval has whole datasets drawn anew."""
    sums, counts = np.array([sum(values) for values in by_seed]), np.array([float(len(values)) for values in by_seed])
    return _resampled(sums, counts, len(by_seed))


def of_neurons(own: pd.DataFrame, metric: str) -> dict[str, float]:
    """A metric's mean of each neuron that shows it."""
    means = with_numbers(own[own["metric"] == metric]).groupby("neuron")["value"].mean()
    return {str(name): float(value) for name, value in means.items()}
