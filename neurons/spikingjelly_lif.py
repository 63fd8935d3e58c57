"""SpikingJelly's LIFNode: the plain LIF, whole input, hard reset.

    h = v - v / tau + x        (decay_input: h = v + (x - v) / tau)
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (reset: soft is v = h - s)

Source: SpikingJelly 2.0.0, class LIFNode. Learnable: nothing (tau 2). State: v, s.
Differs from the library's default: decay_input off (on, it halves the input and hardly fires), shared firing.
"""

from neurons._integrate import Reset
from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, tau: float = 2.0, decay_input: bool = False, reset: Reset = "hard") -> SpikingJellyNeuron:
    v_reset = None if reset == "soft" else 0.0
    return SpikingJellyNeuron(channels, "LIFNode", tau=tau, decay_input=decay_input, v_reset=v_reset)
