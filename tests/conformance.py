"""What the conformance tests share: every neuron there is, on every device, and how to build, drive and compare one."""

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

import neurons

CHANNELS = 16
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def has_membrane(name: str) -> bool:
    try:
        fields = neurons.build(name, CHANNELS).initial_state(torch.zeros(1, CHANNELS, 1, 1))._fields
    except Exception:  # a broken neuron must fail its own tests, not the collection of all
        return True
    return "v" in fields


REFUSED = [twin for twin in neurons.twins() if not has_membrane(neurons.wrapped(twin))]
NAMES = [name for name in neurons.available() + neurons.twins() if name not in REFUSED]
CIRCUITS = [name for name in NAMES if name.startswith("stc_")]

on_every_device = pytest.mark.parametrize("device", DEVICES)
every_neuron = pytest.mark.parametrize(("name", "device"), list(product(NAMES, DEVICES)))
every_circuit = pytest.mark.parametrize(("name", "device"), list(product(CIRCUITS, DEVICES)))

if torch.cuda.is_available():
    torch.backends.cudnn.deterministic = True  # so that what is equal on the CPU is equal there


def layer(name: str, device: str, dtype: Any = torch.float32, **params: Any) -> Any:
    """A layer of that neuron, the same at every call, on whatever it draws."""
    torch.manual_seed(20240521)
    return neurons.build(name, CHANNELS, **params).to(device, dtype)


def repeatable(neuron: Any) -> Any:
    """The layer, in evaluation where its training would use and update statistics of the batch."""
    return neuron.eval() if neuron.normalises_batch else neuron


def perturbed(neuron: Any) -> Any:
    """The layer with parameters that are not those of a fresh one, and differ from channel to channel."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in neuron.parameters():
            shift = 0.2 * torch.rand(parameter.shape, generator=generator).to(parameter)
            parameter.add_(shift * parameter.abs().clamp(min=0.5))  # those that start at 0 are moved, too
    return neuron


def draw(
    device: str, steps: int = 8, *, batch: int = 2, side: int = 5, dtype: Any = torch.float32, seed: int = 0
) -> Tensor:
    """Unit-variance currents [T, B, C, H, W], the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(steps, batch, CHANNELS, side, side, generator=generator, dtype=torch.float64)
    return drawn.to(device, dtype)


def step_through(neuron: Any, currents: Tensor) -> tuple[Tensor, Any]:
    """Outputs of all steps and the last state, through nothing but single steps."""
    state, outputs = neuron.initial_state(currents[0]), []
    for current in currents:
        output, state = neuron(current, state)
        outputs.append(output)
    return torch.stack(outputs), state


def gradients(neuron: Any, outputs: Tensor, currents: Tensor) -> tuple[Tensor, ...]:
    """Those of a weighted sum of the outputs, in the currents and in every parameter; zero where there is none."""
    weights = torch.linspace(-1, 2, outputs.numel(), device=outputs.device, dtype=outputs.dtype).view_as(outputs)
    total, sources = (weights * outputs).sum(), (currents, *neuron.parameters())
    return torch.autograd.grad(total, sources, retain_graph=True, allow_unused=True, materialize_grads=True)


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    """Whether they are equal, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def detached(state: Any) -> Any:
    return type(state)(*(field.detach() for field in state))


def fields(state: Any) -> list[Tensor]:
    """The state without its clocks, which have no dimensions."""
    return [field for field in state if field.ndim]
