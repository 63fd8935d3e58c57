"""Adaptive-threshold LIF: every spike raises the threshold for a while, by as much and as long as is learnt.

    h  = v / 2 + x
    th = 1 + b a
    s  = H(h - th)
    v  = h - th s
    a  = r a + (1 - r) s

Source: the adaptive neuron of Bellec et al., NeurIPS 2018. Learnable per channel: r, through sig (starts at .9), and b
(starts at .5). State: v, a (how much the neuron has fired of late), s. Differs from the original: no refractory time,
input not scaled by the leak, and in a table it fires with the shared surrogate.
"""

# A copy of this file as neurons/my_neuron.py is a neuron of the suite. The docstring above is its card: it is shown in
# docs/neurons.md and on the report's page, and must have the words Source and Learnable.

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

# What the package exports is for you; of files that begin with `_`, take what others take: see neurons/glif.py.
from neurons import Neuron
from neurons._neuron import per_channel


class Adaptive(NamedTuple):
    """All that is carried from one step to the next. Every field has the shape of the current, [B, C, H, W].

    `v` is the membrane, which the circuit of stc_my_neuron scales, and `s` the spikes of the last step: these two names
    always mean this. A neuron that has only these needs no class of its own: neurons.MembraneState.
    """

    v: Tensor
    a: Tensor
    s: Tensor


class AdaptiveLIF(Neuron):
    """One layer. Parameters and constants live here; what changes from step to step lives in the state."""

    # Also to be set where they apply: spiking = False (outputs are real numbers), compiles = False (torch.compile
    # cannot take the step), normalises_batch = True (it uses statistics of the batch), note = "..." (a remark that
    # the tables put beside its name). neurons/_neuron.py says more.

    def __init__(self, channels: int, memory: float, strength: float) -> None:
        super().__init__()
        # A learnt constant is an nn.Parameter of shape [C, 1, 1], one a channel. Through a sigmoid it stays in (0, 1).
        self.memory = nn.Parameter(per_channel(math.log(memory / (1 - memory)), channels))
        self.strength = nn.Parameter(per_channel(strength, channels))

    def initial_state(self, current: Tensor) -> Adaptive:
        """Everything at zero, on the device and in the precision of the current."""
        zeros = torch.zeros_like(current)
        return Adaptive(v=zeros, a=zeros, s=zeros)

    def forward(self, current: Tensor, state: Adaptive) -> tuple[Tensor, Adaptive]:
        """One step. Nothing is changed in place: the same current and state give the same output again."""
        memory = torch.sigmoid(self.memory)
        threshold = 1.0 + self.strength * state.a
        h = 0.5 * state.v + current
        # `fire` brings the surrogate gradient that all neurons of a table share; its argument is how far the membrane
        # stands above its threshold.
        s = self.fire(h - threshold)
        # What a spike does to its own neuron goes through `feedback`, which lets its gradient pass or not, as the table
        # says. Spikes that are handed on to the next layer do not.
        r = self.feedback(s)
        return s, Adaptive(v=h - threshold * r, a=memory * state.a + (1.0 - memory) * r, s=s)

    # The suite steps through a sequence by itself (`unroll`). Override that only with something that is faster and
    # gives the same numbers.


def build(channels: int, memory: float = 0.9, strength: float = 0.5) -> AdaptiveLIF:
    """What params.yaml calls: `my_neuron: {}`, or with arguments `my_neuron-weak: {strength: 0.1}`.

    Types are checked before this runs. What they cannot say is refused here, in one line.
    """
    if not 0 < memory < 1:
        raise ValueError(f"memory is {memory}, wanted one between 0 and 1")
    return AdaptiveLIF(channels, memory, strength)
