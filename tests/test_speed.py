"""Speed, as ratios within one run: `tox -- --benchmark-enable --benchmark-only tests/test_speed.py`.

Compare the rows of a group; in an ordinary test run every benchmark is called once and nothing is timed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import neurons
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings
from datasets.moving_mnist import DRAWS, generate, trajectories

QUICK = NetworkSettings(patch=4, layers=2, channels=32, kernel_size=5, groups=16)


def one_by_one(glyphs: NDArray[np.uint8], count: int, canvas: int, length: int) -> NDArray[np.uint8]:
    """Two digits a sequence, drawn sequence by sequence and frame by frame, as the usual loop does."""
    frames = np.zeros((count, length, canvas, canvas), dtype=np.uint8)
    draws = np.random.default_rng(0).random((count, 2, DRAWS))
    for n in range(count):
        corners = (trajectories(draws[n : n + 1], [0.1, 0.1], length)[0] * (canvas - 28)).astype(int)
        for digit in range(2):
            for t, (y, x) in enumerate(corners[digit]):
                window = frames[n, t, y : y + 28, x : x + 28]
                np.maximum(window, glyphs[digit], out=window)
    return frames


@pytest.mark.benchmark(group="100 official Moving MNIST sequences")
@pytest.mark.parametrize("way", ["vectorised", "one by one"])
def test_generating_sequences(benchmark: Any, way: str, random: np.random.Generator) -> None:
    glyphs = random.integers(0, 256, (50, 28, 28), dtype=np.uint8)
    if way == "vectorised":
        made = benchmark(generate, glyphs, 0, 0, 100, 64, 2, [0.1, 0.1], 20)
    else:
        made = benchmark(one_by_one, glyphs, 100, 64, 20)
    assert made.shape[:2] == (100, 20)


@pytest.mark.benchmark(group="training step, quick network")
@pytest.mark.parametrize("name", neurons.available())
def test_training_step(benchmark: Any, name: str, generator: torch.Generator) -> None:
    network = Predictor(name, {}, (1, 32, 32), QUICK, seed=0)
    frames = torch.rand(8, 10, 1, 32, 32, generator=generator)
    step: Callable[[], Any] = lambda: (network(frames, 5)[0] - frames[:, 1:]).square().mean().backward()  # noqa: E731
    benchmark(step)
    assert all(parameter.grad is not None for parameter in network.parameters())
