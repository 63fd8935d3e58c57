"""Integrate-and-fire with one retention and one gain: LIF, PLIF, and the perfect integrator under the circuit."""

from typing import Literal

from torch import Tensor

from neurons._neuron import MembraneState, Neuron

Reset = Literal["soft", "hard"]


class IntegrateAndFire(Neuron):
    """h = retention v + gain x; s = H(h - 1); v = h - s (soft reset) or (1 - s) h (hard reset)."""

    group = "paper"

    def __init__(self, retention: float = 1.0, gain: float = 1.0, reset: Reset = "soft") -> None:
        super().__init__()
        self.retention = retention
        self.gain = gain
        self.reset = reset

    def constants(self) -> tuple[Tensor | float, Tensor | float]:
        """Retention and gain; a neuron that learns them overrides this."""
        return self.retention, self.gain

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        retention, gain = self.constants()
        h = retention * state.v + gain * current
        s = self.fire(h - 1.0)
        r = self.feedback(s)
        return s, MembraneState(v=h - r if self.reset == "soft" else (1.0 - r) * h, s=s)
