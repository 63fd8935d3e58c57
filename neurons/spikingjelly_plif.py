"""SpikingJelly's ParametricLIFNode: LIF whose leak is learnt.

    h = v - sig(w) v + x       (the input does not decay)
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (hard reset; the gradient passes through it)

Source: SpikingJelly 2.0.0; Fang et al., ICCV 2021. Learnable per channel: w (starts 0: half the membrane is kept).
State: v, s. Differs from the library's default: decay_input off, w per channel rather than per layer, strict test.
"""

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, init_tau: float = 2.0) -> SpikingJellyNeuron:
    fixed = {"init_tau": init_tau, "decay_input": False}
    return SpikingJellyNeuron(channels, "ParametricLIFNode", state=("v",), per_channel=("w",), **fixed)
