"""How long a launch takes on some workers: waves one after another, within a wave the longest cell first."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 1.05  # of the least time there is: more workers than reach it are not worth having


@dataclass(frozen=True)
class Wave:
    """Seconds of the cells that may run side by side.

    alone: one on each node. begin: seconds of each worker, once. record: seconds of a recording by the launching
    machine, which comes at the end and, where `every` is given, takes as much from the workers every so many seconds.
    """

    seconds: Sequence[float]
    alone: bool = False
    begin: float = 0.0
    record: float = 0.0
    every: float = math.inf
    name: str = ""

    def makespan(self, workers: int, per_node: int) -> float:
        """Seconds from its first cell's start until all is recorded, on `workers`, `per_node` of them on each node."""
        if not self.seconds:
            return 0.0
        slots = -(-workers // per_node) if self.alone else workers
        free = [self.begin] * min(slots, len(self.seconds))
        for seconds in sorted(self.seconds, reverse=True):
            heapq.heapreplace(free, free[0] + seconds)
        return max(free) * (1 + self.record / self.every / workers) + self.record


def makespan(waves: Sequence[Wave], workers: int, per_node: int) -> float:
    """Seconds of all waves."""
    return sum(wave.makespan(workers, per_node) for wave in waves)


def enough(waves: Sequence[Wave], per_node: int) -> int:
    """The fewest workers that come within ENOUGH of the time that any number of them takes."""
    most = max((len(wave.seconds) for wave in waves), default=1) * per_node or 1
    least = makespan(waves, most, per_node) * ENOUGH
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        if makespan(waves, middle, per_node) <= least:
            high = middle
        else:
            low = middle + 1
    return high
