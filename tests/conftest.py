"""What all tests share: one thread, seeded draws, a small dataset, and a small copy of the project to run stages in."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch import Tensor

import datasets
from benchmarks import command, params
from datasets import DatasetError, Sequences, moving_mnist

ROOT = Path(__file__).parent.parent
MOVING: dict[str, Any] = {
    "source": "embedded",
    "canvas": 20,
    "digits": 2,
    "digit_size": 7,
    "step": [0.1, 0.3],
    "observed": 3,
    "predicted": 2,
    "sequences": {"train": 12, "validation": 4, "test": 5},
    "seed": 3,
}


def refused(says: str, call: Callable[..., Any], *arguments: Any, **params: Any) -> None:
    """Expects a one-line DatasetError that says so."""
    with pytest.raises(DatasetError, match=says) as error:
        call(*arguments, **params)
    assert len(str(error.value).splitlines()) == 1


def in_memory(sequences: NDArray[np.uint8], observed: int) -> Sequences:
    """A split of sequences [N, T, C, H, W] that no file holds."""
    count, length, *frame = sequences.shape
    frames = sequences.reshape(count * length, *frame)
    return Sequences(frames, np.arange(count) * length, length, observed, (Path(), "", ""))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240521)


@pytest.fixture
def currents(generator: torch.Generator) -> Callable[..., Tensor]:
    """Draws unit-variance input currents [T, B, C, H, W]."""

    def draw(steps: int = 8, batch: int = 2, channels: int = 16, side: int = 6, dtype: Any = torch.float32) -> Tensor:
        return torch.randn(steps, batch, channels, side, side, generator=generator, dtype=dtype)

    return draw


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20240521)


@pytest.fixture(scope="session")
def mnist() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The embedded digits and their labels, read once."""
    return moving_mnist._digits()


@pytest.fixture
def digits_read_once(mnist: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_mnist, "_digits", lambda: mnist)


@pytest.fixture
def prepared(tmp_path: Path, digits_read_once: None) -> Path:
    """Moving MNIST, prepared small."""
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "prepared", **MOVING)
    return tmp_path / "prepared"


TINY: dict[str, Any] = {"seeds": 2, "steps": 4, "validate_every": 2, "workers": 1}
CELL = ("--dataset", "moving_mnist", "--neuron")


Done = subprocess.CompletedProcess[str]


class Project:
    """A copy of the code in a folder of its own, with the smoke profile cut down to a few steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("neurons", "datasets", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        self.params = yaml.safe_load((ROOT / "params.yaml").read_text())
        self.params["profile"] = "smoke"
        self.params |= {"neurons": {"lif": {}}, "controls": [], "more_neurons": {}, "more_controls": {}}
        self.params["datasets"] = ["moving_mnist"]
        self.cell = params.whole(self.params)["profiles"]["smoke"]["moving_mnist"]
        self.params["profiles"]["smoke"]["moving_mnist"] = self.cell  # whole, for tests to change anything in it
        self.cell["training"] |= TINY
        self.cell["stability"] |= {"seeds": 1, "steps": 2}
        self.save()

    def copy(self, folder: Path) -> "Project":
        """The same in another folder."""
        shutil.copytree(self.folder, folder)
        copy = Project.__new__(Project)
        copy.folder = folder
        copy.params = yaml.safe_load((folder / "params.yaml").read_text())
        copy.cell = copy.params["profiles"]["smoke"]["moving_mnist"]
        return copy

    def save(self) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params))

    def add(self, neuron: str, code: str) -> None:
        """Adds a neuron: one file and one line."""
        (self.folder / "neurons" / f"{neuron}.py").write_text(code)
        self.params["neurons"][neuron] = {}
        self.save()

    def run(self, stage: str, *options: str, **how: Any) -> Done:
        """Runs a stage as a user does."""
        command = [sys.executable, "-m", f"benchmarks.{stage}", *options]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300, check=False, **how)

    def made(self) -> set[str]:
        """Everything under results/ and reports/, temporary names included."""
        return {
            str(p.relative_to(self.folder)) for top in ("results", "reports") for p in (self.folder / top).rglob("*")
        }


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("prepared") / "project")
    assert project.run("prepare", "--dataset", "moving_mnist").returncode == 0
    return project


@pytest.fixture(scope="module")
def prepared_project(prepared_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of this module's own, its data prepared."""
    return prepared_once.copy(tmp_path_factory.mktemp("module") / "project")


@pytest.fixture
def project(prepared_project: Project, tmp_path: Path) -> Project:
    """A project of this test's own, as the module's is by now."""
    return prepared_project.copy(tmp_path / "project")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs a stage in this process, which saves the import of torch; only for unchanged code."""

    def run(project: Project, stage: str, *options: str) -> Done:
        main = import_module("benchmarks.report.__main__" if stage == "report" else f"benchmarks.{stage}").main
        monkeypatch.chdir(project.folder)
        monkeypatch.setattr(sys, "argv", [stage, *options])
        capsys.readouterr()
        try:
            command.run(main)
        except SystemExit as end:
            return Done([stage], 1, "", f"{capsys.readouterr().err}\n{end.code}")
        return Done([stage], 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def head() -> Iterator[str]:
    """The address of a Ray cluster of two cores, for all tests that launch."""
    from standin_ray import ray_head

    with ray_head(2) as address:
        yield address


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Done]]:
    """Launches in this process; without Ray where no address is given."""
    import standin_ray

    from benchmarks.launch import __main__ as launching
    from benchmarks.launch import watching

    def run(project: Any, *options: str) -> Done:
        monkeypatch.chdir(project.folder)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # the stages' `python`
        monkeypatch.setenv("PATH", path)
        monkeypatch.setattr(sys, "argv", ["launch", *options])
        if "--address" not in options:
            monkeypatch.setattr(launching, "connected", standin_ray.direct)
        capsys.readouterr()
        try:
            command.run(launching.main)
        except SystemExit as end:
            out, err = capsys.readouterr()
            return Done(
                [], end.code if isinstance(end.code, int) else 1, out, err + f"{end.code}\n" * isinstance(end.code, str)
            )
        return Done([], 0, *capsys.readouterr())

    yield run
    for nursery in watching._nurseries.values():
        nursery.close()
    watching._nurseries.clear()


REFUSES = """
import sys


class Refuses:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {libraries!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Refuses())
"""


def without(folder: Path, *libraries: str) -> dict[str, str]:
    """The environment of a Python that does not find `libraries`, workers included; `folder` holds what refuses."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSES.format(libraries=libraries))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def one_line_error(done: Done, *wanted: str) -> None:
    """The contract of an error: one line, non-zero exit, no traceback, and the words that help."""
    lines = [
        line
        for line in done.stderr.replace("\r", "\n").splitlines()
        if line.strip() and "loss" not in line and "?step" not in line
    ]
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for words in wanted:
        assert words in lines[0]
