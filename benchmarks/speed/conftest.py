"""What all benchmarks share: one thread, processor time, seeded draws, the measurement, a small file of results."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import machine
from benchmarks.rounding import rounded
from benchmarks.speed.pairs import InTurn, clock


def pytest_itemcollected(item: pytest.Item) -> None:
    """Every benchmark of this folder reads the clock that its reference is timed with."""
    item.add_marker(pytest.mark.benchmark(timer=clock))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """One thread, and freed memory kept at hand, which else depends on what ran before."""
    torch.set_num_threads(1)
    torch.empty(31 << 20, dtype=torch.uint8)  # the size of a freed block is what glibc goes by


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240521)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20240521)


@pytest.fixture
def in_turn(benchmark: Any) -> InTurn:
    return InTurn(benchmark)


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Keeps of each benchmark what `benchmarks.compare` and a reader want; single times and the host's name go."""
    output_json.pop("commit_info", None)  # the revision is among what `describe` says
    output_json["machine_info"] = machine.describe(torch.device("cpu"))
    output_json["benchmarks"] = [
        {
            "group": found["group"],
            "name": found["fullname"].rpartition("::")[2],
            "fullname": found["fullname"],
            "extra_info": found["extra_info"],
            "stats": rounded({name: found["stats"][name] for name in ("median", "iqr", "rounds")}),
        }
        for found in output_json["benchmarks"]
    ]
