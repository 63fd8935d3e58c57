"""Panels beside the tables: one neuron in every library, what stabilises the circuit, how far back neurons reach.

And, in the view of one neuron, how it stands against all others.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.files import PARITY, ResultsError, read_json
from benchmarks.report.standing import HEADLINE, excluded
from benchmarks.report.summary import REFERENCE, STC, Line, faults, paired_difference
from benchmarks.report.tables import unranked

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
    """A table of plain words: headings, rows, notes below.

    `names` says of the first columns, one after the other, what they name: "neuron", "dataset", or "" for neither.
    """

    title: str
    headings: list[str]
    rows: list[list[str]]
    notes: list[str]
    names: tuple[str, ...] = ()


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
            ("neuron",),
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
    rows, shown = [], []
    for line in lines:
        if line.group == "trivial":
            continue
        cells = [[values.get((line.neuron, f"{metric}@{layer}")) for layer in layers] for metric in REACH]
        texts = [" / ".join(_figure(value) for value in cell) for cell in cells]
        looked = any(value is not None for cell in cells for value in cell)
        shown += [line] if looked else []
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
                *unranked(shown),
            ],
            ("neuron",),
        )
    ]


def against_all(lines: dict[str, list[Line]], name: str, table: pd.DataFrame) -> Panel:
    """How the neuron `name` stands on every dataset; `lines` are the datasets' tables, `table` the tidy one.

    Its rank among the ranked neurons, by mean test MSE (equal means share the better rank); the mean paired difference
    to LIF, to STC-LIF and to the best of the others, with the 95 % bootstrap interval; and how many of the others it
    beats, is beaten by, and cannot be told from. Where its own seeds are not all there, it is held against nobody.
    """
    references = {title: own for title, own in (("LIF", REFERENCE), ("STC-LIF", STC)) if own != name}
    rows = []
    for dataset, every in lines.items():
        own = next((line for line in every if line.neuron == name), None)
        scores = table[(table["dataset"] == dataset) & (table["metric"] == HEADLINE)]
        if own is None or HEADLINE not in own.entries:
            rows.append([dataset, own.status if own else "not there", *["–"] * (4 + len(references))])
            continue
        entry = own.entries[HEADLINE]
        spread = f" ± {entry.sd:.2g}" if entry.n > 1 else ""
        rivals = [line for line in every if not line.standing.kind and line.neuron != name]
        others = [line for line in rivals if line.ranked and HEADLINE in line.entries]
        better = sum(line.entries[HEADLINE].mean < entry.mean for line in others)
        best = min(others, key=lambda line: line.entries[HEADLINE].mean, default=None)
        found = {line.neuron: paired_difference(scores, name, line.neuron) for line in others}
        fault = f" ({own.standing.fault})" if own.standing.fault else ""
        record = _record([difference for difference in found.values() if difference]) + excluded(faults(rivals))
        rows.append(
            [
                dataset,
                f"{entry.mean:.4g}{spread} (n {entry.n})",
                f"{better + 1} of {len(others) + 1}" if own.ranked else f"not ranked{fault}",
                *(_difference(paired_difference(scores, name, other)) for other in references.values()),
                best.neuron if best else "–",
                _difference(found[best.neuron]) if best else "–",
                record if own.trained else "–",
            ]
        )
    return Panel(
        f"{name} against all others",
        [
            *("dataset", "test MSE", "rank", *(f"ΔMSE to {title}" for title in references)),
            *("best other", "ΔMSE to it", "against each"),
        ],
        rows,
        [
            "ΔMSE: mean of the differences with the same seed [95 % bootstrap interval, from 3 seeds on]; below 0"
            f" {name} is better.",
            "Against each: ranked neurons with the higher error, with the lower error, and undecided, for the interval"
            " contains 0 or there are fewer than 3 seeds.",
        ],
        ("dataset",),
    )


def _difference(found: tuple[float, float, float] | None) -> str:
    if found is None:
        return "–"
    mean, low, high = (f"{value:+.3g}".replace("-", "−") for value in found)
    return mean if math.isnan(found[1]) else f"{mean} [{low}, {high}]"


def _record(differences: list[tuple[float, float, float]]) -> str:
    """How many intervals lie below 0, above it, and around it."""
    won = sum(high < 0 for _, _, high in differences)
    lost = sum(low > 0 for _, low, _ in differences)
    return f"beats {won}, loses to {lost}, {len(differences) - won - lost} undecided"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value < 1e4 else f"{value:.1e}"


def _read(path: Path, keep_going: bool) -> dict[str, Any] | None:
    if not keep_going:
        return read_json(path)
    with suppress(ResultsError):
        return read_json(path)
    return None
