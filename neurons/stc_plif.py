"""STC-PLIF: the circuit's two factors upon a learnt leak.

    T = tanh(GN(GConv_T(s)))    P = tanh(GN(GConv_P(s)))       s: the layer's own last spikes
    h = v (1 + T) sig(w) + x (1 + P) (1 - sig(w))
    s = H(h - 1)
    v = h - s

Source: Wang & Yu, ICML 2024. Learnable: the circuit; w, one a layer (starts 0). State: v, s.
Differs from the original: in nothing; unlike the released PLIF, its input gain is PLIF's published 1 - sig(w); gain:
released has 1 - w. Its gradient is fragile with detach: false (see docs/neurons.md).
"""

from typing import Unpack

from neurons._plif import PLIF, Gain
from neurons._stc import STC, Circuit


def build(channels: int, gain: Gain = "published", **circuit: Unpack[Circuit]) -> STC:
    return STC(PLIF(gain), channels, **circuit)
