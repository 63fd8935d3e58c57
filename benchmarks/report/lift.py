"""What the circuit adds: every neuron against its circuit twin, beside a network merely widened to the twin's size.

    lifts(table)                     every base, its twin and its capacity control on every dataset
    left_out(table)                  which of them are none, for seeds of a neuron diverged or are missing
    pooled(lifts)                    each base over all datasets
    panels(lifts, left), figure(lifts)   the same to be read
    tidy(lifts)                      the same to be computed with

Differences are paired by seed; paired.py makes the intervals.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.paired import FEW, Estimate, between, clustered, errors, estimate, of_neurons, signed
from benchmarks.report.panels import Panel
from benchmarks.report.standing import groups, standings
from benchmarks.report.summary import ENOUGH, base_of
from benchmarks.settings import WIDE, is_ablation, kind

TWIN_LOOK: dict[str, Any] = {"color": "#0072B2", "marker": "o"}
CONTROL_LOOK: dict[str, Any] = {"color": "#D55E00", "marker": "s", "markerfacecolor": "none"}


@dataclass(frozen=True)
class Lift:
    """A neuron and its circuit twin on one dataset. Differences in per cent are of the base's MSE with that seed."""

    base: str
    twin: str
    dataset: str
    difference: Estimate  # MSE of twin - base
    relative: Estimate  # the same in per cent
    by_seed: tuple[float, ...]  # in per cent
    parameters: float  # network's parameters, twin - base; NaN where not known
    parameters_percent: float
    time: float  # training step of the twin over the base's; NaN where not measured
    control: Estimate | None = None  # widened base - base, in per cent; None without a control
    control_by_seed: tuple[float, ...] = ()
    beyond_control: Estimate | None = None  # twin - widened base, in per cent of the base

    @property
    def improved(self) -> float:
        """Share of the seeds in which the twin's error is the lower one."""
        return _lower(self.by_seed)


@dataclass(frozen=True)
class LeftOut:
    """A neuron whose results lack something on one dataset, so that the lift of this twin there is none.

    Of a control: so that there is no control.
    """

    twin: str
    dataset: str
    neuron: str
    fault: str


@dataclass(frozen=True)
class Pooled:
    """A neuron and its circuit twin over all datasets, in per cent of the base's MSE; every seed counts the same."""

    base: str
    twin: str
    datasets: int
    seeds: int
    relative: Estimate  # its interval: datasets resampled, each with all of its seeds
    improved: float
    control: Estimate | None


def lifts(table: pd.DataFrame) -> list[Lift]:
    """Every circuit twin whose base has results, dataset by dataset, in the order of the tidy table.

    Ablations are no twins; a twin with other arguments (a label) is, and has the control of its base. A twin, base or
    control of which a seed diverged or is missing is held against nothing: `left_out` has it.
    """
    found = []
    for dataset in map(str, table["dataset"].unique()):
        own, faults = table[table["dataset"] == dataset], _faults(table, dataset)
        by_seed = errors(own, dataset)
        by_seed = by_seed[[name for name in by_seed if not faults[name]]]
        size, step = (of_neurons(own, metric) for metric in ("network_parameters", "train_step_ratio"))
        for twin, base, wide in _trios(groups(table), faults):
            differences, relative = between(by_seed, twin, base), between(by_seed, twin, base, base)
            if not (differences and relative):
                continue
            control, beyond = between(by_seed, wide, base, base), between(by_seed, twin, wide, base)
            added = size.get(twin, math.nan) - size.get(base, math.nan)
            found.append(
                Lift(
                    base=base,
                    twin=twin,
                    dataset=dataset,
                    difference=estimate(differences),
                    relative=estimate(relative),
                    by_seed=relative,
                    parameters=added,
                    parameters_percent=100 * added / size.get(base, math.nan),
                    time=step.get(twin, math.nan) / step.get(base, math.nan),
                    control=estimate(control) if control else None,
                    control_by_seed=control,
                    beyond_control=estimate(beyond) if beyond else None,
                )
            )
    return found


def left_out(table: pd.DataFrame) -> list[LeftOut]:
    """The twins, bases and controls of which a seed diverged or is missing, dataset by dataset, and why."""
    found = []
    for dataset in map(str, table["dataset"].unique()):
        faults = _faults(table, dataset)
        for trio in _trios(groups(table), faults):
            found += [LeftOut(trio[0], dataset, name, faults[name]) for name in trio if faults.get(name)]
    return found


def _faults(table: pd.DataFrame, dataset: str) -> dict[str, str]:
    return {name: standing.fault for name, standing in standings(table, dataset).items()}


def _trios(known: dict[str, str], listed: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Twin, base and control (which need not be there) of every circuit that is `listed` with its base."""
    for twin in listed:
        base = base_of(twin, known[twin])
        if base in listed and not is_ablation(twin):
            yield twin, base, f"{kind(base)}-{WIDE}"


def pooled(found: list[Lift]) -> list[Pooled]:
    """Each twin over all datasets that have it, in the order of `found`."""
    made = []
    for twin in dict.fromkeys(one.twin for one in found):
        own = [one for one in found if one.twin == twin]
        by_seed = [one.by_seed for one in own]
        controls = [one.control_by_seed for one in own if one.control_by_seed]
        every = [value for values in by_seed for value in values]
        control = clustered(controls) if controls else None
        made.append(Pooled(own[0].base, twin, len(own), len(every), clustered(by_seed), _lower(every), control))
    return made


def tidy(found: list[Lift]) -> pd.DataFrame:
    """The lifts as a table with a row each; an estimate is four columns, as in `relative_mean`, `relative_low`.

    Values by seed, in the order of the seeds, stand in one column, apart by spaces.
    """
    rows = []
    for one in found:
        row: dict[str, Any] = {"improved": one.improved}
        for name, value in asdict(one).items():
            if isinstance(value, dict):
                row |= {f"{name}_{part}": number for part, number in value.items()}
            elif isinstance(value, tuple):
                row[name] = " ".join(f"{number:.6g}" for number in value)
            elif value is not None:
                row[name] = value
        rows.append(row)
    return pd.DataFrame(rows)


def panels(found: list[Lift], left: list[LeftOut]) -> list[Panel]:
    """The lift on every dataset, and over all of them, with what is left out of both; no panel without a twin."""
    if not (found or left):
        return []
    by_neuron = {(one.neuron, one.dataset): f"{one.neuron} on {one.dataset} ({one.fault})" for one in left}
    without = [f"Left out, with what is compared to it: {'; '.join(by_neuron.values())}."] if left else []
    each = [
        [
            one.base, one.twin, one.dataset, str(one.difference.n), signed(one.difference), signed(one.relative, 1),
            f"{100 * one.improved:.0f} %", _added(one), f"× {one.time:.2f}" if one.time == one.time else "–",
            signed(one.control, 1), signed(one.beyond_control, 1),
        ]
        for one in found
    ]  # fmt: skip
    over_all = [
        [
            one.base, one.twin, str(one.datasets), str(one.seeds), signed(one.relative, 1),
            f"{100 * one.improved:.0f} %", signed(one.control, 1),
        ]
        for one in pooled(found)
    ]  # fmt: skip
    compared = ["neuron", "with the circuit"]
    control = "control - neuron, %"
    return [
        Panel(
            "What the circuit adds to each neuron",
            [
                *compared,
                "dataset",
                "n",
                "ΔMSE",
                "ΔMSE, %",
                "seeds improved",
                "parameters added",
                "training step",
                control,
                "circuit - control, %",
            ],
            each,
            [
                "ΔMSE: with the circuit minus without it, mean of the n seeds that both have [95 % bootstrap interval,"
                f" from {ENOUGH} seeds on]; below 0 the circuit helps. In per cent: of the neuron's own MSE with that"
                f" seed. {FEW}",
                "Control: the same neuron without circuit in a network widened until its parameter count is nearest to"
                " that with the circuit. Where it helps as much as the circuit, the lift is no more than size. A neuron"
                " without one has none in this profile, or its own width is the nearest.",
                "Training step: time with the circuit over time without it, from their ratios to LIF.",
                *without,
            ],
            ("neuron", "neuron", "dataset"),
        ),
        Panel(
            "The same over all datasets",
            [*compared, "datasets", "seeds", "ΔMSE, %", "seeds improved", control],
            over_all,
            [
                "Mean over all seeds of all datasets. Interval: datasets drawn anew, each with all of its seeds, from"
                f" {ENOUGH} datasets on: it says how far the mean hangs on which datasets were chosen. {FEW}",
                *without,
            ],
            ("neuron", "neuron"),
        ),
    ]


def figure(found: list[Lift]) -> Figure:
    """A forest plot: twins down, lift across in per cent, a column a dataset and, behind several, one for all.

    Filled: circuit - neuron. Hollow: its capacity control - neuron. Small dots: seeds; bars: intervals.
    """
    twins = list(dict.fromkeys(one.twin for one in found))
    datasets = list(dict.fromkeys(one.dataset for one in found))
    columns: dict[str, Sequence[Lift | Pooled]] = {
        name: [one for one in found if one.dataset == name] for name in datasets
    }
    if len(datasets) > 1:
        columns["all datasets"] = pooled(found)
    drawn = Figure(figsize=(2.2 + 1.9 * len(columns), 1.5 + 0.32 * len(twins)), layout="constrained")
    for axes, (title, ones) in zip(drawn.subplots(1, len(columns), sharey=True, squeeze=False).flat, columns.items(),
                                   strict=True):  # fmt: skip
        axes.set_title(title, fontsize=9)
        axes.axvline(0, color="0.35", lw=1)
        for one in ones:
            place = twins.index(one.twin)
            seeds = (one.by_seed, one.control_by_seed) if isinstance(one, Lift) else ((), ())
            _mark(axes, place - 0.14, one.relative, seeds[0], TWIN_LOOK)
            _mark(axes, place + 0.18, one.control, seeds[1], CONTROL_LOOK)
        axes.tick_params(labelsize=8)
    first = drawn.axes[0]
    first.set_yticks(range(len(twins)), twins)
    first.set_ylim(len(twins) - 0.5, -0.5)
    marks = [
        first.plot([], [], ls="", label=label, **look)[0]
        for label, look in (("with the circuit", TWIN_LOOK), ("widened to its size, no circuit", CONTROL_LOOK))
    ]
    drawn.legend(handles=marks, loc="outside upper center", ncols=2)
    drawn.supxlabel("change of the neuron's test MSE, % (left of 0: better; bars: 95 % intervals)", fontsize=9)
    return drawn


def _lower(differences: Sequence[float]) -> float:
    return sum(value < 0 for value in differences) / len(differences)


def _added(one: Lift) -> str:
    if math.isnan(one.parameters):
        return "–"
    return f"{one.parameters:+,.0f} ({one.parameters_percent:+.1f} %)".replace("-", "−")


def _mark(axes: Axes, place: float, found: Estimate | None, seeds: Sequence[float], look: dict[str, Any]) -> None:
    """An estimate at one place: its mean, the interval where there is one, and the seeds."""
    if found is None:
        return
    axes.scatter(seeds, [place] * len(seeds), s=5, color=look["color"], alpha=0.5, lw=0)
    if not math.isnan(found.low):
        axes.plot([found.low, found.high], [place, place], color=look["color"], lw=1.4)
    axes.plot([found.mean], [place], ms=5, ls="", **look)
