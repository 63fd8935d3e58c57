"""The LM-H neuron of the paper's set, alone and under the circuit."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from neurons._neuron import Neuron

ResetGradient = Literal["shared", "released"]


class DendriteState(NamedTuple):
    v: Tensor
    d: Tensor
    s: Tensor


class LMH(Neuron):
    """Two compartments whose four couplings are learnt; `released` stops the gradient at the spike that resets."""

    group = "paper"

    def __init__(self, reset_gradient: ResetGradient) -> None:
        super().__init__()
        self.a, self.b, self.c, self.e = (nn.Parameter(torch.zeros(1)) for _ in range(4))
        self.released = reset_gradient == "released"

    def initial_state(self, current: Tensor) -> DendriteState:
        zeros = torch.zeros_like(current)
        return DendriteState(v=zeros, d=zeros, s=zeros)

    def forward(self, current: Tensor, state: DendriteState) -> tuple[Tensor, DendriteState]:
        return self.step(current, state, state.v)

    def step(self, current: Tensor, state: DendriteState, soma: Tensor) -> tuple[Tensor, DendriteState]:
        """One step in which the soma, and not the dendrite, sees the membrane as `soma`."""
        d = state.d * (torch.sigmoid(self.a) - 0.5) + state.v * (torch.sigmoid(self.b) - 0.5) + current
        h = d * (torch.sigmoid(self.c) + 0.5) + soma * (torch.sigmoid(self.e) + 0.5)
        s = self.fire(h - 1.0)
        r = s.detach() if self.released else self.feedback(s)
        return s, DendriteState(v=h - r, d=d, s=s)
