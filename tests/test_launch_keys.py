"""Launching after something was changed, lost or damaged: keys say what is due, and nothing else runs."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import standin_project
from conftest import Done
from standin_project import CELLS, Standins, job, same
from standin_ray import lines

from benchmarks.cell import FILES, PARTS, hashed

Here = Callable[..., Done]


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Standins:
    """A project in which all is up to date."""
    return standin_project.reproduced(tmp_path_factory.getbasetemp()).copy(tmp_path / "project")


@pytest.fixture(params=["launch", "dvc repro"])
def run(request: pytest.FixtureRequest, launch: Here) -> Here:
    """Runs what is due, in either way."""
    return launch if request.param == "launch" else Standins.repro


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def of_another(path: Path) -> None:
    other = CELLS[CELLS.index(path.parent.name) - 1]
    shutil.copy(path.parent.with_name(other) / path.name, path)


FAULTS: dict[str, Callable[[Path], object]] = {
    "without a key": lambda path: change(path, lambda content: content.pop("key")),
    "of another cell": of_another,
    "with an edited key": lambda path: change(path, lambda content: content.update(key="0" * 16)),
    "with an edited input": lambda path: change(path, lambda content: content["inputs"].update(neuron="lif")),
    "of other inputs, with their key": lambda path: change(path, with_other_inputs),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
}


def with_other_inputs(content: dict[str, Any]) -> None:
    content["inputs"]["neurons/a.py"] = "0" * 12
    content["key"] = hashed(content["inputs"])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_result_that_cannot_be_used_is_made_anew(project: Standins, launch: Here, fault: str) -> None:
    """That part, and no other."""
    whole = project.results()
    for cell, part in zip(CELLS, PARTS, strict=True):
        FAULTS[fault](project.of_cell(cell, FILES[part]))
    done = launch(project)
    assert done.returncode == 0, done.stderr
    assert project.ran() == ["dynamics-b", "measure-c", "train-a"]
    assert project.results() == whole
    assert project.reproduced() == []


@pytest.mark.parametrize("name", ["curves.csv", "predictions.png", "run.json"])
def test_a_file_beside_a_result_is_lost(project: Standins, run: Here, name: str) -> None:
    """Without it DVC can record nothing of the cell."""
    whole = project.results()
    project.of_cell("a", name).unlink()
    done = run(project)
    assert done.returncode == 0, done.stderr
    assert project.ran() == ["train-a"]
    assert project.results() == whole
    assert project.reproduced() == []


def test_weights_are_wanted_only_where_they_are_looked_at(project: Standins, launch: Here) -> None:
    whole = project.results()
    shutil.rmtree(project.folder / "weights")
    assert launch(project).returncode == 0
    assert project.ran() == []
    project.of_cell("a", "dynamics.json").unlink()
    assert launch(project).returncode == 0
    assert project.ran() == ["dynamics-a", "train-a"]
    made = project.results()
    assert {name for name in whole if name not in made} == {
        name for name in whole if re.match("weights/.*/[bc]/", name)
    }
    assert made.items() <= whole.items()
    assert project.reproduced() == []


def test_a_training_that_failed_left_no_weights(project: Standins, launch: Here) -> None:
    shutil.rmtree(project.folder / "weights")
    done = project.part("train", "a", "--force", "--stopped", "failed: of a test")
    assert done.returncode == 0, done.stderr
    project.of_cell("a", "dynamics.json").unlink()
    assert launch(project).returncode == 0
    assert project.ran() == ["dynamics-a", "report"]
    assert json.loads(project.of_cell("a", "dynamics.json").read_text())["reason"] == "of a test"
    assert project.reproduced() == []


def test_damaged_weights_are_named_and_made_anew_when_told(project: Standins, launch: Here) -> None:
    whole = project.results()
    (weights,) = project.folder.glob("weights/smoke/advection/a/*")
    weights.write_text("damaged")
    project.of_cell("a", "dynamics.json").unlink()
    done = launch(project)
    assert done.returncode == 1
    assert f"{weights.relative_to(project.folder)}: missing, or its bytes are not" in lines(done.stderr)[0]
    project.ran()
    assert project.part("run", "a", "--force").returncode == 0
    assert launch(project).returncode == 0
    assert project.ran() == ["dynamics-a", "measure-a", "report", "train-a"]
    assert project.results() == whole
    assert project.reproduced() == []


def test_force_runs_what_is_current(project: Standins, launch: Here) -> None:
    whole = project.results()
    assert launch(project, "--force", "pipelines/a/dvc.yaml").returncode == 0
    assert "--force" in project.times()["train-a"]["arguments"]
    assert project.ran() == ["dynamics-a", "keys", "measure-a", "prepare", "train-a"]
    assert project.results() == whole
    assert project.reproduced() == []


def test_the_reference_of_all_measuring(project: Standins, launch: Here) -> None:
    project.edit("lif", "other")
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).returncode == 0
    assert other.repro().returncode == 0
    assert project.ran() == other.ran() == ["keys", *(f"measure-{cell}" for cell in CELLS), "report"]
    same(project, other)


@pytest.mark.parametrize("edited", ["a", "b"], ids=["of what runs", "of what runs next"])
def test_code_is_edited_while_the_launch_runs(project: Standins, launch: Here, edited: str) -> None:
    """Whatever has seen two states of it is not recorded; `measure`, which has only seen the new one, is current."""
    (project.folder / "weights").rename(project.folder / "before")
    for cell in CELLS:
        for part in PARTS:
            project.of_cell(cell, FILES[part]).unlink()
    behaviour = project.behave("train-a", f"edit {edited}")
    done = launch(project)
    assert done.returncode == 1
    failed, waits = lines(done.stderr)
    assert failed.startswith(f"{job(f'train-{edited}')}: exit status 1")
    if edited == "a":
        assert "error: train advection a: changed while it ran: neurons/a.py; nothing was written" in failed
    else:
        assert "wanted; code, settings or data have changed, launch again" in failed
    assert waits == f"{job(f'dynamics-{edited}')}: needs {job(f'train-{edited}')}"
    assert not project.of_cell(edited, "accuracy.json").exists()
    behaviour.unlink()
    project.ran()
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).returncode == 0
    assert other.repro().returncode == 0
    assert project.ran() == other.ran() == [f"dynamics-{edited}", "keys", "report", f"train-{edited}"]
    same(project, other)
    project.edit(edited, edited)
    assert launch(project).returncode == 0
    assert project.ran() == [f"dynamics-{edited}", "keys", f"measure-{edited}", "report", f"train-{edited}"]


@pytest.mark.parametrize("lock", [True, False], ids=["recorded", "and its lock file is lost"])
def test_damaged_data_are_made_anew(project: Standins, launch: Here, lock: bool) -> None:
    """A bit of the frames; their card says what they should be."""
    whole = project.results()
    frames = project.folder / "data/smoke/advection/train.npy"
    content = bytearray(frames.read_bytes())
    content[-1] ^= 1
    frames.chmod(0o644)
    frames.write_bytes(content)
    if not lock:
        (project.folder / "dvc.lock").unlink()
    assert launch(project).returncode == 0
    assert project.ran() == (["prepare"] if lock else ["keys", "prepare", "report"])
    assert project.results() == whole
    assert project.reproduced() == []
