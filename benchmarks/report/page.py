"""reports/<profile>/index.html: one page that holds everything, needs no network, the same bytes for the same results.

The templates are in templates/page/, its style and script in assets/ and written into the page. This module turns what
the report knows into what those templates show: cells with the words they show on hover, which begin with the number,
a section a neuron, notes on what the numbers are not. Datasets, neurons and metrics are found by their names, which
columns and panels carry beside the words that they show.
"""

import base64
import hashlib
import inspect
import math
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

import neurons
from benchmarks.metrics import METRICS
from benchmarks.report.columns import BY_METRIC, COLUMNS, Column
from benchmarks.report.panels import Panel
from benchmarks.report.ranks import groups_of
from benchmarks.report.standing import HEADLINE, UNRANKED, with_numbers
from benchmarks.report.summary import GROUPS, Line
from benchmarks.report.tables import DIFFERENCE, LIFT, Heading, Table, environment
from benchmarks.settings import kind

ASSETS = Path(__file__).parent / "assets"
OPTIONAL: dict[str, Any] = {
    "verdicts": [],
    "overview": [],
    "panels": [],
    "wide": None,
    "lift": None,
    "environment": None,
    "certificate": None,
    "highlight": None,
    "against": None,
}
OF_A_NEURON = (  # what its section shows beside all that the table of accuracy has
    "network_parameters",
    "train_step_ratio",
    "saved_for_backward_mib",
    "firing_rate",
    "energy_operations_nj",
    "energy_with_memory_nj",
)
SYNTHETIC = re.compile(r"\(([^()]*synthetic[^()]*)\)", re.IGNORECASE)  # what the banner says in brackets of the data
CIRCUIT = "the-circuit-on-any-neuron-with-a-membrane"  # heading of docs/neurons.md, for a circuit that has no card
Seeds = dict[tuple[str, str, str], list[tuple[int, float]]]  # (dataset, neuron, metric) -> [(seed, value)]


@dataclass(frozen=True)
class Shown:
    """A cell of the page: its text, its rank, what it says on hover (it sorts by the number which that begins with)."""

    text: str
    rank: int = 0
    title: str = ""


def render(shown: dict[str, Any], table: pd.DataFrame | None = None) -> str:
    """The page, from what the report shows of a profile (`render` of the stage has it).

    `table` is the tidy table: with it, hovering over a mean shows the value of every seed.
    """
    content = {**OPTIONAL, **shown}
    docs = "../../docs"
    seeds = _seeds(table)
    sections = [_section(section, seeds) for section in content["sections"]]
    groups = groups_of({section["name"]: section["lines"] for section in sections})
    datasets = {section["name"] for section in sections}
    script = (ASSETS / "page.js").read_text()
    context = {
        **content,
        "docs": docs,
        "sections": sections,
        "groups": {group: GROUPS.get(group, group or "unknown") for group in _in_order(groups.values())},
        "neurons": _neurons(sections, content["highlight"]),
        "wide": _grid(content["wide"], "", {}) if content["wide"] else None,
        "counted": _counted(sections, groups),
        "synthetic": [
            f"{section['title'].replace(' (synthetic)', '')} ({section['synthetic']})"
            for section in sections
            if section["synthetic"]
        ],
        "failures": [failure for section in sections for failure in section["failures"]],
        "metrics": METRICS,
        "columns": [column for column in COLUMNS if column.metric not in METRICS],
        "style": Markup((ASSETS / "page.css").read_text()),  # noqa: S704 (our own file)
        "script": Markup(script),  # noqa: S704 (our own file)
        "allowed": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    made = environment()
    made.filters |= {"slug": slug, "figure": _figure}
    made.globals |= {
        "about": lambda panel, row: _about(panel, row, groups, datasets),
        "marked": lambda name: _marked(name, content["highlight"]),
    }
    return made.get_template("page/index.html").render(context)


def slug(name: str) -> str:
    """`name` as part of an id: letters, digits, `_`, `.` and `-` as they are, any other character by its number."""
    return re.sub(r"[^A-Za-z0-9_.-]", lambda found: f"~{ord(found.group()):x}", name)


def _section(section: dict[str, Any], seeds: Seeds) -> dict[str, Any]:
    """A dataset's section with its tables' cells dressed, and what the page asks of it beside that."""
    lines = [line for line, _ in section["tables"][0].rows]
    data = str(dict(section["banner"]).get("Data", section["title"]))
    made_up = SYNTHETIC.search(data)
    return {
        "published": [],
        **section,
        "lines": lines,
        "grids": [_grid(table, section["name"], seeds) for table in section["tables"]],
        "ranks": _ranks(lines),
        "synthetic": made_up.group(1) if made_up else "",
        "card": f"datasets.md#{kind(section['name'])}",
        "failures": [(section["title"], line.neuron, line.status) for line in lines if line.status != "ok"],
    }


def _grid(table: Table, dataset: str, seeds: Seeds) -> dict[str, Any]:
    rows = []
    for line, cells in table.rows:
        dressed = [_dressed(cell, line, of.name, dataset, seeds) for of, cell in zip(table.columns, cells, strict=True)]
        rows.append({"line": line, "cells": dressed, "failed": line.status != "ok" and not line.entries})
    return {"title": table.title, "columns": table.columns, "rows": rows, "notes": table.notes}


def _dressed(cell: Any, line: Line, name: str, dataset: str, seeds: Seeds) -> Shown:
    """A cell with its hover text: from the entry where its column shows a metric, or from the line's differences."""
    column = BY_METRIC.get(name)
    if column and (entry := line.entries.get(name)):
        return Shown(cell.text, cell.rank, _told(column, entry, seeds.get((dataset, line.neuron, name), [])))
    difference = {DIFFERENCE.name: line.difference, LIFT.name: line.lift}.get(name)
    if difference:
        mean, low, high = difference
        interval = "too few seeds for an interval" if math.isnan(low) else f"95 % interval {low:.6g} to {high:.6g}"
        return Shown(cell.text, cell.rank, f"mean {mean:.6g}; {interval}")
    return Shown(cell.text, cell.rank)


def _told(column: Column, entry: Any, own: list[tuple[int, float]]) -> str:
    """What hovering shows: mean, standard deviation and count, and every seed's value where the table has them."""
    mean, sd = column.scale * entry.mean, column.scale * entry.sd
    if column.spread:
        return f"median {mean:.6g}; interquartile range {sd:.3g}" + ("; noisy" if entry.noisy else "")
    if entry.n == 1:
        return f"{mean:.6g}; n 1" + ("; noisy" if entry.noisy else "")
    text = f"mean {mean:.6g}; sd {sd:.3g}; n {entry.n}"
    return text + (f"; seeds {', '.join(f'{column.scale * value:.5g}' for _, value in own)}" if own else "")


def _seeds(table: pd.DataFrame | None) -> Seeds:
    found: Seeds = defaultdict(list)
    if table is not None:
        wanted = {column.metric for column in COLUMNS}
        kept = with_numbers(table[table["metric"].isin(wanted) & table["seed"].notna()])
        for row in kept.sort_values("seed", kind="stable").itertuples():
            found[str(row.dataset), str(row.neuron), str(row.metric)].append((int(row.seed), float(row.value)))
    return found


def _ranks(lines: list[Line]) -> dict[str, tuple[int, int]]:
    """Of each ranked neuron its rank by mean MSE, and how many are ranked; equal means share a rank."""
    means = {line.neuron: line.entries[HEADLINE].mean for line in lines if line.ranked and HEADLINE in line.entries}
    return {name: (1 + sum(other < mean for other in means.values()), len(means)) for name, mean in means.items()}


def _neurons(sections: list[dict[str, Any]], highlight: str | None) -> list[dict[str, Any]]:
    """A section a neuron, in the order of the tables, the highlighted one first."""
    first: list[Heading] = [column for section in sections for column in section["grids"][0]["columns"]]
    every: list[Heading] = [column for section in sections for grid in section["grids"] for column in grid["columns"]]
    texts = {column.name: column.text for column in first}
    texts |= {column.name: column.text for metric in OF_A_NEURON for column in every if column.name == metric}
    found: dict[str, dict[str, Any]] = {}
    for section in sections:
        cells: dict[str, dict[str, Shown]] = defaultdict(dict)
        for grid in section["grids"]:
            for row in grid["rows"]:
                of = (column.name for column in grid["columns"])
                cells[row["line"].neuron] |= dict(zip(of, row["cells"], strict=True))
        for line in section["lines"]:
            own = found.setdefault(line.neuron, {"name": line.neuron, "group": line.group, "rows": []})
            rank, count = section["ranks"].get(line.neuron, (0, 0))
            place = Shown(f"{rank} of {count}", 1 if rank == 1 else 0) if rank else Shown("–")
            # as in the datasets' tables, which say more on hover: twice would be a quarter of the page
            row = [place, *(replace(cells[line.neuron].get(name, Shown("–")), title="") for name in texts)]
            failed = line.status if line.status != "ok" else ""
            own["rows"].append({"dataset": section["name"], "title": section["title"], "cells": row, "failed": failed})
    for name, own in found.items():
        places = [section["ranks"][name][0] for section in sections if name in section["ranks"]]
        mean_rank = sum(places) / len(places) if places else None
        own |= {"headings": ["rank by MSE", *texts.values()], "mean_rank": mean_rank}
        own |= _card(name) if own["group"] != "trivial" else {"lead": "", "equations": "", "card": ""}
        own["places"] = len(places)
    return sorted(found.values(), key=lambda own: not _marked(own["name"], highlight))


def _card(name: str) -> dict[str, str]:
    """First sentence and equations of a neuron's card and where it stands; the circuit's where it has none itself."""
    base = kind(name)
    text, card = "", ""
    if base in neurons.available():
        text, card = neurons.card(base), f"neurons.md#{base.lower()}"
    elif base.startswith("stc_"):
        text, card = inspect.getdoc(neurons.STC) or "", f"neurons.md#{CIRCUIT}"
    lead, _, rest = text.partition("\n\n")
    block = re.search(r"(?:^ {4}.*\n?|^\n)+", rest, re.MULTILINE)
    return {"lead": " ".join(lead.split()), "equations": inspect.cleandoc(block.group()) if block else "", "card": card}


def _about(panel: Panel, row: list[str], groups: dict[str, str], datasets: set[str]) -> dict[str, str]:
    """Which neuron, group and dataset a panel's row is about, as far as it says, so that the selectors reach it.

    Only those of this page: a certificate may tell of others.
    """
    named = list(zip(panel.names, row, strict=False))
    neurons = [text for what, text in named if what == "neuron" and text in groups]
    found = {"neuron": " ".join(neurons), "group": " ".join(groups[text] for text in neurons)} if neurons else {}
    dataset = next((text for what, text in named if what == "dataset" and text in datasets), "")
    return {**found, "dataset": dataset} if dataset else found


def _counted(sections: list[dict[str, Any]], groups: dict[str, str]) -> list[tuple[str, str]]:
    """The four numbers under the title."""
    spiking = sum(group not in UNRANKED for group in groups.values())
    seeds = _in_order(str(dict(section["banner"]).get("Seeds", "–")) for section in sections)
    return [
        (str(len(sections)), "datasets" if len(sections) != 1 else "dataset"),
        (str(spiking), "spiking neurons"),
        (str(len(groups) - spiking), "other rows, not ranked"),
        (" or ".join(seeds), "seeds a cell"),
    ]


def _figure(figure: dict[str, str]) -> Markup:
    """A figure's picture: an <img> of a data URI, or SVG markup (svg.inline has made its ids its own)."""
    if not figure.get("svg"):
        wanted = Markup('<img src="{}" alt="{}" decoding="async">')
        return wanted.format(figure["source"], figure["title"])
    svg = figure["svg"][figure["svg"].index("<svg") :]
    role = "group" if "tabindex" in svg else "img"
    named = Markup('<svg role="{}" aria-label="{}"').format(role, figure["title"])
    return Markup(named + Markup(svg.removeprefix("<svg")))  # noqa: S704 (markup of our own figures)


def _marked(name: str, highlight: str | None) -> bool:
    """Whether any of the names, apart by spaces, is the highlighted neuron, with other arguments too."""
    return highlight is not None and any(highlight in (own, kind(own)) for own in name.split())


def _in_order(texts: Any) -> list[str]:
    return list(dict.fromkeys(texts))


# the panels that templates show as they are
__all__ = ["Panel", "Shown", "render", "slug"]
