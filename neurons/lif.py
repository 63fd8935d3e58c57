"""Leaky integrate-and-fire, as the paper's released code has it.

    h = v / 2 + x / 2
    s = H(h - 1)
    v = h - s                  (reset: soft; hard is v = (1 - s) h)

Source: Wang & Yu, ICML 2024, baseline LIF (membrane time constant 2, input decayed).
Learnable: nothing. State: v, s. Differs from the original: in nothing.
"""

from neurons._integrate import IntegrateAndFire, Reset


def build(channels: int, reset: Reset = "soft") -> IntegrateAndFire:
    return IntegrateAndFire(retention=0.5, gain=0.5, reset=reset)
