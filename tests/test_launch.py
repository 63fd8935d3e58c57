"""Launching: what is run, when, and what is recorded, held against what `dvc repro` does with the same project."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import standin_project
import standin_ray
from conftest import Done
from standin_project import ALL, CELLS, OF_CELLS, PREPARE, Standins, job, stage
from standin_ray import lines

Here = Callable[..., Done]
TOTAL = 3 + len(OF_CELLS)  # keys, prepare and the report, and three parts of each cell


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Standins:
    """A project with data, before anything else has run."""
    return standin_project.prepared(tmp_path_factory.getbasetemp()).copy(tmp_path / "fresh")


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Standins:
    """A project in which all is up to date."""
    return standin_project.reproduced(tmp_path_factory.getbasetemp()).copy(tmp_path / "project")


def runs_nothing(project: Standins) -> bool:
    project.ran()
    before = project.results()
    done = project.repro()
    assert done.returncode == 0, done.stderr
    assert "Data and pipelines are up to date" in done.stdout
    return project.ran() == [] and project.results() == before


def test_a_launch_from_nothing_leaves_what_dvc_repro_leaves(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """With a cluster of this machine's own, which is gone afterwards."""
    bare = standin_project.bare(tmp_path_factory.getbasetemp())
    project, other = bare.copy(tmp_path / "project"), bare.copy(tmp_path / "other")
    done = project.launch()
    assert done.returncode == 0, done.stderr
    *_, times, last = done.stdout.splitlines()
    assert last == f"{TOTAL} stages: {TOTAL} ran, 0 up to date"
    kinds = "keys", "prepare", "train", "dynamics", "measure", "report", "recording", "in all"
    assert re.fullmatch(", ".join(rf"{kind} \d\d:\d\d" for kind in kinds), times)
    assert other.repro().returncode == 0
    assert project.ran() == other.ran() == sorted(["keys", "prepare", *ALL])
    assert project.results() == other.results()  # every byte, those of DVC's lock files among them
    assert project.cached() == other.cached()  # the data
    assert _status(project) == _status(other)
    assert runs_nothing(project)
    assert project.all_gone()


def _status(project: Standins) -> str:
    return project.git("status", "--porcelain", "--untracked-files=all")


def test_only_what_a_change_concerns_runs(project: Standins, launch: Here) -> None:
    project.edit("a", "other")
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).stdout.splitlines()[-1] == f"{TOTAL} stages: 5 ran, {TOTAL - 5} up to date"
    assert project.ran() == ["dynamics-a", "keys", "measure-a", "report", "train-a"]
    assert other.repro().returncode == 0
    assert project.results() == other.results()
    assert runs_nothing(project)


def test_without_a_change_nothing_runs_and_no_cluster_starts(
    project: Standins, launch: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit("a", "other")
    project.edit("a", "a")
    monkeypatch.setattr(standin_ray, "direct", None)
    assert launch(project).stdout == f"{TOTAL} stages: 0 ran, {TOTAL} up to date\n"
    assert project.ran() == []


def test_a_comment_and_a_docstring_make_no_cell_stale(project: Standins, launch: Here) -> None:
    """The report shows neurons' docstrings."""
    project.edit("a", "a", comment="said better")
    assert launch(project).returncode == 0
    assert project.ran() == ["keys"]
    project.edit("a", "a", card="Said better. ")
    assert launch(project).returncode == 0
    assert project.ran() == ["keys", "report"]
    assert runs_nothing(project)


def test_targets_and_what_they_depend_on(fresh: Standins, launch: Here) -> None:
    targets = ("pipelines/a/dvc.yaml", stage("b"))
    assert launch(fresh, *targets).returncode == 0
    assert fresh.ran() == [name for name in OF_CELLS if name[-1] in "ab"]
    assert fresh.repro(*targets).returncode == 0
    assert fresh.ran() == []
    assert launch(fresh).returncode == 0
    assert fresh.ran() == ["dynamics-c", "measure-c", "report", "train-c"]
    assert runs_nothing(fresh)


def test_a_failing_cell_is_named_and_the_next_launch_runs_it_alone(
    fresh: Standins, project: Standins, launch: Here
) -> None:
    behaviour = fresh.behave("train-b", "exit")
    done = launch(fresh)
    assert done.returncode == 1
    log = ".launch/logs/train@smoke-advection-b.log"
    assert lines(done.stderr) == [
        f"{job('train-b')}: exit status 1; log: train-b starts | it went wrong ({log})",
        f"{job('dynamics-b')}: needs {job('train-b')}",
    ]
    assert (fresh.folder / log).read_text() == "train-b starts\nit went wrong\n"
    assert f"{len(ALL) - 2} ran, 2 failed, 2 up to date" in done.stdout
    assert "report" in fresh.ran()  # it shows what there is
    assert fresh.recorded() == {"keys", PREPARE, "a", "c", "report@smoke"}
    behaviour.unlink()
    assert launch(fresh).returncode == 0
    assert fresh.ran() == ["dynamics-b", "report", "train-b"]
    assert fresh.results() == project.results()


def test_without_data_no_cell_runs_and_each_is_named(project: Standins, launch: Here) -> None:
    """A dataset that cannot be prepared: here, of a size that it refuses."""
    whole = project.results()
    data = project.params["profiles"]["smoke"]["advection"]["data"]
    data["side"] = -1
    project.save()
    done = launch(project)
    assert done.returncode == 1
    first, *others = lines(done.stderr)
    assert first.startswith(f"{PREPARE}: exit status 1; log: prepare starts | error: ")
    assert others == [f"{stage(cell)}: needs {PREPARE}" for cell in CELLS]
    failed = 1 + len(OF_CELLS)
    assert f"{TOTAL} stages: 2 ran, {failed} failed, 0 up to date" in done.stdout
    assert project.ran() == ["keys", "prepare", "report"]
    data["side"] = 16
    project.save()
    assert launch(project).returncode == 0
    assert project.ran() == ["keys", "report"]
    assert project.results() == whole


def test_a_frozen_stage_is_left_alone(project: Standins, launch: Here) -> None:
    project.stages["prepare"]["frozen"] = True
    project.params["profiles"]["smoke"]["advection"]["data"]["side"] = 8
    project.save()
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).returncode == 0
    assert other.repro().returncode == 0
    assert project.ran() == other.ran() == ["keys", "report"]
    assert project.results() == other.results()


def test_stages_of_one_wave_wait_for_each_other(project: Standins, launch: Here) -> None:
    """Stages of one's own come last, and in their order."""
    (project.folder / "raw.txt").write_text("raw")
    for name, reads in (("last", "second.txt"), ("second", "first.txt"), ("first", "raw.txt")):
        project.stages[name] = {
            "cmd": f"python -m standin {name} --reads {reads} --writes {name}.txt",
            "deps": [reads],
            "outs": [f"{name}.txt"],
        }
    project.save()
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).returncode == 0
    assert project.ran() == ["first", "last", "second"]
    assert other.repro().returncode == 0
    assert (project.folder / "last.txt").read_bytes() == (other.folder / "last.txt").read_bytes()
    assert project.results() == other.results()
    (project.folder / "raw.txt").write_text("other")
    assert launch(project).returncode == 0
    assert runs_nothing(project)


def test_a_stage_that_does_not_write_what_it_says(project: Standins, launch: Here) -> None:
    project.stages["own"] = {"cmd": "python -m standin own", "outs": ["own.txt"]}
    project.stages["next"] = {"cmd": "python -m standin next --writes next.txt", "deps": ["own.txt"]}
    project.save()
    done = launch(project)
    assert done.returncode == 1
    refused, waits = lines(done.stderr)
    assert refused.startswith("own: ")
    assert "own.txt" in refused
    assert waits == "next: needs own.txt, which is not there"
    assert done.stdout.splitlines()[-1] == f"{TOTAL + 2} stages: 1 ran, 1 failed, {TOTAL} up to date; 1 not recorded"


def test_cells_run_two_at_once_and_measure_alone(fresh: Standins, launch: Here, head: str) -> None:
    """On a cluster of two cores, whatever this machine has: train-a and train-b each wait for the other."""
    fresh.behave("train-a", "meet train-b")
    fresh.behave("train-b", "meet train-a")
    for cell in CELLS:
        fresh.behave(f"measure-{cell}", "slow 0.3")
    done = launch(fresh, "--address", head)
    assert done.returncode == 0, done.stderr
    assert "2 cells at once on 1 node" in done.stdout
    times = fresh.times()
    assert sorted(times) == ALL

    def beside(name: str) -> list[str]:
        own = times[name]
        return [n for n, t in times.items() if n != name and t["start"] < own["end"] and own["start"] < t["end"]]

    assert all(beside(f"measure-{cell}") == [] for cell in CELLS)
    assert "train-b" in beside("train-a")
    waves = [
        [times[name] for name in times if name.startswith(kind)] for kind in ("train", "dynamics", "measure", "report")
    ]
    for wave, following in pairwise(waves):
        assert max(t["end"] for t in wave) <= min(t["start"] for t in following)
    assert runs_nothing(fresh)
