"""Neurons that hang, eat memory or kill their process, launched beside sound ones: what is recorded and shown."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CELL, ROOT, Done, Project
from dvc.repo import Repo
from standin_ray import lines

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
SAME = ("accuracy.json", "curves.csv", "predictions.png", "dynamics.json", "*.safetensors")  # at every run


@pytest.fixture(scope="module")
def by_hand(prepared_project: Project) -> dict[str, bytes]:
    """What sound cells write when they are run one after another."""
    prepared_project.params["neurons"] |= {name: {} for name in SOUND}
    prepared_project.save()
    for name in SOUND:
        assert prepared_project.run("run", *CELL, name).returncode == 0
    made = found(prepared_project)
    assert len(made) == len(SOUND) * len(SAME)
    for top in ("results", "weights"):
        for name in SOUND:
            shutil.rmtree(prepared_project.folder / top / "smoke/moving_mnist" / name)
    return made


def found(project: Project) -> dict[str, bytes]:
    """What sound cells have written and is the same at every run."""
    paths = [path for name in SAME for path in project.folder.glob(f"*/smoke/moving_mnist/*/{name}")]
    return {str(path.relative_to(project.folder)): path.read_bytes() for path in paths if path.parent.name in SOUND}


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


def endings(project: Project, neuron: str) -> dict[str, list[tuple[str, str]]]:
    """How a cell ended, by file: status and reason, of each seed where it has several."""
    folder = project.folder / "results/smoke/moving_mnist" / neuron
    contents = {name: json.loads((folder / name).read_text()) for name in ("accuracy.json", "cost.json")}
    seeds = {name: content.get("seeds", [content]) for name, content in contents.items()}
    return {name: [(one["status"], one["reason"]) for one in records] for name, records in seeds.items()}


def test_bad_neurons_beside_sound_ones(
    piped: Project, by_hand: dict[str, bytes], launch: Callable[..., Done], here: Callable[..., Done], head: str
) -> None:
    """Each is stopped twice, in training and in measuring; what is looked at has no weights then."""
    targets = [f"pipelines/{name}/dvc.yaml" for name in (*SOUND, *BAD)]
    done = launch(piped, "--address", head, "--time-limit", "30", "--memory-limit", "2.5", *targets)
    assert done.returncode == 0, done.stderr
    assert f"{2 * len(BAD)} stopped and recorded so, 1 had ended before, 0 up to date" in done.stdout  # `prepare`
    assert len(lines(done.stderr)) == 2 * len(BAD)
    wanted = {
        "hangs": ("failed", "ran longer than its limit of 30 s"),
        "eats": ("out of memory", "GiB, and its limit is 2.50 GiB"),
        "dies": ("failed", "killed 3 times; killed by SIGKILL; log: "),
    }
    for name, (status, reason) in wanted.items():
        ended = endings(piped, name)
        assert {status} == {one for records in ended.values() for one, _ in records}
        assert all(reason in said for records in ended.values() for _, said in records)
        assert len(ended["accuracy.json"]) == piped.cell["training"]["seeds"]
    assert found(piped) == by_hand  # two at once, and beside the others
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
