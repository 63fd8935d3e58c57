"""Integrate-and-fire with a constant retention: LIF where it is below 1, the perfect integrator where it is 1."""

from typing import NamedTuple

import torch
from torch import Tensor

from neurons._neuron import Neuron, fire


class MembraneState(NamedTuple):
    """The smallest state: membrane after reset and last spikes, both [B, C, H, W]."""

    v: Tensor
    s: Tensor


class IntegrateAndFire(Neuron):
    """h = retention v + gain x; s = H(h - 1); v = h - s. The reset is part of the gradient."""

    group = "paper"

    def __init__(self, retention: float, gain: float) -> None:
        super().__init__()
        self.retention = retention
        self.gain = gain

    def initial_state(self, current: Tensor) -> MembraneState:
        zeros = torch.zeros_like(current)
        return MembraneState(v=zeros, s=zeros)

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        h = self.retention * state.v + self.gain * current
        s = fire(h - 1.0)
        return s, MembraneState(v=h - s, s=s)
