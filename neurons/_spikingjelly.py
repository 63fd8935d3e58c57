"""SpikingJelly's neurons under the suite's contract, through their functional form, which keeps nothing."""

from typing import Any

import torch
from torch import Tensor, nn

from neurons._library import load
from neurons._neuron import Neuron, fire_strictly, state_type


class SpikingJellyNeuron(Neuron):
    """The class `node` of spikingjelly.activation_based.neuron.

    `state` names the node's memories in its order; `per_channel` the learnable scalars of the node that become one
    value a channel, so that every library neuron adapts at the same grain. Gradient passes through the reset.
    """

    group = "spikingjelly"

    def __init__(
        self, channels: int, node: str, state: tuple[str, ...], per_channel: tuple[str, ...] = (), **fixed: Any
    ):
        super().__init__()
        library = load("spikingjelly.activation_based.neuron")
        self.node = getattr(library, node)(**fixed, surrogate_function=fire_strictly)
        for name in per_channel:
            scalar = getattr(self.node, name)
            setattr(self.node, name, nn.Parameter(scalar.detach().expand(channels, 1, 1).clone()))
        self.state_type = state_type(*state)

    def initial_state(self, current: Tensor) -> Any:
        start = tuple(self.node.get_reset_value(name) for name, _ in self.node.named_memories())
        return self.state_type(*self.node.materialize_states((current,), start, "s"), torch.zeros_like(current))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        (spikes,), after = self.node.single_step_functional_forward((current,), tuple(state[:-1]))
        return spikes, self.state_type(*after, spikes)
