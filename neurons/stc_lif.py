"""STC-LIF: integrate-and-fire whose leak and input gain are the circuit's two dynamic factors.

    T = tanh(GN(GConv_T(s)))    P = tanh(GN(GConv_P(s)))       s: the layer's own last spikes
    h = v (1 + T) + x (1 + P)
    s = H(h - 1)
    v = h - s

Source: Wang & Yu, ICML 2024. The temporal factor replaces the leak, so the membrane is not bounded.
Learnable: two grouped convolutions (kernel_size, groups) and their GroupNorms. State: v, s.
detach: stops the gradient at s before both pathways; released off for Moving MNIST, on for TaxiBJ and KTH.
Differs from the original: in nothing. pathways: none leaves the perfect integrator v + x.
"""

from typing import Unpack

from neurons._integrate import IntegrateAndFire
from neurons._stc import STC, Circuit


def build(channels: int, **circuit: Unpack[Circuit]) -> STC:
    return STC(IntegrateAndFire(), channels, **circuit)
