"""Checkpoint files: what is damaged or another's is passed over and said, what is kept is bounded and on the disk."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from benchmarks.checkpoint import Checkpoint
from benchmarks.files import replacing
from benchmarks.progress import Progress

OWNER = Path("0123456789abcdef") / "seed0"  # the folder of a cell's key and a seed of it


def fresh(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A small network with weights, running statistics and a count, drawn from `seed`, and its optimizer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    return network, torch.optim.Adam(network.parameters())


def trained(checkpoint: Checkpoint, steps: int, seed: int = 1) -> tuple[nn.Module, torch.optim.Optimizer, Progress]:
    """A network that was trained, with a checkpoint every 100 steps (of which one is taken)."""
    network, optimizer = fresh(seed)
    progress = Progress()
    generator = torch.Generator().manual_seed(5)
    for step in range(100, steps + 1, 100):
        network(torch.randn(4, 2, 5, 5, generator=generator)).square().sum().backward()
        optimizer.step()
        progress.note(step, 1 / step, step / 7, 10.0 + step, network)
        checkpoint.save(network, optimizer, progress)
    return network, optimizer, progress


def loaded(checkpoint: Checkpoint) -> tuple[Progress | None, dict[str, Any]]:
    """What a fresh network gets from a checkpoint: progress, and all tensors of the network and its optimizer."""
    network, optimizer = fresh(2)
    progress = checkpoint.load(network, optimizer)
    return progress, tensors(network, optimizer)


def tensors(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """All tensors that the next step depends on, as bytes."""
    moments = optimizer.state_dict()["state"]
    found = {f"{index}.{name}": tensor for index, entry in moments.items() for name, tensor in entry.items()}
    return {name: tensor.numpy().tobytes() for name, tensor in (network.state_dict() | found).items()}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    (tmp_path / OWNER).parent.mkdir()
    return Checkpoint(tmp_path / OWNER)


def file(checkpoint: Checkpoint, step: int) -> Path:
    return checkpoint.path.with_name(f"seed0.{step:07d}.safetensors")


def test_what_is_saved_is_what_is_loaded(checkpoint: Checkpoint) -> None:
    network, optimizer, progress = trained(checkpoint, 300)
    found, state = loaded(checkpoint)
    assert found is not None
    assert (found.step, found.best_step, found.curve) == (300, 100, progress.curve)
    assert all(torch.equal(found.best[name], tensor) for name, tensor in progress.best.items())
    assert state == tensors(network, optimizer)
    assert len(state) == 4 + 3 + 3 * 4  # weights, running statistics; two moments and a count of each weight


def test_the_two_newest_are_kept(checkpoint: Checkpoint) -> None:
    trained(checkpoint, 500)
    assert sorted(checkpoint.path.parent.iterdir()) == [file(checkpoint, 400), file(checkpoint, 500)]
    trained(Checkpoint(checkpoint.path.with_name("seed01")), 100)
    assert len(list(checkpoint.path.parent.iterdir())) == 3  # that of another seed stays
    checkpoint.remove()
    assert len(list(checkpoint.path.parent.iterdir())) == 1


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(share * path.stat().st_size))


def flipped(share: float) -> Callable[[Path], None]:
    """Flips one bit, at a share of the file's length."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(share * len(content))] ^= 16
        path.write_bytes(content)

    return damage


def foreign(path: Path) -> None:
    """Puts there what another cell wrote: right in form, sound, and with the same names and shapes."""
    other = Checkpoint(path.parent.with_name("fedcba9876543210") / "seed0")
    other.path.parent.mkdir()
    trained(other, 300, seed=3)
    shutil.copy(file(other, 300), path)


def reworded(path: Path) -> None:
    """Changes the curve and nothing else."""
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata()
        content = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a mapping)
    metadata["progress"] = json.dumps({**json.loads(metadata["progress"]), "best_step": 300})
    save_file(content, path, metadata)


DAMAGES = [
    ("unreadable", cut(0)),
    ("unreadable", cut(0.001)),
    ("unreadable", cut(0.5)),
    ("unreadable", cut(0.999)),
    ("bytes are not those that were written", flipped(0.999)),
    ("bytes are not those that were written", reworded),
    ("written by fedcba9876543210/seed0, this is 0123456789abcdef/seed0", foreign),
    ("unreadable", lambda path: path.write_bytes(b"not a checkpoint")),
]


@pytest.mark.parametrize(("says", "damage"), DAMAGES)
def test_a_newest_file_that_does_not_serve_gives_way_to_the_one_before(
    says: str, damage: Callable[[Path], None], checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(checkpoint, 200)
    wanted = loaded(checkpoint)[1]
    checkpoint.remove()
    trained(checkpoint, 300)
    damage(file(checkpoint, 300))
    capsys.readouterr()
    progress, state = loaded(checkpoint)
    (line,) = capsys.readouterr().out.splitlines()
    assert str(file(checkpoint, 300)) in line
    assert says in line
    assert line.endswith("going on from step 200")
    assert progress is not None
    assert [row["step"] for row in progress.curve] == [100, 200]
    assert state == wanted


def test_where_none_serves_training_starts_over(checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]) -> None:
    trained(checkpoint, 300)
    cut(0)(file(checkpoint, 300))
    flipped(0.9)(file(checkpoint, 200))
    progress, state = loaded(checkpoint)
    assert progress is None
    assert state == tensors(*fresh(2))
    (line,) = capsys.readouterr().out.splitlines()
    assert "0000300" in line
    assert "0000200" in line
    assert line.endswith("starting this seed over")
    trained(checkpoint, 100)  # and what was passed over does not count among the newest
    assert list(checkpoint.path.parent.iterdir()) == [file(checkpoint, 100)]


def test_no_flipped_bit_is_trained_on(checkpoint: Checkpoint, random: np.random.Generator) -> None:
    network, optimizer, progress = trained(checkpoint, 100)
    sound = file(checkpoint, 100).read_bytes()
    refused = 0
    for place in random.integers(0, 8 * len(sound), 150):
        content = bytearray(sound)
        content[place // 8] ^= 1 << (place % 8)
        file(checkpoint, 100).write_bytes(content)
        found, state = loaded(checkpoint)
        refused += found is None
        assert found is None or (found.curve, state) == (progress.curve, tensors(network, optimizer))
    assert refused > 140  # the rest are blanks that fill the header


def test_what_killed_writers_left_goes(checkpoint: Checkpoint) -> None:
    left = [checkpoint.path.with_name(f".seed0.0000{step}.safetensors.4711") for step in (100, 200)]
    other = checkpoint.path.with_name(".seed1.0000100.safetensors.4712")  # of a seed that may be running
    for path in (*left, other):
        path.write_bytes(b"the beginning")
    assert loaded(checkpoint)[0] is None
    assert list(checkpoint.path.parent.iterdir()) == [other]


def test_a_file_takes_its_place_after_it_reached_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_replace, real_open = Path.replace, os.open
    opened: dict[int, str] = {}

    def replace(path: Path, target: Path) -> Path:
        done.append("renamed")
        return real_replace(path, target)

    def remembered(path: Any, *how: Any, **more: Any) -> int:
        descriptor = real_open(path, *how, **more)
        opened[descriptor] = Path(path).name
        return descriptor

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(os, "open", remembered)
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(opened[descriptor]))
    (tmp_path / ".made.4711").write_text("what a killed writer left")
    with replacing(tmp_path / "made") as temporary:
        assert not (tmp_path / ".made.4711").exists()
        temporary.write_text("content")
    assert done == [temporary.name, "renamed", tmp_path.name]
    assert (tmp_path / "made").read_text() == "content"
