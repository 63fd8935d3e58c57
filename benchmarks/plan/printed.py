"""A plan and the lines that say it."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from benchmarks.launch.__main__ import ALONE, OFTEN, WAVES
from benchmarks.plan import model
from benchmarks.plan.cells import OF_DATASET, OF_NEURON, Due, Stage
from benchmarks.plan.evidence import Evidence
from benchmarks.plan.extents import Extent
from benchmarks.plan.model import Disk
from benchmarks.plan.schedule import Wave, enough, makespan

SIZES = 1, 8, 64  # numbers of workers that are always shown
COLUMNS = ("dataset", "stage", "cells", "stale", "to run", "time of all", "of those to run")


@dataclass(frozen=True)
class Workers:
    """What cells run on: how many at once, how many of them on a node, the price of one for an hour, what they are."""

    count: int
    per_node: int
    price: float | None
    kind: str  # "core" or "GPU"


@dataclass
class Plan:
    """What is to be done in a profile, the seconds of each stage on one worker, and what it leaves on the disk."""

    profile: str
    stages: list[Stage]
    due: Due
    extents: dict[str, Extent | None] = field(default_factory=dict)
    seconds: dict[Stage, float] = field(default_factory=dict)
    sources: Counter[str] = field(default_factory=Counter)  # of the cells' speeds
    locked: dict[str, int] = field(default_factory=dict)  # stages in the dvc.lock of each dataset, once all ran
    disk: Disk = field(default_factory=Disk)
    needs: list[str] = field(default_factory=list)  # official files

    def waves(self, kind: str, run: Iterable[Stage] | None = None) -> list[Wave]:
        """The waves of a launch that runs all stages, or those of `run`, on workers of a kind."""
        chosen = [stage for stage in self.stages if run is None or stage in run]
        if not chosen:
            return []
        seconds = {**{Stage(other): time for other, time in model.OTHERS.items()}, **self.seconds}
        seconds[Stage("report")] = model.REPORT + model.REPORTED * len(self.seconds) / len(OF_NEURON)
        chosen += [stage for stage in seconds if not stage.dataset]
        waves = [Wave([model.LAUNCH + model.LOOK * len(self.stages) + model.RECORD * len(chosen)], name="start")]
        # on cores the launching machine is one of those that work, and what it records it takes from them
        every = OFTEN if kind == "core" else math.inf
        for kinds in (*WAVES, {stage.kind for stage in seconds} - set().union(*WAVES)):
            of_wave = [stage for stage in chosen if stage.kind in kinds and stage in seconds]
            locks = sum(self.locked.get(dataset, 0) for dataset in {stage.dataset for stage in of_wave})
            times = [seconds[stage] for stage in of_wave]
            name = " and ".join(sorted({stage.kind for stage in of_wave}))
            waves.append(Wave(times, bool(kinds & ALONE), model.IMPORT, model.LOCK * locks, every, name))
        return waves

    def longest(self) -> tuple[Stage, float]:
        """The stage that takes longest on one worker."""
        return max(self.seconds.items(), key=lambda item: item[1])


def lines(plan: Plan, workers: Workers, evidence: Evidence, notes: list[str]) -> Iterator[str]:
    """The plan in lines for a terminal."""
    yield from notes
    yield ""
    yield from _table([COLUMNS, *_rows(plan)])
    yield ""
    yield from _table(list(_times(plan, workers)))
    if plan.seconds:
        parts = [wave for wave in plan.waves(workers.kind) if wave.seconds]
        times = (f"{wave.name} {duration(wave.makespan(workers.count, workers.per_node))}" for wave in parts)
        yield f"of all on {workers.count}: {', '.join(times)}"
        stage, seconds = plan.longest()
        name = " ".join(part for part in (stage.kind, stage.dataset, stage.neuron) if part)
        most = enough(plan.waves(workers.kind), workers.per_node)
        yield f"the longest cell, {name}, takes {duration(seconds)}; more than {most} workers gain less than 5 %"
    yield ""
    yield from _disk(plan, workers)
    yield ""
    yield from _origins(plan, evidence)


def _rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    kinds = (OF_DATASET[0], *OF_NEURON, OF_DATASET[1])
    for dataset in plan.extents:
        for kind in kinds:
            cells = [stage for stage in plan.stages if (stage.dataset, stage.kind) == (dataset, kind)]
            if cells:
                yield (dataset, kind, *_row(plan, cells))
    yield ("all", "", *_row(plan, plan.stages))


def _row(plan: Plan, cells: list[Stage]) -> tuple[str, ...]:
    run = [stage for stage in cells if stage in plan.due.run]
    stale = sum(stage in plan.due.stale for stage in cells)
    times = (sum(plan.seconds[stage] for stage in some) if known(some, plan) else None for some in (cells, run))
    return (str(len(cells)), str(stale), str(len(run)), *map(duration, times))


def known(stages: list[Stage], plan: Plan) -> bool:
    """Whether the time of each stage is known."""
    return all(stage in plan.seconds for stage in stages)


def _times(plan: Plan, workers: Workers) -> Iterator[tuple[str, ...]]:
    """Time, worker hours and price of a launch of all cells, and of those to run, on some numbers of workers."""
    paid = ("price",) if workers.price else ()
    yield (f"{workers.kind}s", "nodes", "launch of all", *paid, "launch of those to run", *paid)
    for count in sorted({*SIZES, workers.count}):
        per_node = min(count, workers.per_node)
        found = []
        for waves in (plan.waves(workers.kind), plan.waves(workers.kind, plan.due.run)):
            seconds = makespan(waves, count, per_node)
            found.append(duration(seconds))
            if workers.price:
                found.append(f"{workers.price * count * seconds / 3600:.2f}")
        yield (str(count), str(-(-count // per_node)), *found)


def _disk(plan: Plan, workers: Workers) -> Iterator[str]:
    disk = plan.disk
    kept = disk.data + disk.weights
    total = 2 * kept + disk.results + workers.count * disk.checkpoint
    yield (
        f"disk: {size(total)}: data {size(disk.data)} and weights {size(disk.weights)}, both once more in DVC's cache, "
        f"results {size(disk.results)}, checkpoints {size(workers.count * disk.checkpoint)} while {workers.count} train"
    )
    unknown = [dataset for dataset, extent in plan.extents.items() if extent is None]
    if unknown:
        yield f"not counted: {', '.join(unknown)}, of unknown size before `python -m benchmarks.prepare`"


def _origins(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """Where the times are from."""
    said = {
        "own": "measured before",
        "same neuron": "by the same neuron elsewhere",
        "LIF": "by LIF",
        "rate": "by counted operations alone",
    }
    found = [f"{plan.sources[source]} {text}" for source, text in said.items() if plan.sources[source]]
    yield f"speed of {sum(plan.sources.values())} cells: {', '.join(found) or 'none known'}"
    if evidence.device_rate is not None:
        yield f"a device is assumed to sustain {2 * evidence.device_rate / 1e12:g} TFLOP/s: nothing was measured on one"
    elif plan.sources:
        yield _rate(evidence)
    for neuron, reason in evidence.odd.items():
        yield f"{neuron}: counted as LIF ({reason})"


def _rate(evidence: Evidence) -> str:
    rate = evidence.rate
    if not rate.cells:
        return (
            f"nothing measured was found: guessed from counted operations at {rate.median / 1e9:.1f} GMAC/s, "
            "a share of what a convolution just reached here"
        )
    spread = f"quartiles {rate.low / 1e9:.1f} to {rate.high / 1e9:.1f}"
    return f"training ran at {rate.median / 1e9:.1f} GMAC/s here ({spread}, {rate.cells} cells)"


def duration(seconds: float | None) -> str:
    """Seconds for a reader: 48 s, 12 min, 3.4 h; a question mark where they are not known."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def size(count: float) -> str:
    """Bytes for a reader."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their columns aligned: words to the left, numbers to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    left = [not any(cell[:1].isdigit() for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if first else cell.rjust(width)
            for cell, width, first in zip(row, widths, left, strict=True)
        )
        yield "  ".join(cells).rstrip()
