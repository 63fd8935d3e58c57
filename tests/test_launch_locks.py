"""DVC's lock files and a launch: in a clone, after a merge, beside another profile; and what goes to a remote."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import standin_project
from conftest import Done, one_line_error
from standin_project import CELLS, OF_CELLS, Standins, same
from standin_ray import lines

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


def test_weights_go_where_others_can_pull_them(project: Standins, launch: Here, tmp_path: Path) -> None:
    """By weights.dvc, which in a clone goes on naming those that are not there."""
    with (project.folder / ".dvc/config").open("a") as config:
        config.write(f"    remote = there\n['remote \"there\"']\n    url = {tmp_path / 'remote'}\n")
    assert launch(project).returncode == 0
    assert project.ran() == []
    assert project.dvc("push").returncode == 0
    clone = project.clone(tmp_path / "clone")
    clone.add("d", "e")
    clone.edit("a", "other")
    assert launch(clone).returncode == 0
    assert clone.dvc("push").returncode == 0
    made = {name for name in clone.results() if name.startswith("weights/")}
    assert len(made) == 3
    third = clone.clone(tmp_path / "third")
    assert third.dvc("pull", "weights").returncode == 0
    pulled = {name for name in third.results() if name.startswith("weights/")}
    others = {name for name in project.results() if re.match("weights/.*/[bc]/", name)}
    assert pulled == made | others
