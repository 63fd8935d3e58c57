"""Parametric LIF: the leak is learnt.

    h = sig(w) v + g x         g = 1 - w (gain: released) or 1 - sig(w) (gain: published)
    s = H(h - 1)
    v = h - s

Source: Fang et al., ICCV 2021, in the form of Wang & Yu's released code, ICML 2024. Learnable: w, one a layer (0).
State: v, s. Differs from the original: the released code lets x in by 1 - w, which starts at 1 and fires three times as
much; the PLIF paper has 1 - sig(w), which starts at 1/2. Released is the default. Soft reset.
"""

from neurons._plif import PLIF, Gain


def build(channels: int, gain: Gain = "released") -> PLIF:
    neuron = PLIF(gain)
    neuron.note += "; the other form: plif with gain: " + ("released" if neuron.published else "published")
    return neuron
