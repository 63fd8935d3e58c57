"""The tables' words and marks, worked out by hand from a table of results made up for it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.report.collect import COLUMNS
from benchmarks.report.figures import Painter, draw, encoded
from benchmarks.report.summary import findings, paired_difference, summarise
from benchmarks.report.tables import environment, latex, tables

ERRORS = {
    ("copy_last", "trivial"): [20.0],
    ("black", "trivial"): [12.0],
    ("lif", "paper"): [10.0, 12.0, 11.0],
    ("stc_lif", "stc"): [8.0, 9.0, 10.0],
    ("norse_lif", "norse"): [9.0, 12.0, 12.0],
    ("late", "own"): [13.0, 13.0, 13.0],
    ("convlstm", "artificial"): [1.0, 1.0, 1.0],
}


def results(errors: dict[tuple[str, str], list[float]] = ERRORS) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for (neuron, group), values in errors.items():
        for seed, value in enumerate(values):
            cell = {"profile": "p", "dataset": "d", "neuron": neuron, "group": group, "seed": seed, "status": "ok"}
            rows.append({**cell, "metric": "mse", "value": value})
            rows += [{**cell, "metric": f"mse@{t}", "value": value + t} for t in (1, 2)]
            rows += [{**cell, "metric": f"validation_mse@{step}", "value": value} for step in (0, 10, 20)]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64"})


def with_failure(reason: str) -> pd.DataFrame:
    row = {"profile": "p", "dataset": "d", "neuron": "bad", "group": "own", "seed": 0, "status": f"failed ({reason})"}
    return pd.concat([results(), pd.DataFrame([row], columns=COLUMNS)], ignore_index=True)


def test_mean_standard_deviation_and_count_over_seeds() -> None:
    lines = {line.neuron: line for line in summarise(results(), "d")}
    assert list(lines) == [name for name, _ in ERRORS]
    entry = lines["lif"].entries["mse"]
    assert (entry.mean, entry.sd, entry.n) == (11.0, 1.0, 3)


def test_best_and_second_are_spiking_neurons() -> None:
    ranks = {line.neuron: line.entries["mse"].rank for line in summarise(results(), "d")}
    assert ranks == {"copy_last": 0, "black": 0, "lif": 2, "stc_lif": 1, "norse_lif": 2, "late": 0, "convlstm": 0}


def test_the_difference_is_paired_by_seed() -> None:
    found = paired_difference(results(), "stc_lif")
    assert found is not None
    mean, low, high = found
    assert mean == pytest.approx(np.mean([-2.0, -3.0, -1.0]))
    assert -3.0 <= low < mean < high <= -1.0
    # a seed that only one of them has is left out
    fewer = paired_difference(results({**ERRORS, ("stc_lif", "stc"): [8.0, 9.0]}), "stc_lif")
    assert fewer is not None
    assert fewer[0] == pytest.approx(-2.5)
    assert paired_difference(results({**ERRORS, ("stc_lif", "stc"): [8.0]}), "stc_lif") is None


@pytest.mark.parametrize(
    ("stc", "verdict"),
    [
        ([8.0, 9.0, 10.0], "STC-LIF beats LIF"),
        ([12.0, 13.0, 14.0], "loses to LIF"),
        ([9.0, 13.0, 11.0], "cannot be told"),
    ],
)
def test_the_words_follow_the_interval(stc: list[float], verdict: str) -> None:
    said = findings(summarise(results({**ERRORS, ("stc_lif", "stc"): stc}), "d"))
    assert verdict in said[0]


def test_neurons_that_a_trivial_predictor_beats_are_named() -> None:
    said = findings(summarise(results(), "d"))
    assert "3 of 4 trained spiking neurons beat the best trivial predictor (black, MSE 12.00); late not." in said


def test_a_failed_cell_keeps_its_line_and_its_reason() -> None:
    lines = summarise(with_failure("spikes must be 0 or 1"), "d")
    assert [line.status for line in lines if line.neuron == "bad"] == ["failed (spikes must be 0 or 1)"]
    assert any("bad: failed (spikes must be 0 or 1)" in text for text in findings(lines))
    accuracy, _ = tables(lines)
    (cells,) = [cells for line, cells in accuracy.rows if line.neuron == "bad"]
    assert cells[0].text == "–"


def render(template: str, table: pd.DataFrame) -> str:
    lines = summarise(table, "d")
    section: dict[str, Any] = {
        "name": "d",
        "title": "D & co",
        "banner": [("Profile", "p")],
        "budget": "Profile: p.",
        "figures": [],
    }
    section |= {"findings": findings(lines), "tables": tables(lines)}
    return environment().get_template(template).render(profile="p", sections=[section])


def test_markdown_marks_best_second_and_artificial() -> None:
    text = render("table.md", results())
    assert "| stc_lif | STC | **9.00 ± 1.00** | −2.00 [" in text
    assert "| lif | paper | <u>11.00 ± 1.00</u> | – | 3 |" in text
    assert "| convlstm (artificial) | artificial, not spiking | 1.00 ± 0.00 |" in text


def test_a_time_shows_its_interquartile_range() -> None:
    cell = {"profile": "p", "dataset": "d", "neuron": "lif", "group": "paper", "status": "ok"}
    costs = [
        {**cell, "metric": "train_step_ms", "value": 57.84},
        {**cell, "metric": "train_step_iqr_ms", "value": 2.06},
    ]
    text = render("table.md", pd.concat([results(), pd.DataFrame(costs, columns=COLUMNS)], ignore_index=True))
    assert "| lif | paper | 57.8 (2.1) |" in text


def test_latex_is_balanced_and_escaped() -> None:
    text = render("table.tex", results())
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\bottomrule") == 2
    assert r"stc\_lif & STC & \textbf{9.00 $\pm$ 1.00} & $-$2.00 [" in text
    assert r"D \& co" in text
    assert text.count("{") == text.count("}")
    rows = [row for row in text.splitlines() if row.strip().endswith(r"\\")]
    columns = [row.count("&") - row.count(r"\&") for row in rows if "artificial, not" in row or "neuron &" in row]
    assert columns[0] == columns[1]
    assert latex("a_b & 50 % ± ↓") == r"a\_b \& 50 \% $\pm$ $\downarrow$"


def test_the_page_escapes_what_it_shows() -> None:
    page = render("page.html", with_failure("<script>alert(1)</script>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_neuron_keeps_its_look_whoever_else_is_there() -> None:
    names = [name for name, group in ERRORS if group != "trivial"]
    few = results({key: value for key, value in ERRORS.items() if key[0] in ("stc_lif", "convlstm")})
    assert Painter(few, names).look["convlstm"] == Painter(results(), names).look["convlstm"]
    looks = [tuple(look.items()) for look in Painter(results(), names).look.values()]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_figure_is_the_same_bytes_again(form: str) -> None:
    painter = Painter(results(), [name for name, group in ERRORS if group != "trivial"])
    for make in (painter.learning_curves, painter.error_by_frame):
        assert encoded(draw(make), form) == encoded(draw(make), form)
