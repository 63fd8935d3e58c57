"""snnTorch's Synaptic: a LIF that a decaying synaptic current drives, all constants learnable per channel.

    i = clamp(alpha, 0, 1) i + x
    v = clamp(beta, 0, 1) v + i - s th         (s: the last spikes; the reset comes one step late)
    s = H(v - th)              (strictly above the threshold)

Source: snnTorch 1.0.0, class Synaptic, reset "subtract". Learnable per channel: alpha, beta (start .5), th (1).
State: i, v (before its reset), s. The circuit scales v alone.
Differs from the library's default: learnable constants, shared firing, a reset that can be differentiated.
"""

from neurons._snntorch import SnnTorchNeuron


def build(channels: int, alpha: float = 0.5, beta: float = 0.5, threshold: float = 1.0) -> SnnTorchNeuron:
    start = {"alpha": alpha, "beta": beta, "threshold": threshold}
    return SnnTorchNeuron(channels, "Synaptic", state=("i", "v"), learnable=start)
