"""The statistics of spikes against the whole pile of outputs in NumPy."""

import numpy as np
import pytest
import torch
from conftest import in_memory

from benchmarks import behaviour
from benchmarks.evaluation import evaluate
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings
from benchmarks.spikes import BINS, Spikes

CPU = torch.device("cpu")


def test_streamed_statistics_are_those_of_all_outputs_at_once(random: np.random.Generator) -> None:
    steps, shapes = 5, [(4, 3, 2), (2, 6, 6)]
    chances = [random.random((1, 1, *shape)) ** 3 for shape in shapes]  # every neuron has a rate of its own
    batches = [[(random.random((steps, b, *p.shape[2:])) < p) for p in chances] for b in (3, 4, 1)]
    seen = Spikes()
    for batch in batches:
        seen.add([torch.from_numpy(layer.astype(np.float32)) for layer in batch])
    found = seen.summary()
    piles = [np.concatenate(layer, axis=1) for layer in zip(*batches, strict=True)]
    assert found["sparsity"] == pytest.approx(1 - sum(p.sum() for p in piles) / sum(p.size for p in piles))
    for layer, pile in zip(found["layers"], piles, strict=True):
        of_neurons = pile.mean(axis=(0, 1)).ravel()
        counts = np.zeros(BINS)
        for spikes in pile.sum(axis=(0, 1)).ravel():
            counts[next(i for i in range(BINS) if spikes < (i + 1) * 2 or i == BINS - 1)] += 1  # 40 chances in 20 bins
        assert layer["rate"] == pytest.approx(pile.mean())
        assert layer["sparsity"] == pytest.approx(1 - pile.mean())
        assert layer["rate_by_step"] == pytest.approx(pile.mean(axis=(1, 2, 3, 4)))
        assert layer["rate_of_neurons"] == pytest.approx(counts / of_neurons.size)
        assert layer["dead"] == pytest.approx((of_neurons == 0).mean())
        assert layer["saturated"] == pytest.approx((of_neurons == 1).mean())


def test_dead_and_saturated_neurons_by_construction() -> None:
    """Of 12 neurons 3 never fire, 2 always do, one misses one step in 16, the others half of them."""
    outputs = torch.zeros(4, 2, 1, 3, 4)
    outputs[::2, :, 0] = 1
    outputs[:, :, 0, 0, :3] = 0
    outputs[:, :, 0, 1, :3] = 1
    seen = Spikes()
    seen.add([outputs])
    last = outputs.clone()
    last[3, 1, 0, 1, 2] = 0
    seen.add([last])
    (layer,) = seen.summary()["layers"]
    assert layer["dead"] == 3 / 12
    assert layer["saturated"] == 2 / 12
    shares = {0: 3 / 12, 10: 6 / 12, 18: 1 / 12, 19: 2 / 12}  # 15 of 16 lie between .90 and .95
    assert layer["rate_of_neurons"] == pytest.approx([shares.get(i, 0.0) for i in range(BINS)])


def test_a_layer_that_always_fires_is_in_the_last_bin() -> None:
    seen = Spikes()
    seen.add([torch.ones(3, 2, 2, 2, 2)])
    found = seen.summary()
    assert found["sparsity"] == 0
    assert found["layers"][0]["rate_of_neurons"] == [0.0] * (BINS - 1) + [1.0]


def test_the_whole_split_is_seen_and_the_rates_are_those_of_evaluation(random: np.random.Generator) -> None:
    split = in_memory(random.integers(0, 256, (7, 5, 1, 8, 8), dtype=np.uint8), observed=3)
    settings = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=4)
    network = Predictor("lif", {}, split.shape[2:], settings, seed=1)
    tested = evaluate(network, split, 7, CPU, lambda predicted, true: None)
    found = behaviour.spikes(network, split, 2, CPU)  # in batches of 2, the last of 1
    assert [layer["rate"] for layer in found["layers"]] == pytest.approx(tested.firing_rate)
    assert found["sparsity"] == pytest.approx(tested.sparsity)
    assert [len(layer["rate_by_step"]) for layer in found["layers"]] == [4, 4]
