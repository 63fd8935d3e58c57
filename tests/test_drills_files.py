"""Disks that are full or read-only, and files that are damaged: as for processes that are killed (test_drills.py)."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import standin_project
from conftest import Done
from standin_project import ALL, OF_CELLS, PREPARE, Standins, job
from standin_ray import alone_on_stderr, lines

ROOT = os.geteuid() == 0
Here = Callable[..., Done]
Completes = Callable[..., list[str]]
OF_A = [name for name in OF_CELLS if name.endswith("-a")]
TARGET = "pipelines/a/dvc.yaml"


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Standins]:
    """A project with data, before anything else has run."""
    project = standin_project.prepared(tmp_path_factory.getbasetemp()).copy(tmp_path / "project")
    yield project
    shutil.rmtree(project.folder / "behave", ignore_errors=True)


@pytest.fixture
def completes(project: Standins, launch: Here, tmp_path_factory: pytest.TempPathFactory) -> Completes:
    undisturbed = standin_project.reproduced(tmp_path_factory.getbasetemp())
    return partial(standin_project.complete, project, undisturbed, launch)


@pytest.fixture
def of_a(project: Standins) -> Path:
    """Where the results of the neuron `a` come."""
    return project.of_cell("a", "accuracy.json").parent


def test_a_disk_is_full(project: Standins, launch: Here, completes: Completes) -> None:
    """As far as a cell sees: it cannot write more than a few bytes to any file."""
    project.behave("train-a", "full")
    done = launch(project)
    assert done.returncode == 1
    wrong, waits = lines(done.stderr)
    assert wrong.startswith(f"{job('train-a')}: exit status 1")
    assert "error: results/smoke/advection/a/curves.csv: cannot be written (File too large)" in wrong
    assert waits == f"{job('dynamics-a')}: needs {job('train-a')}"
    assert project.recorded() == {"keys", PREPARE, "b", "c", "report@smoke"}
    assert completes() == ["dynamics-a", "report", "train-a"]


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
def test_a_small_disk_is_full(project: Standins, launch: Here, completes: Completes, of_a: Path) -> None:
    with mounted(of_a, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        (of_a / "filling").write_bytes(b"x" * (60 << 10))
        done = launch(project, *(f"pipelines/{cell}/dvc.yaml" for cell in "abc"))
        assert done.returncode == 1
        trained, waits, measured = lines(done.stderr)
        for part, said in (("train-a", trained), ("measure-a", measured)):
            assert said.startswith(f"{job(part)}: ")
            assert "cannot be written (No space left on device)" in said
        assert waits == f"{job('dynamics-a')}: needs {job('train-a')}"
        assert project.recorded() == {"keys", PREPARE, "b", "c"}
    assert completes() == sorted([*OF_A, "report"])


@pytest.mark.skipif(not ROOT, reason="only root can mount read-only; permissions are tested as a user below")
def test_read_only_results(project: Standins, launch: Here, completes: Completes, of_a: Path) -> None:
    with mounted(of_a, "-t", "tmpfs", "-o", "ro", "tmpfs"):
        alone_on_stderr(
            launch(project), "results/smoke/advection/a/accuracy.json: cannot be written (Read-only file system)"
        )
    assert completes() == ALL


@pytest.mark.skipif(ROOT, reason="permissions do not bind root; test_read_only_results runs instead")
def test_results_that_a_user_may_not_write(project: Standins, launch: Here, completes: Completes, of_a: Path) -> None:
    of_a.mkdir(mode=0o555)
    alone_on_stderr(launch(project), "results/smoke/advection/a/accuracy.json: cannot be written (Permission denied)")
    of_a.chmod(0o755)
    assert completes() == ALL


def test_results_are_a_file(project: Standins, launch: Here, completes: Completes, of_a: Path) -> None:
    of_a.write_text("in the way")
    alone_on_stderr(launch(project), "results/smoke/advection/a/accuracy.json: cannot be written (Not a directory)")
    of_a.unlink()
    assert completes() == ALL


def test_a_recording_finds_no_space(
    project: Standins, launch: Here, completes: Completes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = project.folder / "pipelines/a/dvc.lock"
    write = Path.write_text

    def full(path: Path, text: str) -> int:
        if path.name.startswith(".dvc.lock."):
            write(path, text[:20])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, text)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        alone_on_stderr(launch(project, TARGET), "pipelines/a/dvc.lock: cannot be written (No space left on device)")
    assert project.ran() == OF_A
    assert not list(lock.parent.glob(f"*{lock.name}*"))
    assert set(completes(*OF_A)) == set(ALL) - set(OF_A)


def test_a_damaged_lock_of_dvc(project: Standins, launch: Here) -> None:
    (project.folder / ".dvc/tmp").mkdir(exist_ok=True)
    (project.folder / ".dvc/tmp/rwlock").write_text('{"write": {')
    alone_on_stderr(launch(project), ".dvc/tmp/rwlock: damaged", "remove it")


def flip(path: Path) -> None:
    """One bit of a file, which DVC may have made read-only."""
    mode, content = path.stat().st_mode, bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


@pytest.mark.parametrize("lost", [False, True], ids=["only the cache", "and the workspace lost it"])
def test_a_file_in_the_cache_is_corrupt(project: Standins, launch: Here, completes: Completes, lost: bool) -> None:
    frames = project.folder / "data/smoke/advection/train.npy"
    whole = frames.read_bytes()
    files = (project.folder / ".dvc/cache/files").rglob("*")
    (cached,) = [path for path in files if path.is_file() and path.read_bytes() == whole]
    flip(cached)
    if lost:
        frames.unlink()
    assert completes() == sorted([*ALL, *(["prepare"] if lost else [])])
    assert launch(project, "--force", PREPARE).returncode == 0
    assert completes() == []
    assert cached.read_bytes() == whole


def test_what_was_written_and_not_recorded_is_corrupt(project: Standins, head: str, completes: Completes) -> None:
    project.behave("train-c", "wait")
    process = project.start("--address", head)
    project.started("train-c")
    project.wrote("train-a", "train-b")
    process.kill()
    process.communicate()
    assert project.all_gone()
    flip(project.of_cell("a", "accuracy.json"))
    assert set(completes("train-b")) == set(ALL) - {"train-b"}
