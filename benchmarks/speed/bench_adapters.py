"""What an adapter adds to its library's own step: both with the same numbers, forth and back."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import snntorch
import torch
from torch import Tensor, nn

import neurons
from benchmarks.speed.pairs import InTurn

Pass = Callable[[], tuple[Tensor, ...]]
ADAPTED = {"snntorch": "snntorch_leaky", "norse": "norse_lif", "spikingjelly": "spikingjelly_plif"}


def per_channel(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((64, 1, 1), float(value)))


def strictly(u: Tensor, *norse: Any) -> Tensor:
    """The shared surrogate for a library to call."""
    return neurons.Firing()(u, strict=True)


def forth_and_back(step: Callable[[], tuple[Tensor, ...]], sources: list[Tensor]) -> Pass:
    """A step, which gives spikes, membrane and the rest of its state, and its backward pass to all of `sources`."""

    def both() -> tuple[Tensor, ...]:
        spikes, membrane, *_kept = step()
        gradients = torch.autograd.grad([spikes.sum(), membrane.sum()], sources, allow_unused=True)
        return spikes, membrane, gradients[0]

    return both


def through_our_interface(library: str, current: Tensor, v: Tensor, i: Tensor) -> Pass:
    neuron = neurons.build(ADAPTED[library], 64)
    given = {"v": v, "i": i, "s": strictly(v - 1).detach().requires_grad_()}
    kind = type(neuron.initial_state(current))
    state = kind(*(given[field] for field in kind._fields))

    def step() -> tuple[Tensor, ...]:
        spikes, after = neuron(current, state)
        return spikes, *after

    return forth_and_back(step, [current, *state, *neuron.parameters()])


def as_the_library_s_user(library: str, current: Tensor, v: Tensor, i: Tensor) -> Pass:
    if library == "snntorch":
        cell = snntorch.Leaky(per_channel(0.5), per_channel(1), strictly, learn_beta=True, learn_threshold=True)
        snntorch.SpikingNeuron.instances.remove(cell)  # which would keep it for ever
        return forth_and_back(lambda: cell(current, v), [current, v, *cell.parameters()])
    if library == "norse":
        lif = import_module("norse.torch.functional.lif")
        learnt = {name: per_channel(0.5) for name in ("tau_mem_inv", "tau_syn_inv", "v_th")}

        def step() -> tuple[Tensor, ...]:
            before, constants = lif.LIFFeedForwardState(v, i), lif.LIFParameters(**learnt)
            spikes, after = lif.lif_feed_forward_step(current, before, constants, dt=1.0)
            return spikes, *after

        return forth_and_back(step, [current, v, i, *learnt.values()])
    node = import_module("spikingjelly.activation_based.neuron").ParametricLIFNode(
        decay_input=False, surrogate_function=strictly
    )
    node.w = per_channel(0)

    def functional() -> tuple[Tensor, ...]:
        (spikes,), after = node.single_step_functional_forward((current,), (v,))
        return spikes, *after

    return forth_and_back(functional, [current, v, *node.parameters()])


@pytest.mark.parametrize("library", ADAPTED)
def test_a_step_through_an_adapter(
    in_turn: InTurn, library: str, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, v, i = (torch.randn(16, 64, 32, 32, generator=generator).requires_grad_() for _ in range(3))
    ours = through_our_interface(library, current, v, i)
    if library == "norse":  # after the neuron, which silences what Norse's import warns of
        monkeypatch.setattr(import_module("norse.torch.functional.lif"), "threshold", strictly)
    raw = as_the_library_s_user(library, current, v, i)
    assert all(torch.equal(one, other) for one, other in zip(ours(), raw(), strict=True))
    in_turn("a step through an adapter / the library's own", ours, raw, "raw")
