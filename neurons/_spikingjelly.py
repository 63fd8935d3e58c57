"""SpikingJelly's neurons under the suite's contract, through their functional form, which keeps nothing."""

from typing import Any

import torch
from torch import Tensor, nn

from neurons._library import load
from neurons._neuron import Neuron, check_input, state_type

# Nodes whose sequence form gives the same bits as stepping, and sooner: their single step is a sequence of one.
AT_ONCE = ("EIFNode", "IFNode", "IzhikevichNode", "LIFNode", "ParametricLIFNode", "QIFNode")


class SpikingJellyNeuron(Neuron):
    """The class `node` of spikingjelly.activation_based.neuron.

    `state` names the node's memories in its order; `per_channel` the learnable scalars of the node that become one
    value a channel, so that every library neuron adapts at the same grain. The library differentiates the reset or
    not by a flag of its own; here the table's policy holds, and for all that a spike does to the state.
    """

    group = "spikingjelly"

    def __init__(
        self, channels: int, node: str, state: tuple[str, ...] = ("v",), per_channel: tuple[str, ...] = (), **fixed: Any
    ):
        super().__init__()
        library = load("spikingjelly.activation_based.neuron")
        self.node = getattr(library, node)(**fixed, surrogate_function=self._fire)
        for name in per_channel:
            scalar = getattr(self.node, name)
            setattr(self.node, name, nn.Parameter(scalar.detach().expand(channels, 1, 1).clone()))
        self.at_once = node in AT_ONCE
        self.state_type = state_type(*state)
        self.fired: list[Tensor] = []  # during a step, the spikes with their gradient

    def initial_state(self, current: Tensor) -> Any:
        start = tuple(self.node.get_reset_value(name) for name, _ in self.node.named_memories())
        return self.state_type(*self.node.materialize_states((current,), start, "s"), torch.zeros_like(current))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        try:
            _, after = self.node.single_step_functional_forward((current,), tuple(state[:-1]), **self.arguments())
            (spikes,) = self.fired  # what the node returns is a copy of them, or without their gradient
        finally:  # recomputation for backward breaks off in the middle of a step
            self.fired.clear()
        return spikes, self.state_type(*after, spikes)

    def unroll(self, currents: Tensor, state: Any) -> tuple[Tensor, Any]:
        if not self.at_once:
            return super().unroll(currents, state)
        check_input(currents[0], state)
        try:
            (spikes,), after = self.node.multi_step_functional_forward((currents,), tuple(state[:-1]))
            if self.firing.reset_gradient == "detached":
                spikes = torch.stack(self.fired)
            last = self.fired[-1]
        finally:
            self.fired.clear()
        return spikes, self.state_type(*after, last)

    def arguments(self) -> dict[str, Any]:
        """What the node's step takes beside current and state."""
        return {}

    def _fire(self, u: Tensor) -> Tensor:
        spikes = self.firing(u, strict=True)
        self.fired.append(spikes)
        return self.feedback(spikes)
