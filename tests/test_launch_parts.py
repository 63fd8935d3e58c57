"""What a launch is made of, and what it refuses in one line."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import standin_project
from conftest import Done, one_line_error, without
from standin_project import Standins
from standin_ray import lines

from benchmarks.launch import __main__ as launching
from benchmarks.launch import watching
from benchmarks.launch.engine import Cluster, Share
from benchmarks.launch.stages import LaunchError
from benchmarks.launch.watching import Job, Limits, parsed, tail

Here = Callable[..., Done]


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Standins:
    """A project in which all is up to date."""
    return standin_project.reproduced(tmp_path_factory.getbasetemp()).copy(tmp_path / "project")


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


def test_without_ray(project: Standins, tmp_path: Path) -> None:
    done = project.launch("--force", **without(tmp_path / "refuses", "ray"))
    one_line_error(done, "launching needs Ray", "pip install -c constraints.txt ray")
    assert project.ran() == []


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
