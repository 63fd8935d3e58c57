"""snnTorch's Leaky: LIF with a learnable decay and a learnable threshold per channel.

    r = H(v - th)              (the reset of the spike just emitted, one step late, not differentiated)
    v = clamp(beta, 0, 1) v + x - r th
    s = H(v - th)              (strictly above the threshold)

Source: snnTorch 1.0.0, class Leaky, reset "subtract". Learnable per channel: beta (starts .5), threshold (1).
State: v (the membrane before its reset), s. Differs from the library's default: surrogate and learnable constants.
"""

from neurons._snntorch import SnnTorchNeuron


def build(channels: int, beta: float = 0.5, threshold: float = 1.0) -> SnnTorchNeuron:
    return SnnTorchNeuron(channels, "Leaky", state=("v",), learnable={"beta": beta, "threshold": threshold})
