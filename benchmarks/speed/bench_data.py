"""Data beside the training that they are for: preparing a dataset, reading its batches, generating sequences.

What is prepared or read is held against LIF, the fastest neuron, training on it; generation against the protocol's
loop over single frames.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import datasets
from benchmarks import settings
from benchmarks.loading import batches
from benchmarks.settings import CellSettings
from benchmarks.speed.pairs import InTurn
from benchmarks.speed.protocol import by_the_protocol
from benchmarks.speed.workloads import LOADED, REFERENCE, Network, Size
from benchmarks.training import batch_order
from datasets import Sequences
from datasets._moving import Motion, blocks

STEPS = 20


def training(split: Sequences, cell: CellSettings, steps: int) -> Callable[[], None]:
    """`steps` training steps of LIF on one batch of the split."""
    frames = torch.from_numpy(split.batch(slice(0, cell.training.batch)))
    given = Size(cell.network, frames.shape[3], frames.shape[1], split.observed, len(frames))
    network = Network(REFERENCE, given, frames)

    def train() -> None:
        for _ in range(steps):
            network.train()

    return train


@pytest.mark.parametrize("dataset", LOADED.datasets)
def test_preparing(in_turn: InTurn, dataset: str, tmp_path: Path) -> None:
    cell, name = LOADED.cell("smoke", dataset), settings.kind(dataset)

    def prepare() -> None:
        datasets.prepare(name, tmp_path, tmp_path / "made", **cell.data)

    prepare()
    split = datasets.open(name, tmp_path / "made", "train")
    train = training(split, cell, STEPS if in_turn.timing else 1)
    in_turn(f"preparing the smoke profile / {STEPS} steps of training", prepare, train, REFERENCE)
    assert datasets.card(name, tmp_path / "made", wanted=cell.data)


@pytest.mark.parametrize("dataset", LOADED.datasets)
def test_reading(in_turn: InTurn, dataset: str, tmp_path: Path) -> None:
    profile, steps = (LOADED.profile, STEPS) if in_turn.timing else ("smoke", 2)
    cell, name = LOADED.cell(profile, dataset), settings.kind(dataset)
    datasets.prepare(name, tmp_path, tmp_path / "made", **cell.data)
    split = datasets.open(name, tmp_path / "made", "train")

    def read() -> int:
        order = batch_order(len(split), cell.training.batch, 0, 0, steps)
        shapes = [frames.shape for frames in batches(split, order, torch.device("cpu"), cell.training.loaders)]
        assert {shape[1:] for shape in shapes} == {split.shape[1:]}
        return len(shapes)

    count = in_turn(f"reading {STEPS} batches / training on them", read, training(split, cell, steps), REFERENCE)
    assert count == steps


def test_generating_sequences(in_turn: InTurn, random: np.random.Generator) -> None:
    """10,000 official Moving MNIST sequences, each block dropped once it is made; of the loop 500."""
    glyphs = random.integers(0, 256, (5000, 28, 28), dtype=np.uint8)
    ours, theirs = (10_000, 500) if in_turn.timing else (200, 10)

    def generate() -> int:
        return sum(map(len, blocks(glyphs, 0, 0, ours, Motion(64, 2, [0.1, 0.1], 20))))

    def loop() -> int:
        return sum(map(len, by_the_protocol(glyphs, theirs, 64, 2, 0.1, 20, seed=0)))

    frames = in_turn("a Moving MNIST sequence", generate, loop, "the protocol's loop", amount=ours / theirs)
    assert frames == 20 * ours
    assert loop() == 20 * theirs
