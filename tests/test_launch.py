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
import standin_ray
from conftest import Done, one_line_error, without
from standin_project import ALL, CELLS, OF_CELLS, PREPARE, Standins, job, stage
from standin_ray import lines

from benchmarks.launch import __main__ as launching
from benchmarks.launch import watching
from benchmarks.launch.engine import Cluster, Share
from benchmarks.launch.stages import LaunchError
from benchmarks.launch.watching import Job, Limits, parsed, tail

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
    project.edit("a", "a", comment="Said better.")
    assert launch(project).returncode == 0
    assert project.ran() == ["keys"]
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
    one_line_error(launch(project, "report@nobody"), "report@nobody")
    one_line_error(launch(project, "pipelines/none/dvc.yaml"), "pipelines/none/dvc.yaml")


def test_not_a_dvc_project(project: Standins, launch: Here) -> None:
    shutil.rmtree(project.folder / ".dvc")
    one_line_error(launch(project), "no DVC project here", "run it in the project's root")


def test_pipelines_that_do_not_follow_params_yaml(project: Standins, launch: Here) -> None:
    shutil.rmtree(project.folder / "pipelines")
    one_line_error(launch(project), "python -m benchmarks.pipelines")


def test_a_command_of_another_kind_is_left_to_dvc(project: Standins, launch: Here) -> None:
    project.stages["report"]["cmd"] = "echo shown > reports/smoke/index.txt"
    project.save()
    done = launch(project)
    assert done.returncode == 1
    assert lines(done.stderr) == [
        "report@smoke: 'echo shown > reports/smoke/index.txt': wanted `python -m MODULE ...`; "
        "run such a stage with `dvc repro`"
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
    done = fresh.launch(**without(tmp_path / "refuses", "ray"))
    one_line_error(done, "launching needs Ray", "pip install -c constraints.txt ray")
    assert fresh.ran() == []


def test_a_module_that_cannot_be_imported_fails_its_cells(project: Standins, launch: Here) -> None:
    """What it says is in the log, and nothing is recorded of a neuron that could not help it."""
    (project.folder / "benchmarks/train.py").write_text("raise RuntimeError('a slip')\n")
    project.edit("a", "other")
    before = project.results()["pipelines/a/dvc.lock"]
    done = launch(project, "pipelines/a/dvc.yaml")
    assert done.returncode == 1
    assert "train@smoke-advection-a: exit status 1" in done.stderr
    assert "RuntimeError: a slip" in done.stderr
    assert project.results()["pipelines/a/dvc.lock"] == before


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


def test_the_file_of_a_log() -> None:
    assert Job("train@smoke-advection-a", "", "").file_name == "train@smoke-advection-a"
    assert Job("pipelines/own/dvc.yaml:mine", "", "").file_name == "pipelines_own_dvc.yaml:mine"


def test_a_stage_that_checks_no_key_has_its_code_imported_anew(project: Standins) -> None:
    """Else one process would run the code from before an edit, and write the key of that from after it."""
    for text in ("before", "after"):
        (project.folder / "saying.py").write_text(f"print('{text}')\n")
        done = watching.run(Job("say", "say", "python -m saying"), project.folder, Limits(), project.folder / ".launch")
        assert done.how == "done"
        assert (project.folder / ".launch/logs/say.log").read_text() == f"{text}\n"
