"""snnTorch's neurons under the suite's contract: state handed in and out, nothing kept, the shared firing."""

from typing import Any

import torch
from torch import Tensor

from neurons._library import load
from neurons._neuron import Neuron, per_channel, state_type


class SnnTorchNeuron(Neuron):
    """The snnTorch class `cell` whose learnable constants, one a channel, start at the values of `learnable`.

    `state` names the state's fields in the order in which the class takes and returns them, its `mem` being `v`; a
    `recurrent` class takes its last spikes before them. snnTorch resets one step late and finds out what to reset by
    testing the membrane again; here the spike that was emitted decides, which is the same, except that a circuit which
    has scaled the membrane meanwhile cannot undo the reset. The library never differentiates the reset; here the
    table's policy holds.
    """

    group = "snntorch"

    def __init__(
        self,
        channels: int,
        cell: str,
        state: tuple[str, ...],
        learnable: dict[str, float],
        recurrent: bool = False,
        **fixed: Any,
    ):
        super().__init__()
        snntorch = load("snntorch")
        start = {name: per_channel(value, channels) for name, value in learnable.items()}
        learn = {f"learn_{name}": True for name in learnable if name != "V"}  # V has another name for it, on by default
        self.cell = getattr(snntorch, cell)(**start, **learn, **fixed, spike_grad=self._fire)
        snntorch.SpikingNeuron.instances.remove(self.cell)  # a class-wide list that would keep it alive for ever
        if hasattr(self.cell, "V"):
            del self.cell.V  # the same parameter as recurrent.V, under a second name
        self.state_type = state_type(*state)
        self.recurrent = recurrent
        self.cell.mem_reset = self._reset
        self.reset: Tensor | None = None  # during a step, the spikes that reset the membrane

    def initial_state(self, current: Tensor) -> Any:
        return self.state_type(*(torch.zeros_like(current) for _ in self.state_type._fields))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        cell = self.cell
        self.reset = self.feedback(state.s)
        try:
            spikes, *fields = cell(current, *((state.s, *state[:-1]) if self.recurrent else state[:-1]))
        finally:  # recomputation for backward breaks off in the middle of a step
            self.reset = None
            nothing = current.new_zeros(0)
            for name in ("mem", "syn", "spk", "reset"):  # each would keep the graph of this step
                if hasattr(cell, name):
                    setattr(cell, name, nothing)
        return spikes, self.state_type(*fields, spikes)

    def _reset(self, membrane: Tensor) -> Tensor | None:
        return self.reset

    def _fire(self, u: Tensor) -> Tensor:
        return self.firing(u, strict=True)
