"""What verdicts, claims and sentences say where a neuron lacks seeds or lost one: they leave it out, and name it.

The tables are those of test_report_standing.py; each neuron left out would be the best by far, or the worst.
"""

import pandas as pd
import pytest
from test_lift import TABLE, results
from test_report_standing import ERRORS, Change, each_kind, lacking, losing, tidy

from benchmarks.report import ablations, claims, lift, panels, verdicts
from benchmarks.report.findings import findings
from benchmarks.report.standing import standings
from benchmarks.report.summary import summarise


@each_kind
def test_no_sentence_counts_it_and_each_says_why(table: pd.DataFrame, n: str, why: str) -> None:
    said = findings(summarise(table, "d"))
    but = f"excluded: glif ({why})."
    assert said[1].startswith("Against the 2 other cells without circuit STC-LIF has the lower error 2 times,")
    assert said[1].endswith(but)
    (trivial,) = [text for text in said if "trivial predictor" in text]
    assert trivial == f"Every trained spiking neuron beats the best trivial predictor (black, MSE 20); {but}"
    verdict = verdicts.superiority(table)
    assert verdict.words[1] == (
        "d, supported: lower error than 3 of 3 rivals, higher than 0, 0 not told apart; STC-LIF's MSE - that of lif,"
        f" the best of them: −2 [−2, −2]; {but}"
    )


@pytest.mark.parametrize("neuron", ["norse_lif", "stc_norse_lif"])
@pytest.mark.parametrize("change", [lacking, losing])
def test_the_lift_leaves_out_a_twin_or_base_that_is_not_whole(neuron: str, change: Change) -> None:
    table = change(tidy(), neuron)
    (out,) = lift.left_out(table)
    assert (out.twin, out.dataset, out.neuron) == ("stc_norse_lif", "d", neuron)
    assert out.fault == standings(table, "d")[neuron].fault
    found = lift.lifts(table)
    assert [one.twin for one in found] == ["stc_lif"]
    each, over_all = lift.panels(found, [out])
    for panel in (each, over_all):
        assert [row[1] for row in panel.rows] == ["stc_lif"]
        assert panel.notes[-1] == f"Left out, with what is compared to it: {neuron} on d ({out.fault})."
    verdict = verdicts.improvement(found, [out])
    assert verdict.words[1].startswith("d, supported: of 1 neurons the circuit lowers the error of 1 (lif)")
    assert verdict.words[1].endswith(f"; excluded: {neuron} ({out.fault}).")
    assert not any("In 1 other cells" in text for text in findings(summarise(table, "d")))
    alone = verdicts.improvement([], [out])
    assert (alone.verdict, alone.datasets) == ("undecided", {"d": "undecided"})
    assert lift.panels([], [out])[0].notes[-1].startswith("Left out")


@pytest.mark.parametrize("change", [lacking, losing])
def test_a_control_that_is_not_whole_is_none(change: Change) -> None:
    table = change(results(TABLE), "lif-wide")
    (one,) = lift.lifts(table)
    assert (one.control, one.control_by_seed, one.beyond_control) == (None, (), None)
    assert [(out.twin, out.neuron) for out in lift.left_out(table)] == [("stc_lif", "lif-wide")]


def test_stc_lif_itself() -> None:
    """Its diverged seeds count against it, as ever; where it lacks seeds, nothing is decided."""
    verdict = verdicts.superiority(lacking(tidy(), "stc_lif"))
    assert verdict.datasets == {"d": "undecided"}
    assert verdict.words[0].endswith("by the 0 of 1 datasets with 3 seeds or more.")
    assert verdict.words[1] == "d, undecided: STC-LIF is compared with no rival (incomplete: 1 of 3 seeds)."
    said = findings(summarise(lacking(tidy(), "stc_lif"), "d"))
    assert said[0] == "STC-LIF is compared with no other neuron (incomplete: 1 of 3 seeds)."
    assert not any("without circuit" in text for text in said)
    lost = verdicts.superiority(losing(tidy({name: own for name, own in ERRORS.items() if name != "glif"}), "stc_lif"))
    assert "1 of its seeds diverged" in lost.words[1]
    assert "excluded" not in lost.words[1]


@pytest.mark.parametrize("change", [lacking, losing])
def test_lif_that_is_not_whole_is_held_against_nothing(change: Change) -> None:
    table = change(tidy(), "lif")
    why = standings(table, "d")["lif"].fault
    said = findings(summarise(table, "d"))
    assert said[0] == f"STC-LIF is not compared with LIF, which is not ranked ({why})."
    assert said[1].startswith("Against the 3 other cells without circuit")
    assert f"excluded: lif ({why})." in verdicts.superiority(table).words[1]
    assert "the best of them" in verdicts.superiority(table).words[1]
    assert "that of lif" not in verdicts.superiority(table).words[1]


def test_an_ablation_that_lacks_seeds_has_its_mean_and_no_difference() -> None:
    table = lacking(results(TABLE), "stc_lif-temporal")
    rows = {row[0]: row for row in ablations.ablations(table)[0].rows}
    assert rows["stc_lif-temporal"][3:5] == ["10", "–"]
    assert rows["stc_lif-temporal"][-1] == "1 (incomplete: 1 of 3 seeds)"
    rows = {row[0]: row for row in ablations.ablations(lacking(results(TABLE), "stc_lif"))[0].rows}
    assert {row[4] for row in rows.values()} == {"–"}


def looked(table: pd.DataFrame, values: dict[str, float]) -> pd.DataFrame:
    """The table with what the instruments say of seed 0, the same of gradient and memory, in one layer."""
    cell = table[(table["seed"] == 0) & (table["metric"] == "mse") & table["neuron"].isin(values)]
    own = cell["neuron"].map(values).astype(float)
    more = [cell.assign(metric=f"{metric}@1", value=own) for metric in (claims.FACTOR, claims.MEMORY)]
    return pd.concat([table, *more], ignore_index=True)


@pytest.mark.parametrize("change", [lacking, losing])
def test_the_claim_about_reach_leaves_out_a_rival_that_is_not_whole(change: Change) -> None:
    table = looked(tidy(), {"stc_lif": 0.8, "lif": 0.5, "plif": 0.6, "glif": 0.9})
    assert claims.far(table).verdict == "not supported"
    less = change(table, "glif")
    verdict = claims.far(less)
    assert verdict.verdict == "supported"
    assert f"Excluded on d: glif ({standings(less, 'd')['glif'].fault})." in verdict.words
    nothing = claims.far(lacking(table, "stc_lif"))
    assert (nothing.verdict, nothing.datasets) == ("undecided", {})
    assert "Excluded on d: stc_lif (incomplete: 1 of 3 seeds)." in nothing.words
    assert claims.far(losing(table, "stc_lif", (2,))).datasets == {"d": "not supported"}  # its seed 0 ended well


@each_kind
def test_it_is_in_no_correlation(table: pd.DataFrame, n: str, why: str) -> None:
    """Six neurons whose factors rank as their errors do; glif's, the least error of all, would spoil it."""
    factors = {"lif": 0.3, "stc_lif": 0.1, "plif": 0.9, "norse_lif": 0.5, "stc_norse_lif": 0.5, "glif": 0.95}
    (said,) = claims.accuracy(looked(table, factors))
    assert f"d +1.00 (p below 0.001, 5 neurons; excluded: glif ({why}))" in said


def test_no_energy_is_claimed_of_what_lacks_seeds() -> None:
    energy = dict.fromkeys(("lif", "convlstm"), 10.0)
    errors = {**ERRORS, "convlstm": [1.0, 1.0, 1.0]}
    table = results({"d": errors}, energy_operations_nj=energy, energy_with_memory_nj=energy)
    assert claims.energy(summarise(table, "d"))
    for neuron in ("lif", "convlstm"):
        assert claims.energy(summarise(lacking(table, neuron), "d")) == []


@each_kind
def test_one_against_all_others(table: pd.DataFrame, n: str, why: str) -> None:
    panel = panels.against_all({"d": summarise(table, "d")}, "plif", table)
    (row,) = [dict(zip(panel.headings, row, strict=True)) for row in panel.rows]
    assert (row["rank"], row["best other"]) == ("5 of 5", "stc_lif")
    assert row["against each"] == f"beats 0, loses to 4, 0 undecided; excluded: glif ({why})"
    own = panels.against_all({"d": summarise(table, "d")}, "glif", table)
    (row,) = [dict(zip(own.headings, row, strict=True)) for row in own.rows]
    assert (row["rank"], row["against each"]) == (f"not ranked ({why})", "–")
