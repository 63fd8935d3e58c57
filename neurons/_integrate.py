"""Integrate-and-fire with a constant retention: LIF where it is below 1, the perfect integrator where it is 1."""

from torch import Tensor

from neurons._neuron import MembraneState, Neuron, fire


class IntegrateAndFire(Neuron):
    """h = retention v + gain x; s = H(h - 1); v = h - s. The reset is part of the gradient."""

    group = "paper"

    def __init__(self, retention: float, gain: float) -> None:
        super().__init__()
        self.retention = retention
        self.gain = gain

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        h = self.retention * state.v + self.gain * current
        s = fire(h - 1.0)
        return s, MembraneState(v=h - s, s=s)
