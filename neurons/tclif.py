"""TC-LIF: two compartments, a dendrite that remembers and a soma that fires.

    d = d - sig(p) v + x - w s           (s: the last spikes)
    v = v + sig(q) d - s
    s = H(v - 1)               (the reset comes one step late, through s)

Source: Zhang et al., AAAI 2024, in the form of Wang & Yu's released code. Learnable: p, q, w, one a layer (all 0).
State: v (before its reset), d, s. Differs from the original: in a table the gradient of s follows the shared policy;
reset_gradient: released stops it, as the released code does.
"""

import torch
from torch import Tensor, nn

from neurons._compartments import ResetGradient, TwoCompartmentNeuron, TwoCompartments


class TCLIF(TwoCompartmentNeuron):
    def __init__(self, reset_gradient: ResetGradient) -> None:
        super().__init__(reset_gradient)
        self.p, self.q, self.w = (nn.Parameter(torch.zeros(1)) for _ in range(3))

    def forward(self, current: Tensor, state: TwoCompartments) -> tuple[Tensor, TwoCompartments]:
        r = self.feedback(state.s)
        d = state.d - torch.sigmoid(self.p) * state.v + current - self.w * r
        v = state.v + torch.sigmoid(self.q) * d - r
        s = self.fire(v - 1.0)
        return s, TwoCompartments(v=v, d=d, s=s)


def build(channels: int, reset_gradient: ResetGradient = "shared") -> TCLIF:
    return TCLIF(reset_gradient)
