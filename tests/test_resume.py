"""A cell that is killed at any moment, as by a power cut, and started again ends in the bytes of one that was not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CELL, Project, without

MADE = ("accuracy.json", "curves.csv", "predictions.png")
# Kills the process and all that it started, together with the one that started it, at the moment that KILL names.
# Stands in a module that is no part of a cell's key, and that both processes import.
KILLS = """
import os, signal


def die(*arguments, **how):
    os.killpg(os.getpgid(0), signal.SIGKILL)


def half_written(tensors, path, metadata):
    _save_file(tensors, path, metadata)
    os.truncate(path, path.stat().st_size // 2)
    die()


def in_a_step(tensor, *how):
    _backward(tensor, *how)
    die()


def over_weights(source, target):
    with open(target, "wb") as file:
        file.write(b"half of them")
    die() if "weights" in str(target) else _copyfile(source, target)


_copyfile = shutil.copyfile
_save_file, _backward, moment = save_file, Tensor.backward, os.environ.get("KILL")
if moment == "in a step":
    Tensor.backward = in_a_step
if moment == "while a checkpoint is written":
    save_file = half_written
if moment == "right after it took its place":
    Checkpoint._keep_two = die
if moment == "while results are written":
    shutil.copyfile = die
if moment == "while weights take their place":
    shutil.copyfile = over_weights
"""
# in the order in which one run after the other meets them: 6 steps, a checkpoint every 2
MOMENTS = (
    "while a checkpoint is written",  # the first one, nothing before it
    "right after it took its place",  # that of step 2
    "in a step",  # step 3
    "while results are written",
    "while weights take their place",
)


def made(project: Project) -> dict[str, bytes]:
    folder = project.folder / "results/smoke/moving_mnist/stc_lif"
    kept = {path.name: path for path in (project.folder / "weights").rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in {**kept, **{name: folder / name for name in MADE}}.items()}


@pytest.fixture
def cell(project: Project) -> Project:
    project.params["neurons"] = {"stc_lif": {}}
    project.cell["training"] |= {"seeds": 1, "steps": 6, "validate_every": 2}
    project.save()
    with (project.folder / "benchmarks/checkpoint.py").open("a") as source:
        source.write(KILLS)
    return project


def test_killed_at_every_moment_a_cell_ends_in_the_same_bytes(cell: Project, tmp_path: Path) -> None:
    whole = cell.copy(tmp_path / "whole")
    one_device = without(tmp_path / "path", "lightning_fabric")  # needed for several only
    assert whole.run("train", *CELL, "stc_lif", env=one_device).returncode == 0
    kept = {}
    for moment in MOMENTS:
        command = [sys.executable, "-m", "benchmarks.train", *CELL, "stc_lif"]
        how = {**os.environ, "KILL": moment}
        killed = subprocess.run(command, cwd=cell.folder, env=how, start_new_session=True, timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL, moment
        kept[moment] = sorted(path.name for path in (cell.folder / ".checkpoints").rglob("seed0.*"))
    first = ["seed0.0000002.safetensors"]
    assert list(kept.values()) == [[], first, first, ["seed0.json"], ["seed0.json"]]
    assert cell.run("train", *CELL, "stc_lif").returncode == 0
    assert made(cell) == made(whole)
    assert len(made(cell)) == len(MADE) + 1
    assert cell.made() == whole.made()  # and nothing beside it: no temporary names
    assert not list((cell.folder / ".checkpoints").rglob("*.*"))
