"""What is written down of a machine, and the warning of more workers than it has cores."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks import machine

CUDA = torch.device("cuda")


def test_more_workers_than_cores_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5}, raising=False)
    for workers in (1, 2):
        machine.warn_of_workers(workers)
    assert capsys.readouterr() == ("", "")
    machine.warn_of_workers(8)
    said = "training.workers: 8 found, 2 cores here; seeds will wait for each other; set it to 2 or less\n"
    assert capsys.readouterr() == ("", said)


def said_by(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def switches() -> Iterator[None]:
    """Puts PyTorch's switches back as they were."""
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(before[0])
    cudnn.deterministic, cudnn.benchmark = before[1:]


@pytest.mark.skipif(sys.platform != "linux", reason="held against what Linux says of itself")
def test_the_description_is_what_the_system_says() -> None:
    found = machine.describe(torch.device("cpu"))
    total = re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), flags=re.MULTILINE)
    assert total is not None
    assert abs(found["memory_gib"] - int(total[1]) / 2**20) <= 0.5
    assert found["release"] == said_by("uname", "-r")
    assert found["system"] == said_by("uname", "-s")
    assert found["cores"] == int(said_by("getconf", "_NPROCESSORS_ONLN"))
    assert found["versions"]["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    assert "gpu" not in found
    assert json.loads(json.dumps(found)) == found


@pytest.mark.usefixtures("switches")
@pytest.mark.parametrize("on", [True, False])
def test_switches_of_determinism_are_those_that_are_set(on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.use_deterministic_algorithms(on)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = on, not on
    for name, value in (("CUBLAS_WORKSPACE_CONFIG", ":4096:8"), ("PYTHONHASHSEED", "0")):
        if on:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv(name, raising=False)
    assert machine.describe(torch.device("cpu"))["determinism"] == {
        "deterministic_algorithms": on,
        "cudnn_deterministic": on,
        "cudnn_benchmark": not on,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8" if on else None,
        "PYTHONHASHSEED": "0" if on else None,
    }


class NVMLError(Exception):
    """As NVIDIA's library names its errors."""


@pytest.mark.parametrize("answers", [True, False])
def test_a_gpu_is_described_with_its_driver_and_libraries(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def version() -> str:
        if not answers:
            raise NVMLError
        return "575.57.08"

    library = SimpleNamespace(NVMLError=NVMLError, nvmlInit=lambda: None, nvmlSystemGetDriverVersion=version)
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 2**30))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    found = machine.describe(CUDA)
    assert found["device"] == "Some GPU"
    driver = "575.57.08" if answers else "unknown"
    assert found["gpu"] == {"driver": driver, "cuda": "13.0", "cudnn": 91002, "gpu_memory_gib": 80}


def test_a_machine_without_nvidia_s_library_has_an_unknown_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert machine._driver() == "unknown"


def test_the_revision_says_whether_the_code_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.describe(torch.device("cpu"))["revision"] == "unknown"
    for part in ("neurons", "datasets", "benchmarks", "results"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.py").write_text("")
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    for arguments in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        said_by("git", *arguments)
    head = said_by("git", "rev-parse", "HEAD")[:10]
    (tmp_path / "results" / "a.py").write_text("made\n")
    assert machine.describe(torch.device("cpu"))["revision"] == head
    (tmp_path / "neurons" / "new.py").write_text("")
    assert machine.describe(torch.device("cpu"))["revision"] == f"{head}+"


NEW: dict[str, Any] = {
    "device": "CPU", "versions": {"torch": "2"}, "revision": "a", "memory_gib": 8, "release": "6.1",
    "determinism": {"cudnn_benchmark": False, "PYTHONHASHSEED": None},
}  # fmt: skip
OLD = {part: NEW[part] for part in ("device", "versions", "revision")}


def test_files_are_compared_in_what_both_say() -> None:
    assert machine.comparable(OLD, NEW) == (OLD, OLD)
    assert machine.comparable(NEW, OLD) == (OLD, OLD)
    for locks in ({}, {"locks": "1"}, {"locks": "2"}):  # a digest that 0.6 wrote
        assert machine.comparable({**NEW, "locks": "1"}, {**NEW, **locks}) == (NEW, NEW)
    other = {**NEW, "memory_gib": 16, "determinism": {"cudnn_benchmark": True}}
    one, two = machine.comparable(NEW, other)
    assert one == NEW
    assert {part for part in one if one[part] != two[part]} == {"memory_gib", "determinism"}


def test_every_part_that_not_all_releases_have_is_named() -> None:
    before = {"device", "threads", "cores", "system", "python", "versions", "revision"}
    assert {*machine.describe(torch.device("cpu"))} - before | {"gpu"} == {*machine.ADDED}
