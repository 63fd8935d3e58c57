"""Which cells of a rerun are called identical, within tolerance, different, missing and not comparable, and why."""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clones import MACHINE, MSE, Place, seed
from scipy.stats import ttest_ind

from benchmarks._certificate import AMBER, RED
from benchmarks._verdicts import Metric, relative


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, capsys, monkeypatch)


def test_means_within_the_spread_of_the_seeds(place: Place) -> None:
    """100 and 102 against 101 and 103: variances 2 and 2, so t(0.975, 2) = 4.3027 times sqrt(2) times sqrt(2 / 2)."""
    place.committed.cell("lif", [100.0, 102.0])
    place.rerun.cell("lif", [101.0, 103.0])
    status, cells = place.judged()
    assert (status, cells["lif"]["verdict"]) == (0, "within tolerance")
    mse = cells["lif"]["metrics"]["mse"]
    assert mse["seeds"] == {"0": [100.0, 101.0], "1": [102.0, 103.0]}
    assert mse["means"] == [101.0, 102.0]
    assert mse["difference"] == pytest.approx(1 / 101, rel=1e-5)
    assert mse["farthest"] == pytest.approx(1 / 100)
    assert mse["tolerance"] == pytest.approx(4.302653 * math.sqrt(2) / 101, rel=1e-5)
    assert cells["lif"]["metrics"]["ssim"]["tolerance"] == 0.01
    assert AMBER in Path("results/quick/certificate/badge.svg").read_text()


@pytest.mark.parametrize(
    ("rerun", "verdict"), [(20.19, "within tolerance"), (20.21, "different"), (19.79, "different")]
)
def test_one_per_cent_is_the_least_tolerance(place: Place, rerun: float, verdict: str) -> None:
    place.rerun.cell("plif", [rerun, rerun])
    status, cells = place.judged()
    assert (status, cells["plif"]["verdict"]) == (int(verdict == "different"), verdict)
    assert ("mse: means" in cells["plif"]["why"]) == (verdict == "different")


def test_a_spoilt_seed_does_not_excuse_itself(place: Place) -> None:
    """Its own distance widens the interval: half of that is 4.3 times the distance of the means, whatever it is."""
    place.committed.cell("lif", [10.0, 10.0])
    place.rerun.cell("lif", [10.0, 14.1])
    status, cells = place.judged()
    assert (status, cells["lif"]["verdict"]) == (1, "different")
    assert cells["lif"]["why"] == "mse: means +20.50 % apart, 20.00 % allowed"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_tolerance_is_that_of_a_t_test(count: int, random: np.random.Generator) -> None:
    for _ in range(20):
        one, other = random.normal(5, 0.2, count), random.normal(5.3, 0.2, count)
        metric = Metric("mse", {i: (float(a), float(b)) for i, (a, b) in enumerate(zip(one, other, strict=True))})
        interval = ttest_ind(other, one, equal_var=True).confidence_interval(0.95)
        half = (interval.high - interval.low) / 2
        assert metric.tolerance == pytest.approx(min(max(0.01, half / abs(one.mean())), 0.2))
        assert metric.difference == pytest.approx((other.mean() - one.mean()) / one.mean())
        if 0.01 < half / abs(one.mean()) < 0.2:
            assert metric.within == (interval.low <= 0 <= interval.high)


def test_numbers_that_are_none() -> None:
    assert relative(math.inf, math.inf) == relative(math.nan, math.nan) == relative(0.0, 0.0) == 0
    assert relative(0.0, 1e-9) == relative(math.inf, 20.0) == math.inf
    for pair in ((10.0, math.nan), (10.0, math.inf), (math.inf, 10.0), (math.nan, 10.0)):
        assert not Metric("psnr", {0: pair, 1: (10.0, 10.0)}).within
    assert Metric("psnr", {0: (math.inf, math.inf), 1: (10.0, 10.0)}).within
    assert Metric("mse", {0: (10.0, 10.05)}).tolerance == 0.01  # one seed has no spread


def test_words_are_not_numbers(place: Place) -> None:
    ended = [{"seed": 0, "status": "diverged", "reason": "loss nan", "best_step": 0}]
    place.committed.cell("lif", [], seeds=ended, note="one")
    place.rerun.cell("lif", [], seeds=[{**ended[0], "reason": "loss is nan"}], note="two")
    assert place.judged()[1]["lif"]["verdict"] == "identical"
    place.rerun.cell("lif", [], seeds=[{**ended[0], "best_step": 2}])
    assert place.judged()[1]["lif"]["verdict"] == "within tolerance"  # it ended so in both, and no metric says more


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "status": (
        {"seeds": [seed(0, 10.0), {"seed": 1, "status": "diverged", "reason": "a|<b>"}]},
        "seed 1: ok, rerun div",
    ),
    "parameters": ({"parameters": {"network": 8}}, 'parameters: {"network": 9}, rerun {"network": 8}'),
    "params": ({"params": {"gain": 1}}, 'params: {}, rerun {"gain": 1}'),
    "firing": ({"seeds": [seed(0, 10.0, sparsity=0.5), seed(1, 12.0, sparsity=0.5)]}, "firing_rate: means +400.00 %"),
    "metric gone": ({"seeds": [seed(0, 10.0, sparsity=None), seed(1, 12.0)]}, "firing_rate: means +nan %"),
}


@pytest.mark.parametrize(("content", "why"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_is_different(place: Place, content: dict[str, Any], why: str) -> None:
    place.rerun.cell("lif", MSE["lif"], **content)
    status, cells = place.judged()
    assert (status, cells["lif"]["verdict"], cells["plif"]["verdict"]) == (1, "different", "identical")
    assert why in cells["lif"]["why"]
    assert RED in Path("results/quick/certificate/badge.svg").read_text()


def test_what_is_missing(place: Place) -> None:
    place.rerun.cell("lif", [10.0])
    shutil.rmtree(place.rerun.dataset / "plif")
    place.params["neurons"]["glif"] = {}
    place.save()
    status, cells = place.judged()
    assert status == 1
    assert {name: (cell["verdict"], cell["why"]) for name, cell in cells.items()} == {
        "lif": ("missing", "not in the rerun: seed 1"),
        "plif": ("missing", "not in the rerun"),
        "glif": ("missing", "not in the committed results"),
    }
    assert "0/3: 3 missing" in Path("results/quick/certificate/badge.svg").read_text()


OTHERS: dict[str, tuple[dict[str, str], str]] = {
    "code": ({"benchmarks/network.py": "two"}, "benchmarks/network.py"),
    "a setting": ({"training.steps": "5"}, "training.steps"),
    "one setting more": ({"network.compile": "true"}, "network.compile"),
    "data": ({"data.train": "two"}, "data.train"),
    "arguments": ({"neuron.params": '{"gain": 1}'}, "neuron.params"),
    "much": (
        {f"neurons/{name}.py": name for name in "abcdef"},
        ", ".join(f"neurons/{name}.py" for name in "abcd") + " and 2 more",
    ),
}


@pytest.mark.parametrize(("others", "named"), OTHERS.values(), ids=OTHERS)
def test_what_was_made_from_something_else_is_not_comparable(place: Place, others: dict[str, str], named: str) -> None:
    """Though its numbers be the same: by chance, or since the edit was of no account."""
    place.rerun.cell("lif", MSE["lif"], others)
    status, cells = place.judged()
    assert (status, cells["lif"]["verdict"], cells["plif"]["verdict"]) == (1, "not comparable", "identical")
    assert cells["lif"]["why"] == f"made from another {named}"
    assert cells["lif"]["metrics"] == {}
    badge = Path("results/quick/certificate/badge.svg").read_text()
    assert "1/2: 1 identical, 1 not comparable" in badge
    assert RED in badge


def test_more_seeds_than_were_committed_do_not_matter(place: Place) -> None:
    place.rerun.cell("lif", [*MSE["lif"], 99.0])
    assert place.judged()[1]["lif"]["verdict"] == "identical"


def test_what_may_explain_it(place: Place) -> None:
    versions = {"torch": "3", "numpy": "1"}
    place.rerun.write("lif", "run.json", {"seconds": 1, **MACHINE, "device": "GPU", "versions": versions})
    (place.rerun.dataset / "plif" / "run.json").unlink()
    _, cells = place.judged()
    assert cells["lif"]["environment"] == {
        "device": ["CPU (one)", "GPU"],
        "torch": ["2", "3"],
    }
    assert cells["plif"]["environment"]["environment"] == ["", "unknown"]
    page = Path("results/quick/certificate/certificate.md").read_text()
    assert "- device: CPU (one), rerun GPU (1 cell)\n" in page


def test_what_only_a_newer_file_says_explains_nothing(place: Place) -> None:
    newer = {"memory_gib": 8, "determinism": {"cudnn_benchmark": False, "PYTHONHASHSEED": None}}
    place.rerun.write("lif", "run.json", {"seconds": 1, **MACHINE, **newer})
    assert place.judged()[1]["lif"]["environment"] == {}
    place.committed.write("lif", "run.json", {"seconds": 1, **MACHINE, **newer, "memory_gib": 16})
    assert place.judged()[1]["lif"]["environment"] == {"memory_gib": [16, 8]}
    other = {**newer, "determinism": {"cudnn_benchmark": True, "PYTHONHASHSEED": "0"}}
    place.committed.write("lif", "run.json", {"seconds": 1, **MACHINE, **other})
    assert place.judged()[1]["lif"]["environment"] == {
        "cudnn_benchmark": [True, False],
        "PYTHONHASHSEED": ["0", None],
    }


def test_times_are_shown_and_not_judged(place: Place) -> None:
    for clone, ratio in ((place.committed, 1.5), (place.rerun, 3.25)):
        clone.write("lif", "cost.json", {"time": {"train_step": {"ratio_to_lif": ratio}}})
    status, cells = place.judged()
    assert (status, cells["lif"]["verdict"]) == (0, "identical")
    assert cells["lif"]["time_to_lif"] == {"train_step": [1.5, 3.25]}
    assert "| moving\\_mnist | lif | 1.5 / 3.25 |" in Path("results/quick/certificate/certificate.md").read_text()


def test_where_the_curves_part(place: Place) -> None:
    curves = place.rerun.dataset / "lif" / "curves.csv"
    curves.write_text(curves.read_text().replace("1,2,nan,nan,12.0", "1,2,nan,nan,12.5"))
    (place.rerun.dataset / "plif" / "curves.csv").unlink()
    cells = place.judged()[1]
    assert (cells["lif"]["curves"], cells["plif"]["curves"]) == ("part by step 2 (seed 1)", "")
