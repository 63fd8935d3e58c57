"""A machine without Norse and snnTorch: their neurons end as unsupported, which is their result; all else runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import CELL, Project, one_line_error, without

REASON = "norse is not installed"
KEEP = "--keep-going"


STAGES = """
import sys
from importlib import import_module

for stage, *options in {stages!r}:
    sys.argv = [stage, *options]
    import_module(f"benchmarks.{{stage}}").main()
"""


class Bare:
    """A project whose stages were run as the pipeline runs them, but in one process, with the two libraries refused."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.environment = without(folder, "norse", "snntorch")
        project.params["neurons"] = {name: {} for name in ("lif", "norse_lif", "snntorch_leaky", "spikingjelly_lif")}
        project.cell["training"] |= {"seeds": 1, "steps": 2, "validate_every": 2}
        project.save()
        stages: list[tuple[str, ...]] = [("train", *CELL, name, KEEP) for name in project.params["neurons"]]
        stages += [(stage, *CELL, "norse_lif", KEEP) for stage in ("measure", "dynamics")]
        stages += [("parity",), ("report.__main__", KEEP)]
        command = [sys.executable, "-c", STAGES.format(stages=stages)]
        how: Any = {"cwd": project.folder, "env": self.environment, "timeout": 300}
        self.done = subprocess.run(command, capture_output=True, text=True, check=False, **how)

    def result(self, name: str) -> Any:
        return json.loads((self.project.folder / "results" / name).read_text())


@pytest.fixture(scope="module")
def bare(prepared_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return Bare(prepared_project, tmp_path_factory.mktemp("bare") / "refused")


def test_no_stage_stops(bare: Bare) -> None:
    assert bare.done.returncode == 0, bare.done.stderr
    assert "Traceback" not in bare.done.stderr


def test_their_neurons_are_unsupported_and_the_reason_is_the_library(bare: Bare) -> None:
    trained = bare.result("smoke/moving_mnist/norse_lif/accuracy.json")
    ended = {"seed": 0, "status": "unsupported", "reason": REASON, "key": trained["key"]}
    assert trained["seeds"] == [ended]
    measured = bare.result("smoke/moving_mnist/norse_lif/cost.json")
    assert (measured["status"], measured["reason"]) == ("unsupported", REASON)
    (other,) = bare.result("smoke/moving_mnist/snntorch_leaky/accuracy.json")["seeds"]
    assert (other["status"], other["reason"]) == ("unsupported", "snntorch is not installed")
    assert bare.done.stderr.count(f"norse_lif on moving_mnist: unsupported: {REASON}\n") == 3  # all stages of a cell


def test_without_keep_going_it_is_one_line(bare: Bare) -> None:
    done = bare.project.run("train", *CELL, "norse_lif", env=bare.environment)
    one_line_error(done, f"unsupported: {REASON}")


@pytest.mark.parametrize("name", ["lif", "spikingjelly_lif"])
def test_the_other_neurons_train_as_ever(bare: Bare, name: str) -> None:
    (seed,) = bare.result(f"smoke/moving_mnist/{name}/accuracy.json")["seeds"]
    assert seed["status"] == "ok"
    assert seed["test"]["overall"]["mse"] > 0


def test_the_parity_of_the_others_is_found_all_the_same(bare: Bare) -> None:
    for pair in bare.result("parity.json")["pairs"]:
        library = pair["other"].partition("_")[0]
        assert pair["status"] == ("ok" if library == "spikingjelly" else f"unsupported ({library} is not installed)")
        assert (pair["differ"], pair["gradient"] is None) == ((0, False) if pair["status"] == "ok" else (None, True))


def test_the_report_says_so(bare: Bare) -> None:
    folder = bare.project.folder / "reports/smoke"
    for name in ("index.html", "table.md"):
        text = (folder / name).read_text()
        assert f"norse_lif: unsupported ({REASON})" in text  # among the findings
        assert text.count(f"unsupported ({REASON})") >= 5  # and of four pairs: LIF and ALIF, two policies each
    rows = [row.split(",") for row in (folder / "results.csv").read_text().splitlines()]
    of_neuron = [row for row in rows if row[2] == "norse_lif"]
    assert of_neuron
    assert {row[5] for row in of_neuron} == {f"unsupported ({REASON})"}
