"""snnTorch's neurons under the suite's contract: state handed in and out, nothing kept, the shared surrogate."""

from typing import Any

import torch
from torch import Tensor

from neurons._library import load
from neurons._neuron import Neuron, fire_strictly, per_channel, state_type


class SnnTorchNeuron(Neuron):
    """The snnTorch class `cell` whose learnable constants, one a channel, start at the values of `learnable`.

    `state` names the state's fields in the order in which the class takes and returns them, its `mem` being `v`.
    snnTorch resets one step late, from the membrane it is handed, and never differentiates the reset.
    """

    group = "snntorch"

    def __init__(self, channels: int, cell: str, state: tuple[str, ...], learnable: dict[str, float], **fixed: Any):
        super().__init__()
        snntorch = load("snntorch")
        start = {name: per_channel(value, channels) for name, value in learnable.items()}
        learn = {f"learn_{name}": True for name in learnable}
        self.cell = getattr(snntorch, cell)(**start, **learn, **fixed, spike_grad=fire_strictly)
        snntorch.SpikingNeuron.instances.remove(self.cell)  # a class-wide list that would keep it alive for ever
        self.state_type = state_type(*state)

    def initial_state(self, current: Tensor) -> Any:
        return self.state_type(*(torch.zeros_like(current) for _ in self.state_type._fields))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        spikes, *fields = self.cell(current, *state[:-1])
        self.cell.mem = current.new_zeros(0)  # it would keep the graph of this step
        return spikes, self.state_type(*fields, spikes)
