"""The stages as a user types them: what they write, and one line for everything a user can get wrong."""

import json
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import command

ROOT = Path(__file__).parents[1]
TINY: dict[str, Any] = {"seeds": 2, "steps": 4, "validate_every": 2, "workers": 1}
CELL = ("--dataset", "moving_mnist", "--neuron")
Edit = Callable[[dict[str, Any]], None]


Done = subprocess.CompletedProcess[str]


class Project:
    """A copy of the code in a folder of its own, with the smoke profile cut down to a few steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("neurons", "datasets", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        self.params = yaml.safe_load((ROOT / "params.yaml").read_text())
        self.params["profile"] = "smoke"
        self.params["neurons"] = {"lif": {}}
        self.cell = self.params["profiles"]["smoke"]["moving_mnist"]
        self.cell["training"] |= TINY
        self.save()

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


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("prepared"))
    assert project.run("prepare", "--dataset", "moving_mnist").returncode == 0
    return project


@pytest.fixture
def project(prepared: Project, tmp_path: Path) -> Project:
    shutil.copytree(prepared.folder, tmp_path / "project")
    copy = Project.__new__(Project)
    copy.folder = tmp_path / "project"
    copy.params = yaml.safe_load((copy.folder / "params.yaml").read_text())
    copy.cell = copy.params["profiles"]["smoke"]["moving_mnist"]
    return copy


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


def refused(done: Done, *wanted: str) -> None:
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


def test_two_runs_write_the_same_accuracy_bytes(project: Project, here: Callable[..., Done]) -> None:
    folder = project.folder / "results/smoke/moving_mnist/lif"
    seen = []
    for _ in range(2):
        assert here(project, "train", *CELL, "lif").returncode == 0
        names = ("accuracy.json", "curves.csv", "predictions.png", "weights.safetensors")
        seen.append([(folder / name).read_bytes() for name in names])
        shutil.rmtree(folder)
    assert seen[0] == seen[1]


def test_an_interrupted_cell_goes_on_and_ends_in_the_same_bytes(project: Project) -> None:
    folder = project.folder / "results/smoke/moving_mnist/lif"
    assert project.run("train", *CELL, "lif").returncode == 0
    whole = (folder / "accuracy.json").read_bytes()
    shutil.rmtree(folder)
    code = project.folder / "benchmarks" / "checkpoint.py"
    original = code.read_text()
    code.write_text(original + KILL_AFTER_SAVE)  # at step 2 of 4, as a power cut would
    assert project.run("train", *CELL, "lif").returncode == 1
    assert list((project.folder / ".checkpoints").rglob("seed0.safetensors"))
    code.write_text(original)
    assert project.run("train", *CELL, "lif").returncode == 0
    assert (folder / "accuracy.json").read_bytes() == whole
    assert not list((project.folder / ".checkpoints").rglob("*.safetensors"))


KILL_AFTER_SAVE = """

_save = Checkpoint.save


def save(self, network, optimizer, progress):
    _save(self, network, optimizer, progress)
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)


Checkpoint.save = save
"""


def test_measure_writes_times_of_both_and_memory(project: Project, here: Callable[..., Done]) -> None:
    assert here(project, "measure", *CELL, "lif").returncode == 0
    folder = project.folder / "results/smoke/moving_mnist/lif"
    cost = json.loads((folder / "cost.json").read_text())
    assert cost["status"] == "ok"
    for what in ("train_step", "inference"):
        low, high = cost["time"][what]["quartiles"]
        assert 0 < low <= cost["time"][what]["median"] <= high
    assert cost["memory"]["saved_for_backward"] > 0
    repeats = project.cell["cost"]["repeats"]
    assert len((folder / "times.csv").read_text().splitlines()) == 1 + 2 * repeats


def test_a_loss_that_is_not_finite_ends_as_diverged(project: Project, here: Callable[..., Done]) -> None:
    project.cell["training"]["learning_rate"] = 1e18
    project.save()
    assert here(project, "train", *CELL, "lif").returncode == 0
    record = json.loads((project.folder / "results/smoke/moving_mnist/lif/accuracy.json").read_text())
    assert {seed["status"] for seed in record["seeds"]} == {"diverged"}
    assert here(project, "report", "--keep-going").returncode == 0
    assert "diverged (loss" in (project.folder / "reports/results.csv").read_text()


def test_the_report_renders_twice_to_the_same_bytes(project: Project, here: Callable[..., Done]) -> None:
    for stage in ("train", "measure"):
        assert here(project, stage, *CELL, "lif").returncode == 0
    seen = []
    for _ in range(2):
        assert here(project, "report").returncode == 0
        seen.append({p.name: p.read_bytes() for p in (project.folder / "reports").rglob("*") if p.is_file()})
    assert seen[0] == seen[1]
    page = seen[0]["index.html"].decode()
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)  # self-contained: nothing is fetched
    assert "STC" not in seen[0]["table.md"].decode().split("### Accuracy")[1]  # nothing that was not run


@pytest.mark.parametrize(
    ("edit", "stage", "options", "wanted"),
    [
        (lambda p: None, "train", (*CELL, "lff"), ["'lff'", "did you mean lif?"]),
        (lambda p: None, "train", ("--dataset", "moving_minst", "--neuron", "lif"), ["did you mean moving_mnist?"]),
        (lambda p: None, "train", ("--profile", "smok", *CELL, "lif"), ["'smok'", "did you mean smoke?"]),
        (lambda p: None, "prepare", ("--dataset", "mnist"), ["did you mean moving_mnist?"]),
        (lambda p: None, "report", ("--profile", "quik"), ["did you mean quick?"]),
        (lambda p: p["neurons"].update(lif={"tua": 2}), "train", (*CELL, "lif"), ["'tua'", "'lif'"]),
        (lambda p: p["neurons"].update(stc_lif={"gruops": 4}), "train", (*CELL, "stc_lif"), ["did you mean groups?"]),
        (lambda p: p["neurons"].update(stc_lif={"groups": 5}), "train", (*CELL, "stc_lif"), ["unsupported", "groups"]),
        (lambda p: p.update(profil="x"), "report", (), ["profil", "did you mean profile"]),
        (lambda p: smoke(p)["network"].update(layrs=2), "train", (*CELL, "lif"), ["layrs", "did you mean layers?"]),
        (lambda p: smoke(p)["training"].update(steps=0), "train", (*CELL, "lif"), ["training.steps", "found 0"]),
        (
            lambda p: smoke(p)["data"].update(canvass=9),
            "prepare",
            ("--dataset", "moving_mnist"),
            ["did you mean canvas?"],
        ),
        (lambda p: smoke(p)["data"].update(canvas=3), "prepare", ("--dataset", "moving_mnist"), ["canvas 3"]),
        (lambda p: smoke(p)["data"].update(canvas=20), "train", (*CELL, "lif"), ["stale", "canvas=16", "prepare"]),
        (lambda p: smoke(p)["data"].update(canvas=20), "measure", (*CELL, "lif"), ["stale", "canvas=16", "prepare"]),
    ],
)
def test_what_params_and_options_can_get_wrong(
    project: Project, here: Callable[..., Done], edit: Edit, stage: str, options: tuple[str, ...], wanted: list[str]
) -> None:
    edit(project.params)
    project.save()
    before = project.made()
    refused(here(project, stage, *options), *wanted)
    assert project.made() == before


def smoke(params: dict[str, Any]) -> Any:
    return params["profiles"]["smoke"]["moving_mnist"]


BROKEN = """
import torch
from neurons._integrate import IntegrateAndFire

class Broken(IntegrateAndFire):
    def forward(self, current, state):
        s, state = super().forward(current, state)
        return {output}, state

def build(channels):
    return Broken(0.5, 0.5)
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1\n", "no build(channels, **params) found"),
        ("def build(channels):\n    return 3\n", "build returned int"),
        ("import no_such_library\ndef build(channels): ...\n", "no_such_library"),
        (BROKEN.format(output="0.5 * s + 0.25"), "spikes must be 0 or 1, found 0.25"),
        (BROKEN.format(output="s[:, :-1]"), "output has shape"),
        (BROKEN.format(output="s * torch.nan"), "NaN"),
        (BROKEN.format(output="1 / 0"), "ZeroDivisionError"),
    ],
)
def test_a_neuron_that_breaks_its_contract(project: Project, code: str, reason: str) -> None:
    project.add("broken", code)
    before = project.made()
    refused(project.run("train", *CELL, "broken"), "broken", reason)
    assert project.made() == before


def test_the_report_shows_a_failed_cell_with_its_reason(project: Project) -> None:
    project.add("broken", BROKEN.format(output="0.5 * s"))
    for stage in ("train", "measure"):
        assert project.run(stage, *CELL, "broken", "--keep-going").returncode == 0
    assert project.run("report", "--keep-going").returncode == 0
    reason = "failed (spikes must be 0 or 1"
    rows = (project.folder / "reports/results.csv").read_text().splitlines()
    assert any(row.startswith("smoke,moving_mnist,broken,") and reason in row for row in rows)
    for name in ("index.html", "table.md"):
        assert f"broken: {reason}" in (project.folder / "reports" / name).read_text()


def test_the_neuron_of_the_readme(project: Project) -> None:
    section = (ROOT / "README.md").read_text().split("## Add your neuron")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    project.add("my_neuron", code)
    for stage in ("train", "measure"):
        assert project.run(stage, *CELL, "my_neuron").returncode == 0
    assert project.run("report", "--keep-going").returncode == 0
    assert "| my_neuron | own |" in (project.folder / "reports/table.md").read_text()


def test_data_that_is_not_there(project: Project, here: Callable[..., Done]) -> None:
    shutil.rmtree(project.folder / "data")
    for stage in ("train", "measure"):
        refused(here(project, stage, *CELL, "lif"), "no prepared dataset", "python -m benchmarks.prepare")


def test_results_that_are_missing_or_of_another_format(project: Project, here: Callable[..., Done]) -> None:
    refused(here(project, "report"), "accuracy.json", "dvc repro")
    path = project.folder / "results/smoke/moving_mnist/lif/accuracy.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 99}')
    refused(here(project, "report"), "format 99 found, 1 wanted", "dvc repro")
    assert not (project.folder / "reports").exists()
    assert project.run("report", "--keep-going").returncode == 0
    assert "format 99 found" in (project.folder / "reports/index.html").read_text()


@pytest.mark.parametrize(
    ("stage", "options", "limit"),
    [
        ("prepare", ("--dataset", "moving_mnist"), 50_000),
        ("train", (*CELL, "lif"), 4_000),
        ("report", ("--keep-going",), 4_000),
    ],
)
def test_a_disk_that_takes_no_more(project: Project, stage: str, options: tuple[str, ...], limit: int) -> None:
    """A limit on the size of files makes the system refuse a write half-way, as a full disk does."""
    before = project.made()
    done = project.run(stage, *options, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    refused(done, "cannot be written")
    assert project.made() == before
    assert not list(project.folder.glob(".reports.*"))
    assert not list((project.folder / "data" / "smoke").glob(".*"))
