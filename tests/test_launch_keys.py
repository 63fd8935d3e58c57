"""Launching after something was changed, lost or damaged: keys say what is due, and DVC's lock files follow them."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import standin_project
from conftest import Done, one_line_error
from standin_project import CELLS, OF_CELLS, Standins, job
from standin_ray import lines

from benchmarks.cell import FILES, PARTS, hashed

Here = Callable[..., Done]
TOTAL = 3 + len(OF_CELLS)


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Standins:
    """A project in which all is up to date."""
    return standin_project.reproduced(tmp_path_factory.getbasetemp()).copy(tmp_path / "project")


@pytest.fixture(params=["launch", "dvc repro"])
def run(request: pytest.FixtureRequest, launch: Here) -> Here:
    """Runs what is due, in either way."""
    return launch if request.param == "launch" else Standins.repro


def same(project: Standins, other: Standins) -> None:
    """Both have the same bytes, DVC's lock files among them, and nothing is left to do."""
    assert project.results() == other.results()
    assert project.reproduced() == other.reproduced() == []


def test_in_a_clone_only_the_data_are_made(project: Standins, run: Here, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    assert not list(clone.folder.glob("weights"))
    done = run(clone)
    assert done.returncode == 0, done.stderr
    assert clone.ran() == ["prepare"]
    assert clone.git("status", "--porcelain") == ""
    assert clone.reproduced() == []


def test_in_a_clone_an_entry_more_runs_its_own_cells(project: Standins, run: Here, tmp_path: Path) -> None:
    clone = project.clone(tmp_path / "clone")
    clone.add("d")
    project.add("d")
    done = run(clone)
    assert done.returncode == 0, done.stderr
    assert clone.ran() == ["dynamics-d", "keys", "measure-d", "prepare", "report", "train-d"]
    assert clone.reproduced() == []
    changed = {line[3:] for line in clone.git("status", "--porcelain").splitlines()}
    added = {"neurons/d.py", "pipelines/d/", "results/keys/neurons/d.json", "results/smoke/advection/d/"}
    shown = {
        "dvc.lock",
        "params.yaml",
        "reports/smoke/index.txt",
        "results/keys/cards.json",
        "results/keys/report.json",
    }
    assert changed == added | shown
    assert project.repro().returncode == 0
    assert clone.results().items() <= project.results().items()  # all but the weights of the others


def test_the_locks_of_profiles_and_datasets(project: Standins, launch: Here) -> None:
    """New, changed and untouched entries, beside those of another profile: what DVC itself writes, byte for byte."""
    smoke = project.params["profiles"]["smoke"]
    smoke["advection-small"] = {**smoke["advection"], "data": {**smoke["advection"]["data"], "side": 8}}
    project.params["profiles"]["other"] = smoke
    project.params |= {"profile": "other", "datasets": ["advection", "advection-small"]}
    project.pipelines()
    other = project.copy(project.folder.with_name("other"))

    def run_both() -> list[str]:
        for made in (launch(project), other.repro()):
            assert made.returncode == 0, made.stderr
        ran = project.ran()
        assert ran == other.ran()
        same(project, other)
        return ran

    assert len(run_both()) == 1 + 2 + 2 * len(OF_CELLS) + 1
    project.edit("a", "other")
    other.edit("a", "other")
    assert len(run_both()) == 1 + 2 * 3 + 1


@pytest.mark.parametrize("entries", [("a",), ("", *CELLS)], ids=["of one entry", "all of them"])
@pytest.mark.parametrize("conflict", [True, False], ids=["conflict marks", "lost"])
def test_lock_files_are_made_anew(project: Standins, launch: Here, entries: tuple[str, ...], conflict: bool) -> None:
    """Only what has no key runs again: `keys` itself and the report."""
    whole = project.results()
    locks = [f"pipelines/{entry}/dvc.lock" if entry else "dvc.lock" for entry in entries]
    for lock in (project.folder / name for name in locks):
        text = lock.read_text()
        place = text.index("    outs:")
        ours, theirs = "<<<<<<< HEAD\n", "=======\n    outs: []\n>>>>>>> theirs\n"
        lock.write_text(f"{text[:place]}{ours}{text[place:]}{theirs}")
        if not conflict:
            lock.unlink()
    done = launch(project)
    assert done.returncode == 0, done.stderr
    anew = "conflict marks of a merge; removed, what is current by its key is recorded anew"
    assert lines(done.stderr) == [f"{lock}: {anew}" for lock in locks if conflict]
    ran = ["keys", "report"] if "" in entries else []
    assert project.ran() == ran
    found = 3 * len([entry for entry in entries if entry]) + ("" in entries)
    last = f"{len(ran)} ran, {found} had ended before, {TOTAL - len(ran) - found} up to date"
    assert done.stdout.splitlines()[-1] == f"{TOTAL} stages: {last}"
    assert project.results() == whole
    assert project.reproduced() == []


def test_a_damaged_lock_file_is_named(project: Standins, launch: Here) -> None:
    """DVC itself refuses it; nothing of it is guessed."""
    (project.folder / "pipelines/a/dvc.lock").write_text("schema: '2.0'\nstages:\n  cell@sm")
    one_line_error(launch(project), "pipelines/a/dvc.lock")
    assert project.ran() == []


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def of_another(path: Path) -> None:
    other = CELLS[CELLS.index(path.parent.name) - 1]
    shutil.copy(path.parent.with_name(other) / path.name, path)


FAULTS: dict[str, Callable[[Path], None]] = {
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
