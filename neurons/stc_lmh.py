"""STC-LM-H: the circuit's two factors upon LM-H.

    T = tanh(GN(GConv_T(s)))    P = tanh(GN(GConv_P(s)))       s: the layer's own last spikes
    d = (sig(a) - 1/2) d + (sig(b) - 1/2) v + x (1 + P)
    h = (sig(c) + 1/2) d + (sig(e) + 1/2) v (1 + T)
    s = H(h - 1)
    v = h - s

Source: Wang & Yu, ICML 2024. Learnable: the circuit; a, b, c, e, one a layer (0). State: v, d, s.
Differs from the original: as released, the temporal factor scales the somatic term alone; modulation: published scales
v wherever the equations read it, in the dendrite too. reset_gradient as in LM-H. At the start it computes STC-LIF.
"""

from typing import Any, Literal, Unpack

from torch import Tensor

from neurons._compartments import ResetGradient
from neurons._lmh import LMH
from neurons._stc import STC, Circuit


class SomaticSTC(STC):
    neuron: LMH

    def modulated(self, current: Tensor, state: Any, keep: Any) -> tuple[Tensor, Any]:
        return self.neuron.step(current, state, state.v * keep)


def build(
    channels: int,
    modulation: Literal["released", "published"] = "released",
    reset_gradient: ResetGradient = "shared",
    **circuit: Unpack[Circuit],
) -> STC:
    made = (SomaticSTC if modulation == "released" else STC)(LMH(reset_gradient), channels, **circuit)
    reach, other = ("the soma alone", "published") if modulation == "released" else ("soma and dendrite", "released")
    made.note = f"the temporal factor scales {reach}, as {modulation}; the other form: modulation: {other}"
    return made
