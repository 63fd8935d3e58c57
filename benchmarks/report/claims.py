"""The three claims made for the circuit, and what else the instruments say, in words computed from the tidy table.

    verdicts(table, lift.lifts(table))   each claim: supported, not supported or undecided, why, and on which datasets

The claim about reach is Wang & Yu's (ICML 2024): the circuit's dynamic factor, in place of a leak, keeps memory long
and the gradient from vanishing. It is put to the trained networks of seed 0, STC-LIF against LIF, PLIF and GLIF.
"""

import math
from collections.abc import Iterable
from itertools import chain

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from benchmarks.report.lift import Lift
from benchmarks.report.summary import STC, UNRANKED, Line
from benchmarks.report.verdicts import ENDS, Decision, Verdict, improvement, superiority
from benchmarks.settings import is_ablation, is_control

RIVALS = ("lif", "plif", "glif")
FACTOR, MEMORY = "gradient_factor_trained", "memory_trained"
ARTIFICIAL = "convlstm"
SHOWN = {"lif": "LIF", "stc_lif": "STC-LIF"}  # whose energy is put into words
ENOUGH = 5  # neurons from which on ranks are correlated
SIGNIFICANT = 0.05


def verdicts(table: pd.DataFrame, lifts: list[Lift]) -> list[Verdict]:
    """The three claims: STC-LIF beats other neurons, the circuit improves neurons, it keeps memory and gradient."""
    overall = table[~table["metric"].str.contains("@", na=False)]  # a fifth of the rows
    return [superiority(overall), improvement(lifts), far(table)]


def far(table: pd.DataFrame) -> Verdict:
    """Whether the circuit keeps memory long and the gradient from vanishing: `reach` as one verdict."""
    found: list[dict[str, Decision]] = []
    for metric in (FACTOR, MEMORY):
        compared = ((str(name), _compared(table, str(name), metric)) for name in table["dataset"].unique())
        found.append({name: _above(layers) for name, layers in compared if layers})
    decided: dict[str, Decision] = {}
    for name in (name for name in found[0] if name in found[1]):
        both = {one[name] for one in found}
        decided[name] = both.pop() if len(both) == 1 else "undecided"
    distinct = set(decided.values())
    verdict: Decision = distinct.pop() if len(distinct) == 1 else "undecided"
    words = reach(table)
    if words:
        words += ["Both together: supported or not supported where both are, on every dataset; undecided otherwise."]
    return Verdict(
        "The circuit keeps memory long and the gradient from vanishing",
        verdict,
        decided,
        [f"{ENDS}: {verdict}.", *(words or ["No dataset has the four neurons that it is about looked at."])],
    )


def reach(table: pd.DataFrame) -> list[str]:
    """The claim about reach over all datasets of the table; nothing where no dataset has the four neurons."""
    datasets = [str(name) for name in table["dataset"].unique()]
    by_metric = {
        metric: {name: found for name in datasets if (found := _compared(table, name, metric))}
        for metric in (FACTOR, MEMORY)
    }
    if not all(by_metric.values()):
        return []
    gradients, memories = by_metric[FACTOR], by_metric[MEMORY]
    return [
        f"Claim: the circuit's dynamic factor keeps the gradient from vanishing. It is {_decided(gradients)}. A step"
        f" back in time multiplies the gradient by {_own(gradients)} in STC-LIF and by {_theirs(gradients)} in LIF,"
        " PLIF and GLIF.",
        f"Claim: it keeps memory long. It is {_decided(memories)}. 15 steps after one frame was swapped, the spikes are"
        f" changed by {_own(memories)} (relative to their number) in STC-LIF and by {_theirs(memories)} in the three"
        " others.",
        "Supported: in every layer above each of the three, trained; not supported: above all of them in no layer."
        " Ranges are over layers and datasets. All of it is of seed 0 alone.",
    ]


def accuracy(table: pd.DataFrame) -> list[str]:
    """How the gradient's factor and the test error rank together over the spiking neurons of each dataset.

    Spearman's rank correlation of the factor (geometric mean of the layers) and the MSE, both of seed 0.
    """
    found = {str(name): _ranked(table[table["dataset"] == name]) for name in table["dataset"].unique()}
    said = {name: ranked for name, ranked in found.items() if ranked}
    if not said:
        return []
    towards = [name for name, (rho, p, _) in said.items() if p < SIGNIFICANT and rho < 0]
    against = [name for name, (rho, p, _) in said.items() if p < SIGNIFICANT and rho > 0]
    each = "; ".join(f"{name} {rho:+.2f} (p {_p(p)}, {n} neurons)" for name, (rho, p, n) in said.items())
    verdict = "A" if len(towards) == len(said) else "By itself a gradient that does not vanish predicts no accuracy: a"
    return [
        f"{verdict} greater factor goes with a lower error on {len(towards)} of {len(said)} datasets and with a higher"
        f" one on {len(against)} (p below {SIGNIFICANT:g}). Spearman's rank correlation of the trained factor,"
        f" geometric mean of the layers, with the test MSE over the spiking neurons, seed 0: {each}. The neurons are no"
        " independent sample: some are one neuron in several libraries, and those with the circuit have more weights."
    ]


def energy(lines: list[Line]) -> list[str]:
    """How many times less energy than the artificial network LIF and STC-LIF take, with and without memory."""
    by_name = {line.neuron: line.entries for line in lines}
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


def _compared(table: pd.DataFrame, dataset: str, metric: str) -> Layers | None:
    own = _of_metric(table[table["dataset"] == dataset], metric)
    layers = {name: _layers(own, name) for name in (STC, *RIVALS)}
    if not all(layers.values()):
        return None
    return layers[STC], [layers[name] for name in RIVALS]


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


def _ranked(own: pd.DataFrame) -> tuple[float, float, int] | None:
    """Rank correlation, its p-value and the number of neurons of one dataset; None where they are too few."""
    own = own[(own["seed"] == 0) & (own["status"] == "ok") & ~own["group"].isin(UNRANKED)]
    own = own[~own["neuron"].map(lambda name: is_control(name) or is_ablation(name)).astype(bool)]  # one neuron again
    errors = own[own["metric"] == "mse"].set_index("neuron")["value"]
    rows = _of_metric(own, FACTOR)
    factors = {name: _layers(rows, str(name)) for name in errors.index}
    means = {name: math.exp(np.mean(np.log(layers))) for name, layers in factors.items() if layers and min(layers) > 0}
    if len(means) < ENOUGH:
        return None
    found = spearmanr(list(means.values()), errors[list(means)].to_numpy())
    return float(found.statistic), float(found.pvalue), len(means)


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.2g}"
