"""SpikingJelly's KLIFNode: LIF whose membrane is scaled by a learnt slope and rectified before it fires.

    h = relu(k (v - v / tau + x))
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (hard reset)

Source: SpikingJelly 2.0.0, class KLIFNode; Jiang & Zhang, arXiv 2302.09238. Learnable per channel: k (starts 1).
State: v, s. The rectifier stops the gradient wherever the membrane is negative: long gradients die.
Differs from the library's default: decay_input off, k per channel rather than per layer, shared firing.
"""

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, tau: float = 2.0) -> SpikingJellyNeuron:
    return SpikingJellyNeuron(channels, "KLIFNode", per_channel=("k",), tau=tau, decay_input=False)
