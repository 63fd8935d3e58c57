"""Gated LIF: gates blend leak, gain and reset, each between two forms; all constants are learnt per channel.

    I = x (1 - b (1 - g))
    h = (1 - a (1 - tau)) v (1 - c s) - (1 - a) leak + I - (1 - c) r s       (s: the last spikes)
    s = H(h - th)
    v = h                      (the reset comes one step late, through s)

Source: Yao et al., NeurIPS 2022, in the form of Wang & Yu's released code. Learnable per channel, through sig: tau,
th, leak, r, g (start at .25, .5, .0625, .5, .5). State: v (before its reset), s. Differs from the original: the gates
a, b, c are frozen at .55, .65, .55 (released), and in a table it fires with the shared surrogate; surrogate: released
is its own, a rectangle of width 1.
"""

import math
from typing import Literal

from torch import Tensor, nn

from neurons._firing import Firing
from neurons._neuron import MembraneState, Neuron, per_channel

START = {"tau": 0.25, "threshold": 0.5, "leak": 0.0625, "drop": 0.5, "conduct": 0.5}
GATES = {"alpha": 0.55, "beta": 0.65, "gamma": 0.55}
RECTANGLE = Firing("rectangle", alpha=1.0)


class GLIF(Neuron):
    group = "paper"

    def __init__(self, channels: int, rectangle: bool) -> None:
        super().__init__()
        for name, value in START.items():
            self.register_parameter(name, nn.Parameter(per_channel(math.log(value / (1 - value)), channels)))
        for name, value in GATES.items():
            self.register_buffer(name, per_channel(math.log(value / (1 - value)), channels))
        self.rectangle = rectangle

    def fire(self, u: Tensor) -> Tensor:
        return (RECTANGLE if self.rectangle else self.firing)(u, strict=True)

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        a, b, c = (self.get_buffer(name).sigmoid() for name in GATES)
        tau, threshold, leak, drop, conduct = (self.get_parameter(name).sigmoid() for name in START)
        r = self.feedback(state.s)
        admitted = current * (1 - b * (1 - conduct))
        h = (1 - a * (1 - tau)) * state.v * (1 - c * r) - (1 - a) * leak + admitted - (1 - c) * drop * r
        s = self.fire(h - threshold)
        return s, MembraneState(v=h, s=s)


def build(channels: int, surrogate: Literal["shared", "released"] = "shared") -> GLIF:
    return GLIF(channels, rectangle=surrogate == "released")
