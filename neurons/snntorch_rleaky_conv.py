"""snnTorch's RLeaky with a recurrent convolution: a LIF layer whose last spikes come back through 3x3 weights.

    v = clamp(beta, 0, 1) v + x + V * s + c - s th      (s: the last spikes; * a convolution, c its bias)
    s = H(v - th)              (strictly above the threshold)

Source: snnTorch 1.0.0, class RLeaky, all_to_all, conv2d_channels, kernel_size 3, reset "subtract".
Learnable: V [C, C, 3, 3] and c; per channel beta (starts .5), th (1). State: v (before its reset), s.
It has weights of its own, many more parameters than a neuron, and stands apart in every table.
Differs from the library's default: learnable constants, shared firing, differentiable reset.
"""

from typing import Any

from neurons._snntorch import SnnTorchNeuron


def build(channels: int, beta: float = 0.5, threshold: float = 1.0) -> SnnTorchNeuron:
    start = {"beta": beta, "threshold": threshold}
    own: dict[str, Any] = {"conv2d_channels": channels, "kernel_size": 3}
    made = SnnTorchNeuron(channels, "RLeaky", ("v",), start, recurrent=True, **own)
    made.group = "weighted"
    return made
