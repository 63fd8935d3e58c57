"""Neurons that hang, eat memory or kill their process, launched beside sound ones: what is recorded and shown."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CELL, ROOT, Done, Project
from dvc.repo import Repo
from standin_project import lines

NEURON = '''"""Never ends well. Source: none. Learnable: nothing."""

import os
import signal
import time

import torch

from neurons import Neuron


class Bad(Neuron):
    def forward(self, current, state):
        hoard = []
        while True:
            {does}


def build(channels):
    return Bad()
'''
BAD = {
    "hangs": "time.sleep(1)",
    "eats": "hoard.append(torch.ones(10_000_000)); time.sleep(0.02)",
    "dies": "os.killpg(0, signal.SIGKILL)",  # not only the process of one seed, which `train` survives
}
SOUND = ("lif", "plif")
WRITES = ("accuracy.json", "curves.csv", "predictions.png", "weights.safetensors")
Launched = tuple[Project, Done]


@pytest.fixture(scope="module")
def by_hand(prepared_project: Project) -> dict[str, bytes]:
    """What sound cells write when they are run one after another."""
    prepared_project.params["neurons"] |= {name: {} for name in SOUND}
    prepared_project.save()
    for name in SOUND:
        assert prepared_project.run("train", *CELL, name).returncode == 0
    folder = prepared_project.folder / "results/smoke/moving_mnist"
    found = {f"{name}/{file}": (folder / name / file).read_bytes() for name in SOUND for file in WRITES}
    shutil.rmtree(prepared_project.folder / "results/smoke/moving_mnist/lif")
    shutil.rmtree(prepared_project.folder / "results/smoke/moving_mnist/plif")
    return found


@pytest.fixture
def piped(by_hand: dict[str, bytes], project: Project) -> Project:
    """A project with the pipeline, and nothing recorded."""
    shutil.copy(ROOT / "dvc.yaml", project.folder)
    for name in (".gitignore", ".dvcignore", "paper_rows.csv"):
        shutil.copy(ROOT / name, project.folder)
    for name, does in BAD.items():
        project.add(name, NEURON.format(does=does))
    assert project.run("pipelines").returncode == 0
    subprocess.run(["git", "init", "--quiet"], cwd=project.folder, check=True)
    Repo.init(str(project.folder)).close()
    return project


def seeds(project: Project, neuron: str) -> list[dict[str, Any]]:
    path = project.folder / "results/smoke/moving_mnist" / neuron / "accuracy.json"
    return list(json.loads(path.read_text())["seeds"])


def test_bad_neurons_beside_sound_ones(
    piped: Project, by_hand: dict[str, bytes], launch: Callable[..., Done], here: Callable[..., Done], head: str
) -> None:
    targets = [f"pipelines/moving_mnist/dvc.yaml:train@smoke-{name}" for name in (*SOUND, *BAD)]
    done = launch(piped, "--address", head, "--time-limit", "20", "--memory-limit", "2.5", *targets)
    assert done.returncode == 0, done.stderr
    assert "3 stopped and recorded so, 0 up to date" in done.stdout
    assert len(lines(done.stderr)) == len(BAD)
    wanted = {
        "hangs": ("failed", "ran longer than its limit of 20 s"),
        "eats": ("out of memory", "GiB, and its limit is 2.50 GiB"),
        "dies": ("failed", "killed 3 times; killed by SIGKILL; log: "),
    }
    for name, (status, reason) in wanted.items():
        assert [seed["status"] for seed in seeds(piped, name)] == [status] * 2
        assert reason in seeds(piped, name)[0]["reason"]
    folder = piped.folder / "results/smoke/moving_mnist"
    assert {name: (folder / name).read_bytes() for name in by_hand} == by_hand  # two at once, and beside the others
    assert reproduced(piped, targets) == []
    shown = here(piped, "report", "--keep-going")
    assert shown.returncode == 0, shown.stderr
    table = (piped.folder / "reports/smoke/table.md").read_text()
    for name, (status, reason) in wanted.items():
        assert any(name in line and status in line for line in table.splitlines()), name
        assert reason in table


def reproduced(project: Project, targets: list[str]) -> list[str]:
    """What `dvc repro` runs; the current folder is the project's."""
    assert Path.cwd() == project.folder
    with Repo(".") as repo:
        return [stage.addressing for stage in repo.reproduce(targets)]
