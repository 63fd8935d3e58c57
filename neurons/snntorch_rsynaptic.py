"""snnTorch's RSynaptic, one to one: Synaptic whose own last spike comes back by a learnt weight.

    i = clamp(alpha, 0, 1) i + x + V s         (s: the last spikes)
    v = clamp(beta, 0, 1) v + i - s th         (the reset comes one step late)
    s = H(v - th)              (strictly above the threshold)

Source: snnTorch 1.0.0, class RSynaptic, all_to_all=False, reset "subtract".
Learnable per channel: alpha, beta (start .5), th (1), V (-.3). State: i, v (before its reset), s.
Differs from the library's default: learnable constants, one weight a channel, shared firing, differentiable reset.
"""

from neurons._snntorch import SnnTorchNeuron


def build(
    channels: int, alpha: float = 0.5, beta: float = 0.5, threshold: float = 1.0, weight: float = -0.3
) -> SnnTorchNeuron:
    start = {"alpha": alpha, "beta": beta, "threshold": threshold, "V": weight}
    return SnnTorchNeuron(channels, "RSynaptic", ("i", "v"), start, recurrent=True, all_to_all=False)
