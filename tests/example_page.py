"""What a page shows, made up: three datasets, one of each kind of neuron, every optional part if wanted."""

from types import SimpleNamespace
from typing import Any

import pandas as pd

from benchmarks.report.collect import COLUMNS
from benchmarks.report.findings import findings
from benchmarks.report.panels import Panel
from benchmarks.report.summary import HEADLINE, summarise
from benchmarks.report.tables import Cell, Heading, Table, tables

ATTACK = "<script>alert(1)</script>"
ERRORS = {  # (neuron, group) -> MSE of every seed; on the second dataset 100 times as large
    ("black", "trivial"): [12.0],
    ("lif", "paper"): [10.0, 12.0, 11.0],
    ("plif", "paper"): [9.0, 9.5, 9.25],
    ("stc_lif", "stc"): [8.0, 9.0, 10.0],
    ("norse_lif", "norse"): [100.0, 101.0, 102.0],
    (ATTACK, "own"): [13.0, 13.0, 13.0],
    ("convlstm", "artificial"): [1.0, 1.0, 1.0],
}
DATASETS = {"moving_mnist": 1.0, "city_flow": 100.0, "events": 1.0}
TITLES = {"moving_mnist": "Moving MNIST", "city_flow": "City flow (synthetic)", "events": f"Events {ATTACK}"}
SVG = '<?xml version="1.0"?>\n<svg viewBox="0 0 20 10"><defs><path id="{own}-p" d="M0 0h9"/></defs>'
SVG += '<g clip-path="url(#{own}-p)"><title>LIF: 11.0</title><use href="#{own}-p"/></g></svg>'


def results() -> pd.DataFrame:
    """The tidy table; one neuron failed on the last dataset, where all others are as on the first."""
    rows: list[dict[str, Any]] = []
    for dataset, scale in DATASETS.items():
        for (neuron, group), values in ERRORS.items():
            names = {"profile": "p", "dataset": dataset, "neuron": neuron, "group": group}
            if (dataset, neuron) == ("events", "plif"):
                rows.append({**names, "seed": 0, "status": "failed (no such <thing>)"})
                continue
            for seed, value in enumerate(values):
                rows.append({**names, "seed": seed, "status": "ok", "metric": "mse", "value": scale * value})
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64"})


def shown(**more: Any) -> dict[str, Any]:
    """What the templates are given, without figures; `more` replaces and adds."""
    table = results()
    return {
        "profile": "p",
        "overview": ["Claim: made up. It is undecided."],
        "sections": [_section(table, dataset) for dataset in DATASETS],
        "panels": [_panel("Parity: made up", [["lif", "equal"], ["plif", "different"]], "neuron", "verdict")],
        **more,
    }


def everything() -> dict[str, Any]:
    """The same with every part that may be absent."""
    made = shown(
        verdicts=[_verdict("supported"), _verdict("not supported"), _verdict("undecided")],
        wide=_wide(),
        lift={
            "panels": [_panel("Lift", [["lif", "events", "−2.0"]], "neuron", "dataset", "ΔMSE")],
            "figure": _svg("lift"),
        },
        environment=_panel("Environment", [["device", "made up"]], "what", "value"),
        certificate={
            "badge": SVG.format(own="badge"),
            "panel": _panel("Certificate", [["lif", "identical"]], "neuron", "verdict"),
        },
        highlight="plif",
        against=_panel("plif against all others", [["events", "2 of 5"]], "dataset", "rank"),
    )
    made["sections"][0]["figures"] = [
        _svg("moving_mnist-lift"),
        {"name": "strip-lif", "title": "a <b>", "source": "data:image/gif;base64,"},
    ]
    made["sections"][0]["published"] = [_panel("Published", [["ConvLSTM-S", "29.80"]], "method", "MSE")]
    return made


def _section(table: pd.DataFrame, dataset: str) -> dict[str, Any]:
    lines = summarise(table, dataset)
    title = TITLES[dataset]
    return {
        "name": dataset,
        "title": title,
        "banner": [("Data", f"{title}, 1 x 8 x 8"), ("Seeds", "3")],
        "budget": "Seeds: 3.",
        "findings": findings(lines),
        "tables": tables(lines, {}),
        "panels": [],
        "figures": [],
        "dynamics": {"panels": [_panel("Reach", [["lif", "0.5"]], "neuron", "memory")], "figures": []},
        "folder": "figures",
    }


def _panel(title: str, rows: list[list[str]], *headings: str) -> Panel:
    names = tuple(what if what in ("neuron", "dataset") else "" for what in headings)
    return Panel(title, list(headings), rows, ["Note."], names)


def _verdict(verdict: str) -> SimpleNamespace:
    words = ["On these data at this budget.", "Interval −2 to −1."]
    return SimpleNamespace(
        claim=f"A claim that is {verdict}", verdict=verdict, words=words, datasets={"events": verdict}
    )


def _wide() -> Table:
    lines = summarise(results(), "moving_mnist")
    rows = [(line, [Cell("1.0"), Cell("2.0"), Cell("3.0"), Cell("4.0")]) for line in lines]
    columns = [Heading(title, HEADLINE, dataset) for dataset, title in TITLES.items()]
    return Table("Over all datasets", [*columns, Heading("rank", "rank")], rows, [])


def _svg(own: str) -> dict[str, str]:
    return {"name": "lift", "title": "Lift", "svg": SVG.format(own=own)}
