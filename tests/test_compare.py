"""Comparing two runs of benchmarks: what counts as slower, what is said, what is refused."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import command, compare

MACHINE = {"device": "CPU (one)", "threads": 1, "versions": {"torch": "2"}, "revision": "abc"}


def entry(name: str, ratio: float, spread: float = 0.02, reference: str = "lif") -> dict[str, Any]:
    """A benchmark as the suite writes it, its quartiles `spread` of the ratio to either side."""
    quartiles = [ratio * (1 - spread), ratio * (1 + spread)]
    found = {"reference": reference, "ratio": ratio, "quartiles": quartiles}
    return {"fullname": name, "group": "step", "extra_info": found, "stats": {"median": 1.0}}


def run_of(*benchmarks: dict[str, Any], machine: dict[str, Any] = MACHINE) -> dict[str, Any]:
    return {"machine_info": machine, "benchmarks": list(benchmarks)}


class Ended:
    """How the command ended: its exit status, its lines, its error."""

    def __init__(self, status: Any, out: str) -> None:
        self.status, self.lines = status, out.splitlines()

    def words(self) -> dict[str, str]:
        """The verdict of each benchmark, by name."""
        rows = [line.split() for line in self.lines]
        return {row[1]: row[0] for row in rows if row and row[0] in compare.VERDICTS}


@pytest.fixture
def comparing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command as a user does, on two files with these contents (text, JSON, or None for no file)."""

    def call(old: Any, new: Any, *options: str) -> Ended:
        for name, content in (("old.json", old), ("new.json", new)):
            if content is not None:
                (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["compare", "old.json", "new.json", *options])
        before = sorted(tmp_path.iterdir())
        try:
            command.run(compare.main)
            status: Any = 0
        except SystemExit as end:
            status = end.code
        assert sorted(tmp_path.iterdir()) == before
        return Ended(status, capsys.readouterr().out)

    return call


def test_each_benchmark_gets_its_word_and_a_regression_the_exit_status(comparing: Any) -> None:
    """By hand, tolerance 0.1: 2 -> 2.4 is slower, 2 -> 2.15 within it, 2.4 -> 2 faster (2.4 > 2.2)."""
    old = run_of(entry("slow", 2.0), entry("like", 2.0), entry("fast", 2.4), entry("left", 1.0))
    new = run_of(entry("slow", 2.4), entry("like", 2.15), entry("fast", 2.0), entry("came", 1.0))
    done = comparing(old, new)
    assert done.words() == {"slow": "regressed", "like": "same", "fast": "improved", "left": "gone", "came": "new"}
    assert done.status == 1
    assert done.lines[1].split() == ["regressed", "slow", "/", "lif", "2", "2.4", "+20.0%"]
    assert done.lines[-1] == "1 regressed, 1 improved, 1 same, 1 new, 1 gone"


def test_what_did_not_change_is_the_same_and_ends_well(comparing: Any) -> None:
    run = run_of(entry("one", 2.0), entry("two", 0.01))
    done = comparing(run, run)
    assert (done.status, set(done.words().values())) == (0, {"same"})


def test_a_change_within_the_noise_is_none(comparing: Any) -> None:
    """2 ± 0.3 and 2.4 ± 0.36 overlap between 2.04 and 2.3; 2 ± 0.1 and 2.4 ± 0.12 do not."""
    assert comparing(run_of(entry("it", 2.0, 0.15)), run_of(entry("it", 2.4, 0.15))).status == 0
    assert comparing(run_of(entry("it", 2.0, 0.05)), run_of(entry("it", 2.4, 0.05))).status == 1


@pytest.mark.parametrize(("tolerance", "status"), [("0", 1), ("0.19", 1), ("0.21", 0)])
def test_the_tolerance_is_the_users(comparing: Any, tolerance: str, status: int) -> None:
    old, new = run_of(entry("it", 2.0)), run_of(entry("it", 2.4))
    assert comparing(old, new, "--tolerance", tolerance).status == status


def test_seconds_do_not_count(comparing: Any) -> None:
    old, new = run_of(entry("it", 2.0)), run_of(entry("it", 2.0))
    new["benchmarks"][0]["stats"]["median"] = 100.0
    assert comparing(old, new).words() == {"it": "same"}


def test_a_ratio_to_another_reference_is_another_benchmark(comparing: Any) -> None:
    done = comparing(run_of(entry("it", 2.0)), run_of(entry("it", 9.0, reference="plain")))
    assert [line.split()[:4] for line in done.lines[1:3]] == [["new", "it", "/", "plain"], ["gone", "it", "/", "lif"]]
    assert done.status == 0


def test_other_machines_are_said_and_other_revisions_are_not(comparing: Any) -> None:
    other = copy.deepcopy(MACHINE) | {"device": "CPU (two)", "versions": {"torch": "3"}, "revision": "def", "cores": 4}
    done = comparing(run_of(entry("it", 2.0)), run_of(entry("it", 2.0), machine=other))
    assert done.lines[:3] == [
        "machines differ: device CPU (one), then CPU (two)",
        "machines differ: versions.torch 2, then 3",
        "machines differ: cores unknown, then 4",
    ]
    assert not comparing(run_of(), run_of()).lines[0].startswith("machines")


def test_what_an_older_file_does_not_say_is_no_difference(comparing: Any) -> None:
    newer = MACHINE | {"release": "6.1", "locks": "aa", "determinism": {"cudnn_benchmark": False}}
    assert not comparing(run_of(), run_of(machine=newer)).lines[0].startswith("machines")
    again = newer | {"release": "6.2", "locks": "bb", "determinism": {"cudnn_benchmark": True}}
    assert [line for line in comparing(run_of(machine=newer), run_of(machine=again)).lines if "machines" in line] == [
        "machines differ: release 6.1, then 6.2",
        "machines differ: determinism.cudnn_benchmark False, then True",
    ]


FOREIGN = {"machine_info": {}, "benchmarks": [{"fullname": "test_theirs", "extra_info": {}, "stats": {"mean": 1.0}}]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "old.json: not there; wanted one that"),
        ("", "old.json: not JSON; wanted"),
        ('{"benchmarks": [', "old.json: not JSON; wanted"),
        ("[1, 2]", "old.json: not a run of these benchmarks (the file: "),
        ('{"format": 2, "status": "ok"}', "old.json: not a run of these benchmarks (machine_info: Field required)"),
        (json.dumps(FOREIGN), "(benchmarks.0.extra_info.reference: Field required)"),
        (json.dumps(run_of(entry("it", -1.0))), "(benchmarks.0.extra_info.ratio: "),
        (json.dumps(run_of(entry("it", float("nan")))), "(benchmarks.0.extra_info.ratio: "),
    ],
)
def test_a_file_that_is_none_of_ours_is_one_line(comparing: Any, content: str | None, says: str) -> None:
    done = comparing(content, run_of())
    assert done.status.startswith("error: ")
    assert says in done.status
    assert len(done.status.splitlines()) == 1
    assert not done.lines


@pytest.mark.parametrize("tolerance", ["-0.1", "nan", "inf"])
def test_a_tolerance_that_is_none_is_one_line(comparing: Any, tolerance: str) -> None:
    done = comparing(run_of(), run_of(), f"--tolerance={tolerance}")
    assert "--tolerance is" in done.status
    assert "wanted 0 or more" in done.status
