"""snnTorch's Leaky: LIF with a learnable decay and a learnable threshold per channel.

    v = clamp(beta, 0, 1) v + x - s th         (s: the last spikes; the reset comes one step late)
    s = H(v - th)              (strictly above the threshold)

Source: snnTorch 1.0.0, class Leaky, reset "subtract"; reset: zero is v = clamp(beta, 0, 1) (1 - s) v + x.
Learnable per channel: beta (starts .5), th (1). State: v (before its reset), s.
Differs from the library's default: learnable constants, shared firing, a reset that can be differentiated.
"""

from typing import Literal

from neurons._snntorch import SnnTorchNeuron


def build(
    channels: int, beta: float = 0.5, threshold: float = 1.0, reset: Literal["subtract", "zero"] = "subtract"
) -> SnnTorchNeuron:
    start = {"beta": beta, "threshold": threshold}
    return SnnTorchNeuron(channels, "Leaky", state=("v",), learnable=start, reset_mechanism=reset)
