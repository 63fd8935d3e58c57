"""Processes killed on purpose: nothing finished is lost, nothing wrong is recorded, and the next launch completes.

"Completes" means the bytes of a project that nothing has disturbed. A launch takes cells in their order, as many at
once as it has cores: what hangs while others go on is the last of them, so that one core will do.
"""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import psutil
import pytest
import standin_project
from conftest import Done
from standin_project import ALL, OF_CELLS, PREPARE, Standins, job
from standin_ray import Direct, alone_on_stderr, ended, eventually, lines, site

from benchmarks.launch import watching
from benchmarks.launch.watching import Job, Limits, Outcome

Here = Callable[..., Done]
Completes = Callable[..., list[str]]
DATA = {"keys", PREPARE}  # what is recorded before any cell


@pytest.fixture(scope="module", autouse=True)
def hears_ctrl_c() -> None:
    """A shell starts what runs in the background with SIGINT ignored, which all its processes would inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Standins]:
    """A project with data, before anything else has run."""
    project = standin_project.prepared(tmp_path_factory.getbasetemp()).copy(tmp_path / "project")
    yield project
    shutil.rmtree(project.folder / "behave", ignore_errors=True)  # whatever waits there ends


@pytest.fixture
def completes(project: Standins, launch: Here, tmp_path_factory: pytest.TempPathFactory) -> Completes:
    undisturbed = standin_project.reproduced(tmp_path_factory.getbasetemp())
    return partial(standin_project.complete, project, undisturbed, launch)


def family(pid: int) -> tuple[psutil.Process, psutil.Process, psutil.Process]:
    """A cell's process, the nursery it comes from, and the Ray worker above."""
    cell = psutil.Process(pid)
    nursery, worker = cell.parents()[:2]
    assert "benchmarks.launch.nursery" in nursery.cmdline()
    assert "ray" in " ".join(worker.cmdline()).lower()
    return cell, nursery, worker


@pytest.mark.parametrize("victim", ["cell", "nursery", "worker"])
def test_a_process_is_killed_once_and_its_cell_starts_again(
    project: Standins, head: str, completes: Completes, victim: str
) -> None:
    behaviour = project.behave("train-a", "family")
    process = project.start("--address", head)
    first = project.started("train-a")
    processes = dict(zip(("cell", "nursery", "worker"), family(first), strict=True))
    (child,) = eventually(processes["cell"].children)
    processes[victim].kill()
    second = project.started("train-a", but=first)
    eventually(lambda: not child.is_running(), "what a killed cell has started runs on")
    behaviour.unlink()
    done = ended(process)
    assert done.returncode == 0, done.stderr
    assert second != first
    assert sorted(project.ran()) == sorted([*ALL, "train-a"])
    assert lines(done.stderr) == []
    assert completes(*ALL) == []
    assert project.all_gone()


def test_a_cell_that_is_killed_three_times_is_recorded_as_failed(project: Standins, head: str, launch: Here) -> None:
    project.behave("train-a", "die")
    done = launch(project, "--address", head)
    assert done.returncode == 0
    assert project.ran().count("train-a") == 3
    reason = "killed 3 times; killed by SIGKILL; log: train-a starts | it dies"
    assert lines(done.stderr) == [f"{job('train-a')}: {reason}"]
    assert f"{len(ALL) - 1} ran, 1 stopped and recorded so, 2 up to date" in done.stdout
    for name in ("accuracy.json", "dynamics.json"):
        content = json.loads(project.of_cell("a", name).read_text())
        said = content.get("seeds", [content])
        assert {(one["status"], one["reason"]) for one in said} == {("failed", reason)}
    assert (project.folder / f".launch/logs/{job('train-a')}.log").read_text() == "train-a starts\nit dies\n"
    assert "up to date" in project.repro().stdout
    assert project.ran() == []


@pytest.mark.parametrize("local", [True, False], ids=["own cluster", "address"])
def test_the_launch_is_killed(project: Standins, head: str, completes: Completes, local: bool) -> None:
    project.behave("train-c", "family")
    process = project.start(*([] if local else ["--address", head]))
    project.started("train-c")
    project.wrote("train-a", "train-b")
    eventually(lambda: len(project.running()) >= 3)  # the launch, and the cell with its child at least
    process.kill()
    process.communicate()
    assert project.all_gone()
    assert project.recorded() == DATA
    assert set(completes("train-a", "train-b")) == set(ALL) - {"train-a", "train-b"}


def test_rays_own_process_is_killed(project: Standins, completes: Completes) -> None:
    """Cells that could not start any more have not failed three times: none is recorded so."""
    project.behave("train-c", "family")
    process = project.start()
    project.started("train-c")
    project.wrote("train-a", "train-b")
    (raylet,) = [one for one in psutil.Process(process.pid).children() if one.name() == "raylet"]
    raylet.kill()
    alone_on_stderr(ended(process), "Ray's process on this machine has ended", "launch again")
    assert project.recorded() == DATA
    assert project.all_gone()
    assert set(completes("train-a", "train-b")) == set(ALL) - {"train-a", "train-b"}


BEFORE = {  # what ends before a part of the last cell begins
    "train-c": {"train-a", "train-b"},
    "measure-c": set(OF_CELLS) - {"measure-c"},
}


@pytest.mark.parametrize(
    ("number", "during"),
    [(signal.SIGINT, "measure-c"), (signal.SIGTERM, "measure-c"), (signal.SIGHUP, "train-c")],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_the_launch_is_interrupted(
    project: Standins, head: str, completes: Completes, number: signal.Signals, during: str
) -> None:
    """What had ended is recorded: of cells that are complete."""
    project.behave(during, "family")
    process = project.start("--address", head) if number is not signal.SIGINT else project.start()
    project.started(during)
    project.wrote(*BEFORE[during])
    os.killpg(process.pid, number) if number is signal.SIGINT else process.send_signal(number)
    done = ended(process)
    assert done.returncode == 130, done.stderr
    assert lines(done.stderr) == ["interrupted; run the same command to go on"]
    assert project.all_gone()
    assert project.recorded() == (DATA | {"a", "b"} if during == "measure-c" else DATA)
    assert set(completes(*BEFORE[during])) == set(ALL) - BEFORE[during]


def test_what_ended_before_the_interrupt_and_was_not_heard_of(
    project: Standins, launch: Here, completes: Completes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come after a cell has written its results and before the launch has its outcome."""

    def run(
        _: Direct, jobs: Sequence[Job], folder: Path, limits: Limits, notes: Path, alone: bool
    ) -> Iterator[Outcome]:
        for one in jobs:
            if one.name == job("measure-b"):
                raise KeyboardInterrupt
            outcome = watching.run(one, folder, limits, notes)
            if one.kind != "measure":
                yield outcome

    with monkeypatch.context() as patched:
        patched.setattr(Direct, "run", run)
        done = launch(project)
    assert done.returncode == 130
    assert lines(done.stderr) == ["interrupted; run the same command to go on"]
    assert project.recorded() == DATA | {"a"}
    assert completes() == ["measure-b", "measure-c", "report"]


@pytest.mark.parametrize("stage_too", [False, True], ids=["alone", "with the stage that it ran"])
def test_dvc_repro_is_killed(project: Standins, completes: Completes, stage_too: bool) -> None:
    """Alone, it leaves its stage running, which then ends by itself."""
    behaviour = project.behave("dynamics-b", "wait")
    repro = project.start_repro()
    project.started("dynamics-b")
    before = project.recorded()
    assert before >= DATA
    assert "b" not in before
    if stage_too:
        os.killpg(repro.pid, signal.SIGKILL)
    else:
        repro.kill()
        behaviour.unlink()
    repro.communicate()
    assert project.all_gone()
    ran = completes("train-b", *(name for name in OF_CELLS if name[-1] in before))
    assert {name for name in ran if name[-1] == "b"} == ({"dynamics-b", "measure-b"} if stage_too else set())


def test_two_launches_at_once(project: Standins, head: str, launch: Here, completes: Completes) -> None:
    behaviour = project.behave("train-b", "wait")
    first = project.start("--address", head)
    project.started("train-b")
    alone_on_stderr(launch(project), "another launch or DVC command is at work in this folder")
    repro = project.repro()
    assert repro.returncode != 0
    assert "Unable to acquire lock" in repro.stderr
    behaviour.unlink()
    assert ended(first).returncode == 0
    assert project.ran() == ALL
    assert completes(*ALL) == []


def test_a_launch_beside_dvc_repro(project: Standins, launch: Here, completes: Completes) -> None:
    """While it runs a stage `dvc repro` gives its lock away."""
    behaviour = project.behave("train-b", "wait")
    repro = project.start_repro()
    project.started("train-b")
    alone_on_stderr(launch(project), "another launch or DVC command is at work in this folder")
    behaviour.unlink()
    assert ended(repro).returncode == 0
    assert completes(*ALL) == []


DIES_WRITING = """
import os, sys

if "benchmarks.launch" in sys.orig_argv:
    from pathlib import Path

    write = Path.write_text

    def half(self, text):
        if self.name.startswith(".dvc.lock.") and "cell@" in text:
            write(self, text[: len(text) // 2])
            os._exit(9)
        return write(self, text)

    Path.write_text = half
"""


def test_a_recording_is_killed(
    project: Standins, head: str, launch: Here, completes: Completes, tmp_path: Path
) -> None:
    """In the middle of writing a lock file, which stays as it was."""
    target, lock = "pipelines/a/dvc.yaml", project.folder / "pipelines/a/dvc.lock"
    assert project.repro(target).returncode == 0
    before = lock.read_bytes()
    project.edit("a", "other")
    project.ran()
    done = project.launch("--address", head, target, **site(tmp_path / "site", DIES_WRITING))
    assert done.returncode == 9, done.stderr
    assert project.ran() == ["dynamics-a", "keys", "measure-a", "train-a"]
    assert lock.read_bytes() == before
    assert project.all_gone()
    assert launch(project, target).returncode == 0
    assert project.ran() == []
    assert lock.read_bytes() != before
    project.edit("a", "a")
    assert "train-a" in completes()


JUMPS = """
import time

real, begin = time.time, time.monotonic()


def jumping():
    since = time.monotonic() - begin
    return real() + (0 if since < 1 else 3e8 if since < 2 else -3e8)


time.time = jumping
"""


def test_the_clock_jumps(project: Standins, head: str, completes: Completes, tmp_path: Path) -> None:
    """Ten years on, then back, in each process. No time limit ends a cell, and nothing is stale by its date."""
    project.behave("train-a", "slow 1.5")
    done = project.launch("--address", head, "--time-limit", "60", **site(tmp_path / "site", JUMPS))
    assert done.returncode == 0, done.stderr
    assert project.ran() == ALL
    for date, cell in zip((0, 1, 4e9), "abc", strict=True):
        for path in (project.folder / f"neurons/{cell}.py", project.of_cell(cell, "accuracy.json")):
            os.utime(path, (date, date))
    assert completes(*ALL) == []
