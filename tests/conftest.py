"""What all tests share: one thread, seeded draws, and a training set small enough to make in every test."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import datasets
from datasets import DatasetError, moving_mnist

ROOT = Path(__file__).parent.parent
MOVING: dict[str, Any] = {
    "canvas": 20,
    "digits": 2,
    "digit_size": 7,
    "step": [0.1, 0.3],
    "observed": 3,
    "predicted": 2,
    "sequences": {"train": 12, "validation": 4, "test": 5},
    "seed": 3,
}


def refused(says: str, call: Callable[..., Any], *arguments: Any, **params: Any) -> None:
    """Expects a one-line DatasetError that says so."""
    with pytest.raises(DatasetError, match=says) as error:
        call(*arguments, **params)
    assert len(str(error.value).splitlines()) == 1


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20240521)


@pytest.fixture
def currents(generator: torch.Generator) -> Callable[..., Tensor]:
    """Draws unit-variance input currents [T, B, C, H, W]."""

    def draw(steps: int = 8, batch: int = 2, channels: int = 16, side: int = 6, dtype: Any = torch.float32) -> Tensor:
        return torch.randn(steps, batch, channels, side, side, generator=generator, dtype=dtype)

    return draw


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(20240521)


@pytest.fixture(scope="session")
def mnist() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The embedded digits and their labels, read once."""
    return moving_mnist._digits()


@pytest.fixture
def digits_read_once(mnist: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_mnist, "_digits", lambda: mnist)


@pytest.fixture
def prepared(tmp_path: Path, digits_read_once: None) -> Path:
    """Moving MNIST, prepared small."""
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "prepared", **MOVING)
    return tmp_path / "prepared"
