"""Norse's LIFRefrac: Norse's LIF, silent and still for a while after each spike.

    (z, h) = Norse's LIF step of x, its h after the reset
    m = H(rho)                 (refractory; strictly above 0)
    s = (1 - m) z
    v = (1 - m) h + m v
    rho = (1 - s) relu(rho - m) + rho_reset s

Source: Norse 1.1.0, lif_refrac_feed_forward_step, dt = 1 step. Learnable per channel: tau_mem_inv, tau_syn_inv, v_th
(.5). State: v, i, rho, s; the circuit scales v alone. rho_reset (1): steps of silence.
Differs from the library: constants for dt = 1 step (its rho_reset of 5 blocks five), and that they adapt, are ours.
Shared firing.
"""

from typing import Any

import torch
from torch import Tensor

from neurons._library import load
from neurons._neuron import state_type
from neurons._norse import NorseNeuron


class LIFRefrac(NorseNeuron):
    def __init__(self, channels: int, rho_reset: float) -> None:
        start = dict.fromkeys(("tau_mem_inv", "tau_syn_inv", "v_th"), 0.5)
        step, state = "lif_refrac_feed_forward_step", "LIFRefracFeedForwardState"
        super().__init__(channels, "lif_refrac", step, state, "LIFRefracParameters", start)
        lif = load("norse.torch.functional.lif")
        self.lif_parameters, self.lif_state = lif.LIFParameters, lif.LIFFeedForwardState
        self.rho_reset = rho_reset
        self.state_type = state_type("v", "i", "rho")

    def parameters_now(self) -> Any:
        lif = self.lif_parameters(**self.learnt)
        return self.parameter_tuple(lif, rho_reset=torch.as_tensor(self.rho_reset))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        inner = self.lif_state(state.v, state.i)
        spikes, (lif, rho) = self.advance(current, self.state_tuple(inner, state.rho))
        return spikes, self.state_type(lif.v, lif.i, rho, spikes)


def build(channels: int, rho_reset: float = 1.0) -> LIFRefrac:
    return LIFRefrac(channels, rho_reset)
