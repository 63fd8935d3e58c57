"""LM-H: a dendrite and a soma with four learnt couplings.

    d = (sig(a) - 1/2) d + (sig(b) - 1/2) v + x
    h = (sig(c) + 1/2) d + (sig(e) + 1/2) v
    s = H(h - 1)
    v = h - s

Source: Hao et al., ICLR 2024, in the form of Wang & Yu's released code. Learnable: a, b, c, e, one a layer (all 0: it
starts as an integrator without leak). State: v, d, s. Differs from the original: in a table the gradient of the reset
follows the shared policy; reset_gradient: released stops it, as the released code does.
"""

from neurons._compartments import ResetGradient
from neurons._lmh import LMH


def build(channels: int, reset_gradient: ResetGradient = "shared") -> LMH:
    return LMH(reset_gradient)
