"""The circuit's fused step against the plain one: the same outputs, states, gradients and trainings, to rounding."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conformance import CIRCUITS, perturbed
from scipy.stats import ks_2samp
from torch import Tensor

import neurons
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings

SIZES = {"small map": 6, "large map": 18}  # below and above the size from which a CPU convolves in another layout


def both(name: str, firing: Any = None, **params: Any) -> list[Any]:
    """The neuron with the fused and with the plain step, in float64, their parameters equal."""
    made = []
    for step in ("fused", "plain"):
        torch.manual_seed(0)
        given = [firing] if firing else []
        made.append(perturbed(neurons.build(name, 32, *given, step=step, **params).double()))
    return made


def passed(neuron: Any, currents: Tensor) -> list[Tensor]:
    """Outputs, last state, and gradients of all parameters and of the currents, of a loss that weighs every number."""
    currents = currents.clone().requires_grad_()
    outputs, state = neuron.unroll(currents, neuron.initial_state(currents[0]))
    fields = [field for field in state if field.ndim]
    generator = torch.Generator().manual_seed(1)
    loss = sum((one * torch.randn(one.shape, generator=generator, dtype=one.dtype)).sum() for one in (outputs, *fields))
    assert isinstance(loss, Tensor)
    into = [currents, *neuron.parameters()]
    gradients = torch.autograd.grad(loss, into, allow_unused=True, materialize_grads=True)
    return [
        outputs,
        *fields,
        *(torch.zeros_like(of) if g is None else g for g, of in zip(gradients, into, strict=True)),
    ]


def close(one: list[Tensor], other: list[Tensor], tolerance: float = 1e-10) -> bool:
    """Whether every tensor is, relative to the greatest number in it."""
    return all(
        (a - b).abs().max() <= tolerance * b.abs().max() + 1e-300 and a.shape == b.shape
        for a, b in zip(one, other, strict=True)
    )


def currents(side: int, steps: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return 0.5 + 0.5 * torch.randn(steps, 2, 32, side, side, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CIRCUITS)
def test_every_circuit_computes_what_its_plain_step_does(name: str, size: str) -> None:
    fused, plain = both(name)
    assert close(passed(fused, currents(SIZES[size])), passed(plain, currents(SIZES[size])))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "params",
    [
        {"detach": True},
        {"pathways": "temporal"},
        {"pathways": "spatial"},
        {"pathways": "none"},
        {"kernel_size": 3, "groups": 1},
        {"kernel_size": 1, "groups": 32},
        {"groups": 8},
        {"bound": 1.5},
    ],
    ids=str,
)
def test_every_setting_of_the_circuit(params: dict[str, Any], size: str) -> None:
    fused, plain = both("stc_plif", **params)
    assert close(passed(fused, currents(SIZES[size])), passed(plain, currents(SIZES[size])))


@pytest.mark.parametrize("surrogate", ["sigmoid", "atan", "triangle", "rectangle"])
@pytest.mark.parametrize("reset", ["attached", "detached"])
def test_every_way_of_firing(surrogate: Any, reset: Any) -> None:
    fused, plain = both("stc_lif", neurons.Firing(surrogate, 2.0, reset))
    assert close(passed(fused, currents(6)), passed(plain, currents(6)))


@pytest.mark.parametrize("side", SIZES.values())
def test_any_layout_of_the_currents(side: int) -> None:
    fused, plain = both("stc_lif")
    flat = currents(side).flatten(0, 1).contiguous(memory_format=torch.channels_last).view(5, 2, 32, side, side)
    assert close(passed(fused, flat), passed(plain, currents(side)))


def test_a_state_that_is_not_at_rest_gets_its_gradient() -> None:
    drive, found = currents(6, 3), []
    for neuron in both("stc_lif"):
        v, s = drive[0].clone().requires_grad_(), (drive[1] > 0).double().requires_grad_()
        outputs, state = neuron.unroll(drive, neuron.initial_state(drive[0])._replace(v=v, s=s))
        loss = outputs.sum() + (state.v * drive[2]).sum() + (state.s * drive[1]).sum()
        found.append([outputs.detach(), *torch.autograd.grad(loss, [v, s])])
    assert close(found[0], found[1])


def test_unrolling_is_stepping() -> None:
    fused, _ = both("stc_lif")
    drive = currents(6)
    outputs, state = fused.unroll(drive, fused.initial_state(drive[0]))
    now, stepped = fused.initial_state(drive[0]), []
    for current in drive:
        output, now = fused(current, now)
        stepped.append(output)
    assert torch.equal(outputs, torch.stack(stepped))
    assert close([state.v, state.s], [now.v, now.s])


# --- what is kept between steps ---------------------------------------------------------------------------------------


def changed_in_place(neuron: Any) -> None:
    with torch.no_grad():
        neuron.temporal[0].weight.mul_(2)


def loaded(neuron: Any) -> None:
    neuron.load_state_dict({name: tensor + 1 for name, tensor in neuron.state_dict().items()})


def optimised(neuron: Any) -> None:
    torch.optim.Adam(neuron.parameters(), lr=0.1).step()


def replaced(neuron: Any) -> None:
    neuron.spatial[1].bias = torch.nn.Parameter(neuron.spatial[1].bias.detach() + 1)


def given_other_data(neuron: Any) -> None:
    neuron.spatial[1].bias.data = neuron.spatial[1].bias.data + 1


def cast(neuron: Any) -> None:
    neuron.float().double()


@pytest.mark.parametrize("change", [changed_in_place, loaded, optimised, replaced, given_other_data, cast])
def test_packed_parameters_follow_every_change(change: Callable[[Any], None]) -> None:
    fused, plain = both("stc_lif")
    for neuron in (fused, plain):
        for part, gradient in zip(neuron.parameters(), passed(neuron, currents(6))[-6:], strict=True):
            part.grad = gradient
        change(neuron)
    assert close(passed(fused, currents(6)), passed(plain, currents(6)))


def test_packed_parameters_serve_with_and_without_a_graph_and_twice() -> None:
    fused, plain = both("stc_lif")
    with torch.no_grad():
        fused.unroll(currents(6), fused.initial_state(currents(6)[0]))
    for _ in range(2):
        assert close(passed(fused, currents(6)), passed(plain, currents(6)))


def test_a_copy_packs_its_own_parameters() -> None:
    fused, plain = both("stc_lif")
    passed(fused, currents(6))
    copied, other = copy.deepcopy(fused), copy.deepcopy(plain)
    changed_in_place(copied)
    changed_in_place(other)
    assert close(passed(copied, currents(6)), passed(other, currents(6)))
    assert close(passed(fused, currents(6)), passed(plain, currents(6)))


def test_frozen_pathways_get_no_gradient_and_the_rest_gets_its_own() -> None:
    found = []
    for neuron in both("stc_plif"):
        neuron.temporal.requires_grad_(False)
        drive = currents(6).requires_grad_()
        outputs, _ = neuron.unroll(drive, neuron.initial_state(drive[0]))
        outputs.square().sum().backward()
        assert all(parameter.grad is None for parameter in neuron.temporal.parameters())
        found.append([drive.grad, neuron.neuron.w.grad, *(p.grad for p in neuron.spatial.parameters())])
    assert close(found[0], found[1])


# --- training ---------------------------------------------------------------------------------------------------------


def losses(name: str, step: str, dtype: torch.dtype, steps: int, seed: int = 0) -> list[float]:
    """Of a small network that is trained on one drawn batch."""
    settings = NetworkSettings(patch=4, layers=2, channels=16, kernel_size=3, groups=8)
    network = Predictor(name, {"step": step, "groups": 8}, (1, 16, 16), settings, seed).to(dtype)
    frames = torch.rand(3, 6, 1, 16, 16, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    optimizer = torch.optim.Adam(
        network.parameters(), lr=1e-3
    )  # greater ones let roundings grow tenfold every few steps
    found = []
    for _ in range(steps):
        loss = (network(frames, 3)[0] - frames[:, 1:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("name", ["stc_lif", "stc_plif", "stc_lmh", "stc_norse_lif"])
def test_fifty_training_steps_in_float64_have_equal_losses(name: str) -> None:
    fused, plain = (losses(name, step, torch.float64, 50) for step in ("fused", "plain"))
    assert fused == pytest.approx(plain, rel=1e-8)
    assert fused[-1] < fused[0]


def test_in_float32_trainings_have_one_distribution_of_losses() -> None:
    """A rounding may flip a spike, after which two trainings part; over seeds they must not differ."""
    fused, plain = (
        [losses("stc_lif", step, torch.float32, 15, seed)[-1] for seed in range(10)] for step in ("fused", "plain")
    )
    assert ks_2samp(fused, plain).pvalue > 0.2
