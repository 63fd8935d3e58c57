"""How a library neuron is held against its library: equal constants and currents in, equal spikes and gradients out."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import neurons

CHANNELS = 16


@dataclass
class Theirs:
    """What a library made of the same currents with the same constants."""

    spikes: Tensor
    states: dict[str, Tensor]  # our name of a state -> its steps, or the last of them
    weights: dict[str, list[Tensor]]  # our name of a weight -> theirs, which is one or one a channel
    buffers: dict[str, Tensor] = field(default_factory=dict)  # our name -> theirs


@dataclass(frozen=True)
class Case:
    """A neuron, what to build it with, and what to ask its library for."""

    name: str
    theirs: str
    arguments: dict[str, Any]
    states: dict[str, str]  # our name of a state -> theirs
    params: dict[str, Any] = field(default_factory=dict)
    low: float = -1.5  # where constants are drawn from
    high: float = 1.5

    def __str__(self) -> str:
        return " ".join([self.name, *map(str, self.params.values())])

    def build(self, generator: torch.Generator, **how: Any) -> neurons.Neuron:
        torch.manual_seed(3)  # for what a layer draws
        neuron = neurons.build(self.name, CHANNELS, **self.params, **how)
        for parameter in neuron.parameters():
            if parameter.ndim < 4:  # all but convolutions
                nn.init.uniform_(parameter, self.low, self.high, generator=generator)
        return neuron


def stacked(steps: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([step[name] for step in steps]) for name in steps[0]}


def agrees(neuron: neurons.Neuron, currents: Tensor, theirs: Theirs) -> None:
    """Asserts equal spikes and states, bit for bit, at every step."""
    state: Any = neuron.initial_state(currents[0])
    outputs, states = [], []
    for current in currents:
        output, state = neuron(current, state)
        outputs.append(output)
        states.append(state._asdict())
    assert 0.02 < theirs.spikes.mean() < 0.7
    assert torch.equal(torch.stack(outputs), theirs.spikes)
    for name, trace in theirs.states.items():
        assert torch.equal(torch.stack([found[name] for found in states[-len(trace) :]]), trace), name


def gradient_agrees(neuron: neurons.Neuron, currents: Tensor, theirs: Theirs) -> None:
    """Asserts that a loss upon the spikes has the same gradient in the currents and in every weight."""
    spikes, _ = neuron.unroll(currents, neuron.initial_state(currents[0]))
    assert torch.equal(spikes, theirs.spikes)
    weights = torch.linspace(-1, 2, spikes.numel(), dtype=spikes.dtype).view_as(spikes)
    ours = {"currents": currents, **dict(neuron.named_parameters())}
    found = torch.autograd.grad((spikes * weights).sum(), list(ours.values()))
    assert ours.keys() == {"currents"} | theirs.weights.keys()
    for (name, source), gradient in zip(ours.items(), found, strict=True):
        parts = [currents] if source is currents else theirs.weights[name]
        own = torch.autograd.grad((theirs.spikes * weights).sum(), parts, retain_graph=True)
        wanted = torch.cat([part.flatten() for part in own]).view_as(gradient)
        assert wanted.abs().max() > 0, name
        assert (gradient - wanted).abs().max() <= 1e-6 * wanted.abs().max(), name
