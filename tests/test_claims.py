"""What is said of the three claims: made-up tables whose verdict is known by construction."""

import pandas as pd
import pytest
from test_lift import LIF, TABLE, Errors, results

from benchmarks.report import claims, lift, verdicts
from benchmarks.report.collect import COLUMNS


def rivals(stc: float, seeds: int = 3, **others: float) -> Errors:
    """Errors that are the same in every seed, so that each interval is its mean."""
    return {name: [value] * seeds for name, value in {"stc_lif": stc, **others}.items()}


BEATS = rivals(10, lif=12, plif=12, glif=10)  # two of three above, one equal
BEATEN = rivals(10, lif=12, plif=12, glif=9)
HALF = rivals(10, lif=12, plif=10)
FEW = rivals(10, seeds=2, lif=12, plif=12)


@pytest.mark.parametrize(
    ("of_datasets", "wanted", "each"),
    [
        ([BEATS, BEATS, HALF], "supported", ["supported", "supported", "undecided"]),
        ([BEATS, BEATS, BEATEN], "supported", ["supported", "supported", "not supported"]),
        ([BEATS, BEATS, BEATEN, BEATEN], "undecided", ["supported"] * 2 + ["not supported"] * 2),
        ([BEATS, FEW], "undecided", ["supported", "undecided"]),  # one is not several
        ([BEATS, BEATS, FEW], "supported", ["supported", "supported", "undecided"]),
        ([BEATEN, BEATEN], "not supported", ["not supported"] * 2),
        ([BEATEN, FEW], "not supported", ["not supported", "undecided"]),
        ([BEATEN, HALF], "undecided", ["not supported", "undecided"]),
        ([FEW, FEW], "undecided", ["undecided"] * 2),
        ([HALF, HALF], "undecided", ["undecided"] * 2),
        ([], "undecided", []),
        ([{"lif": LIF}], "undecided", ["undecided"]),
    ],
)
def test_the_verdict_on_the_other_neurons(of_datasets: list[Errors], wanted: str, each: list[str]) -> None:
    verdict = verdicts.superiority(results({f"d{i}": errors for i, errors in enumerate(of_datasets)}))
    assert verdict.verdict == wanted
    assert list(verdict.datasets.values()) == each
    enough = sum(len(errors.get("stc_lif", [])) >= 3 for errors in of_datasets)
    first = f"On these data at this budget: {wanted}, by the {enough} of {len(each)} datasets with 3 seeds or more."
    assert verdict.words[0] == first


def test_the_words_on_the_other_neurons() -> None:
    said = verdicts.superiority(results({"d": BEATEN, "e": FEW})).words
    assert said[1] == (
        "d, not supported: lower error than 2 of 3 rivals, higher than 1 (glif), 0 not told apart;"
        " STC-LIF's MSE - that of glif, the best of them: +1 [+1, +1]."
    )
    assert said[2] == (
        "e, undecided: fewer than 3 seeds, so no interval and no verdict; 2 of 2 rivals have the higher mean error;"
        " STC-LIF's MSE - that of lif, the best of them: −2."
    )


def test_what_is_no_rival() -> None:
    """An artificial, a trivial, a weighted network, a control, another circuit: all far better, and none counts."""
    others = ("convlstm", "black", "snntorch_rleaky_conv", "lif-wide", "norse_lif-wide", "stc_glif", "stc_lif-temporal")
    errors = {**BEATS, **{name: [1.0] * 3 for name in others}}
    verdict = verdicts.superiority(results({"d": errors, "e": errors}))
    assert verdict.verdict == "supported"
    assert "lower error than 2 of 3 rivals" in verdict.words[1]


def with_diverged(errors: Errors, seeds: list[int]) -> pd.DataFrame:
    """The same on two datasets, where these seeds of STC-LIF diverged."""
    table = results({"d": errors, "e": errors})
    bad = [
        {"dataset": dataset, "neuron": "stc_lif", "group": "stc", "seed": seed, "status": "diverged (loss is nan)"}
        for dataset in ("d", "e")
        for seed in seeds
    ]
    gone = (table["neuron"] == "stc_lif") & table["seed"].isin(seeds)
    return pd.concat([table[~gone], pd.DataFrame(bad, columns=COLUMNS)], ignore_index=True).astype({"seed": "Int64"})


def test_seeds_that_diverged_are_not_forgotten() -> None:
    five = rivals(10, seeds=5, lif=12, plif=12, glif=12)
    assert verdicts.superiority(results({"d": five, "e": five})).verdict == "supported"
    some = verdicts.superiority(with_diverged(five, [4]))
    assert some.verdict == "undecided"
    assert "1 of its seeds diverged" in some.words[1]
    every = verdicts.superiority(with_diverged(five, [0, 1, 2, 3, 4]))
    assert every.verdict == "not supported"
    assert "all 5 seeds of STC-LIF diverged" in every.words[1]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_error_that_is_no_number_is_as_good_as_diverged(bad: float) -> None:
    errors = {**rivals(10, seeds=5, lif=12), "stc_lif": [10.0, 10.0, 10.0, 10.0, bad]}
    verdict = verdicts.superiority(results({"d": errors, "e": errors}))
    assert verdict.verdict == "undecided"
    assert "1 of its seeds diverged" in verdict.words[1]


def improved(table: pd.DataFrame) -> verdicts.Verdict:
    return verdicts.improvement(lift.lifts(table), lift.left_out(table))


def circuit(seeds: int = 3, **percent: float) -> Errors:
    """Twins of these bases, their errors so many per cent off; with a name ending in _wide, a control."""
    errors: Errors = {}
    for name, change in percent.items():
        base = name.removesuffix("_wide")
        errors[base] = [100.0] * seeds
        errors[f"{base}-wide" if name.endswith("_wide") else f"stc_{base}"] = [100.0 + change] * seeds
    return errors


LIFTS = circuit(lif=-10, glif=-5, lmh=0)
SIZE = circuit(lif=-10, lif_wide=-12, glif=-5, glif_wide=-5, lmh=-4)
MORE = circuit(lif=-10, lif_wide=-8, glif=-5, glif_wide=+2, lmh=0)
SPOILS = circuit(lif=-10, glif=+5, lmh=0)


@pytest.mark.parametrize(
    ("of_datasets", "wanted", "each"),
    [
        ([LIFTS, LIFTS], "supported", ["supported", "supported"]),
        ([MORE, MORE], "supported", ["supported", "supported"]),
        ([SIZE, SIZE], "undecided", ["undecided", "undecided"]),  # lowered, but by no more than size
        ([LIFTS, circuit(seeds=2, lif=-10)], "undecided", ["supported", "undecided"]),
        ([SPOILS, SPOILS], "not supported", ["not supported", "not supported"]),
        ([SPOILS, LIFTS], "undecided", ["not supported", "supported"]),
        ([circuit(lif=-10, glif=-5, lmh=-3, norse_lif=+1)] * 2, "undecided", ["undecided", "undecided"]),
        ([circuit(lif=-10, glif=0)] * 2, "undecided", ["undecided", "undecided"]),  # half are not most
        ([circuit(seeds=1, lif=+10)], "undecided", ["undecided"]),
        ([], "undecided", []),
    ],
)
def test_the_verdict_on_the_circuit(of_datasets: list[Errors], wanted: str, each: list[str]) -> None:
    table = results({f"d{i}": errors for i, errors in enumerate(of_datasets)})
    verdict = improved(table)
    assert verdict.verdict == wanted
    assert list(verdict.datasets.values()) == each


def test_the_words_on_the_circuit() -> None:
    said = improved(results({"d": SIZE})).words
    assert said[1] == (
        "d, undecided: of 3 neurons the circuit lowers the error of 3 (lif, glif, lmh) and raises that of 0; 2 have a"
        " capacity control, and 2 of the lowered have no lower error than theirs (lif, glif)."
    )
    assert said[2] == (
        "Change of the MSE by the circuit, all datasets and seeds: lif −10.0 % (its control −12.0 %);"
        " glif −5.0 % (its control −5.0 %); lmh −4.0 %."
    )
    few = improved(results({"d": circuit(seeds=2, lif=-10, glif=5)})).words
    assert few[1].endswith("no verdict; the circuit lowers the mean error of 1 of 2 neurons.")


def test_a_circuit_with_other_arguments_is_no_neuron_more() -> None:
    errors = {**LIFTS, "stc_lmh-published": [150.0] * 3}
    assert improved(results({"d": errors, "e": errors})).verdict == "supported"


def looked(factor: float, memory: float, dataset: str = "d") -> pd.DataFrame:
    """Two layers of STC-LIF with these values in both, of three rivals with 0.5 in both; all with the same error."""
    cell = {"dataset": dataset, "group": "paper", "seed": 0, "status": "ok"}
    rows = [
        {**cell, "neuron": name, "metric": metric, "value": value}
        for name in ("stc_lif", *claims.RIVALS)
        for what, of in ((claims.FACTOR, factor), (claims.MEMORY, memory))
        for metric, value in ((f"{what}@{layer}", of if name == "stc_lif" else 0.5) for layer in (1, 2))
    ]
    rows += [{**cell, "neuron": name, "metric": "mse", "value": 1.0} for name in ("stc_lif", *claims.RIVALS)]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize(
    ("values", "wanted", "each"),
    [
        ([(0.9, 0.9), (0.8, 0.7)], "supported", ["supported", "supported"]),
        ([(0.1, 0.1)], "not supported", ["not supported"]),
        ([(0.9, 0.1)], "undecided", ["undecided"]),
        ([(0.9, 0.9), (0.1, 0.1)], "undecided", ["supported", "not supported"]),
        ([], "undecided", []),
    ],
)
def test_the_verdict_on_reach(values: list[tuple[float, float]], wanted: str, each: list[str]) -> None:
    tables = [looked(*pair, dataset=f"d{i}") for i, pair in enumerate(values)] or [results(TABLE)]
    table = pd.concat(tables, ignore_index=True)
    verdict = claims.far(table)
    assert (verdict.verdict, list(verdict.datasets.values())) == (wanted, each)
    assert set(claims.reach(table)) <= set(verdict.words)


def test_all_three_claims_have_a_verdict_whatever_is_missing() -> None:
    for table in (results(TABLE), results({}), results({"d": {"convlstm": [1.0]}}), looked(0.9, 0.9)):
        three = claims.verdicts(table, lift.lifts(table), lift.left_out(table))
        assert len(three) == 3
        assert all(one.verdict in ("supported", "not supported", "undecided") for one in three)
        assert all(one.words[0].startswith("On these data at this budget: ") for one in three)


def test_controls_and_ablations_are_no_sample_of_neurons() -> None:
    """Ranks of error and factor: the same words with them as without."""
    names = ("lif", "plif", "glif", "lmh", "stc_lif", "lif-wide", "stc_lif-none")
    rows = results({"d": {name: [float(i)] for i, name in enumerate(names)}})
    factors = rows.assign(metric=f"{claims.FACTOR}@1", value=[0.2, 0.1, 0.3, 0.4, 0.5, 0.01, 0.02])
    table = pd.concat([rows, factors], ignore_index=True)
    few = table[~table["neuron"].isin(["lif-wide", "stc_lif-none"])]
    assert claims.accuracy(table) == claims.accuracy(few) != []
