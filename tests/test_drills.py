"""Faults on purpose: after each, nothing finished is lost, nothing wrong is recorded, and the next launch completes.

"Completes" means the bytes of a project that nothing has disturbed. All stages compute nothing but the ones at the end.
"""

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil
import pytest
import yaml
from conftest import Done
from ruamel.yaml import YAML
from standin_project import CELLS, Direct, Standins, ended, eventually, lines

from benchmarks.launch import watching
from benchmarks.launch.watching import Job, Limits, Outcome

ALL = {"prepare", "report", *(f"{stage}-{n}" for stage in ("train", "dynamics", "measure") for n in CELLS)}
ROOT = os.geteuid() == 0
Here = Callable[..., Done]
Completes = Callable[..., list[str]]


@pytest.fixture(scope="module", autouse=True)
def hears_ctrl_c() -> None:
    """A shell starts what runs in the background with SIGINT ignored, which all its processes would inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Standins:
    return Standins(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="module")
def undisturbed(fresh: Standins, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What all results are when nothing happens."""
    project = fresh.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    assert project.repro().returncode == 0
    return project.results()


@pytest.fixture
def project(fresh: Standins, tmp_path: Path) -> Iterator[Standins]:
    project = fresh.copy(tmp_path / "project")
    yield project
    shutil.rmtree(project.folder / "behave", ignore_errors=True)  # whatever waits there ends


@pytest.fixture
def completes(project: Standins, undisturbed: dict[str, bytes], launch: Here) -> Completes:
    """Launches again; what ran then. All results are those of a run that nothing disturbed, and DVC has no more to do.

    What had ended `before` does not run again.
    """

    def completes(*before: str) -> list[str]:
        shutil.rmtree(project.folder / "behave", ignore_errors=True)
        project.ran()
        done = launch(project)
        assert done.returncode == 0, done.stderr
        ran = project.ran()
        assert not set(ran) & set(before)
        assert len(ran) == len(set(ran))
        assert project.results() == undisturbed
        assert project.reproduced() == []
        return ran

    return completes


def one_line(done: Done, *wanted: str) -> None:
    """The contract of an error, beside progress bars."""
    assert done.returncode == 1, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith("error: ")
    for words in wanted:
        assert words in line


def recorded(project: Standins) -> set[str]:
    """The stages in dvc.lock; the file is whole."""
    lock = project.folder / "dvc.lock"
    return set(yaml.safe_load(lock.read_text())["stages"]) if lock.exists() else set()


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
    assert lines(done.stderr) == [f"train@a: {reason}"]
    assert "10 ran, 1 stopped and recorded so, 0 up to date" in done.stdout
    assert (project.folder / "cells/a/accuracy.json").read_text().endswith(f" failed: {reason}\n")
    assert (project.folder / ".launch/logs/train@a.log").read_text() == "train-a starts\nit dies\n"
    assert "up to date" in project.repro().stdout
    assert project.ran() == []


@pytest.mark.parametrize("local", [True, False], ids=["own cluster", "address"])
def test_the_launch_is_killed(project: Standins, head: str, completes: Completes, local: bool) -> None:
    project.behave("train-b", "family")
    process = project.start(*([] if local else ["--address", head]))
    project.started("train-b")
    finished = {"prepare", "train-a", "train-c"}
    eventually(lambda: all((project.folder / f".launch/done/train@{n}.json").exists() for n in "ac"), seconds=30)
    eventually(lambda: len(project.running()) >= 3)  # the launch, and the cell with its child at least
    process.kill()
    process.communicate()
    assert project.all_gone()
    assert recorded(project) == {"prepare"}
    ran = completes(*finished)
    assert set(ran) == ALL - finished


def test_rays_own_process_is_killed(project: Standins, completes: Completes) -> None:
    """Cells that could not start any more have not failed three times: none is recorded so."""
    project.behave("train-b", "family")
    process = project.start()
    project.started("train-b")
    eventually(lambda: all((project.folder / f".launch/done/train@{n}.json").exists() for n in "ac"), seconds=30)
    (raylet,) = [one for one in psutil.Process(process.pid).children() if one.name() == "raylet"]
    raylet.kill()
    one_line(ended(process), "Ray's process on this machine has ended", "launch again")
    assert recorded(project) == {"prepare", "train@a", "train@c"}
    assert project.all_gone()
    assert set(completes("prepare", "train-a", "train-c")) == ALL - {"prepare", "train-a", "train-c"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_the_launch_is_interrupted(project: Standins, head: str, completes: Completes, number: signal.Signals) -> None:
    project.behave("train-b", "family")
    process = project.start("--address", head) if number is not signal.SIGINT else project.start()
    project.started("train-b")
    eventually(lambda: all((project.folder / f".launch/done/train@{n}.json").exists() for n in "ac"), seconds=30)
    os.killpg(process.pid, number) if number is signal.SIGINT else process.send_signal(number)
    done = ended(process)
    assert done.returncode == 130, done.stderr
    assert lines(done.stderr) == ["interrupted; run the same command to go on"]
    assert project.all_gone()
    assert recorded(project) == {"prepare", "train@a", "train@c"}
    assert set(completes("prepare", "train-a", "train-c")) == ALL - {"prepare", "train-a", "train-c"}


def test_what_ended_before_the_interrupt_and_was_not_heard_of(
    project: Standins, launch: Here, completes: Completes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come after a cell has noted its end and before the launch has its outcome."""

    def run(
        _: Direct, jobs: Sequence[Job], folder: Path, limits: Limits, notes: Path, alone: bool
    ) -> Iterator[Outcome]:
        for job in jobs:
            if job.name == "train@b":
                raise KeyboardInterrupt
            outcome = watching.run(job, folder, limits, notes)
            if not job.name.startswith("train"):
                yield outcome

    with monkeypatch.context() as patched:
        patched.setattr(Direct, "run", run)
        done = launch(project)
    assert done.returncode == 130
    assert lines(done.stderr) == ["interrupted; run the same command to go on"]
    ended_before = {f"train@{n}" for n in CELLS[: CELLS.index("b")]}
    assert ended_before
    assert recorded(project) == {"prepare", *ended_before}
    assert not set(completes("prepare")) & {name.replace("@", "-") for name in ended_before}


def test_dvc_repro_is_killed(project: Standins, completes: Completes) -> None:
    project.behave("train-b", "wait")
    repro = project.start_repro()
    project.started("train-b")
    before = recorded(project)
    repro.kill()
    (project.folder / "behave/train-b").unlink()  # DVC leaves the cell running; it ends by itself
    repro.communicate()
    assert project.all_gone()
    assert "prepare" in before
    assert "train-b" in completes("prepare")


def test_two_launches_at_once(project: Standins, head: str, launch: Here, completes: Completes) -> None:
    project.behave("train-b", "wait")
    first = project.start("--address", head)
    project.started("train-b")
    one_line(launch(project), "another launch or DVC command is at work in this folder")
    repro = project.repro()
    assert repro.returncode != 0
    assert "Unable to acquire lock" in repro.stderr
    (project.folder / "behave/train-b").unlink()
    assert ended(first).returncode == 0
    assert set(project.ran()) == ALL
    assert completes(*ALL) == []


def test_a_launch_beside_dvc_repro(project: Standins, launch: Here, completes: Completes) -> None:
    """While it runs a stage `dvc repro` gives its lock away."""
    project.behave("train-b", "wait")
    repro = project.start_repro()
    project.started("train-b")
    one_line(launch(project), "another launch or DVC command is at work in this folder")
    (project.folder / "behave/train-b").unlink()
    assert ended(repro).returncode == 0
    assert completes(*ALL) == []


def test_a_damaged_lock_of_dvc(project: Standins, launch: Here) -> None:
    (project.folder / ".dvc/tmp").mkdir(exist_ok=True)
    (project.folder / ".dvc/tmp/rwlock").write_text('{"write": {')
    one_line(launch(project), ".dvc/tmp/rwlock: damaged", "remove it")


def test_a_disk_is_full(project: Standins, launch: Here, completes: Completes) -> None:
    """As far as a cell sees: it cannot write more than a few bytes to any file."""
    project.behave("train-a", "full")
    done = launch(project)
    assert done.returncode == 1
    wrong = [line for line in lines(done.stderr) if line.startswith("train@a: exit status 1")]
    assert len(wrong) == 1
    assert "error: cells/a/accuracy.json: cannot be written (File too large)" in wrong[0]
    assert not {"train@a", "dynamics@a"} & recorded(project)
    assert set(completes()) == {"train-a", "dynamics-a", "report"}


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    """A mount of its own, in which an answer of `mount` that it may not is a reason to skip."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *how, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here ({done.stderr.strip()}); needs root with CAP_SYS_ADMIN")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(not ROOT, reason="only root can mount a small disk; test_a_disk_is_full runs for all")
def test_a_small_disk_is_full(project: Standins, launch: Here, completes: Completes) -> None:
    cells = project.folder / "cells"
    with mounted(cells, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        (cells / "filling").write_bytes(b"x" * (60 << 10))
        done = launch(project, "train@a", "train@b", "train@c")
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert all("cannot be written" in line for line in lines(done.stderr))
        assert recorded(project) < {"prepare", *(f"train@{n}" for n in CELLS)}
    completes()


@pytest.mark.skipif(not ROOT, reason="only root can mount read-only; permissions are tested as a user below")
def test_read_only_results(project: Standins, launch: Here, completes: Completes) -> None:
    cells = project.folder / "cells"
    with mounted(cells, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        done = launch(project)
        one_line(done, "cells/a/accuracy.json: cannot be written (Read-only file system)")
    completes("prepare")


@pytest.mark.skipif(ROOT, reason="permissions do not bind root; test_read_only_results runs instead")
def test_results_that_a_user_may_not_write(project: Standins, launch: Here, completes: Completes) -> None:
    cells = project.folder / "cells"
    cells.mkdir(mode=0o555)
    one_line(launch(project), "cells/a/accuracy.json: cannot be written (Permission denied)")
    cells.chmod(0o755)
    completes("prepare")


def test_results_are_a_file(project: Standins, launch: Here, completes: Completes) -> None:
    (project.folder / "cells").write_text("in the way")
    done = launch(project)
    one_line(done, "cells/a/accuracy.json: cannot be written (Not a directory)")
    (project.folder / "cells").unlink()
    completes("prepare")


def site(folder: Path, code: str) -> dict[str, str]:
    """The environment of a Python that runs `code` when it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


DIES_WRITING = """
import os, sys

if "benchmarks.launch" in sys.orig_argv:
    from ruamel.yaml import YAML

    def dump(self, content, stream):
        stream.write("schema: '2.0'\\nstages:\\n  prep")
        stream.flush()
        os._exit(9)

    YAML.dump = dump
"""


def test_a_recording_is_killed(project: Standins, head: str, completes: Completes, tmp_path: Path) -> None:
    """In the middle of writing dvc.lock, which stays as it was."""
    before = first_recorded(project)
    done = project.launch("--address", head, "train@a", **site(tmp_path / "site", DIES_WRITING))
    assert done.returncode == 9, done.stderr
    assert project.ran() == ["train-a"]
    assert (project.folder / "dvc.lock").read_bytes() == before
    assert project.all_gone()
    assert set(completes("prepare", "train-a")) == ALL - {"prepare", "train-a"}


def first_recorded(project: Standins) -> bytes:
    assert project.repro("prepare").returncode == 0
    project.ran()
    return (project.folder / "dvc.lock").read_bytes()


def test_a_recording_finds_no_space(
    project: Standins, launch: Here, completes: Completes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = first_recorded(project)

    def dump(_: YAML, content: object, stream: TextIO) -> None:
        stream.write("schema: '2.0'")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(YAML, "dump", dump)
        one_line(launch(project, "train@a"), "dvc.lock: cannot be written (No space left on device)")
    assert project.ran() == ["train-a"]
    assert (project.folder / "dvc.lock").read_bytes() == before
    assert set(completes("prepare", "train-a")) == ALL - {"prepare", "train-a"}


def flip(path: Path) -> None:
    """One bit of a file, which DVC has made read-only."""
    mode, content = path.stat().st_mode, bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("lost", [False, True], ids=["only the cache", "and the workspace lost it"])
def test_a_file_in_the_cache_is_corrupt(
    project: Standins, launch: Here, completes: Completes, undisturbed: dict[str, bytes], lost: bool
) -> None:
    assert completes() != []
    weights = "cells/a/weights.safetensors"
    cached = [
        p
        for p in (project.folder / ".dvc/cache/files").rglob("*")
        if p.is_file() and p.read_bytes() == undisturbed[weights]
    ]
    flip(cached[0])
    if lost:
        (project.folder / weights).unlink()
    completes()
    project.edit("a", "other")
    assert launch(project).returncode == 0
    project.edit("a", "a")
    completes()
    assert cached[0].read_bytes() == undisturbed[weights]


def test_what_was_written_and_not_recorded_is_corrupt(project: Standins, head: str, completes: Completes) -> None:
    project.behave("train-b", "wait")
    process = project.start("--address", head)
    project.started("train-b")
    eventually(lambda: (project.folder / ".launch/done/train@a.json").exists())
    process.kill()
    process.communicate()
    assert project.all_gone()
    flip(project.folder / "cells/a/weights.safetensors")
    assert "train-a" in completes("prepare", "train-c")


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
    project.behave("train-a", "slow")
    done = project.launch("--address", head, "--time-limit", "60", **site(tmp_path / "site", JUMPS))
    assert done.returncode == 0, done.stderr
    assert set(project.ran()) == ALL
    for date, path in zip((0, 1, 4e9), (project.folder / "in").iterdir(), strict=True):
        os.utime(path, (date, date))
    assert completes(*ALL) == []
