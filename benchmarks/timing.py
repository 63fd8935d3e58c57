"""Time of two workloads in turn: how long each takes, how long until they have warmed up, how sure their ratio is.

What slows the machine for a while slows both halves of a pair, so the ratio is taken pair by pair. Sampling stops when
the ratio is known well enough or its time is spent; what stays noisy is said to be so.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch

from benchmarks.device import synchronise

WINDOW = 3  # pairs in each of the two neighbouring windows that say whether times still fall
FALL = 0.05  # how much slower than the next window a settled one may be
MOST_WARM_UP = 20  # pairs; a workload that still gets faster then is timed as it is, and flagged
PRECISION = 0.01  # relative standard error of the ratio at which sampling may stop
AGREEMENT = 0.05  # within which the ratios of two runs should lie

Call = Callable[[], None]
Row = tuple[str, int, float, float]  # what was done, its number (below 0: warm-up), seconds, those of the reference


def timed(call: Call, device: torch.device) -> float:
    """Seconds that `call` takes: by the device's own events on a GPU, else by a clock that never goes back."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        synchronise(device)
        start.record()
        call()
        end.record()
        synchronise(device)
        return float(start.elapsed_time(end)) / 1e3
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@dataclass
class Pairs:
    """Seconds of both workloads, pair by pair from the very first call, and how many pairs were warm-up."""

    own: list[float] = field(default_factory=list)
    reference: list[float] = field(default_factory=list)
    warm_up: int | None = None
    settled: bool = False  # False at the end: the warm-up was cut off at MOST_WARM_UP

    def add(self, own: float, reference: float) -> None:
        """Takes a pair and looks whether the warm-up ended before the last two windows of them.

        It ended where neither workload's median fell by more than FALL from one window to the next. The first call is
        always warm-up, and the windows that show its end are timed pairs already.
        """
        self.own.append(own)
        self.reference.append(reference)
        before = len(self.own) - 2 * WINDOW
        if self.warm_up is None and before >= 1:
            self.settled = not any(falling(times[before:]) for times in (self.own, self.reference))
            if self.settled or before >= MOST_WARM_UP:
                self.warm_up = before

    def timed(self) -> tuple[list[float], list[float], list[float]]:
        """Of the pairs after the warm-up: own seconds, the reference's, and their ratios."""
        own, reference = self.own[self.warm_up or 0 :], self.reference[self.warm_up or 0 :]
        return own, reference, [mine / other for mine, other in zip(own, reference, strict=True)]

    def enough(self, repeats: int, seconds: float) -> bool:
        """Whether there are `repeats` timed pairs and either the ratio is precise or `seconds` are spent."""
        if self.warm_up is None or len(self.own) - self.warm_up < repeats:
            return False
        return standard_error(self.timed()[2]) <= PRECISION or sum(self.own) + sum(self.reference) >= seconds

    def rows(self, what: str) -> Iterator[Row]:
        """Every pair as a row of times.csv."""
        return zip([what] * len(self.own), count(-(self.warm_up or 0)), self.own, self.reference, strict=False)

    def summary(self) -> dict[str, Any]:
        """Median and quartiles in seconds, the median ratio of the pairs with its relative standard error, the noise.

        noisy: two runs may differ by more than AGREEMENT, because twice the standard error of a difference of two
        such ratios exceeds it, because the ratio moved by as much from the first half to the second, or because the
        warm-up never ended.
        """
        own, _, ratios = self.timed()
        low, median, high = quartiles(own)
        ratio, error = statistics.median(ratios), standard_error(ratios)
        half = len(ratios) // 2
        drift = abs(statistics.median(ratios[half:]) - statistics.median(ratios[:half] or ratios)) / ratio
        return {
            "median": median,
            "quartiles": [low, high],
            "ratio_to_lif": ratio,
            "ratio_error": error,
            "pairs": len(own),
            "warm_up": self.warm_up,
            "noisy": not self.settled or 2 * math.sqrt(2) * error > AGREEMENT or drift > AGREEMENT,
        }


def falling(times: list[float]) -> bool:
    """Whether times (two windows of them) still fall: medians, so that one slow call does not decide."""
    return statistics.median(times[:WINDOW]) > (1 + FALL) * statistics.median(times[WINDOW:])


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """First quartile, median and third quartile, linear between values as NumPy has them."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high


def standard_error(values: list[float]) -> float:
    """Relative standard error of the median of `values`, from their quartiles so that outliers do not widen it.

    1.25 IQR / (1.35 sqrt(n)), relative to the median: McGill, Tukey & Larsen, "Variations of Box Plots", The American
    Statistician 32, 1978. Exact for normal values; infinite for fewer than two.
    """
    if len(values) < 2:
        return math.inf
    low, median, high = quartiles(values)
    return 1.25 * (high - low) / (1.35 * math.sqrt(len(values)) * median)


def in_turn(own: Call, reference: Call, timer: Callable[[Call], float], repeats: int, seconds: float) -> Pairs:
    """Times both calls in turn with `timer`, which goes first alternating, until there is enough (Pairs.enough)."""
    pairs = Pairs()
    while not pairs.enough(repeats, seconds):
        if len(pairs.own) % 2:
            other, mine = timer(reference), timer(own)
        else:
            mine, other = timer(own), timer(reference)
        pairs.add(mine, other)
    return pairs
