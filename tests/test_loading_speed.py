"""Reading batches against training on them: `tox -- --benchmark-enable --benchmark-only tests/test_loading_speed.py`.

The row's name has the ratio of sequences read to sequences trained on by LIF, the fastest neuron, in one run.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

import datasets
from benchmarks import settings
from benchmarks.loading import batches
from benchmarks.network import Predictor
from benchmarks.training import batch_order

LOADED = settings.load(ROOT / "params.yaml")
ROUNDS, STEPS = 5, 20


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.benchmark(group="20 batches of the default profile, read")
@pytest.mark.parametrize("dataset", LOADED.datasets)
def test_reading(benchmark: Any, dataset: str, tmp_path: Path) -> None:
    timed = benchmark.enabled
    cell = LOADED.cell(LOADED.profile if timed else "smoke", dataset)
    name = settings.kind(dataset)
    datasets.prepare(name, tmp_path, tmp_path / "made", **cell.data)
    split = datasets.open(name, tmp_path / "made", "train")
    training, cpu = cell.training, torch.device("cpu")
    network = Predictor("lif", {}, split.shape[2:], cell.network, seed=0)
    rounds, steps = (ROUNDS, STEPS) if timed else (1, 2)

    def read() -> None:
        order = batch_order(len(split), training.batch, 0, 0, steps)
        for frames in batches(split, order, cpu, training.loaders):
            assert frames.shape[1:] == split.shape[1:]

    def train() -> None:
        frames = torch.from_numpy(split.batch(slice(0, training.batch)))
        for _ in range(steps):
            predictions, _ = network(frames, split.observed)
            torch.autograd.backward((predictions - frames[:, 1:]).square().mean())

    read()
    train()
    ratios = [seconds(train) / seconds(read) for _ in range(rounds)]
    if timed:
        benchmark.name = f"{dataset}: {statistics.median(ratios):.0f} times as fast as LIF trains"
    benchmark(read)
    assert np.isfinite(ratios).all()
