"""The templates of a neuron and a dataset: what docs/contributing.md says to do with them works, to the last step.

Each is held against a truth of its own, put through the conformance suite in a project of its own, and run as a cell.
"""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, Project

import neurons
from benchmarks import machine

NEURON, DATASET = "my_neuron", "my_dataset"
PAGE = (ROOT / "docs" / "contributing.md").read_text()
SUITE = (
    "test_neurons.py",
    "test_conformance_gradients.py",
    "test_conformance_lifetimes.py",
    "test_conformance_modes.py",
    "test_conformance_registry.py",
    "test_conformance_datasets.py",
)


def settings() -> dict[str, Any]:
    """The settings of the dataset, as the page has them."""
    (block,) = re.findall(rf"^ *```yaml\n( +{DATASET}:\n.*?)^ *```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    found: dict[str, Any] = yaml.safe_load(block)[DATASET]
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project to which both were added as the page says."""
    made = Project(tmp_path_factory.mktemp("templates") / "project")
    for template, place in (("neuron", f"neurons/{NEURON}"), ("dataset", f"datasets/{DATASET}")):
        shutil.copy(ROOT / "templates" / f"{template}.py", made.folder / f"{place}.py")
    (line,) = re.findall(rf"^ +({NEURON}: .*)$", PAGE, flags=re.MULTILINE)
    made.params["neurons"] |= yaml.safe_load(line)
    made.params["datasets"].append(DATASET)
    made.params["profiles"]["smoke"][DATASET] = settings()
    made.save()
    return made


# --- against truths of their own --------------------------------------------------------------------------------------


CURRENTS = torch.randn(40, 1, 4, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5


@pytest.fixture
def neuron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The template's name in the registry, where it is for the length of a test."""
    shutil.copy(ROOT / "templates" / "neuron.py", tmp_path / "a_template.py")
    monkeypatch.setattr(neurons, "__path__", [*neurons.__path__, str(tmp_path)])
    yield "a_template"
    sys.modules.pop("neurons.a_template")
    delattr(neurons, "a_template")


def unrolled(neuron: neurons.Neuron) -> tuple[torch.Tensor, Any]:
    return neuron.unroll(CURRENTS, neuron.initial_state(CURRENTS[0]))


def test_the_neuron_is_its_equations(neuron: str) -> None:
    """Number by number, without an array; its constants differ from channel to channel."""
    made: Any = neurons.build(neuron, 4).double()
    with torch.no_grad():
        for channel in range(4):
            made.memory[channel], made.strength[channel] = math.log(9) + channel / 3, 0.5 + channel / 3
    outputs, state = unrolled(made)
    for channel in range(4):
        r, b = 1 / (1 + math.exp(-math.log(9) - channel / 3)), 0.5 + channel / 3
        v = a = 0.0
        spikes = []
        for x in CURRENTS[:, 0, channel, 0, 0].tolist():
            h, threshold = v / 2 + x, 1 + b * a
            s = float(h >= threshold)
            v, a = h - threshold * s, r * a + (1 - r) * s
            spikes.append(s)
        assert outputs[:, 0, channel, 0, 0].tolist() == spikes
        assert 0 < sum(spikes) < 40
        assert abs(state.v[0, channel].item() - v) < 1e-12
        assert abs(state.a[0, channel].item() - a) < 1e-12


def test_constants_start_as_the_card_says(neuron: str) -> None:
    made: Any = neurons.build(neuron, 4)
    assert torch.allclose(torch.sigmoid(made.memory), torch.tensor(0.9))
    assert torch.equal(made.strength, torch.full((4, 1, 1), 0.5))


def test_the_stronger_the_adaptation_the_more_seldom_it_fires(neuron: str) -> None:
    rates = [unrolled(neurons.build(neuron, 4, strength=b).double())[0].mean().item() for b in (0.0, 1.0, 4.0)]
    assert rates[0] > rates[1] > rates[2] > 0


def test_a_memory_that_cannot_be_is_refused(neuron: str) -> None:
    with pytest.raises(neurons.NeuronError, match=r"memory is 1\.0, wanted one between 0 and 1"):
        neurons.build(neuron, 4, memory=1.0)


@pytest.fixture
def pond(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "templates")
    yield import_module("dataset")
    sys.modules.pop("dataset")


def test_a_wave_of_the_dataset_turns_at_the_rate_of_deep_water(pond: Any) -> None:
    """One wave alone has one Fourier mode, whose phase falls by sqrt(g |k|) from frame to frame."""
    side, gravity = 16, 0.3
    for seed in range(5):
        frames = pond._sequence(np.random.default_rng(seed), 6, side, 1, gravity)[:, 0]
        modes = np.fft.fft2((frames - 0.5) / 0.49) / side**2
        (down, across), *others = np.argwhere(np.abs(modes[0]) > 1e-9)
        assert len(others) == 1  # the conjugate
        assert np.allclose(np.abs(modes[:, down, across]), 0.5)
        k = 2 * np.pi * np.hypot(min(down, side - down), min(across, side - across)) / side
        turned = np.angle(modes[1:, down, across] / modes[:-1, down, across])
        assert np.allclose(np.abs(turned), math.sqrt(gravity * k))


def test_highest_crests_stay_within_the_range(pond: Any) -> None:
    for waves in (1, 2, 9):
        frames = pond._sequence(np.random.default_rng(0), 50, 16, waves, 0.3)
        assert frames.min() >= 0.01 - 1e-12
        assert frames.max() <= 0.99 + 1e-12
        assert frames.std() > 0.05


# --- in the suite -----------------------------------------------------------------------------------------------------


def test_both_pass_the_conformance_suite(project: Project) -> None:
    """The suite finds them by their files; nothing in it is told of them."""
    shutil.copytree(ROOT / "tests", project.folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", project.folder)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", "-vv", "-k", f"{NEURON} or {DATASET}"]
    suite = [f"tests/{name}" for name in SUITE]
    done = subprocess.run([*command, *suite], cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.findall(r"^(\S+?)::(.*) PASSED", done.stdout, flags=re.MULTILINE)
    assert {file for file, _ in passed} == {*suite}
    for name, least in ((f"[{NEURON}", 29), (f"[stc_{NEURON}", 29), (f"[{DATASET} smoke", 9)):
        assert sum(name in test for _, test in passed) >= least, name
    assert "SKIPPED" not in done.stdout


def test_a_cell_of_both_runs_from_data_to_report(project: Project) -> None:
    assert project.run("pipelines").returncode == 0
    assert DATASET in yaml.safe_load((project.folder / "pipelines/profile.yaml").read_text())["datasets"]
    assert (project.folder / f"pipelines/{NEURON}/dvc.yaml").exists()
    cell = ("--dataset", DATASET, "--neuron")
    for stage, *options in (
        ("prepare", "--dataset", DATASET),
        ("train", *cell, NEURON),
        ("measure", *cell, NEURON),
        ("dynamics", *cell, NEURON),
        ("report", "--keep-going", "--highlight", NEURON),
    ):
        done = project.run(stage, *options)
        assert done.returncode == 0, done.stderr
    results = project.folder / f"results/smoke/{DATASET}/{NEURON}"
    (seed,) = json.loads((results / "accuracy.json").read_text())["seeds"]
    assert seed["status"] == "ok"
    for name in ("cost.json", "dynamics.json"):
        assert json.loads((results / name).read_text())["status"] == "ok"
    made_on = json.loads((results / "run.json").read_text()), json.loads((results / "cost.json").read_text())["machine"]
    assert all({*machine.ADDED} - {"gpu"} <= {*where} for where in made_on)
    (shown,) = (project.folder / "reports").glob(f"*{NEURON}*")
    table = pd.read_csv(shown / "results.csv")
    own = table[(table["dataset"] == DATASET) & (table["neuron"] == NEURON) & (table["metric"] == "mse")]
    assert own["value"].tolist() == [pytest.approx(seed["test"]["overall"]["mse"])]
    assert "Pond (synthetic)" in (shown / "index.html").read_text()
