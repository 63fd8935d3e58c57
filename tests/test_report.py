"""The tables' words and marks, worked out by hand from a table of results made up for it."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from benchmarks.report.collect import COLUMNS
from benchmarks.report.figures import Painter, draw, encoded
from benchmarks.report.findings import MOST_NAMED, findings
from benchmarks.report.summary import paired_difference, summarise
from benchmarks.report.tables import environment, latex, tables

ERRORS = {
    ("copy_last", "trivial"): [20.0],
    ("black", "trivial"): [12.0],
    ("lif", "paper"): [10.0, 12.0, 11.0],
    ("stc_lif", "stc"): [8.0, 9.0, 10.0],
    ("norse_lif", "norse"): [9.0, 12.0, 12.0],
    ("late", "own"): [13.0, 13.0, 13.0],
    ("snntorch_rleaky_conv", "weighted"): [2.0, 2.0, 2.0],
    ("convlstm", "artificial"): [1.0, 1.0, 1.0],
}
NOTES = {"plif": "input gain 1 - w, as released", "plif-published": "input gain 1 - sig(w) & so on"}


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
    assert ranks == {**dict.fromkeys((name for name, _ in ERRORS), 0), "lif": 2, "stc_lif": 1, "norse_lif": 2}


def test_a_neuron_with_own_weights_is_another_kind_of_thing() -> None:
    """Its convolutions make it the best of the spiking ones here, and it wins nothing, nor is it said to."""
    lines = summarise(results(), "d")
    (weighted,) = [line for line in lines if line.group == "weighted"]
    spiking = [line.entries["mse"].mean for line in lines if line.group not in ("trivial", "artificial", "weighted")]
    assert weighted.entries["mse"].mean < min(spiking)
    assert weighted.entries["mse"].rank == 0
    assert weighted.difference is not None  # it stands beside them with its numbers all the same
    assert not any(weighted.neuron in text for text in findings(lines))
    assert f"| {weighted.neuron} | with own weights | 2.00 ± 0.00 |" in render("table.md", results())


def test_the_lift_is_the_difference_to_the_neuron_under_the_circuit() -> None:
    """Worked out by hand, seed by seed; STC-PLIF stands on PLIF as published, whatever the line `plif` has."""
    errors = {
        ("lif", "paper"): [10.0, 12.0, 11.0],
        ("plif", "paper"): [1.0, 1.0, 1.0],
        ("plif-published", "paper"): [9.0, 10.0, 12.0],
        ("norse_lif", "norse"): [5.0, 5.0, 8.0],
        ("stc_lif", "stc"): [8.0, 9.0, 10.0],
        ("stc_plif", "stc"): [7.0, 7.0, 8.0],  # -2, -3, -4
        ("stc_norse_lif", "stc"): [6.0, 7.0, 8.0],  # +1, +2, 0
        ("stc_norse_lif-detached", "stc"): [5.0, 5.0, 8.0],  # a labelled line stands on the same neuron
        ("stc_glif", "stc"): [7.0, 7.0, 8.0],  # there is no glif to compare it with
        ("stc_my_own", "own"): [7.0, 7.0, 8.0],  # a name is no circuit
    }
    lifts = {line.neuron: line.lift for line in summarise(results(errors), "d")}
    found = {neuron: lift[0] for neuron, lift in lifts.items() if lift}
    assert found == pytest.approx({"stc_lif": -2, "stc_plif": -3, "stc_norse_lif": 1, "stc_norse_lif-detached": 0})
    text = render("table.md", results(errors)).split("### What it costs")[0]
    (heading,) = [row.split(" | ") for row in text.splitlines() if row.startswith("| neuron |")]
    assert heading[3:] == ["ΔMSE to LIF", "ΔMSE to base", "n |"]
    (row,) = [row.split(" | ") for row in text.splitlines() if row.startswith("| stc_plif |")]
    assert row[3].startswith("−3.67 [")  # to LIF: -3, -5, -3
    assert row[4].startswith("−3.00 [")
    (row,) = [row.split(" | ") for row in text.splitlines() if row.startswith("| plif-published |")]
    assert row[4] == "–"


def test_the_words_about_the_circuit_follow_the_intervals() -> None:
    errors = {
        ("lif", "paper"): [10.0, 12.0, 11.0],
        **{(name, "paper"): [9.0, 9.0, 9.0] for name in ("glif", "lmh", "tclif")},
        ("stc_lif", "stc"): [8.0, 9.0, 10.0],  # has a sentence of its own
        ("stc_glif", "stc"): [8.0, 8.0, 8.0],
        ("stc_lmh", "stc"): [10.0, 10.0, 10.0],
        ("stc_tclif", "stc"): [8.0, 9.0, 10.0],
    }
    said = " ".join(findings(summarise(results(errors), "d")))
    assert (
        "In 3 other cells the circuit lowers the error of the neuron under it 1 times (stc_glif),"
        " raises it 1 times (stc_lmh)," in said
    )
    assert "leaves 1 undecided (stc_tclif)." in said


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
    assert math.isnan(fewer[1])  # too few seeds for an interval
    assert math.isnan(fewer[2])
    assert paired_difference(results({**ERRORS, ("stc_lif", "stc"): []}), "stc_lif") is None


def test_two_seeds_decide_nothing() -> None:
    few = {key: values[:2] for key, values in ERRORS.items()}
    few |= {("glif", "paper"): [7.0, 8.0], ("stc_glif", "stc"): [9.0, 9.0], ("stc_norse_lif", "stc"): [1.0, 1.0]}
    said = findings(summarise(results(few), "d"))
    assert said[0] == "STC-LIF's MSE differs from LIF's by -2.5 (2 seeds: too few for an interval, so no verdict)."
    assert said[1] == "Of the 3 other cells without circuit 2 have a mean MSE above that of STC-LIF, 1 below it (glif)."
    lowered = "the circuit lowers the mean MSE of the neuron under it 1 times, and does not 1 times (stc_glif)."
    assert said[2] == f"In 2 other cells {lowered}"
    assert "| −2.50 |" in render("table.md", results(few))


def test_digits_follow_the_size_of_the_errors() -> None:
    small = {key: [value / 1000 for value in values] for key, values in ERRORS.items()}
    assert "0.01100 ± 0.00100" in render("table.md", results(small))


def test_what_is_synthetic_says_so_in_every_figure() -> None:
    painter = Painter(results(), NAMES, TITLE)
    truth = np.zeros((3, 5, 1, 8, 8), dtype=np.uint8)
    drawn = [draw(painter.learning_curves), draw(painter.error_by_frame)]
    drawn.append(draw(painter.overview, truth, {"lif": truth[:, 2:]}, 2))
    assert all(figure.get_suptitle() == TITLE for figure in drawn)


def test_the_names_of_trivial_predictors_never_lie_upon_each_other() -> None:
    close = {("mean_frame", "trivial"): [9.0], ("copy_last", "trivial"): [9.01], ("black", "trivial"): [9.02]}
    painter = Painter(results({**ERRORS, **close}), NAMES, TITLE)
    truth = np.zeros((1, 4, 1, 2, 2), dtype=np.uint8)
    drawn = draw(painter.overview, truth, {"lif": truth[:, 2:]}, 2)
    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    boxes = [text.get_window_extent() for text in drawn.axes[0].texts]
    assert len(boxes) == 3
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_an_axis_ends_above_the_neurons_and_shows_all_that_is_better() -> None:
    table = results({("lif", "paper"): [10.0], ("copy_last", "trivial"): [12.0]})
    for frame, value in ((1, 1.0), (2, 23.0)):  # LIF's are 11 and 12
        table.loc[(table["neuron"] == "copy_last") & (table["metric"] == f"mse@{frame}"), "value"] = value
    low, high = draw(Painter(table, ["lif"], TITLE).error_by_frame).axes[0].get_ylim()
    assert low < 1 < 12 < high < 23


def test_a_control_is_drawn_beside_its_twin_alone() -> None:
    painter = Painter(results({**ERRORS, ("lif-wide", "control"): [1.0]}), [*NAMES, "lif-wide"], TITLE)
    assert set(painter.neurons) == set(Painter(results(), NAMES, TITLE).neurons)


def test_trivial_predictors_far_above_the_neurons_are_not_drawn() -> None:
    painter = Painter(results({**ERRORS, ("linear", "trivial"): [900.0]}), NAMES, TITLE)
    assert painter._trivial_in_sight() == ["black"]


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


def test_the_words_say_how_stc_stands_against_every_other_neuron() -> None:
    said = findings(summarise(results(), "d"))
    wanted = "the 2 other cells without circuit STC-LIF has the lower error 2 times, the higher 0 times; 0 undecided."
    assert sum(wanted in sentence for sentence in said) == 1
    rivals = {**ERRORS, ("norse_lif", "norse"): [7.0, 8.0, 9.0], ("late", "own"): [7.0, 9.0, 11.0]}
    said = findings(summarise(results(rivals), "d"))
    wanted = "the lower error 0 times, the higher 1 times (norse_lif); 1 undecided (late)."
    assert sum(wanted in sentence for sentence in said) == 1


def test_neurons_that_a_trivial_predictor_beats_are_named() -> None:
    said = findings(summarise(results(), "d"))
    assert "3 of 4 trained spiking neurons beat the best trivial predictor (black, MSE 12); late not." in said


def test_names_are_left_out_where_they_would_be_all_or_too_many() -> None:
    said = findings(summarise(results({**ERRORS, ("black", "trivial"): [0.5]}), "d"))
    assert "None of the 4 trained spiking neurons beats the best trivial predictor (black, MSE 0.5)." in said
    late = {(f"late{number}", "own"): [13.0, 13.0, 13.0] for number in range(MOST_NAMED)}
    said = findings(summarise(results({**ERRORS, **late}), "d"))
    number = 4 + MOST_NAMED
    assert f"3 of {number} trained spiking neurons beat the best trivial predictor (black, MSE 12)." in said


def test_a_failed_cell_keeps_its_line_and_its_reason() -> None:
    lines = summarise(with_failure("spikes must be 0 or 1"), "d")
    assert [line.status for line in lines if line.neuron == "bad"] == ["failed (spikes must be 0 or 1)"]
    assert any("bad: failed (spikes must be 0 or 1)" in text for text in findings(lines))
    accuracy, *_ = tables(lines, {})
    (cells,) = [cells for line, cells in accuracy.rows if line.neuron == "bad"]
    assert cells[0].text == "–"


def render(template: str, table: pd.DataFrame) -> str:
    lines = summarise(table, "d")
    section: dict[str, Any] = {
        "name": "d",
        "title": "D & co",
        "banner": [("Profile", "p")],
        "budget": "Profile: p.",
        "folder": "results/p/d",
        "figures": [],
        "panels": [],
        "dynamics": {"panels": [], "figures": []},
    }
    section |= {"findings": findings(lines), "tables": tables(lines, NOTES)}
    shown: dict[str, Any] = {
        "profile": "p",
        "verdicts": [],
        "overview": [],
        "panels": [],
        "lift": None,
        "environment": None,
    }
    return environment().get_template(template).render(shown | {"sections": [section]})


def test_markdown_marks_best_second_and_artificial() -> None:
    text = render("table.md", results())
    assert "| stc_lif | STC | **9.00 ± 1.00** | −2.00 [" in text
    assert "| lif | paper | <u>11.00 ± 1.00</u> | – | – | 3 |" in text
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
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\bottomrule") == 3
    assert r"stc\_lif & STC & \textbf{9.00 $\pm$ 1.00} & $-$2.00 [" in text
    assert r"D \& co" in text
    assert text.count("{") == text.count("}")
    rows = [row for row in text.splitlines() if row.strip().endswith(r"\\")]
    columns = [row.count("&") - row.count(r"\&") for row in rows if "artificial, not" in row or "neuron &" in row]
    assert columns[0] == columns[1]
    assert latex("a_b & 50 % ± ↓") == r"a\_b \& 50 \% $\pm$ $\downarrow$"


def test_what_a_neuron_says_of_itself_stands_below_the_table() -> None:
    text = render("table.md", results())
    for name, note in NOTES.items():
        assert text.count(f"{name}: {note}.") == 1


TITLE = "City flow (synthetic)"
NAMES = [name for name, group in ERRORS if group != "trivial"]


def test_a_neuron_keeps_its_look_whoever_is_in_the_other_groups() -> None:
    few = results({key: value for key, value in ERRORS.items() if key[0] in ("stc_lif", "convlstm")})
    look = Painter(results(), NAMES, TITLE).look
    assert Painter(few, NAMES, TITLE).look == {name: look[name] for name in ("stc_lif", "convlstm")}


def test_the_neurons_of_a_group_look_different_however_many_they_are() -> None:
    many = {(f"n{i}", "own"): [10.0] for i in range(30)}
    looks = list(Painter(results(many), [name for name, _ in many], TITLE).look.values())
    assert len(set(looks)) == len(looks) == 30


def test_a_figure_has_a_panel_a_group_and_lif_in_each() -> None:
    painter = Painter(results(), NAMES, TITLE)
    wanted = {
        "paper": {"lif"},
        "STC": {"stc_lif"},
        "Norse": {"norse_lif"},
        "own": {"late"},
        "with own weights": {"snntorch_rleaky_conv"},
        "artificial, not spiking": {"convlstm (artificial)"},
    }
    for make in (painter.learning_curves, painter.error_by_frame):
        panels = {axes.get_title("left"): axes for axes in draw(make).axes}
        assert set(panels) == set(wanted)
        for title, axes in panels.items():
            shown = set(axes.get_legend_handles_labels()[1])
            assert shown - {"copy_last", "black"} == wanted[title] | {"lif"}


def test_a_place_without_a_group_is_left_blank() -> None:
    few = results({key: value for key, value in ERRORS.items() if key[1] in ("paper", "stc", "norse")})
    axes = draw(Painter(few, NAMES, TITLE).learning_curves).axes  # three groups, two in a row
    assert [bool(panel.get_title("left")) for panel in axes] == [panel.axison for panel in axes] == [True] * 3 + [False]


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_figure_is_the_same_bytes_again(form: str) -> None:
    painter = Painter(results(), NAMES, TITLE)
    for make in (painter.learning_curves, painter.error_by_frame):
        assert encoded(draw(make), form) == encoded(draw(make), form)
