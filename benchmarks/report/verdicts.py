"""The claims that accuracy decides: STC-LIF against other neurons, the circuit against the neurons it is put upon.

What supports a claim and what contradicts it is said in the words of each verdict, and so is who is excluded, and why:
a neuron of which a seed diverged or is missing is no rival, neither better nor worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from benchmarks.report.lift import LeftOut, Lift, pooled
from benchmarks.report.paired import FEW, Estimate, between, errors, estimate, signed
from benchmarks.report.standing import HEADLINE, Standing, excluded, groups, standings
from benchmarks.report.summary import ENOUGH, STC, base_of
from benchmarks.settings import kind

SEVERAL = 2  # datasets that have to support a claim about several
ENDS = "On these data at this budget"
OVERALL = (
    f"Over all: supported where at least {SEVERAL} datasets support it and fewer contradict it; not supported where"
    f" every dataset with {ENOUGH} seeds or more contradicts it; undecided otherwise."
)
TOO_FEW = f"fewer than {ENOUGH} seeds, so no interval and no verdict; "
Decision = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A claim, what the results decide about it, on each dataset too, and the words and numbers that it rests on."""

    claim: str
    verdict: Decision
    datasets: dict[str, Decision]
    words: list[str]


def superiority(table: pd.DataFrame) -> Verdict:
    """Whether STC-LIF beats the spiking neurons without circuit on several datasets."""
    found = {str(dataset): _against_rivals(table, str(dataset)) for dataset in table["dataset"].unique()}
    return _verdict(
        "STC-LIF beats the other adaptive neurons on several datasets",
        found,
        [
            "Rivals: every spiking neuron without circuit and without own weights, in whatever library, that is ranked"
            " on the dataset: every seed of it is there and ended well; no capacity control. A dataset supports the"
            " claim where no rival has a lower error than STC-LIF and STC-LIF a lower one than more than half of them,"
            " all by 95 % intervals of the paired difference off 0, and no seed of it diverged; it contradicts it where"
            f" some rival has a lower one, or every seed diverged. {OVERALL} {FEW}"
        ],
    )


def improvement(lifts: list[Lift], left: list[LeftOut]) -> Verdict:
    """Whether the circuit improves the neurons it is put upon, by more than their capacity control where there is one.

    `left` are the neurons that the lifts leave out. Circuits with other than their usual arguments (a label) are no
    neurons of their own here.
    """
    plain = [one for one in lifts if one.twin == kind(one.twin)]
    out = [one for one in left if one.twin == kind(one.twin)]
    found = {}
    datasets = [one.dataset for one in plain] + [one.dataset for one in out]
    for dataset in dict.fromkeys(datasets):
        finding = _lifted([one for one in plain if one.dataset == dataset])
        faults = {one.neuron: one.fault for one in out if one.dataset == dataset}
        found[dataset] = replace(finding, said=finding.said + excluded(faults))
    over_all = "; ".join(f"{one.base} {signed(one.relative, 1)} %{_sized(one.control)}" for one in pooled(plain))
    return _verdict(
        "The circuit improves existing neurons",
        found,
        [
            f"Change of the MSE by the circuit, all datasets and seeds: {over_all or 'there is no circuit twin'}.",
            "Improved: a lower error than the neuron alone and, where there is a capacity control (the neuron in a"
            " network widened to about as many parameters), than that as well, both by 95 % intervals off 0. A dataset"
            " supports the claim where more than half of the neurons are improved and none is made worse; it"
            f" contradicts it where some are made worse, and no more are improved. {OVERALL} {FEW}",
        ],
    )


@dataclass(frozen=True)
class _Finding:
    """What one dataset decides; `enough` where it has seeds enough to decide anything."""

    decision: Decision
    said: str
    enough: bool = True


def _verdict(claim: str, found: dict[str, _Finding], behind: list[str]) -> Verdict:
    """The verdict on a claim over datasets, the findings of each in words, then those `behind`."""
    verdict = _overall([one.decision for one in found.values() if one.enough])
    enough = sum(one.enough for one in found.values())
    said = [f"{dataset}, {one.decision}: {one.said}." for dataset, one in found.items()]
    first = f"{ENDS}: {verdict}, by the {enough} of {len(found)} datasets with {ENOUGH} seeds or more."
    return Verdict(claim, verdict, {name: one.decision for name, one in found.items()}, [first, *said, *behind])


def _overall(every: list[Decision]) -> Decision:
    """The verdict over the datasets that have seeds enough."""
    supporting, contradicting = every.count("supported"), every.count("not supported")
    if supporting >= SEVERAL and supporting > contradicting:
        return "supported"
    return "not supported" if every and contradicting == len(every) else "undecided"


def _against_rivals(table: pd.DataFrame, dataset: str) -> _Finding:
    """What one dataset decides about STC-LIF and the neurons without circuit."""
    own, known, standing = table[table["dataset"] == dataset], groups(table), standings(table, dataset)
    rivals = {name: found for name, found in standing.items() if not found.kind and not base_of(name, known[name])}
    finding = _held_to(own, dataset, standing.get(STC, Standing()), [name for name in rivals if rivals[name].ranked])
    return replace(finding, said=finding.said + excluded({name: found.fault for name, found in rivals.items()}))


def _held_to(own: pd.DataFrame, dataset: str, of_stc: Standing, rivals: list[str]) -> _Finding:
    """STC-LIF, whose seeds may have diverged, against `rivals`, which are all ranked."""
    if of_stc.apart:
        return _Finding("undecided", f"STC-LIF is compared with no rival ({of_stc.apart})", enough=False)
    by_seed = errors(own, dataset)
    differences = {name: estimate(found) for name in rivals if (found := between(by_seed, STC, name))}
    stc = own[(own["neuron"] == STC) & own["seed"].notna()]
    no_number = (stc["metric"] == HEADLINE) & ~np.isfinite(stc["value"].astype(float))
    diverged = int(stc.loc[stc["status"].str.startswith("diverged") | no_number, "seed"].nunique())
    if not differences:
        lost_all = diverged >= ENOUGH and STC not in by_seed
        said = f"all {diverged} seeds of STC-LIF diverged" if lost_all else "no seed of STC-LIF beside a rival's"
        return _Finding("not supported" if lost_all else "undecided", said, enough=lost_all)
    best = min(differences, key=lambda name: float(by_seed[name].mean()))
    said = f"; STC-LIF's MSE - that of {best}, the best of them: {signed(differences[best])}"
    said += f"; {diverged} of its seeds diverged" if diverged else ""
    count = len(differences)
    if all(found.side == "unknown" for found in differences.values()):
        higher = sum(found.mean < 0 for found in differences.values())
        return _Finding("undecided", f"{TOO_FEW}{higher} of {count} rivals have the higher mean error{said}", False)
    lost = [name for name, found in differences.items() if found.side == "above"]
    won = sum(found.side == "below" for found in differences.values())
    said = (
        f"lower error than {won} of {count} rivals, higher than {len(lost)}{_named(lost)},"
        f" {count - won - len(lost)} not told apart{said}"
    )
    if lost:
        return _Finding("not supported", said)
    return _Finding("supported" if 2 * won > count and not diverged else "undecided", said)


def _lifted(own: list[Lift]) -> _Finding:
    """What one dataset decides about the circuit's lift, by intervals."""
    if not own:
        return _Finding("undecided", "no neuron is beside its circuit", enough=False)
    known = [one for one in own if one.relative.side != "unknown"]
    if not known:
        lower_means = sum(one.relative.mean < 0 for one in own)
        said = f"{TOO_FEW}the circuit lowers the mean error of {lower_means} of {len(own)} neurons"
        return _Finding("undecided", said, enough=False)
    worse = [one.base for one in known if one.relative.side == "above"]
    lower = [one.base for one in known if one.relative.side == "below"]
    controlled = {one.base: one.beyond_control for one in known if one.beyond_control}
    mere = [name for name in lower if name in controlled and controlled[name].side != "below"]
    said = (
        f"of {len(known)} neurons the circuit lowers the error of {len(lower)}{_named(lower)} and raises that of"
        f" {len(worse)}{_named(worse)}; {len(controlled)} have a capacity control"
    )
    if controlled:
        said += f", and {len(mere)} of the lowered have no lower error than theirs{_named(mere)}"
    improved = len(lower) - len(mere)
    if worse and improved <= len(worse):
        return _Finding("not supported", said)
    return _Finding("supported" if 2 * improved > len(known) and not worse else "undecided", said)


def _sized(control: Estimate | None) -> str:
    return f" (its control {signed(control, 1)} %)" if control else ""


def _named(neurons: Sequence[str]) -> str:
    return f" ({', '.join(neurons)})" if neurons else ""
