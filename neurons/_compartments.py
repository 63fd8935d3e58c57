"""What TC-LIF and LM-H share: a dendrite beside the soma, and whether their reset is differentiated as released."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from neurons._neuron import Neuron

ResetGradient = Literal["shared", "released"]


class TwoCompartments(NamedTuple):
    v: Tensor
    d: Tensor
    s: Tensor


class TwoCompartmentNeuron(Neuron):
    """A neuron with the state v (soma), d (dendrite), s.

    reset_gradient: `released` stops the gradient at the spike that resets, as the released code does; `shared` follows
    the table's policy.
    """

    group = "paper"

    def __init__(self, reset_gradient: ResetGradient) -> None:
        super().__init__()
        self.released = reset_gradient == "released"

    def initial_state(self, current: Tensor) -> TwoCompartments:
        zeros = torch.zeros_like(current)
        return TwoCompartments(v=zeros, d=zeros, s=zeros)

    def feedback(self, spikes: Tensor) -> Tensor:
        return spikes.detach() if self.released else super().feedback(spikes)
