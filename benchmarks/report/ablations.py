"""What each part of the circuit does: entries of params.yaml whose circuit lacks a part or has it otherwise."""

import numpy as np
import pandas as pd

from benchmarks.report.paired import FEW, between, errors, estimate, of_neurons, signed
from benchmarks.report.panels import Panel
from benchmarks.report.standing import HEADLINE, standings, with_numbers
from benchmarks.report.summary import ENOUGH, base_of
from benchmarks.settings import is_ablation, kind

PARTS = {
    "": "both pathways",
    "temporal": "temporal pathway alone",
    "spatial": "spatial pathway alone",
    "none": "neither pathway",
    "detach": "no gradient through the last spikes",
}


def ablations(table: pd.DataFrame) -> list[Panel]:
    """The panel of what each part of the circuit does, for every circuit that has ablations; none without any."""
    rows = []
    for dataset in table["dataset"].unique():
        by_seed = errors(table, dataset)
        own = table[table["dataset"] == dataset]
        size, step = (of_neurons(own, metric) for metric in ("network_parameters", "train_step_ratio"))
        shown = with_numbers(own[own["metric"] == HEADLINE])
        faults = {name: standing.fault for name, standing in standings(table, dataset).items()}
        variants = [name for name in faults if is_ablation(name)]
        for full in dict.fromkeys(kind(name) for name in variants):
            base = base_of(full, "stc")
            for name in (full, *(name for name in variants if kind(name) == full), base):
                scores = shown.loc[shown["neuron"] == name, "value"].dropna().tolist()
                fault = faults.get(name, "no results")
                differences = between(by_seed, name, full) if name != full else ()
                rows.append([
                    name, "no circuit" if name == base else _part(name), dataset,
                    _mean(scores) if scores else fault,
                    signed(estimate(differences)) if differences else "–",
                    f"{size[name]:,.0f}" if name in size else "–",
                    f"{step[name]:.2f}" if name in step else "–",
                    f"{len(scores)} ({fault})" if scores and fault else str(len(scores)),
                ])  # fmt: skip
    if not rows:
        return []
    return [
        Panel(
            "What each part of the circuit does",
            ["neuron", "circuit", "dataset", "MSE", "ΔMSE to the whole", "parameters", "train × LIF", "n"],
            rows,
            [
                "MSE: mean ± standard deviation over seeds. ΔMSE: variant minus the whole circuit, paired by seed [95 %"
                f" bootstrap interval, from {ENOUGH} seeds on]; above 0 the part that was taken out helps. {FEW}",
                "Neither pathway: what the circuit stands upon, by itself. Under STC-LIF that is an integrator without"
                " leak (the temporal factor takes the leak's place), and not LIF.",
                "Groups: of both pathways' convolutions and of their normalisation.",
            ],
            ("neuron", "", "dataset"),
        )
    ]


def _part(name: str) -> str:
    """What a variant of the circuit has, by its label."""
    label = name.partition("-")[2]
    return PARTS.get(label) or f"both pathways, groups: {label.removeprefix('groups')}"


def _mean(scores: list[float]) -> str:
    return f"{np.mean(scores):.4g}" + (f" ± {np.std(scores, ddof=1):.2g}" if len(scores) > 1 else "")
