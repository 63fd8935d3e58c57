"""The measurement of the benchmarks, on clocks that are made up; what they time runs with the other tests."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from benchmarks import compare
from benchmarks.speed import bench_launch, pairs


class Clock:
    """Goes forward by what the calls say they take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: Any) -> Any:
        """A call that takes `seconds`, a number or a function of the time."""

        def call() -> None:
            self.now += seconds(self.now) if callable(seconds) else seconds

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pairs, "clock", made)
    return made


def test_a_steady_drift_drops_out_of_the_ratios() -> None:
    """A machine that slows down from call to call: reference 1, own 3 x 1.1, reference 1.2, own 3 x 1.3, and 1.4."""
    assert np.allclose(pairs.ratios([3.3, 3.9], [1.0, 1.2, 1.4]), [3.0, 3.0], rtol=1e-12)


def test_the_summary_is_median_and_quartiles_for_one_unit_of_work() -> None:
    """Ratios 2, 4, 6, 8, 10: median 6, quartiles 4 and 8; a twentieth of it where twenty times as much is done."""
    own, reference = [2.0, 4.0, 6.0, 8.0, 10.0], [1.0] * 6
    assert pairs.summary(own, reference) == {"ratio": 6.0, "quartiles": [4.0, 8.0]}
    assert pairs.summary(own, reference, amount=20.0) == {"ratio": 0.3, "quartiles": [0.2, 0.4]}


@pytest.mark.parametrize(("pair", "rounds"), [(0.01, 50), (0.0001, pairs.MOST), (0.0, pairs.MOST), (3.0, pairs.FEWEST)])
def test_rounds_fill_the_time_within_bounds(clock: Clock, pair: float, rounds: int) -> None:
    """Half a second holds 50 pairs of 10 ms."""
    assert pairs.warm_up(clock.taking(pair / 4), clock.taking(3 * pair / 4)) == pytest.approx(rounds, abs=1)


MADE_UP = """
import pytest

from benchmarks.speed import conftest, pairs


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


clock = pairs.clock = conftest.clock = Clock()
calls = []


def taking(seconds, name):
    def call():
        calls.append(name)
        clock.now += seconds * (1 + clock.now)  # the machine slows down for ever
        return name

    return call


@pytest.mark.parametrize("times", [3, 0.5])
def test_it(in_turn, times):
    calls.clear()
    assert in_turn("made up", taking(times * 1e-4, "own"), taking(1e-4, "other"), "the other", amount=2) == "own"
    assert calls == ["other", "own"] * (len(calls) // 2) + ["other"]  # each round lies between two of the reference
"""


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with calls whose times are known, and what the suite wrote of them."""
    folder = tmp_path_factory.mktemp("speed")
    (folder / "bench_made_up.py").write_text(MADE_UP)
    timed = ["--benchmark-enable", "--benchmark-only", f"--benchmark-json={folder / 'speed.json'}"]
    options = ["-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", "-p", "benchmarks.speed.conftest"]
    command = [sys.executable, "-m", "pytest", *options, *timed, str(folder / "bench_made_up.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (folder / "said").write_text(done.stdout)
    return folder


def test_known_ratios_are_found_and_written(made_up: Path) -> None:
    """3 and 1/2 times the reference for twice the work are 1.5 and 0.25; the file is one that can be compared."""
    found = compare.read(made_up / "speed.json").ratios()
    assert {name.rpartition("::")[2]: ratio.ratio for name, ratio in found.items()} == {
        "test_it[3] / the other": pytest.approx(1.5, rel=1e-3),
        "test_it[0.5] / the other": pytest.approx(0.25, rel=1e-3),
    }
    for ratio in found.values():
        assert ratio.quartiles == pytest.approx((ratio.ratio, ratio.ratio), rel=1e-2)


def test_the_file_is_small_and_names_no_host(made_up: Path) -> None:
    written = json.loads((made_up / "speed.json").read_text())
    assert set(written["machine_info"]) >= {"device", "threads", "cores", "versions", "revision"}
    assert not {"node", "processor"} & set(written["machine_info"])
    for benchmark in written["benchmarks"]:
        assert set(benchmark) == {"group", "name", "fullname", "extra_info", "stats"}
        assert set(benchmark["stats"]) == {"median", "iqr", "rounds"}
        assert benchmark["stats"]["rounds"] == pairs.MOST
        assert benchmark["name"] in {"test_it[3]", "test_it[0.5]"}


def test_the_ratio_stands_in_the_row(made_up: Path) -> None:
    assert "test_it[0.5] 0.25 x the other" in (made_up / "said").read_text()


def test_where_nothing_is_timed_each_is_called_once(benchmark: Any) -> None:
    calls: list[str] = []
    benchmark.disabled = True
    measured = pairs.InTurn(benchmark)
    measured("made up", lambda: calls.append("own"), lambda: calls.append("other"), "the other")
    assert calls == ["other", "own"]
    assert not benchmark.extra_info


def test_a_ratio_taken_once_is_compared_like_the_others() -> None:
    benchmark = SimpleNamespace(extra_info={}, stats=SimpleNamespace(name="test_it"))
    bench_launch.note(benchmark, 1.23456, "one by one")
    found = compare.Ratio.model_validate(benchmark.extra_info)
    assert (found.reference, found.ratio, found.quartiles) == ("one by one", 1.2346, (1.2346, 1.2346))


def test_the_official_run_is_one_that_is_compared() -> None:
    found = compare.read(ROOT / "results" / "speed.json").ratios()
    folders = {name.partition("::")[0] for name in found}
    assert folders == {f"benchmarks/speed/{path.name}" for path in (ROOT / "benchmarks" / "speed").glob("bench_*.py")}
