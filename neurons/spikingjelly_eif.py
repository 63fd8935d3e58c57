"""SpikingJelly's EIFNode: LIF with an exponential upswing.

    h = v + (x - v + delta_T exp((v - .8) / delta_T)) / tau
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h - .1 s       (hard reset, to -.1)

Source: SpikingJelly 2.0.0, class EIFNode; Fourcaud-Trocme et al., J. Neurosci. 2003. Learnable: nothing (tau 2,
delta_T 1). State: v (starts at -.1), s. Differs from the library's default: shared firing.
"""

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, tau: float = 2.0, delta_T: float = 1.0) -> SpikingJellyNeuron:
    return SpikingJellyNeuron(channels, "EIFNode", tau=tau, delta_T=delta_T)
