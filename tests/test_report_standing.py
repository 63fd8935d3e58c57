"""Who is ranked: what lacks seeds, or lost one, is shown with its numbers, and is in no ranking, verdict or count.

Every table here would rank such a neuron first, by far, if it were ranked at all.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_lift import Errors, results

from benchmarks.report import drawing, page, pareto
from benchmarks.report.collect import COLUMNS
from benchmarks.report.drawing import Studio, Subject
from benchmarks.report.figures import Painter
from benchmarks.report.findings import findings
from benchmarks.report.intervals import differences
from benchmarks.report.look import draw
from benchmarks.report.paper import ACROSS, paper, paper_tables, wide_tables
from benchmarks.report.published import Claim, side_by_side
from benchmarks.report.ranks import LACKS, wide
from benchmarks.report.standing import Standing, standings
from benchmarks.report.summary import INCOMPLETE, Line, summarise
from benchmarks.report.tables import tables

Change = Callable[..., pd.DataFrame]
ONE = f"{INCOMPLETE} (1 of 3 seeds)"
TWO_KEYS = f"{INCOMPLETE} (seeds of two keys)"
DIVERGED = "diverged (loss nan at step 9)"
ERRORS: Errors = {
    "black": [20.0],
    "lif": [11.0, 12.0, 13.0],
    "stc_lif": [9.0, 10.0, 11.0],
    "plif": [14.0, 15.0, 16.0],
    "glif": [2.0, 2.1, 2.2],
    "norse_lif": [12.0, 13.0, 14.0],
    "stc_norse_lif": [12.0, 12.5, 13.0],
}


def lacking(table: pd.DataFrame, neuron: str, status: str = ONE) -> pd.DataFrame:
    """The table as collect makes it of a cell that has too few seeds: seed 0 alone, or all of them of two keys."""
    own = table["neuron"] == neuron
    kept = table[~own | (table["seed"].fillna(0) == 0)] if status == ONE else table
    return kept.assign(status=kept["status"].where(kept["neuron"] != neuron, status))


def losing(table: pd.DataFrame, neuron: str, seeds: tuple[int, ...] = (1,)) -> pd.DataFrame:
    """The same where these seeds of a neuron diverged: no numbers of them, and a row that says so."""
    gone = (table["neuron"] == neuron) & table["seed"].isin(seeds)
    bad = table[gone & (table["metric"] == "mse")].assign(status=DIVERGED, metric=None, value=np.nan)
    return pd.concat([table[~gone], bad], ignore_index=True).astype({"seed": "Int64"})


def tidy(errors: Errors = ERRORS) -> pd.DataFrame:
    """Every neuron whole, on one dataset."""
    costs = {name: 1.0 + i for i, name in enumerate(errors)}
    return results({"d": errors}, train_step_ratio=costs, network_parameters=dict.fromkeys(errors, 100.0))


SHORT = {
    "lacks seeds": (lacking(tidy(), "glif"), "1 (incomplete: 1 of 3 seeds)", "incomplete: 1 of 3 seeds"),
    "seeds of two keys": (
        lacking(tidy(), "glif", TWO_KEYS),
        "3 (incomplete: seeds of two keys)",
        "incomplete: seeds of two keys",
    ),
    "lost a seed": (losing(tidy(), "glif"), "2 (1 of 3 seeds diverged)", "1 of 3 seeds diverged"),
}
each_kind = pytest.mark.parametrize(("table", "n", "why"), SHORT.values(), ids=list(SHORT))


def lines_of(table: pd.DataFrame) -> dict[str, Line]:
    return {line.neuron: line for line in summarise(table, "d")}


@pytest.mark.parametrize(
    ("table", "neuron", "wanted"),
    [
        (tidy(), "glif", Standing()),
        (tidy(), "black", Standing(kind="trivial")),
        (lacking(tidy(), "glif"), "glif", Standing(apart="incomplete: 1 of 3 seeds")),
        (lacking(tidy(), "glif", TWO_KEYS), "glif", Standing(apart="incomplete: seeds of two keys")),
        (losing(tidy(), "glif"), "glif", Standing(lost="1 of 3 seeds diverged")),
        (losing(tidy(), "glif", (0, 1, 2)), "glif", Standing(lost="3 of 3 seeds diverged")),
        (
            losing(lacking(tidy(), "glif", f"{INCOMPLETE} (3 of 4 seeds)"), "glif"),
            "glif",
            Standing(lost="1 of 3 seeds diverged", apart="incomplete: 3 of 4 seeds"),
        ),
        (tidy({**ERRORS, "glif": [1.0, np.nan, np.inf]}), "glif", Standing(lost="MSE not a number in 2 of 3 seeds")),
        (tidy({**ERRORS, "lif-wide": [1.0, 1.0, 1.0]}), "lif-wide", Standing(kind="control")),
        (
            lacking(tidy(), "glif", "apart (trained at night (late))"),
            "glif",
            Standing(apart="apart: trained at night (late)"),
        ),
    ],
)
def test_whether_a_neuron_is_ranked_and_why_not(table: pd.DataFrame, neuron: str, wanted: Standing) -> None:
    found = standings(table, "d")[neuron]
    assert found == wanted
    assert found.ranked == (wanted == Standing())


def test_what_its_instruments_did_takes_no_rank_away() -> None:
    bad = {"dataset": "d", "neuron": "glif", "group": "paper", "status": "failed (cost.json: not there yet)"}
    seen = {**bad, "status": "apart (looked at with other code)", "seed": 0, "metric": "mac", "value": 1.0}
    table = pd.concat([tidy(), pd.DataFrame([bad, seen], columns=COLUMNS)], ignore_index=True)
    assert standings(table, "d")["glif"].ranked
    assert standings(table[table["status"] != "ok"], "d")["glif"] == Standing(lost="failed")


def test_a_cell_without_results_is_what_it_is_elsewhere() -> None:
    missing = {"dataset": "e", "neuron": "convlstm", "group": "", "status": "failed (accuracy.json: not there yet)"}
    rows = pd.DataFrame([missing, {**missing, "neuron": "nobody"}], columns=COLUMNS)
    table = pd.concat([results({"d": {**ERRORS, "convlstm": [1.0]}}), rows], ignore_index=True)
    assert standings(table, "e") == {"convlstm": Standing("artificial", "failed"), "nobody": Standing("", "failed")}


# the tables


@each_kind
def test_it_is_shown_with_mean_n_and_status_and_not_ranked(table: pd.DataFrame, n: str, why: str) -> None:
    lines = lines_of(table)
    (accuracy, *_) = tables(list(lines.values()), {})
    cells = {line.neuron: cells for line, cells in accuracy.rows}
    assert cells["glif"][0].text.startswith("2.")
    assert cells["glif"][-1].text == n
    assert [name for name, own in cells.items() if own[0].rank] == ["lif", "stc_lif"]
    assert f"Shown and not ranked: glif ({why})." in accuracy.notes
    drawn = paper(list(lines.values()), [])
    assert {line.neuron: cells[-1].text for line, cells in drawn.rows}["glif"] == n
    assert lines["glif"].to_best is None
    assert not any(line.like_best for line in lines.values())  # of the best that is ranked, stc_lif, nobody is 1 away


@pytest.mark.parametrize("status", [ONE, TWO_KEYS])
def test_what_lacks_seeds_has_no_difference_and_is_nobodys_reference(status: str) -> None:
    glif = lines_of(lacking(tidy(), "glif", status))["glif"]
    assert (glif.status, glif.difference, glif.to_stc) == (status, None, None)
    without = lines_of(lacking(tidy(), "lif", status))
    assert without["lif"].entries["mse"].n == (1 if status == ONE else 3)
    assert all(line.difference is None for line in without.values())
    assert without["stc_lif"].lift is None
    assert without["plif"].to_stc is not None
    twin = lines_of(lacking(tidy(), "stc_norse_lif", status))["stc_norse_lif"]
    assert (twin.lift, twin.difference) == (None, None)


def test_a_cell_says_each_way_in_which_it_ended() -> None:
    table = losing(lacking(tidy(), "glif", f"{INCOMPLETE} (3 of 4 seeds)"), "glif")
    assert lines_of(table)["glif"].status == f"{INCOMPLETE} (3 of 4 seeds); 1 of 3 seeds {DIVERGED}"


@each_kind
def test_the_table_over_datasets_marks_it_and_gives_it_no_average_rank(table: pd.DataFrame, n: str, why: str) -> None:
    both = pd.concat([table, tidy().assign(dataset="e")], ignore_index=True)
    by_dataset = {name: summarise(both, name) for name in ("d", "e")}
    over = wide(by_dataset, {"d": "D", "e": "E"})
    cells = {line.neuron: cells for line, cells in over.rows}
    assert cells["glif"][0].text.endswith(f" {LACKS}")
    assert (cells["glif"][0].rank, cells["glif"][1].rank) == (0, 1)
    assert cells["glif"][2].text == "–"
    assert cells["stc_lif"][2].text == "1.00"
    assert f"glif on d, n {n.partition(' ')[0]} ({why})" in over.notes[-1]
    texts = wide_tables(by_dataset, {"d": "D", "e": "E"}, "p")
    (row,) = pd.read_csv(io.StringIO(texts[f"{ACROSS}.csv"])).query("neuron == 'glif'").to_dict("records")
    assert row["d_n"] == int(n.partition(" ")[0])
    assert row["e_status"] == "ok"
    assert row["d_status"] == lines_of(table)["glif"].status
    assert r"$\dagger$" in texts[f"{ACROSS}.tex"]


@each_kind
def test_a_number_of_the_paper_is_not_held_to_it(table: pd.DataFrame, n: str, why: str) -> None:
    lines = list(lines_of(table).values())
    rows = [Claim("d", "glif", "mse", 2.1, 5.0, "x"), Claim("d", "plif", "mse", 15.0, 5.0, "x")]
    assert [cells[5] for cells in side_by_side(lines, rows)[0].rows] == [why, "yes"]
    csv = pd.read_csv(io.StringIO(paper_tables("d", "D", "p", lines, rows)["d.csv"])).set_index("neuron")
    assert csv.loc["glif", "reproduced"] == why
    assert csv.loc["glif", "status"] == lines_of(table)["glif"].status


# figures and page


@each_kind
def test_a_figure_draws_it_and_not_as_best(table: pd.DataFrame, n: str, why: str, tmp_path: Path) -> None:
    names = list(ERRORS)[1:]
    painter = Painter(table, names, "D")
    assert set(painter.neurons) == set(names)
    assert painter.best_of_groups() == ["lif", "stc_lif", "norse_lif"]  # of the paper's, glif is not
    assert painter.in_short() == ["lif", "stc_lif"]
    (axes, *_) = draw(pareto.pareto, painter).axes
    (front,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    np.testing.assert_array_equal(front.get_ydata(), [12.0, 10.0])
    fills = {
        str(line.get_gid()).partition(":")[2].partition(":")[0]: line.get_fillstyle()
        for line in axes.lines
        if str(line.get_gid()).startswith(pareto.POINT)
    }
    assert (fills["glif"], fills["lif"]) == ("none", "full")
    assert any(str(line.get_gid()).endswith(f"time 5 × LIF; {why}") for line in axes.lines)
    lines = summarise(table, "d")
    assert ("glif" in differences(painter, lines)) == ("diverged" in why)
    subject = Subject("d", "D", table, lines, names, tmp_path, None)
    assert {"pareto", "intervals"} <= set(Studio(subject, tmp_path).tasks())
    assert {shown["name"] for shown in drawing.Drawing(subject, tmp_path).shown()["figures"]} >= {"pareto"}


def test_what_does_not_spike_is_not_the_best_in_short() -> None:
    painter = Painter(tidy({**ERRORS, "convlstm": [0.1] * 3}), [*ERRORS, "convlstm"], "D")
    assert painter.in_short() == ["lif", "glif", "stc_lif"]


@each_kind
def test_the_page_shows_it_with_its_seeds(table: pd.DataFrame, n: str, why: str) -> None:
    lines = summarise(table, "d")
    section = {
        "name": "d", "title": "D", "banner": [], "budget": "", "findings": findings(lines), "panels": [],
        "tables": tables(lines, {}), "figures": [], "dynamics": {"panels": [], "figures": []}, "folder": "",
    }  # fmt: skip
    text = page.render({"profile": "p", "overview": [], "sections": [section], "panels": []}, table)
    assert f"<td>{n}</td>" in text
    assert "; seeds 2, 2.2" in text or "n 1" in text or "; seeds 2, 2.1, 2.2" in text
    assert f"D, glif: {lines_of(table)['glif'].status}" in text
    assert "1 of 5" in text  # five are ranked
