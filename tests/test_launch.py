"""Launching: what is run, when, and what is recorded, held against what `dvc repro` does with the same project."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import standin_project
from conftest import Done, one_line_error, without
from standin_project import CELLS, Standins, lines

from benchmarks.launch import __main__ as launching
from benchmarks.launch import watching
from benchmarks.launch.engine import Cluster, Share
from benchmarks.launch.stages import LaunchError
from benchmarks.launch.watching import Job, parsed, tail

Here = Callable[..., Done]
ALL = sorted(["prepare", "report", *(f"{stage}-{n}" for stage in ("train", "dynamics", "measure") for n in CELLS)])


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Standins:
    """The project before anything has run."""
    return Standins(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="module")
def reproduced(fresh: Standins, tmp_path_factory: pytest.TempPathFactory) -> Standins:
    """What `dvc repro` makes of it."""
    project = fresh.copy(tmp_path_factory.mktemp("reproduced") / "project")
    assert project.repro().returncode == 0
    assert project.ran() == ALL
    return project


@pytest.fixture
def project(reproduced: Standins, tmp_path: Path) -> Standins:
    return reproduced.copy(tmp_path / "project")


def runs_nothing(project: Standins) -> bool:
    project.ran()
    before = (project.folder / "dvc.lock").read_bytes()
    done = project.repro()
    assert done.returncode == 0, done.stderr
    assert "Data and pipelines are up to date" in done.stdout
    return project.ran() == [] and (project.folder / "dvc.lock").read_bytes() == before


def test_a_launch_leaves_what_dvc_repro_leaves(fresh: Standins, reproduced: Standins, tmp_path: Path) -> None:
    """With a cluster of this machine's own, which is gone afterwards."""
    project = fresh.copy(tmp_path / "project")
    done = project.launch()
    assert done.returncode == 0, done.stderr
    *_, times, last = done.stdout.splitlines()
    assert last == f"{len(ALL)} stages: {len(ALL)} ran, 0 up to date"
    kinds = "prepare", "train", "dynamics", "measure", "report", "recording", "in all"
    assert re.fullmatch(", ".join(rf"{kind} \d\d:\d\d" for kind in kinds), times)
    assert project.ran() == ALL
    for name in ("dvc.lock", ".gitignore", "cells/a/.gitignore"):
        assert _bytes(project, name) == _bytes(reproduced, name), name
    assert project.results() == reproduced.results()
    assert project.cached() == reproduced.cached()  # data and weights
    assert _status(project) == _status(reproduced)
    assert runs_nothing(project)
    assert project.all_gone()


def _bytes(project: Standins, name: str) -> bytes | None:
    path = project.folder / name
    return path.read_bytes() if path.exists() else None


def _status(project: Standins) -> str:
    how = {"cwd": project.folder, "capture_output": True, "text": True, "check": True}
    return str(subprocess.run(["git", "status", "--porcelain", "--untracked-files=all"], **how).stdout)  # type: ignore[call-overload]


def test_only_what_a_change_concerns_runs(project: Standins, launch: Here) -> None:
    project.edit("a", "other")
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).stdout.splitlines()[-1] == f"{len(ALL)} stages: 4 ran, {len(ALL) - 4} up to date"
    assert project.ran() == ["dynamics-a", "measure-a", "report", "train-a"]
    assert other.repro().returncode == 0
    assert _bytes(project, "dvc.lock") == _bytes(other, "dvc.lock")
    assert project.results() == other.results()
    assert runs_nothing(project)


def test_without_a_change_nothing_runs_and_no_cluster_starts(
    project: Standins, launch: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.edit("a", "other")
    project.edit("a", "a")
    monkeypatch.setattr(standin_project, "direct", None)
    assert launch(project).stdout == f"{len(ALL)} stages: 0 ran, {len(ALL)} up to date\n"
    assert project.ran() == []


def test_what_dvc_has_a_run_of_is_taken_from_its_cache(project: Standins, launch: Here) -> None:
    """As `dvc repro` does it: all that `prepare` writes is cached; of the others something is not."""
    before = project.results()
    (project.folder / "raw.txt").write_text("other")
    assert launch(project).returncode == 0
    assert project.ran() == ALL
    (project.folder / "raw.txt").write_text("raw")
    other = project.copy(project.folder.with_name("other"))
    done = launch(project)
    assert f"{len(ALL) - 1} ran, 1 had ended before, 0 up to date" in done.stdout
    assert other.repro().returncode == 0
    assert project.ran() == other.ran() == [name for name in ALL if name != "prepare"]
    assert project.results() == other.results() == before


def test_targets_and_what_they_depend_on(fresh: Standins, tmp_path: Path, launch: Here) -> None:
    project = fresh.copy(tmp_path / "project")
    assert launch(project, "dynamics@a", "train@b").returncode == 0
    assert project.ran() == ["dynamics-a", "prepare", "train-a", "train-b"]
    assert project.repro("dynamics@a", "train@b").returncode == 0
    assert project.ran() == []
    assert launch(project).returncode == 0
    assert runs_nothing(project)


def test_a_failing_cell_is_named_and_the_next_launch_runs_it_alone(
    project: Standins, reproduced: Standins, launch: Here
) -> None:
    whole = _everything_anew(project)
    behaviour = project.behave("train-b", "exit")
    done = launch(project)
    assert done.returncode == 1
    said = lines(done.stderr)
    assert "train@b: exit status 1; log: train-b starts | it went wrong (.launch/logs/train@b.log)" in said
    assert "dynamics@b: needs train@b" in said
    assert len(said) == 2
    assert (project.folder / ".launch/logs/train@b.log").read_text() == "train-b starts\nit went wrong\n"
    assert f"{len(ALL) - 2} ran, 2 failed, 0 up to date" in done.stdout
    assert "report" in project.ran()  # it shows what there is
    behaviour.unlink()
    assert launch(project).returncode == 0
    assert project.ran() == ["dynamics-b", "report", "train-b"]
    assert whole() == project.results()


def _everything_anew(project: Standins) -> Callable[[], dict[str, bytes]]:
    """Makes all of the project stale; gives what `dvc repro` would make of it."""
    (project.folder / "raw.txt").write_text("anew")
    other = project.copy(project.folder.with_name("undisturbed"))

    def results() -> dict[str, bytes]:
        assert other.repro().returncode == 0
        return other.results()

    return results


def test_a_frozen_stage_is_left_alone(project: Standins, launch: Here) -> None:
    project.stages["measure"]["frozen"] = True
    project.save()
    project.edit("a", "other")
    assert launch(project).returncode == 0
    assert project.ran() == ["dynamics-a", "report", "train-a"]
    assert project.repro().returncode == 0
    assert project.ran() == []


def test_stages_of_one_wave_wait_for_each_other(project: Standins, launch: Here) -> None:
    """Stages of one's own come last, and in their order."""
    for name, reads in (("last", "second.txt"), ("second", "first.txt"), ("first", "raw.txt")):
        project.stages[name] = {
            "cmd": f"python -m standin {name} --reads {reads} --writes {name}.txt",
            "deps": [reads],
            "outs": [f"{name}.txt"],
        }
    project.save()
    other = project.copy(project.folder.with_name("other"))
    assert launch(project).returncode == 0
    assert other.repro().returncode == 0
    assert _bytes(project, "last.txt") == _bytes(other, "last.txt")
    assert _bytes(project, "dvc.lock") == _bytes(other, "dvc.lock")
    (project.folder / "raw.txt").write_text("other")
    assert launch(project).returncode == 0
    assert runs_nothing(project)


def test_what_was_changed_while_it_ran_is_not_recorded(project: Standins, launch: Here) -> None:
    """Not even when the change is taken back, for nobody knows what the cell has read."""
    project.edit("a", "other")
    project.behave("train-a", "edit")
    before = (project.folder / "dvc.lock").read_bytes()
    done = launch(project, "train@a")
    assert done.returncode == 1
    assert lines(done.stderr)[0].startswith("train@a: in/a.txt was changed while it ran; launch again")
    assert (project.folder / "dvc.lock").read_bytes() == before
    project.edit("a", "other")
    (project.folder / "behave/train-a").unlink()
    project.ran()
    assert launch(project, "train@a").returncode == 0
    assert project.ran() == ["train-a"]
    assert runs_nothing_of(project, "train@a")


def runs_nothing_of(project: Standins, target: str) -> bool:
    assert project.repro(target).returncode == 0
    return project.ran() == []


def test_measuring_is_alone_and_training_is_not(fresh: Standins, tmp_path: Path, launch: Here, head: str) -> None:
    project = fresh.copy(tmp_path / "project")
    project.stages["measure"]["cmd"] += " --seconds 0.3"
    project.save()
    project.behave("train-a", "meet train-b")
    project.behave("train-b", "meet train-a")
    done = launch(project, "--address", head)
    assert done.returncode == 0, done.stderr
    assert "2 cells at once on 1 node" in done.stdout
    times = project.times()
    assert sorted(times) == ALL

    def beside(name: str) -> list[str]:
        own = times[name]
        return [n for n, t in times.items() if n != name and t["start"] < own["end"] and own["start"] < t["end"]]

    assert all(beside(f"measure-{n}") == [] for n in CELLS)
    assert "train-b" in beside("train-a")
    waves = [
        [times[name] for name in times if name.startswith(kind)]
        for kind in ("prepare", "train", "dynamics", "measure", "report")
    ]
    for wave, following in pairwise(waves):
        assert max(t["end"] for t in wave) <= min(t["start"] for t in following)
    assert runs_nothing(project)


class FakeRay:
    """As much of Ray as tells what nodes there are."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self._nodes = [{"Alive": True, "Resources": node} for node in nodes]

    def nodes(self) -> list[dict[str, object]]:
        return self._nodes


@pytest.mark.parametrize(
    ("nodes", "share", "slots", "cores"),
    [
        ([{"CPU": 4.0}], Share(cpus=1), 4, 4),
        ([{"CPU": 5.0}, {"CPU": 16.0}], Share(cpus=2), 10, 16),
        ([{"CPU": 16.0}, {"CPU": 8.0, "GPU": 1.0}], Share(cpus=1, gpus=0.1), 8, 8),
        ([{"CPU": 16.0, "GPU": 1.0}], Share(cpus=1, gpus=0.1), 10, 16),
        ([{}, {"CPU": 8.0, "GPU": 4.0}], Share(cpus=3, gpus=0.5), 2, 8),
    ],
)
def test_how_many_cells_at_once(nodes: list[dict[str, float]], share: Share, slots: int, cores: int) -> None:
    cluster = Cluster(FakeRay(*nodes), share)
    assert (cluster.slots, cluster.cores) == (slots, cores)


def test_a_cell_that_fits_on_no_node_is_refused() -> None:
    with pytest.raises(LaunchError, match="no node has 1 GPUs and 8 CPUs"):
        Cluster(FakeRay({"CPU": 8.0}, {"CPU": 2.0, "GPU": 1.0}), Share(cpus=8, gpus=1))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--gpus-per-cell", "1"], ["--gpus-per-cell 1: 0 GPUs on the greatest node", "ask for fewer"]),
        (["--cpus-per-cell", "99"], ["--cpus-per-cell 99: 2 CPUs on the greatest node", "ask for fewer"]),
    ],
)
def test_more_than_the_cluster_has(
    project: Standins, launch: Here, head: str, options: list[str], wanted: list[str]
) -> None:
    one_line_error(launch(project, "--address", head, *options), *wanted)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "127.0.0.1:port"])
def test_an_address_that_does_not_answer(project: Standins, launch: Here, address: str) -> None:
    one_line_error(launch(project, "--address", address), f"--address {address}: does not answer", "host:port")


def test_a_target_that_is_not_there(project: Standins, launch: Here) -> None:
    one_line_error(launch(project, "train@nobody"), "train@nobody")
    one_line_error(launch(project, "pipelines/none/dvc.yaml"), "pipelines/none/dvc.yaml")


def test_not_a_dvc_project(project: Standins, launch: Here) -> None:
    shutil.rmtree(project.folder / ".dvc")
    one_line_error(launch(project), "no DVC project here", "run it in the project's root")


def test_pipelines_that_do_not_follow_params_yaml(project: Standins, launch: Here) -> None:
    shutil.rmtree(project.folder / "pipelines")
    one_line_error(launch(project), "python -m benchmarks.pipelines")


def test_a_command_of_another_kind_is_left_to_dvc(project: Standins, launch: Here) -> None:
    project.stages["report"]["cmd"] = "echo shown > reports/index.txt"
    project.save()
    done = launch(project)
    assert done.returncode == 1
    assert lines(done.stderr) == [
        "report: 'echo shown > reports/index.txt': wanted `python -m MODULE ...`; run such a stage with `dvc repro`"
    ]


@pytest.mark.parametrize(
    "refused",
    ["echo hello", "python train.py", "python -m", "python -m a && python -m b", "python -m a > b", "python -m a 'b"],
)
def test_commands_that_only_a_shell_understands(refused: str) -> None:
    with pytest.raises(ValueError, match="dvc repro"):
        parsed(refused)


def test_arguments_in_quotation_marks() -> None:
    reason = "failed: a > b; 'c' | d # e"
    assert parsed(f"python -m benchmarks.train --stopped {shlex.quote(reason)}") == (
        "benchmarks.train",
        ["--stopped", reason],
    )


@pytest.mark.parametrize(
    "options", [["--time-limit", "0"], ["--memory-limit", "-1"], ["--cpus-per-cell", "inf"], ["--time-limit", "soon"]]
)
def test_limits_that_are_none(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        launching.parser().parse_args(options)
    assert "wanted a positive number" in capsys.readouterr().err


def test_without_ray(fresh: Standins, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "project")
    done = project.launch(**without(tmp_path / "refuses", "ray"))
    one_line_error(done, "launching needs Ray", "pip install -c constraints.txt ray")
    assert project.ran() == []


def test_a_module_that_cannot_be_imported_fails_its_cells(project: Standins, launch: Here) -> None:
    """What it says is in the log, and nothing is recorded of a neuron that could not help it."""
    (project.folder / "standin.py").write_text("raise RuntimeError('a slip')\n")
    project.edit("a", "other")
    done = launch(project, "train@a")
    assert done.returncode == 1
    assert "train@a: exit status 1" in done.stderr
    assert "RuntimeError: a slip" in done.stderr


def test_answers_that_come_at_once(tmp_path: Path) -> None:
    """A job may have ended before anyone has read that it began."""
    nursery = watching.Nursery.__new__(watching.Nursery)
    nursery._said = b""
    say = 'import sys; sys.stdout.write(\'{"pid": 1}\\n{"status": 0}\\n\')'
    nursery.process = subprocess.Popen([sys.executable, "-c", say], stdout=subprocess.PIPE, bufsize=0)
    nursery.process.wait()
    assert nursery.answer(5) == {"pid": 1}
    assert nursery.answer(5) == {"status": 0}
    with pytest.raises(EOFError):
        nursery.answer(5)


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == "nothing"
    log.write_text("first\n" + "x" * 100000 + "\n" + "\r".join(f"{n} %" for n in range(100)) + "\r\nbroken\n\nat last")
    assert tail(log).endswith("| 99 % | broken | at last")
    assert len(tail(log)) <= 600


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("report", "report"),
        ("train@quick-lif", "train@quick-lif"),
        ("pipelines/events/dvc.yaml:train@quick-lif", "train@events-quick-lif"),
    ],
)
def test_the_files_of_a_job(name: str, file: str) -> None:
    assert Job(name, "", "", "").file_name == file
