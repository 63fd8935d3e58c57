"""SpikingJelly's IFNode: the perfect integrator, which forgets only by firing.

    h = v + x
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (hard reset)

Source: SpikingJelly 2.0.0, class IFNode. Learnable: nothing. State: v, s.
Differs from the library's default: shared firing.
"""

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int) -> SpikingJellyNeuron:
    return SpikingJellyNeuron(channels, "IFNode")
