"""The shared firing: a step forward, a density of area 1 backward, and whether the reset is differentiated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snntorch import surrogate as snntorch
from spikingjelly.activation_based import surrogate as spikingjelly
from torch import Tensor

from neurons import Firing

Array = NDArray[np.float64]
ALPHAS = (0.5, 1.0, 4.0, 25.0)


def sigmoid(u: Array, alpha: float) -> Array:
    likeness = 1 / (1 + np.exp(-alpha * u))
    return alpha * likeness * (1 - likeness)


DENSITIES: dict[Any, Callable[[Array, float], Array]] = {  # as the docstring of Firing lists them
    "sigmoid": sigmoid,
    "atan": lambda u, alpha: (alpha / 2) / (1 + (np.pi * alpha * u / 2) ** 2),
    "triangle": lambda u, alpha: alpha * np.maximum(0, 1 - alpha * np.abs(u)),
    "rectangle": lambda u, alpha: np.where(np.abs(u) < 1 / (2 * alpha), alpha, 0.0),
}
every_surrogate = pytest.mark.parametrize("surrogate", DENSITIES)


def slope(fire: Callable[[Tensor], Tensor], u: Any) -> Array:
    """What a spike's surrogate derivative is at every u."""
    at = torch.tensor(u, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(fire(at).sum(), at)[0].numpy()


@every_surrogate
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(("strict", "at_zero"), [(False, 1.0), (True, 0.0)])
def test_forward_is_a_step(surrogate: Any, dtype: Any, strict: bool, at_zero: float) -> None:
    u = torch.tensor([-2.0, -1e-9, -0.0, 0.0, 1e-9, 2.0], dtype=dtype)
    spikes = Firing(surrogate)(u, strict=strict)
    assert spikes.tolist() == [0.0, 0.0, at_zero, at_zero, 1.0, 1.0]
    assert spikes.dtype == dtype


def test_it_fires_at_its_threshold_unless_strict() -> None:
    assert torch.equal(Firing()(torch.zeros(3)), torch.ones(3))


@every_surrogate
@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("strict", [False, True])
def test_backward_is_the_density_that_its_docstring_names(surrogate: Any, alpha: float, strict: bool) -> None:
    u = np.linspace(-3, 3, 1201) + 1e-4  # not on an edge
    found = slope(lambda at: Firing(surrogate, alpha)(at, strict=strict), u)
    assert np.allclose(found, DENSITIES[surrogate](u, alpha), rtol=1e-12, atol=1e-12)


@every_surrogate
def test_backward_scales_the_gradient_that_comes_in(surrogate: Any) -> None:
    u = np.linspace(-1, 1, 7) + 1e-4
    assert np.allclose(slope(lambda at: -3 * Firing(surrogate)(at), u), -3 * slope(Firing(surrogate), u), rtol=1e-12)


@every_surrogate
@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_density_has_area_1(surrogate: Any, alpha: float) -> None:
    angle = (np.arange(200_000) + 0.5) / 200_000 * np.pi - np.pi / 2  # u = tan(angle) takes in the whole line
    density = slope(Firing(surrogate, alpha), np.tan(angle))
    assert abs((density / np.cos(angle) ** 2).sum() * np.pi / 200_000 - 1) < 1e-3


@pytest.mark.parametrize(
    ("firing", "library"),
    [
        (Firing("atan", 2.0), snntorch.atan(2)),
        (Firing("atan", 5.0), snntorch.atan(5)),
        (Firing("atan", 2.0), spikingjelly.ATan(2.0)),
        (Firing("sigmoid", 4.0), spikingjelly.Sigmoid(4.0)),
        (Firing("rectangle", 1.0), spikingjelly.Rect(1.0)),
        (Firing("rectangle", 3.0), spikingjelly.Rect(3.0)),
        (Firing("triangle", 1.0), spikingjelly.PiecewiseQuadratic(1.0)),
        (Firing("triangle", 2.0), spikingjelly.PiecewiseQuadratic(2.0)),
    ],
)
def test_surrogates_of_a_library_s_name_are_the_library_s(firing: Firing, library: Callable[[Tensor], Tensor]) -> None:
    u = np.append(np.random.default_rng(1).normal(0, 1, 1000), [0.0, 0.5, -0.5])
    assert np.allclose(slope(firing, u), slope(library, u), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("policy", ["attached", "detached"])
def test_feedback_is_the_spikes_with_or_without_their_gradient(policy: Any) -> None:
    firing = Firing(reset_gradient=policy)
    u = torch.linspace(-1, 1, 5, requires_grad=True)
    spikes = firing(u)
    fed_back = firing.feedback(spikes)
    assert torch.equal(fed_back, spikes)
    assert fed_back.requires_grad == (policy == "attached")
    assert spikes.requires_grad  # what is passed on keeps its gradient under either policy


def test_unless_told_otherwise_it_is_the_released_code_s() -> None:
    assert Firing() == Firing(surrogate="sigmoid", alpha=4.0, reset_gradient="attached")
