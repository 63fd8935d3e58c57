"""Times of a call in turn with those of a reference, so that both share whatever else the machine does meanwhile."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rounding import rounded

Call = Callable[[], Any]
clock = time.process_time  # of this process alone: what others run takes no part
SECONDS = 0.5  # about as long is measured, warm-up apart
FEWEST, MOST = 5, 200  # rounds


def timed(call: Call) -> float:
    """Processor seconds that `call` takes."""
    start = clock()
    call()
    return clock() - start


def ratios(own: Sequence[float], reference: Sequence[float]) -> NDArray[Any]:
    """Own times [N] over the mean of the reference's before and after, [N + 1]: a steady drift of speed drops out."""
    before_and_after = np.asarray(reference)
    return np.asarray(own) / ((before_and_after[:-1] + before_and_after[1:]) / 2)


def summary(own: Sequence[float], reference: Sequence[float], amount: float = 1.0) -> dict[str, Any]:
    """Median and quartiles of the ratios, for one unit of work where the call does `amount` of the reference's."""
    low, median, high = np.quantile(ratios(own, reference) / amount, [0.25, 0.5, 0.75])
    found: dict[str, Any] = rounded({"ratio": float(median), "quartiles": [float(low), float(high)]})
    return found


def warm_up(call: Call, reference: Call) -> int:
    """Calls both a few times, each at least once; how many rounds fill SECONDS, between FEWEST and MOST."""
    spent, taken = 0.0, list[float]()
    while len(taken) < 3 and spent < SECONDS:
        taken.append(timed(reference) + timed(call))
        spent += taken[-1]
    return int(np.clip(SECONDS / max(taken[-1], 1e-9), FEWEST, MOST))


class InTurn:
    """The measurement of one test: wraps pytest-benchmark's fixture, which keeps the seconds."""

    def __init__(self, benchmark: Any) -> None:
        self.benchmark = benchmark

    @property
    def timing(self) -> bool:
        """Whether anything is timed; else each call is made once, to see that it runs."""
        return bool(self.benchmark.enabled)

    def __call__(self, group: str, call: Call, reference: Call, name: str, amount: float = 1.0) -> Any:
        """Times `call` in turn with `reference`, called `name`, of which it does `amount` times as much; its result.

        The ratio goes into the benchmark's `extra_info` and behind its name; less is faster.
        """
        self.benchmark.group = group
        rounds = warm_up(call, reference) if self.timing else 1
        between: list[float] = []
        result = self.benchmark.pedantic(call, setup=lambda: between.append(timed(reference)), rounds=rounds)
        if self.timing:
            between.append(timed(reference))
            own = self.benchmark.stats
            own.extra_info.update(reference=name, **summary(own.stats.data, between[: rounds + 1], amount))
            own.name += f" {own.extra_info['ratio']:.4g} x {name}"
        return result
