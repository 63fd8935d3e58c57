"""The circuit's lift, its control and its parts: from made-up errors, worked out by hand."""

import math
from typing import Any

import pandas as pd
import pytest

from benchmarks.report import ablations, lift
from benchmarks.report.collect import COLUMNS
from benchmarks.report.figures import draw, encoded
from benchmarks.report.lift import Lift
from benchmarks.report.paired import clustered, estimate, signed
from benchmarks.report.summary import paired_difference
from benchmarks.settings import is_ablation, is_control

GROUPS = {
    "convlstm": "artificial",
    "black": "trivial",
    "snntorch_rleaky_conv": "weighted",
    "norse_lif": "norse",
}
Errors = dict[str, list[float]]


def results(of_datasets: dict[str, Errors], **metrics: dict[str, float]) -> pd.DataFrame:
    """A tidy table of these test errors, seed by seed, and of these other metrics, the same on every dataset."""
    rows: list[dict[str, Any]] = []
    for dataset, errors in of_datasets.items():
        for neuron, values in errors.items():
            group = "control" if is_control(neuron) else "ablation" if is_ablation(neuron) else ""
            group = group or GROUPS.get(neuron, "stc" if neuron.startswith("stc_") else "paper")
            cell = {"profile": "p", "dataset": dataset, "neuron": neuron, "group": group, "status": "ok"}
            rows += [{**cell, "seed": seed, "metric": "mse", "value": value} for seed, value in enumerate(values)]
            rows += [{**cell, "metric": name, "value": of[neuron]} for name, of in metrics.items() if neuron in of]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"seed": "Int64", "value": "float64"})


LIF = [10.0, 20.0, 40.0]
TABLE = {
    "d": {
        "lif": LIF,
        "stc_lif": [9.0, 16.0, 44.0],  # -1, -4, +4: -10, -20, +10 %
        "lif-wide": [8.0, 20.0, 42.0],  # -2, 0, +2: -20, 0, +5 %; the twin to it +1, -4, +2: +10, -20, +5 % of LIF's
        "stc_lif-temporal": [10.0, 17.0, 45.0],
    }
}
SIZES = {"lif": 200.0, "stc_lif": 250.0, "lif-wide": 252.0}
STEPS = {"lif": 0.5, "stc_lif": 2.0}


def found(table: pd.DataFrame) -> dict[tuple[str, str], Lift]:
    return {(one.twin, one.dataset): one for one in lift.lifts(table)}


def test_the_lift_by_hand() -> None:
    (one,) = lift.lifts(results(TABLE, network_parameters=SIZES, train_step_ratio=STEPS))
    assert (one.base, one.twin, one.dataset) == ("lif", "stc_lif", "d")
    assert one.difference.mean == pytest.approx(-1 / 3)
    assert one.by_seed == pytest.approx((-10, -20, 10))
    assert one.relative.mean == pytest.approx(-20 / 3)
    assert one.relative.n == 3
    assert one.improved == pytest.approx(2 / 3)
    assert (one.parameters, one.parameters_percent, one.time) == (50, 25, 4)
    assert one.control
    assert one.control.mean == pytest.approx(-5)
    assert one.beyond_control
    assert one.beyond_control.mean == pytest.approx(-5 / 3)
    assert one.relative.mean == pytest.approx(one.control.mean + one.beyond_control.mean)


def test_the_interval_is_that_of_all_resamples() -> None:
    """Of three seeds there are 27 resamples; the least mean has a weight of 1 / 27, above 2.5 %, so it is the end."""
    table = results(TABLE)
    (one,) = lift.lifts(table)
    assert (one.difference.low, one.difference.high) == pytest.approx((-4, 4))
    assert (one.relative.low, one.relative.high) == pytest.approx((-20, 10))
    assert paired_difference(table, "stc_lif", "lif") == pytest.approx((-1 / 3, -4, 4))
    assert estimate([2.0, 2.0, 2.0]).low == 2
    assert math.isnan(estimate([1.0, 2.0]).low)


def test_only_seeds_that_both_have_are_paired() -> None:
    uneven = {"d": {"lif": LIF, "stc_lif": [9.0, 16.0], "lif-wide": [math.nan, 20.0, 42.0]}}
    (one,) = lift.lifts(results(uneven).dropna(subset="value"))
    assert one.by_seed == pytest.approx((-10, -20))
    assert one.relative.side == "unknown"
    assert one.beyond_control
    assert one.beyond_control.mean == pytest.approx(-20)
    assert one.beyond_control.n == 1
    assert math.isnan(one.parameters)
    assert math.isnan(one.time)


def test_who_is_compared_with_whom() -> None:
    """STC-PLIF stands on PLIF as published; a label is a twin, an ablation or one without base is not."""
    names = (
        "plif",
        "plif-published",
        "plif-wide",
        "stc_plif",
        "stc_plif-detach",
        "lmh",
        "stc_lmh-published",
        "stc_glif",
    )
    table = results({"d": {name: [float(i + 1)] * 3 for i, name in enumerate(names)}})
    pairs = {one.twin: one for one in lift.lifts(table)}
    assert {twin: one.base for twin, one in pairs.items()} == {"stc_plif": "plif-published", "stc_lmh-published": "lmh"}
    control = pairs["stc_plif"].control
    assert control
    assert control.mean == pytest.approx(100 * (3 - 2) / 2)
    assert pairs["stc_lmh-published"].control is None


def test_a_base_without_error_has_no_per_cent() -> None:
    assert lift.lifts(results({"d": {"lif": [0.0, 0.0], "stc_lif": [1.0, 1.0]}})) == []
    assert lift.lifts(results({"d": {}})) == []


def test_over_all_datasets_whole_datasets_are_drawn() -> None:
    """Means over seeds: (-10 - 20 - 30 + 0 + 0 + 0) / 6. The ends: one dataset three times over, 1 of 27 resamples."""
    errors: dict[str, Errors] = {
        "a": {"lif": [100.0, 100.0], "stc_lif": [90.0, 80.0]},
        "b": {"lif": [10.0], "stc_lif": [7.0]},
        "c": {"lif": [1.0] * 3, "stc_lif": [1.0] * 3},
    }
    (one,) = lift.pooled(lift.lifts(results(errors)))
    assert (one.base, one.twin, one.datasets, one.seeds, one.control) == ("lif", "stc_lif", 3, 6, None)
    assert (one.relative.mean, one.relative.low, one.relative.high) == pytest.approx((-10, -30, 0))
    assert one.improved == pytest.approx(0.5)
    del errors["c"]
    (one,) = lift.pooled(lift.lifts(results(errors)))
    assert one.relative.mean == pytest.approx(-20)
    assert one.relative.side == "unknown"  # of two datasets there is no interval
    assert clustered([[1.0, 1.0], [1.0], [1.0]]).high == 1


def test_the_panels_cells() -> None:
    each, over_all = lift.panels(lift.lifts(results(TABLE, network_parameters=SIZES, train_step_ratio=STEPS)), [])
    wanted = [
        "lif", "stc_lif", "d", "3", "−0.333 [−4, +4]", "−6.7 [−20.0, +10.0]", "67 %", "+50 (+25.0 %)", "× 4.00",
        "−5.0 [−20.0, +5.0]", "−1.7 [−20.0, +10.0]",
    ]  # fmt: skip
    assert each.rows == [wanted]
    assert over_all.rows == [["lif", "stc_lif", "1", "3", "−6.7", "67 %", "−5.0"]]
    for panel in (each, over_all):
        assert {len(row) for row in panel.rows} == {len(panel.headings)}
    (bare, _) = lift.panels(lift.lifts(results({"d": {"lif": LIF, "stc_lif": LIF}})), [])
    assert bare.rows[0][6:] == ["0 %", "–", "–", "–", "–"]
    assert lift.panels([], []) == []
    assert signed(None) == "–"


def test_the_tidy_rows() -> None:
    (row,) = lift.tidy(lift.lifts(results(TABLE, network_parameters=SIZES))).to_dict("records")
    assert row["improved"] == pytest.approx(2 / 3)
    assert (row["relative_low"], row["relative_n"], row["parameters"]) == (pytest.approx(-20), 3, 50)
    assert row["beyond_control_mean"] == pytest.approx(-5 / 3)
    assert (row["by_seed"], row["control_by_seed"]) == ("-10 -20 10", "-20 0 5")


def test_what_each_part_does() -> None:
    table = results(TABLE, network_parameters=SIZES, train_step_ratio=STEPS)
    bad = {"profile": "p", "dataset": "d", "neuron": "stc_lif-groups4", "group": "stc", "seed": 0, "status": "diverged"}
    table = pd.concat([table, pd.DataFrame([bad], columns=COLUMNS)], ignore_index=True)
    (panel,) = ablations.ablations(table)
    assert panel.rows == [
        ["stc_lif", "both pathways", "d", "23 ± 19", "–", "250", "2.00", "3"],
        ["stc_lif-temporal", "temporal pathway alone", "d", "24 ± 19", "+1 [+1, +1]", "–", "–", "3"],
        ["stc_lif-groups4", "both pathways, groups: 4", "d", "1 of 1 seeds diverged", "–", "–", "–", "0"],
        ["lif", "no circuit", "d", "23.33 ± 15", "+0.333 [−4, +4]", "200", "0.50", "3"],
    ]
    assert ablations.ablations(results({"d": {"lif": LIF, "stc_lif": LIF}})) == []


def marks(axes: Any, marker: str) -> list[float]:
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == marker and len(line.get_xdata())]


def bars(axes: Any) -> list[tuple[float, ...]]:
    """The intervals: lines of two points, without the one at 0."""
    return [tuple(line.get_xdata()) for line in axes.lines[1:] if len(line.get_xdata()) == 2]


def test_the_figure_shows_lift_and_control() -> None:
    three = dict.fromkeys(("d", "e", "f"), TABLE["d"])
    drawn = draw(lift.figure, lift.lifts(results(three)))
    assert [axes.get_title() for axes in drawn.axes] == ["d", "e", "f", "all datasets"]
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["stc_lif"]
    for axes in drawn.axes:
        assert marks(axes, "o") == pytest.approx([-20 / 3])
        assert marks(axes, "s") == pytest.approx([-5])
        assert all(line.get_markerfacecolor() == "none" for line in axes.lines if line.get_marker() == "s")
    assert bars(drawn.axes[0]) == [pytest.approx((-20, 10)), pytest.approx((-20, 5))]
    assert encoded(drawn, "svg") == encoded(draw(lift.figure, lift.lifts(results(three))), "svg")


@pytest.mark.parametrize("errors", [{"lif": [2.0], "stc_lif": [1.0]}, {"lif": [2.0] * 2, "stc_lif": [1.0]}])
def test_one_dataset_and_one_seed_are_drawn_without_interval(errors: Errors) -> None:
    (axes,) = draw(lift.figure, lift.lifts(results({"d": errors}))).axes
    assert marks(axes, "o") == [-50]
    assert bars(axes) == []
