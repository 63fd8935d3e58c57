"""Tables as text: the same cells for Markdown, LaTeX and the page, dressed by a template each."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import Environment

from benchmarks.report.columns import ACCURACY, ACTIVITY, COST, OVER_SEEDS, Column
from benchmarks.report.markup import heading, label, markdown
from benchmarks.report.markup import latex as latex
from benchmarks.report.summary import GROUPS, HEADLINE, REFERENCE, Entry, Line, faults, shown_columns
from benchmarks.settings import CellSettings, NetworkSettings, kind
from benchmarks.templating import templates

DIFFERENCES = (
    "ΔMSE: mean of the differences with the same seed [95 % bootstrap interval, from 3 seeds on]; below 0 is better."
    " Base: the neuron that the circuit was put upon."
)
MEASURED = (
    "Times, throughput and memory are this machine's; noise cancels in the ratios, timed in turn with LIF."
    " ≈: noisy, two runs may differ by more than 5 %."
)
ESTIMATED = (
    "Spikes: of all seeds. Operations and energy: of seed 0, in closed loop, on average over test sequences. Energies"
    " compare networks under one set of assumptions and measure no device. Not counted: addressing and routing of"
    " events, control, clock and leakage, partial sums, loading the network, training; docs/energy.md has all."
)
LIKE_BEST = (
    "≈ behind an MSE: not to be told from the best; the 95 % bootstrap interval of the differences with the same seed"
    " holds 0. From 3 seeds on; not corrected for the number of neurons."
)
BLOCKS = {  # the groups in the order of a paper-style table, and what stands above each there
    "paper": "Paper set",
    "stc": "STC twins",
    "snntorch": "Library set: snnTorch",
    "norse": "Library set: Norse",
    "spikingjelly": "Library set: SpikingJelly",
    "own": "Own neurons",
    "": "Without a group",
    "ablation": "Ablations, not ranked",
    "control": "Capacity controls, not ranked",
    "weighted": "With own weights, not ranked",
    "artificial": "Artificial, not spiking, not ranked",
    "trivial": "Trivial predictors, not ranked",
}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text and its rank (1 best, 2 second, 0 neither)."""

    text: str
    rank: int = 0


@dataclass(frozen=True)
class Heading:
    """What stands above a column, and by what name the column is found: nothing looks for the text."""

    text: str
    name: str  # the metric that it shows, or what else
    dataset: str = ""  # whose numbers these are, where the table is one over datasets


# the columns that show no metric
DIFFERENCE, LIFT = Heading("ΔMSE to LIF", "difference"), Heading("ΔMSE to base", "lift")
SEEDS, REPRODUCED = Heading("n", "n"), Heading("reproduced?", "reproduced")


@dataclass(frozen=True)
class Table:
    """Columns and rows of cells; a row that says why a cell has no numbers has its status instead."""

    title: str
    columns: list[Heading]
    rows: list[tuple[Line, list[Cell]]]
    notes: list[str]

    @property
    def headings(self) -> list[str]:
        """The texts above the columns."""
        return [column.text for column in self.columns]

    @property
    def blocks(self) -> list[tuple[str, list[tuple[Line, list[Cell]]]]]:
        """The rows by group, in the order of BLOCKS (a group unknown to it before those not ranked), with headings."""
        known = list(BLOCKS)
        groups = list(dict.fromkeys(line.group for line, _ in self.rows))
        groups.sort(key=lambda group: known.index(group) if group in known else known.index("ablation") - 0.5)
        return [(BLOCKS.get(group, group), [row for row in self.rows if row[0].group == group]) for group in groups]


def tables(lines: list[Line], remarks: dict[str, str]) -> list[Table]:
    """The tables of a dataset: accuracy, cost, activity; `remarks` are the neurons' own notes, by name."""
    accuracy = [fitted(column, lines) for column in shown_columns(ACCURACY, lines)]
    digits = next((column.digits for column in accuracy if column.metric == HEADLINE), 2)
    by_accuracy = [
        (
            line,
            [
                *(number(line.entries.get(c.metric), c) for c in accuracy),
                *(Cell(_interval(difference, digits)) for difference in (line.difference, line.lift)),
                Cell(count(line)),
            ],
        )
        for line in lines
    ]
    ranked = "Bold: best spiking neuron; underlined: second. Mean ± standard deviation over seeds, n of them."
    return [
        Table(
            "Accuracy",
            [*headings(accuracy), DIFFERENCE, LIFT, SEEDS],
            by_accuracy,
            [
                ranked,
                *meanings(accuracy),
                DIFFERENCES,
                *unranked(_having(accuracy, lines)),
                *(f"{name}: {text}." for name, text in remarks.items()),
            ],
        ),
        _of_neurons("What it costs", COST, lines, MEASURED),
        _of_neurons("Spikes, operations and energy", ACTIVITY, lines, ESTIMATED),
    ]


def _of_neurons(title: str, columns: list[Column], lines: list[Line], note: str) -> Table:
    """A table of all lines but the trivial predictors', which neither cost anything nor spike."""
    shown = shown_columns(columns, lines)
    rows = [(line, [number(line.entries.get(c.metric), c) for c in shown]) for line in lines if line.group != "trivial"]
    return Table(title, headings(shown), rows, [note, *meanings(shown), *unranked(_having(shown, lines))])


def headings(columns: list[Column]) -> list[Heading]:
    """What stands above columns of metrics."""
    return [Heading(column.heading, column.metric) for column in columns]


def unranked(shown: Iterable[Line]) -> list[str]:
    """A note on those of the lines shown that are not ranked for what their results lack."""
    said = [f"{name} ({fault})" for name, fault in faults(shown).items()]
    return [f"Shown and not ranked: {', '.join(said)}."] if said else []


def _having(columns: list[Column], lines: list[Line]) -> list[Line]:
    """The lines that have a number in any of the columns."""
    return [line for line in lines if any(column.metric in line.entries for column in columns)]


def fitted(column: Column, lines: list[Line]) -> Column:
    """The column with as many digits as the dataset's errors need: four figures of LIF's MSE, three of its MAE."""
    figures = {"mse": 4, "mae": 3}.get(column.metric)
    scale = next((line.entries[column.metric].mean for line in lines if _measured(line, column)), 0.0)
    if figures is None or not scale > 0:
        return column
    return replace(column, digits=max(0, figures - 1 - math.floor(math.log10(scale))))


def _measured(line: Line, column: Column) -> bool:
    return line.neuron == REFERENCE and column.metric in line.entries


def titles(cards: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """What each dataset of a report is called: the title of its card and its label, no two alike.

    `cards`: the datasets' cards by name, as far as they are known; without its card a dataset goes by its name.
    """
    found = {}
    for name, card in cards.items():
        label = name.removeprefix(kind(name)).removeprefix("-")
        title = str(card["title"]) if card else name
        found[name] = f"{title} ({label})" if card and label else title
    while len(counts := Counter(found.values())) < len(found):
        found = {name: title if counts[title] == 1 else f"{title} [{name}]" for name, title in found.items()}
    return found


def banner(profile: str, cell: CellSettings, described: dict[str, Any]) -> list[tuple[str, str]]:
    """The budget under which all numbers of a dataset were made: (what, value)."""
    network, training = cell.network, cell.training
    card = described["card"] or {}
    counts = {split: file["sequences"] for split, file in card.get("files", {}).items()}
    machines = described["machines"]
    versions = _distinct(" ".join(f"{k} {v}" for k, v in machine["versions"].items()) for machine in machines)
    return [
        ("Profile", profile),
        ("Data", f"{card.get('title', 'unknown')} ({card.get('kind', 'unknown')}), {_shape(card)}"),
        ("Sequences", ", ".join(f"{count} {split}" for split, count in counts.items())),
        ("Network", f"{network.layers} layers of {network.channels} channels, patch {network.patch}"),
        ("Neurons", _firing(network)),
        ("Training", f"{training.steps} steps of {training.batch} sequences, Adam {training.learning_rate:g}"),
        ("Seeds", str(training.seeds)),
        ("Selection", f"best of every {training.validate_every} steps on the validation split; test split used once"),
        ("Device", _distinct(f"{machine['device']}, {machine['threads']} thread a seed" for machine in machines)),
        ("Versions", versions),
        ("Revision", _distinct(machine["revision"] for machine in machines)),
    ]


def environment() -> Environment:
    """The templates of this folder; an undefined name in one is an error."""
    made = templates("benchmarks.report", "html")
    made.filters |= {"latex": latex, "markdown": markdown, "heading": heading, "label": label}
    made.globals["group_names"] = GROUPS
    return made


def _firing(network: NetworkSettings) -> str:
    firing = network.firing
    precision = "" if network.precision == "float32" else f"; {network.precision}, membrane in {network.membrane}"
    return (
        f"surrogate gradient {firing.surrogate} (alpha {firing.alpha:g}) and {firing.reset_gradient} reset gradient,"
        f" the same for all{precision}"
    )


def number(entry: Entry | None, column: Column) -> Cell:
    """A number as the tables write it: mean ± deviation over seeds, or (spread), or a dash where there is none."""
    if entry is None:
        return Cell("–")
    mean, sd = (f"{column.scale * value:,.{column.digits}f}" for value in (entry.mean, entry.sd))
    text = f"≈ {mean}" if entry.noisy else mean
    if column.spread:
        text += f" ({sd})"
    elif entry.n > 1 and column.metric in OVER_SEEDS and math.isfinite(entry.sd):
        text += f" ± {sd}"
    return Cell(text, entry.rank)


def headline(line: Line, column: Column) -> Cell:
    """The MSE as paper-style tables write it: with a mark behind it where it cannot be told from the best."""
    plain = number(line.entries.get(column.metric), column)
    return Cell(f"{plain.text} ≈", plain.rank) if line.like_best else plain


def _interval(difference: tuple[float, float, float] | None, digits: int) -> str:
    if difference is None:
        return "–"
    mean, low, high = (f"{value:+.{digits}f}".replace("-", "−") for value in difference)
    return mean if math.isnan(difference[1]) else f"{mean} [{low}, {high}]"


def count(line: Line) -> str:
    """Of how many seeds a line's errors are, and what is wrong with these; a dash for a trivial predictor."""
    if line.group == "trivial":
        return "–"
    shown = line.entries.get(HEADLINE)
    if shown is None:
        return "0"
    return f"{shown.n} ({line.standing.fault})" if line.standing.fault else str(shown.n)


def meanings(columns: list[Column]) -> list[str]:
    """What each column shows, a note each."""
    return [f"{column.heading}: {column.meaning}." for column in columns]


def _shape(card: dict[str, Any]) -> str:
    files = card.get("files")
    if not files:
        return "shape unknown"
    _, c, h, w = files["test"]["frames"]
    return f"{c} x {h} x {w}, {card['observed']} frames observed, {card['predicted']} predicted"


def _distinct(texts: Any) -> str:
    """The one text that all machines share, or all that there are."""
    return "; ".join(dict.fromkeys(texts)) or "unknown"
