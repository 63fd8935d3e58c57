"""What the report makes of dynamics.json and of marked costs: rows, tables, words, figures, all worked out by hand."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from benchmarks.cell import Cell, hashed
from benchmarks.files import ResultsError, write_json
from benchmarks.report import claims, collect, dynamics, panels
from benchmarks.report.figures import Painter, encoded
from benchmarks.report.findings import findings
from benchmarks.report.summary import summarise
from benchmarks.report.tables import latex, tables


def layer(place: int, factor: float | None, memory: float, rms: Any, **more: Any) -> dict[str, Any]:
    norm = [1.0, 0.5, 0.0]
    membrane = None if rms is None else {"field": "v", "rms": [1.0, rms], "largest": [1.0, rms]}
    gradient = {"norm": norm, "per_step": factor}
    return {"layer": place, "gradient": gradient, "memory": [1.0, memory], "membrane": membrane, **more}


def look(**more: Any) -> dict[str, Any]:
    """A dynamics.json of two layers and three steps."""
    total = {"mac": 5e6, "ac": 2e6, "dense": 9e6, "neuron_operations": 3e5, "normalisation": 1e5, "effective": 4e6}
    energy = {"operations_nj": 25_600.0, "with_memory_nj": 68_700.0, "with_memory_reused_nj": 44_100.0, "state_nj": 1.0}
    rates = [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]
    return {
        "status": "ok",
        "reason": "",
        "spikes": {"layers": [{"rate_by_step": rate, "dead": 0.25, "saturated": 0.0} for rate in rates]},
        "operations": {"total": total},
        "energy": {"float32": energy, "int8": {name: value / 10 for name, value in energy.items()}},
        "lags": {
            "start": [layer(1, 0.5, 0.02, 2.0), layer(2, None, 0.0, None)],
            "trained": [layer(1, 0.4, 0.01, "inf"), layer(2, 0.6, 0.03, 7.0)],
        },
        **more,
    }


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder as the root of a project."""
    monkeypatch.chdir(tmp_path)


def keyed(content: dict[str, Any]) -> Cell:
    """A cell whose dynamics.json has this content, and whose training it looked at is there."""
    settings: Any = None  # a result is read without them
    cell, inputs = Cell("smoke", "moving_mnist", "own", {}, settings), {"neuron": "own", "neuron.params": "{}"}
    looked = {**inputs, "train": hashed(inputs)}
    write_json(cell.results / "accuracy.json", {"key": hashed(inputs), "inputs": inputs})
    write_json(cell.results / "dynamics.json", {"key": hashed(looked), "inputs": looked, **content})
    return cell


def rows_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    return collect._dynamics(keyed(content), "own")


def test_every_number_of_dynamics_becomes_a_row_of_seed_0() -> None:
    rows = rows_of(look())
    assert {(row["group"], row["seed"], row["status"]) for row in rows} == {("own", 0, "ok")}
    energies = {"operations_nj": 25_600.0, "with_memory_nj": 68_700.0, "with_memory_reused_nj": 44_100.0}
    wanted = {"mac": 5e6, "ac": 2e6, "dense": 9e6, "neuron_operations": 3e5, "normalisation": 1e5}
    wanted |= {f"energy_{name}": value for name, value in energies.items()}
    wanted |= {f"energy_{name}@int8": value / 10 for name, value in energies.items()}
    wanted |= {"dead@1": 0.25, "dead@2": 0.25, "saturated@1": 0.0, "saturated@2": 0.0}
    wanted |= {"firing_rate@1.1": 0.1, "firing_rate@1.2": 0.2, "firing_rate@1.3": 0.3}
    wanted |= {"firing_rate@2.1": 0.4, "firing_rate@2.2": 0.5, "firing_rate@2.3": 0.6}
    wanted |= {"gradient_factor_start@1": 0.5, "memory_start@1": 0.02, "membrane_rms_start@1": 2.0}
    wanted |= {"memory_start@2": 0.0}  # no gradient, no membrane: no row
    wanted |= {"gradient_factor_trained@1": 0.4, "memory_trained@1": 0.01, "membrane_rms_trained@1": math.inf}
    wanted |= {"gradient_factor_trained@2": 0.6, "memory_trained@2": 0.03, "membrane_rms_trained@2": 7.0}
    assert {row["metric"]: row["value"] for row in rows} == wanted


def test_what_does_not_spike_and_what_ended_badly() -> None:
    artificial = {name: part for name, part in look().items() if name != "spikes"}
    assert not [row for row in rows_of(artificial) if "rate" in row["metric"] or "dead" in row["metric"]]
    (row,) = rows_of({"status": "unsupported", "reason": "an operation that is not counted"})
    assert (row["status"], row["seed"], row["metric"]) == ("unsupported (an operation that is not counted)", None, None)


# What stands in the tidy table: neuron -> (group, mse of seed 0, trained factors, trained memories, energies in nJ)
TABLE: dict[str, tuple[str, float, list[float], list[float], list[float]]] = {
    "lif": ("paper", 5.0, [0.4, 0.5], [0.1, 0.2], [20_000.0, 60_000.0]),
    "plif": ("paper", 4.0, [0.5, 0.5], [0.1, 0.3], [25_000.0, 90_000.0]),
    "glif": ("paper", 3.0, [0.6, 0.6], [0.2, 0.1], [25_000.0, 90_000.0]),
    "stc_lif": ("stc", 1.0, [0.9, 1.1], [0.3, 0.25], [40_000.0, 120_000.0]),
    "norse_lif": ("norse", 2.0, [0.7, 0.7], [0.0, 0.0], [25_000.0, 90_000.0]),
    "convlstm": ("artificial", 0.5, [0.2, 0.2], [0.0, 0.0], [400_000.0, 600_000.0]),
}


def tidy(changed: dict[str, Any] | None = None, dataset: str = "d") -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for neuron, (group, mse, factors, memories, energies) in {**TABLE, **(changed or {})}.items():
        cell = {"profile": "p", "dataset": dataset, "neuron": neuron, "group": group, "seed": 0, "status": "ok"}
        values = {"mse": mse, "mac": 5.328e6, "neuron_operations": 221_184.0}
        for metric, by_layer in (("gradient_factor_trained", factors), ("memory_trained", memories)):
            values |= {f"{metric}@{i}": value for i, value in enumerate(by_layer, start=1)}
        values |= dict(zip(("energy_operations_nj", "energy_with_memory_nj"), energies, strict=True))
        rows += [{**cell, "metric": metric, "value": value} for metric, value in values.items()]
        costs = {"train_step_ms": 57.84, "train_step_iqr_ms": 2.06, "train_step_noisy": float(neuron == "plif")}
        rows += [{**cell, "seed": None, "metric": metric, "value": value} for metric, value in costs.items()]
    return pd.DataFrame(rows, columns=collect.COLUMNS).astype({"seed": "Int64"})


def row_of(table: pd.DataFrame, title: str, neuron: str) -> dict[str, str]:
    (found,) = [each for each in tables(summarise(table, "d"), {}) if each.title == title]
    (cells,) = [cells for line, cells in found.rows if line.neuron == neuron]
    return dict(zip(found.headings, (cell.text for cell in cells), strict=True))


def test_operations_and_energy_in_their_units() -> None:
    assert row_of(tidy(), "Spikes, operations and energy", "lif") == {
        "MAC, M": "5.33",
        "neuron operations, M": "0.22",
        "operations alone, µJ": "20.0",
        "with memory, µJ": "60.0",
    }
    assert row_of(tidy(), "Spikes, operations and energy", "convlstm")["with memory, µJ"] == "600.0"


def test_a_noisy_time_is_marked() -> None:
    assert row_of(tidy(), "What it costs", "plif")["train step, ms"] == "≈ 57.8 (2.1)"
    assert row_of(tidy(), "What it costs", "lif")["train step, ms"] == "57.8 (2.1)"
    assert latex("≈ 5 µJ") == r"$\approx$ 5 $\mu$J"


def test_a_look_that_failed_takes_no_rank_away() -> None:
    bad = {"profile": "p", "dataset": "d", "neuron": "stc_lif", "group": "stc", "status": "failed (not counted)"}
    table = pd.concat([tidy(), pd.DataFrame([bad], columns=collect.COLUMNS)], ignore_index=True)
    (line,) = [line for line in summarise(table, "d") if line.neuron == "stc_lif"]
    assert (line.status, line.entries["mse"].rank) == ("failed (not counted)", 1)


def test_energy_in_words() -> None:
    """400 / 20 and 600 / 60 for LIF, 400 / 40 and 600 / 120 for STC-LIF."""
    (said,) = claims.energy(summarise(tidy(), "d"))
    assert "LIF 20.0 times by operations alone and 10.0 times with memory" in said
    assert "STC-LIF 10.0 times by operations alone and 5.0 times with memory" in said
    table = tidy()
    assert claims.energy(summarise(table[table["neuron"] != "convlstm"], "d")) == []


@pytest.mark.parametrize(
    ("factors", "verdict"),
    [
        ([0.61, 0.61], "supported on every dataset (1)"),
        ([0.61, 0.6], "undecided on every dataset (1)"),  # equal is not above
        ([0.55, 0.55], "not supported on every dataset (1)"),  # above LIF and PLIF, not above GLIF
    ],
)
def test_the_claim_is_decided_layer_by_layer_against_each(factors: list[float], verdict: str) -> None:
    gradient, memory, rule = claims.reach(tidy({"stc_lif": ("stc", 1.0, factors, [0.3, 0.25], [1.0, 1.0])}))
    assert f"It is {verdict}." in gradient
    assert "by 0.4 to 0.6 in LIF, PLIF and GLIF" in gradient
    assert "It is undecided on every dataset (1)." in memory  # .3 above all, .25 below PLIF's .3
    assert "by 0.25 to 0.3 (relative to their number) in STC-LIF and by 0.1 to 0.3 in the three" in memory
    assert "seed 0 alone" in rule


def test_the_claim_names_the_datasets_that_differ() -> None:
    below = ("stc", 1.0, [0.1, 0.1], [0.3, 0.25], [1.0, 1.0])
    said = claims.reach(pd.concat([tidy(), tidy({"stc_lif": below}, "e")], ignore_index=True))
    assert "It is supported on d; not supported on e." in said[0]
    table = tidy()
    assert claims.reach(table[table["neuron"] != "glif"]) == []


def test_rank_correlation_of_factor_and_error() -> None:
    """The five spiking neurons: the greater the factor, the less the error; ConvLSTM, off the line, does not count."""
    (said,) = claims.accuracy(tidy())
    assert said.startswith("A greater factor goes with a lower error on 1 of 1 datasets")
    assert "d -1.00 (p below 0.001, 5 neurons)" in said
    # ranks of the factor 1 2 3 5 4, of the error now 1 4 3 5 2: 1 - 6 sum d^2 / (n (n^2 - 1))
    other = {name: (TABLE[name][0], mse, *TABLE[name][2:]) for name, mse in (("lif", 1.0), ("stc_lif", 5.0))}
    distance = (1 - 1) ** 2 + (2 - 4) ** 2 + (3 - 3) ** 2 + (5 - 5) ** 2 + (4 - 2) ** 2
    (said,) = claims.accuracy(tidy(other))
    assert f"d {1 - 6 * distance / (5 * 24):+.2f} (p " in said
    assert said.startswith("By itself a gradient that does not vanish predicts no accuracy")
    table = tidy()
    assert claims.accuracy(table[table["neuron"] != "lif"]) == []  # four are too few


def test_the_panel_of_reach_has_every_layer_and_every_reason() -> None:
    bad = {"profile": "p", "dataset": "d", "neuron": "bad", "group": "own", "status": "failed (why)"}
    table = pd.concat([tidy(), pd.DataFrame([bad], columns=collect.COLUMNS)], ignore_index=True)
    (panel,) = panels.reach(summarise(table, "d"), table)
    rows = {row[0]: row for row in panel.rows}
    assert all(len(row) == len(panel.headings) for row in panel.rows)
    assert rows["stc_lif"][1:5] == ["– / –", "0.9 / 1.1", "– / –", "0.3 / 0.25"]
    assert rows["bad"][1:] == ["failed (why)", *["–"] * 7]
    without = table[~table["metric"].str.contains("@", na=False)]
    assert panels.reach(summarise(without, "d"), without) == []


FACTORS = {"temporal": {"histogram": [0.25] * 4}, "spatial": None}
FOUND: dynamics.Found = {
    "lif": look(),
    "stc_lif": look(
        lags={when: [layer(i, 1.0, 0.5, 2.0, factors=FACTORS) for i in (1, 2)] for when in ("start", "trained")}
    ),
    "norse_lif": look(),
    "convlstm": {name: part for name, part in look().items() if name != "spikes"},
}
PAINTER = Painter(tidy(), list(TABLE), "City flow (synthetic)")


def drawn() -> dict[str, Figure]:
    return {name: figure for name, _, figure in dynamics.figures(PAINTER, FOUND, 2)}


def test_the_figures_say_what_is_synthetic_and_repeat_themselves() -> None:
    first, second = drawn(), drawn()
    assert list(first) == ["dynamics", "rates", "factors"]
    for name, figure in first.items():
        assert figure.get_suptitle().startswith("City flow (synthetic)")
        assert encoded(figure, "svg") == encoded(second[name], "svg")
    assert dynamics.figures(PAINTER, {}, None) == []


def test_the_curves_are_those_of_the_last_layer_with_gaps_where_they_are_0() -> None:
    gradient, memory, membrane, *_ = drawn()["dynamics"].axes  # the row of the paper's neurons: LIF alone
    for axes, curves in (
        (gradient, ([1, 0.5, np.nan], [1, 0.5, np.nan])),
        (memory, ([1, np.nan], [1, 0.03])),
        (membrane, ([], [1, 7])),
    ):
        assert axes.get_yscale() == "log"
        for line, curve in zip(axes.lines, curves, strict=True):  # at the start, trained
            np.testing.assert_array_equal(np.asarray(line.get_ydata(), dtype=float), curve)
        assert [line.get_linestyle() for line in axes.lines] == ["--", "-"]
    np.testing.assert_array_equal(gradient.lines[0].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(memory.lines[0].get_xdata(), [0, 1])


def test_neurons_that_share_a_figure_look_different() -> None:
    rows = dynamics.chosen(PAINTER, FOUND)
    assert list(rows.values()) == [["lif"], ["stc_lif"], ["norse_lif", "convlstm"]]
    keys: list[Any] = drawn()["dynamics"].artists  # the lines beside the names, LIF in each of three rows
    assert len(keys) == 1 + 2 + 3
    assert len({(line.get_color(), line.get_marker()) for line in keys}) == 4
    wanted = {PAINTER.look[name].colour for name in ("lif", "stc_lif", "norse_lif", "convlstm")}
    assert {line.get_color() for line in keys} == wanted


def test_the_map_of_rates_and_the_histogram_show_the_numbers() -> None:
    axes = drawn()["rates"].axes
    for panel, rates in zip(axes, ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), strict=False):
        shown: Any = panel.images[0].get_array()
        np.testing.assert_allclose(shown, np.array([rates] * 3))  # three that spike
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["lif", "stc_lif", "norse_lif"]
    temporal, spatial = drawn()["factors"].axes
    steps: Any = temporal.patches[0]
    np.testing.assert_array_equal(steps.get_data().values, [0.25] * 4)
    assert len(temporal.patches) == 4  # two layers, before and after
    assert not spatial.patches


def test_files_that_are_missing_or_of_a_failed_look_are_left_out(tmp_path: Path) -> None:
    write_json(tmp_path / "lif/dynamics.json", look())
    write_json(tmp_path / "plif/dynamics.json", {"status": "failed", "reason": "why"})
    assert list(dynamics.read(tmp_path, ["lif", "plif", "glif"])) == ["lif"]


def test_a_missing_look_is_an_error_or_a_row_that_says_so() -> None:
    names, cell = {"neuron": "lif", "group": "paper"}, keyed({})
    (cell.results / "dynamics.json").unlink()
    with pytest.raises(ResultsError, match=r"dynamics\.json: not there yet; run `dvc repro`"):
        collect._guarded(names, False, collect._dynamics, cell, "paper")
    (row,) = collect._guarded(names, True, collect._dynamics, cell, "paper")
    assert row["status"].endswith("dynamics.json: not there yet; run `dvc repro`)")
    table = tidy()
    table = table[(table["neuron"] != "lif") | (table["metric"] == "mse")]
    missing = pd.DataFrame([{"dataset": "d", **row}], columns=collect.COLUMNS)
    table = pd.concat([table, missing], ignore_index=True)
    assert set(row_of(table, "Spikes, operations and energy", "lif").values()) == {"–"}
    assert row_of(table, "Accuracy", "lif")["MSE ↓"] != "–"
    assert any("lif: failed (" in text for text in findings(summarise(table, "d")))
