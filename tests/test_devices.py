"""Several processes that train one network take the steps of one, and none waits for one that is gone."""

import argparse
import json
import os
import signal
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CELL, Done, Project, in_memory, one_line_error
from test_training import CPU, KilledError, killer, settings

from benchmarks import command, distributed, evaluation, seeds, training
from benchmarks.checkpoint import Checkpoint
from benchmarks.distributed import ALONE, Team
from benchmarks.loading import batches
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings, SettingsError
from neurons import NeuronError, UnsupportedError

NETWORK = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=4)


def in_double(*arguments: Any) -> Any:
    """Batches in float64, in which rounding stays far from flipping a spike."""
    return (frames.double() for frames in batches(*arguments))


def trained(name: str, folder: Path, team: Team, double: bool, killed: bool = False) -> dict[str, Any]:
    """Losses, curve and weights of a training on noise by one of `team`, killed and resumed on the way or not."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (training, evaluation) if double else ():
            patch.setattr(module, "batches", in_double)
        frames = np.random.default_rng(3).integers(0, 256, (18, 6, 1, 8, 8), dtype=np.uint8)
        data = in_memory(frames[:12], 3), in_memory(frames[12:], 3)
        losses: list[float] = []
        for on_step in [killer(6)] * killed + [lambda step, loss: losses.append(loss)]:
            network = Predictor(name, {}, (1, 8, 8), NETWORK, seed=1)
            network.register_parameter("unused", torch.nn.Parameter(torch.ones(2)))
            network = network.double() if double else network
            how = settings(steps=8, clip=0.05)
            with suppress(KilledError):
                ended = training.train(network, *data, how, 1, CPU, Checkpoint(folder / name), on_step, team)
    return {"losses": losses, "curve": ended.curve, "weights": network.state_dict()}


def train_in_each(folder: Path, team: Team) -> None:
    """What is compared with one process, and what each of two has in the end."""
    (folder / str(team.rank)).mkdir()
    found = {
        "lif": trained("lif", folder / "single", team, double=False),
        "stc_lif": trained("stc_lif", folder / "double", team, double=True),
        "resumed": trained("stc_lif", folder / "resumed", team, double=True, killed=True),
    }
    torch.save(found, folder / f"{team.rank}.pt")


def differ(one: Any, other: Any) -> float:
    """The greatest difference of weights, relative to the greatest weight of each."""
    return max(float((one[key] - other[key]).abs().max() / other[key].abs().max()) for key in other)


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    distributed.launch(partial(train_in_each, tmp_path), 2, CPU)
    leader, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    for name, double, tolerance in (("lif", False, 1e-5), ("stc_lif", True, 1e-10)):
        alone = trained(name, tmp_path / "alone", ALONE, double)
        assert np.allclose(leader[name]["losses"], alone["losses"], rtol=tolerance, atol=0)
        for mine, wanted in zip(leader[name]["curve"], alone["curve"], strict=True):
            assert mine == pytest.approx(wanted, rel=tolerance, nan_ok=True)
        assert differ(leader[name]["weights"], alone["weights"]) < tolerance
        assert all(torch.equal(other[name]["weights"][key], value) for key, value in leader[name]["weights"].items())
    assert leader["resumed"]["losses"] == leader["stc_lif"]["losses"][4:]  # bit for bit, from the checkpoint of step 4
    assert repr(leader["resumed"]["curve"]) == repr(leader["stc_lif"]["curve"])
    assert sorted(path.name for path in (tmp_path / "single").iterdir()) == [
        "lif.0000004.safetensors",
        "lif.0000008.safetensors",
    ]


def kill_one(team: Team) -> None:
    if team.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    team.mean(torch.zeros(()))


def fail_in_one(team: Team) -> None:
    with pytest.raises(NeuronError, match="what the leader says"):  # in all of them
        team.by_leader(complain)
    assert team.by_leader(os.getpid) == team.by_leader(os.getpid)
    if team.rank == 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
    team.mean(torch.zeros(()))


def complain() -> None:
    raise NeuronError("what the leader says")


@pytest.mark.parametrize(
    ("job", "error", "says"),
    [(kill_one, BrokenProcessPool, "SIGKILL"), (fail_in_one, torch.OutOfMemoryError, "20 GiB")],
)
def test_the_end_of_one_ends_all(job: Callable[[Team], None], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        distributed.launch(job, 2, CPU)


def test_a_part_is_an_equal_share_in_the_order_of_the_batch() -> None:
    batch = np.arange(12).reshape(6, 2)
    assert np.array_equal(np.concatenate([Team(3, rank).part(batch) for rank in range(3)]), batch)
    assert np.array_equal(ALONE.part(batch), batch)
    with pytest.raises(SettingsError, match=r"training\.devices: 4 do not divide 6 training sequences"):
        Team(4, 1).part(batch)


def test_an_error_that_cannot_travel_is_told_in_words() -> None:
    class OfTwo(Exception):  # noqa: N818 (as a library may have it)
        def __init__(self, code: int, words: str) -> None:
            super().__init__(f"{code}: {words}")

    assert repr(distributed.sendable(OfTwo(7, "broken"))) == repr(RuntimeError("OfTwo: 7: broken"))
    sent = NeuronError("as it is")
    assert distributed.sendable(sent) is sent


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *how, **more: None)


@pytest.mark.parametrize(
    ("count", "training", "wanted"),
    [
        (0, {"device": "cuda"}, ["device cuda: no GPU found"]),
        (1, {"devices": 2}, ["training.devices: 2 found, 1 GPU here; set it to 1"]),
        (2, {"devices": 4}, ["training.devices: 4 found, 2 GPUs here; set it to 2 or fewer"]),
        (0, {"devices": 3}, ["devices 3 do not divide batch 8"]),
        (0, {"devices": 0}, ["training.devices", "found 0"]),
    ],
)
def test_devices_that_cannot_be_had(
    count: int,
    training: dict[str, Any],
    wanted: list[str],
    project: Project,
    here: Callable[..., Done],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpus(monkeypatch, count)
    project.cell["training"] |= training
    project.save()
    before = project.made()
    one_line_error(here(project, "train", *CELL, "lif"), *wanted)
    assert project.made() == before
    assert not (project.folder / ".checkpoints").exists()


def test_more_workers_than_cores_are_warned_of(
    project: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.machine.cores", lambda: 2)
    record = {"seed": 0, "status": "diverged", "reason": "not trained"}
    monkeypatch.setattr("benchmarks.train.train_seeds", lambda *arguments: [record])
    project.cell["training"]["workers"] = 8
    project.save()
    warned = here(project, "train", *CELL, "lif").stderr
    assert "training.workers: 8 found, 2 cores here" in warned
    assert len(warned.strip().splitlines()) == 1


STARVED = """
import torch
from neurons._integrate import IntegrateAndFire

class Starved(IntegrateAndFire):
    def forward(self, current, state):
        if self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().forward(current, state)

def build(channels):
    return Starved(0.5, 0.5)
"""


def test_a_cell_that_finds_no_memory_ends_so_and_the_rest_goes_on(project: Project) -> None:
    project.add("starved", STARVED)
    project.cell["training"]["seeds"] = 1
    project.save()
    done = project.run("train", *CELL, "starved", "--keep-going")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((project.folder / "results/smoke/moving_mnist/starved/accuracy.json").read_text())["seeds"]
    assert record["status"] == "out of memory"
    assert record["reason"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB."
    lines = [line for line in done.stderr.replace("\r", "\n").splitlines() if line.strip() and "step/s" not in line]
    assert lines == [f"starved on moving_mnist: out of memory: {record['reason']}"]


def test_what_normalises_a_batch_is_not_split(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.params["neurons"] = {"spikingjelly_mpbn": {}}
    project.save()
    monkeypatch.chdir(project.folder)
    cell = command.cell(argparse.Namespace(profile=None, dataset="moving_mnist", neuron="spikingjelly_mpbn"))
    with pytest.raises(UnsupportedError, match=r"training\.devices: 2 found, .*; set it to 1"):
        seeds._train_and_test(cell, 0, project.folder, seeds._nothing, Team(2, 1))
