"""Panels beside the tables: one neuron in every library, what stabilises the circuit, how far back neurons reach."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.files import PARITY, ResultsError, read_json
from benchmarks.report.summary import Line

STABILITY = "stability.json"
REACH = {
    "gradient_factor_start": "gradient a step back, start",
    "gradient_factor_trained": "gradient, trained",
    "memory_start": "memory, start",
    "memory_trained": "memory, trained",
    "membrane_rms_start": "membrane, start",
    "membrane_rms_trained": "membrane, trained",
    "dead": "dead",
    "saturated": "saturated",
}


@dataclass(frozen=True)
class Panel:
    """A table of plain words: headings, rows, notes below."""

    title: str
    headings: list[str]
    rows: list[list[str]]
    notes: list[str]


def parity(keep_going: bool) -> list[Panel]:
    """The parity panel; raises ResultsError where its results are missing, unless told to keep going."""
    content = _read(PARITY, keep_going)
    if content is None:
        return []
    tolerance = content["tolerance"]
    rows = []
    for pair in content["pairs"]:
        names = [pair["neuron"], f"{pair['one']} and {pair['other']}", pair["policy"]]
        if pair["status"] != "ok":
            rows.append([*names, "–", "–", pair["status"]])
            continue
        agrees = pair["differ"] == 0 and pair["gradient"] <= tolerance
        counts = f"{pair['differ']} of {pair['spikes']:,} ({pair['fired']:,} fired)"
        rows.append([*names, counts, f"{pair['gradient']:.1e}", "equal" if agrees else "different"])
    return [
        Panel(
            "Parity: one neuron, several implementations",
            ["neuron", "implementations", "reset gradient", "spikes that differ", "gradients apart", "verdict"],
            rows,
            [
                "Matched settings, one surrogate; the layers are those of the tables, adapters included.",
                "Gradients apart: greatest difference of any gradient (in the currents and in the shared parameters),"
                f" relative to the greatest gradient; equal: no spike differs and this is at most {tolerance:g}.",
            ],
        )
    ]


def stability(folder: Path, keep_going: bool) -> list[Panel]:
    """The panel of means against the circuit's instability, of the dataset whose results are in `folder`."""
    content = _read(folder / STABILITY, keep_going)
    if content is None:
        return []
    trials = pd.DataFrame(content["trials"])
    for column in ("mse", "gradient_norm", "membrane_rms", "firing_rate"):
        trials[column] = pd.to_numeric(trials[column] if column in trials else float("nan"), errors="coerce")
    rows = []
    for (neuron, means), own in trials.groupby(["neuron", "means"], sort=False):
        bad = own.loc[own["status"] != "ok", "status"]
        rows.append(
            [
                str(neuron),
                str(means),
                " / ".join(f"{value:.2f}" for value in own["mse"]),
                f"{own['gradient_norm'].max():.3g}",
                f"{own['membrane_rms'].mean():.3g}",
                f"{own['firing_rate'].mean():.3f}",
                f"{len(bad)} of {len(own)} {bad.iloc[0]}" if len(bad) else "ok",
            ]
        )
    return [
        Panel(
            "What stabilises the circuit",
            [
                "neuron",
                "changed",
                "test MSE, each seed",
                "greatest gradient norm",
                "membrane RMS",
                "firing rate",
                "end",
            ],
            rows,
            [
                f"{content['steps']} training steps each, fewer than in the tables: compare within this panel only.",
                "Greatest gradient norm: of any step and seed, before clipping. Membrane RMS: last layer, last step of"
                " closed-loop prediction, after training.",
                "Every one of these is a parameter that is off in the tables.",
            ],
        )
    ]


def reach(lines: list[Line], own: pd.DataFrame) -> list[Panel]:
    """The panel of how far back each neuron reaches; `own` is the tidy table of one dataset.

    No panel where no neuron was looked at; a neuron that could not be looked at has its status instead of numbers.
    """
    known = own[own["metric"].notna()]
    values = {
        (row.neuron, row.metric): row.value for row in known.itertuples() if row.metric.partition("@")[0] in REACH
    }
    if not values:
        return []
    layers = range(1, 1 + max(int(metric.partition("@")[2]) for _, metric in values))
    rows = []
    for line in lines:
        if line.group == "trivial":
            continue
        cells = [[values.get((line.neuron, f"{metric}@{layer}")) for layer in layers] for metric in REACH]
        texts = [" / ".join(_figure(value) for value in cell) for cell in cells]
        looked = any(value is not None for cell in cells for value in cell)
        rows.append([line.neuron, *(texts if looked else [line.status, *["–"] * (len(REACH) - 1)])])
    return [
        Panel(
            "How far back each neuron reaches",
            ["neuron", *REACH.values()],
            rows,
            [
                f"Each cell: layers {' / '.join(map(str, layers))}. Of seed 0, before training and with the weights"
                " that training kept. docs/dynamics.md has all definitions.",
                "Gradient a step back: factor by which each step back in time multiplies the gradient by the neuron's"
                " own state; below 1 it vanishes, above 1 it explodes.",
                "Memory: relative change of the outputs 15 steps after one observed frame was swapped. Membrane: root"
                " mean square after 20 steps. Dead, saturated: share of neurons that never fire, that fire at every"
                " step.",
            ],
        )
    ]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 1e4 else f"{value:.1e}"


def _read(path: Path, keep_going: bool) -> dict[str, Any] | None:
    if not keep_going:
        return read_json(path)
    with suppress(ResultsError):
        return read_json(path)
    return None
