"""snnTorch's SConv2dLSTM: a ConvLSTM that fires where its hidden map is above a threshold.

    i, f, o = sig(W * [x, v] + c)     g = tanh(W * [x, v] + c)       (* a 3x3 convolution)
    m = f m + i g              (m: the cell, the library's syn)
    v = o tanh(m)
    s = H(v - th)              (strictly above the threshold; no reset)

Source: snnTorch 1.0.0, class SConv2dLSTM, reset "none". Learnable: W [4C, 2C, 3, 3] and c; th per channel (.1).
State: m, v, s. It has weights of its own, many more parameters than a neuron, and stands apart in every table.
Its v is a real-valued map that it feeds back: only what it passes on is spikes.
Differs from the library's default: a learnable threshold of .1 (at 1 it never fires: v < 1), shared firing.
"""

from typing import Any

from neurons._snntorch import SnnTorchNeuron


def build(channels: int, threshold: float = 0.1) -> SnnTorchNeuron:
    own: dict[str, Any] = {"in_channels": channels, "out_channels": channels, "kernel_size": 3}
    made = SnnTorchNeuron(channels, "SConv2dLSTM", ("m", "v"), {"threshold": threshold}, **own)
    made.group = "weighted"
    return made
