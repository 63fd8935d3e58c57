"""ConvLSTM: the artificial reference. It does not spike, and every table says so.

    i, f, o = sig(W_x x + W_h * h + b)     g = tanh(W_x x + W_h * h + b)
    c = f c + i g
    h = o tanh(c)

Source: Shi et al., NeurIPS 2015, without peepholes. W_h is a kernel_size convolution; W_x is 1x1, because the layer
has already convolved the input. Learnable: W_x, W_h, b: many times what a spiking neuron has at the same width.
State: c, and s = h. It has no membrane, so the circuit cannot be put on it.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from neurons._neuron import Neuron, NeuronError


class CellState(NamedTuple):
    c: Tensor
    s: Tensor


class ConvLSTM(Neuron):
    spiking = False
    group = "artificial"

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise NeuronError(f"convlstm: kernel_size is {kernel_size}; an odd one keeps the size of the map")
        self.from_input = nn.Conv2d(channels, 4 * channels, 1)
        self.from_hidden = nn.Conv2d(channels, 4 * channels, kernel_size, padding=kernel_size // 2, bias=False)

    def initial_state(self, current: Tensor) -> CellState:
        zeros = torch.zeros_like(current)
        return CellState(c=zeros, s=zeros)

    def forward(self, current: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        i, f, o, g = (self.from_input(current) + self.from_hidden(state.s)).chunk(4, dim=1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return h, CellState(c=c, s=h)


def build(channels: int, kernel_size: int = 5) -> ConvLSTM:
    return ConvLSTM(channels, kernel_size)
