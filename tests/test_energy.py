"""The estimates of energy against sums by hand."""

import json
from typing import Any

import pytest
import torch

from benchmarks import energy, operations
from benchmarks.energy import ARITHMETIC
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings

FLOAT = ARITHMETIC["float32"]


def site(**changed: Any) -> dict[str, Any]:
    """A contraction of 1000 weights over 5 steps."""
    return {"spike_driven": False, "mac": 0.0, "ac": 0.0, "inputs": 640.0, "weights": 1000, "runs": 5, **changed}


def part(*sites: dict[str, Any]) -> dict[str, Any]:
    return {"contractions": list(sites)}


@pytest.mark.parametrize(
    ("bytes_", "price"), [(1, 10), (8192, 10), (8193, 20), (32768, 20), (32769, 100), (2**20, 100), (2**20 + 1, 1300)]
)
def test_an_access_costs_what_the_table_says_of_the_smallest_memory_that_holds_the_data(
    bytes_: int, price: float
) -> None:
    assert 64 * energy.access(8 * bytes_) == pytest.approx(price)


def test_weights_come_once_a_step_for_multipliers_and_once_a_spike_for_accumulators() -> None:
    """1000 words are 4000 bytes: 5 pJ a word."""
    assert energy.fetched(site(), FLOAT, reused=False) == pytest.approx(5 * 1000 * 5)
    assert energy.fetched(site(spike_driven=True, ac=300.0), FLOAT, reused=False) == pytest.approx(300 * 5)
    assert energy.fetched(site(spike_driven=True, ac=300.0), FLOAT, reused=True) == pytest.approx(5 * 1000 * 5)


def test_a_weight_of_fewer_bits_costs_less_and_fits_a_smaller_memory() -> None:
    """10,000 words are 40,000 bytes in float32 (100 pJ for 64 bits) and 10,000 in int8 (20 pJ)."""
    large = site(weights=10_000)
    assert energy.fetched(large, FLOAT, reused=False) == pytest.approx(50_000 * 50)
    assert energy.fetched(large, ARITHMETIC["int8"], reused=False) == pytest.approx(50_000 * 2.5)


def test_a_spike_is_read_as_one_bit() -> None:
    assert energy.read(site(), FLOAT) == pytest.approx(640 * 5)
    assert energy.read(site(spike_driven=True), FLOAT) == pytest.approx(640 * 5 / 32)


def test_the_state_is_read_and_written_at_every_step() -> None:
    """2048 words and 2048 bits are 8448 bytes, more than 8 KiB: 20 pJ for 64 bits."""
    assert energy.carried({"values": 2048, "spikes": 2048}, 5, FLOAT) == pytest.approx(
        2 * 5 * (2048 * 10 + 2048 * 20 / 64)
    )
    assert energy.carried({"values": 1024, "spikes": 0}, 5, FLOAT) == pytest.approx(2 * 5 * 1024 * 5)


def test_an_estimate_by_hand() -> None:
    counts = {
        "steps": 5,
        "layers": [
            {
                "input": part(site(mac=9000.0)),
                "norm": part(),
                "neuron": part(site(spike_driven=True, ac=400.0)),
                "state": {"values": 100, "spikes": 100},
            }
        ],
        "readout": part(site(spike_driven=True, ac=100.0)),
        "total": {
            "mac": 9000.0,
            "ac": 500.0,
            "normalisation": 200.0,
            "additions": 30.0,
            "multiplications": 20.0,
            "comparisons": 10.0,
            "transcendental": 4.0,
        },
    }
    neuron = 40 * 0.9 + 20 * 3.7 + 4 * 8 * 4.6
    proxy = 9000 * 4.6 + 500 * 0.9 + neuron
    normalisation = 200 * (2 * 4.6 + 0.9)
    weights, reused = 25_000 + 400 * 5 + 100 * 5, 75_000
    state = 2 * 5 * (100 * 5 + 100 * 10 / 64)
    activations = 640 * 5 + 2 * 640 * 10 / 64
    beside = proxy + normalisation + state + activations
    expected = {
        "operations_nj": proxy,
        "neuron_operations_nj": neuron,
        "normalisation_nj": normalisation,
        "weights_nj": weights,
        "weights_reused_nj": reused,
        "state_nj": state,
        "activations_nj": activations,
        "with_memory_nj": beside + weights,
        "with_memory_reused_nj": beside + reused,
    }
    found = energy.estimate(counts)
    assert list(found) == ["float32", "float16", "int8"]
    assert found["float32"] == pytest.approx({name: value / 1000 for name, value in expected.items()})
    half = 9000 * 1.5 + 500 * 0.4 + 40 * 0.4 + 20 * 1.1 + 4 * 8 * 1.5
    quarter = 9000 * 0.23 + 500 * 0.03 + 40 * 0.03 + 20 * 0.2 + 4 * 8 * 0.23
    assert found["float16"]["operations_nj"] == pytest.approx(half / 1000)
    assert found["int8"]["operations_nj"] == pytest.approx(quarter / 1000)


def test_what_the_counter_counts_can_be_priced_and_written_down(generator: torch.Generator) -> None:
    """The artificial reference multiplies where LIF adds, and both fetch weights for the same map."""
    settings = NetworkSettings(patch=2, layers=1, channels=16, kernel_size=3, groups=16)
    frames = torch.rand(2, 5, 1, 8, 8, generator=generator)
    found = {}
    for name in ("lif", "convlstm"):
        network = Predictor(name, {}, (1, 8, 8), settings, seed=0)
        counts = operations.count(network, frames, 3)
        found[name] = energy.estimate(counts)["float32"]
        assert json.loads(json.dumps([counts, found[name]])) == [counts, found[name]]
    assert found["convlstm"]["operations_nj"] > found["lif"]["operations_nj"]
    assert all(one["with_memory_nj"] > one["operations_nj"] > 0 for one in found.values())
