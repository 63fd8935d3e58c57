"""The LM-H neuron of the paper's set, alone and under the circuit."""

import torch
from torch import Tensor, nn

from neurons._compartments import ResetGradient, TwoCompartmentNeuron, TwoCompartments


class LMH(TwoCompartmentNeuron):
    """Two compartments whose four couplings are learnt."""

    def __init__(self, reset_gradient: ResetGradient) -> None:
        super().__init__(reset_gradient)
        self.a, self.b, self.c, self.e = (nn.Parameter(torch.zeros(1)) for _ in range(4))

    def forward(self, current: Tensor, state: TwoCompartments) -> tuple[Tensor, TwoCompartments]:
        return self.step(current, state, state.v)

    def step(self, current: Tensor, state: TwoCompartments, soma: Tensor) -> tuple[Tensor, TwoCompartments]:
        """One step in which the soma, and not the dendrite, sees the membrane as `soma`."""
        d = state.d * (torch.sigmoid(self.a) - 0.5) + state.v * (torch.sigmoid(self.b) - 0.5) + current
        h = d * (torch.sigmoid(self.c) + 0.5) + soma * (torch.sigmoid(self.e) + 0.5)
        s = self.fire(h - 1.0)
        return s, TwoCompartments(v=h - self.feedback(s), d=d, s=s)
