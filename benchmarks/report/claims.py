"""The three claims made for the circuit, and what else the instruments say, in words computed from the tidy table.

    verdicts(table, lift.lifts(table), lift.left_out(table))

says of each claim whether it is supported, not supported or undecided, why, and on which datasets.

The claim about reach is Wang & Yu's (ICML 2024): the circuit's dynamic factor, in place of a leak, keeps memory long
and the gradient from vanishing. It is put to the trained networks of seed 0, STC-LIF against LIF, PLIF and GLIF, as far
as these are ranked on a dataset.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.report.lift import LeftOut, Lift
from benchmarks.report.standing import HEADLINE, excluded, standings, told
from benchmarks.report.summary import STC, Line
from benchmarks.report.verdicts import ENDS, Decision, Verdict, improvement, superiority

RIVALS = ("lif", "plif", "glif")
FACTOR, MEMORY = "gradient_factor_trained", "memory_trained"
ARTIFICIAL = "convlstm"
SHOWN = {"lif": "LIF", "stc_lif": "STC-LIF"}  # whose energy is put into words
ENOUGH = 5  # neurons from which on ranks are correlated
SIGNIFICANT = 0.05


def verdicts(table: pd.DataFrame, lifts: list[Lift], left: list[LeftOut]) -> list[Verdict]:
    """The three claims: STC-LIF beats other neurons, the circuit improves neurons, it keeps memory and gradient."""
    overall = table[~table["metric"].str.contains("@", na=False)]  # a fifth of the rows
    return [superiority(overall), improvement(lifts, left), far(table)]


def far(table: pd.DataFrame) -> Verdict:
    """Whether the circuit keeps memory long and the gradient from vanishing: `reach` as one verdict."""
    gradients, memories = _compared(table, FACTOR), _compared(table, MEMORY)
    decided: dict[str, Decision] = {}
    for name in (name for name in gradients.layers if name in memories.layers):
        both = {_above(gradients.layers[name]), _above(memories.layers[name])}
        decided[name] = both.pop() if len(both) == 1 else "undecided"
    distinct = set(decided.values())
    verdict: Decision = distinct.pop() if len(distinct) == 1 else "undecided"
    words = reach(table)
    if decided:
        words += ["Both together: supported or not supported where both are, on every dataset; undecided otherwise."]
    return Verdict(
        "The circuit keeps memory long and the gradient from vanishing",
        verdict,
        decided,
        [f"{ENDS}: {verdict}.", *(words or ["No dataset has the four neurons that it is about looked at."])],
    )


def reach(table: pd.DataFrame) -> list[str]:
    """The claim about reach over all datasets of the table; nothing where no dataset has the four neurons."""
    gradients, memories = _compared(table, FACTOR), _compared(table, MEMORY)
    left = {name: excluded(faults).removeprefix("; excluded: ") for name, faults in gradients.faults.items()}
    without = [f"Excluded on {name}: {said}." for name, said in left.items() if said]
    if not (gradients.layers and memories.layers):
        return without
    return [
        f"Claim: the circuit's dynamic factor keeps the gradient from vanishing. It is {_decided(gradients.layers)}. A"
        f" step back in time multiplies the gradient by {_own(gradients.layers)} in STC-LIF and by"
        f" {_theirs(gradients.layers)} in LIF, PLIF and GLIF.",
        f"Claim: it keeps memory long. It is {_decided(memories.layers)}. 15 steps after one frame was swapped, the"
        f" spikes are changed by {_own(memories.layers)} (relative to their number) in STC-LIF and by"
        f" {_theirs(memories.layers)} in the three others.",
        "Supported: in every layer above each of the three, trained; not supported: above all of them in no layer."
        " Ranges are over layers and datasets. All of it is of seed 0 alone.",
        *without,
    ]


def accuracy(table: pd.DataFrame) -> list[str]:
    """How the gradient's factor and the test error rank together over the ranked neurons of each dataset.

    Spearman's rank correlation of the factor (geometric mean of the layers) and the MSE, both of seed 0.
    """
    said = {str(name): found for name in table["dataset"].unique() if (found := _correlated(table, str(name)))}
    if not said:
        return []
    towards = [name for name, found in said.items() if found.p < SIGNIFICANT and found.rho < 0]
    against = [name for name, found in said.items() if found.p < SIGNIFICANT and found.rho > 0]
    each = "; ".join(
        f"{name} {found.rho:+.2f} (p {_p(found.p)}, {found.neurons} neurons{excluded(found.faults)})"
        for name, found in said.items()
    )
    verdict = "A" if len(towards) == len(said) else "By itself a gradient that does not vanish predicts no accuracy: a"
    return [
        f"{verdict} greater factor goes with a lower error on {len(towards)} of {len(said)} datasets and with a higher"
        f" one on {len(against)} (p below {SIGNIFICANT:g}). Spearman's rank correlation of the trained factor,"
        f" geometric mean of the layers, with the test MSE over the spiking neurons, seed 0: {each}. The neurons are no"
        " independent sample: some are one neuron in several libraries, and those with the circuit have more weights."
    ]


def energy(lines: list[Line]) -> list[str]:
    """How many times less energy than the artificial network LIF and STC-LIF take, with and without memory."""
    by_name = {line.neuron: line.entries for line in lines if not line.standing.apart}
    said = []
    for name, label in SHOWN.items():
        factors = [
            by_name[ARTIFICIAL][metric].mean / by_name[name][metric].mean
            for metric in ("energy_operations_nj", "energy_with_memory_nj")
            if metric in by_name.get(ARTIFICIAL, {}) and metric in by_name.get(name, {})
        ]
        if len(factors) == 2:
            said.append(f"{label} {factors[0]:.1f} times by operations alone and {factors[1]:.1f} times with memory")
    if not said:
        return []
    return [f"Estimated energy of a predicted sequence, less than ConvLSTM's: {'; '.join(said)} (float32; seed 0)."]


Layers = tuple[list[float], list[list[float]]]  # STC-LIF's values of its layers, those of each rival


@dataclass(frozen=True)
class _Compared:
    """One metric of STC-LIF and its rivals by dataset, and what those of the four lack that are left out there."""

    layers: dict[str, Layers] = field(default_factory=dict)
    faults: dict[str, dict[str, str]] = field(default_factory=dict)


def _compared(table: pd.DataFrame, metric: str) -> _Compared:
    """The datasets on which all four were looked at, each without those of them that are not ranked there.

    Seeds of STC-LIF that diverged leave it in: what it is held by is its seed 0.
    """
    found = _Compared()
    for dataset in map(str, table["dataset"].unique()):
        rows = _of_metric(table[table["dataset"] == dataset], metric)
        good, standing = rows[rows["status"] == "ok"], standings(table, dataset)
        if not all(_layers(rows, name) for name in (STC, *RIVALS)):
            continue
        faults = {STC: standing[STC].apart, **{name: standing[name].fault for name in RIVALS}}
        for row in rows[rows["status"] != "ok"].itertuples():  # looked at elsewhere than it was trained
            if row.neuron in faults:
                faults[str(row.neuron)] = faults[str(row.neuron)] or told(str(row.status))
        found.faults[dataset] = faults
        rivals = [_layers(good, name) for name in RIVALS if not faults[name]]
        if rivals and not faults[STC]:
            found.layers[dataset] = _layers(good, STC), rivals
    return found


def _of_metric(own: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows of `metric@1`, `metric@2`, ..., layer by layer."""
    return own[own["metric"].str.startswith(f"{metric}@", na=False)]


def _layers(rows: pd.DataFrame, neuron: str) -> list[float]:
    """The values of a neuron among the rows of one metric."""
    return [float(value) for value in rows.loc[rows["neuron"] == neuron, "value"]]


def _decided(found: dict[str, Layers]) -> str:
    """On which datasets the claim is supported, is not, or is neither."""
    by_verdict: dict[str, list[str]] = {"supported": [], "not supported": [], "undecided": []}
    for name, layers in found.items():
        by_verdict[_above(layers)].append(name)
    said = [f"{verdict} on {', '.join(names)}" for verdict, names in by_verdict.items() if names]
    return f"{said[0].partition(' on ')[0]} on every dataset ({len(found)})" if len(said) == 1 else "; ".join(said)


def _above(layers: Layers) -> Decision:
    """Whether STC-LIF's value is above that of each rival: in all layers, in none, or neither."""
    stc, rivals = layers
    above = [mine > max(others) for mine, others in zip(stc, zip(*rivals, strict=True), strict=True)]
    return "supported" if all(above) else "undecided" if any(above) else "not supported"


def _own(found: dict[str, Layers]) -> str:
    return _range(value for stc, _ in found.values() for value in stc)


def _theirs(found: dict[str, Layers]) -> str:
    return _range(value for _, rivals in found.values() for value in chain(*rivals))


def _range(values: Iterable[float]) -> str:
    known = list(values)
    return f"{min(known):.2g} to {max(known):.2g}"


@dataclass(frozen=True)
class _Correlated:
    """Rank correlation over neurons, its p-value, how many neurons it is of, and whom it leaves out, and why."""

    rho: float
    p: float
    neurons: int
    faults: dict[str, str]


def _correlated(table: pd.DataFrame, dataset: str) -> _Correlated | None:
    """The correlation of one dataset; None where its neurons are too few."""
    own = table[(table["dataset"] == dataset) & (table["seed"] == 0) & (table["status"] == "ok")]
    standing = {name: found for name, found in standings(table, dataset).items() if not found.kind}
    errors = own[own["metric"] == HEADLINE].set_index("neuron")["value"]
    rows = _of_metric(own, FACTOR)
    factors = {name: _layers(rows, name) for name in standing if standing[name].ranked and name in errors}
    means = {name: math.exp(np.mean(np.log(layers))) for name, layers in factors.items() if layers and min(layers) > 0}
    if len(means) < ENOUGH:
        return None
    found = spearmanr(list(means.values()), errors[list(means)].to_numpy())
    faults = {name: one.fault for name, one in standing.items()}
    return _Correlated(float(found.statistic), float(found.pvalue), len(means), faults)


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"
