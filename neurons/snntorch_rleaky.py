"""snnTorch's RLeaky, one to one: a LIF whose own last spike comes back to it by a learnt weight (an autapse).

    v = clamp(beta, 0, 1) v + x + V s - s th   (s: the last spikes; the reset comes one step late)
    s = H(v - th)              (strictly above the threshold)

Source: snnTorch 1.0.0, class RLeaky, all_to_all=False, reset "subtract".
Learnable per channel: beta (starts .5), th (1), V (-.3). State: v (before its reset), s.
Differs from the library's default: learnable constants, one weight a channel, shared firing, differentiable reset.
"""

from neurons._snntorch import SnnTorchNeuron


def build(channels: int, beta: float = 0.5, threshold: float = 1.0, weight: float = -0.3) -> SnnTorchNeuron:
    start = {"beta": beta, "threshold": threshold, "V": weight}
    return SnnTorchNeuron(channels, "RLeaky", ("v",), start, recurrent=True, all_to_all=False)
