"""Norse's LSNN (ALIF): a LIF whose threshold rises with every spike and sinks back.

    j = i + x
    h = v + tau_mem_inv (j - v)
    e = b + tau_adapt_inv (v_th - b)
    s = H(h - e)               (strictly above the threshold)
    v = (1 - s) h              (hard reset)
    b = e + beta s
    i = j - tau_syn_inv j

Source: Norse 1.1.0, lsnn_feed_forward_step, dt = 1 step; Bellec et al., NeurIPS 2018. Learnable per channel:
tau_mem_inv, tau_syn_inv, v_th, beta (.5), tau_adapt_inv (.1). State: v, i, b (starts at v_th), s. The circuit scales v.
Differs from the library: there x enters i after the membrane has read it, one step late, so that the gradient of a
step in its own current is zero; here before. Constants for dt = 1 step, and that they adapt, are ours. Shared firing.
"""

from typing import Any

import torch
from torch import Tensor

from neurons._norse import NorseNeuron


class LSNN(NorseNeuron):
    def initial_state(self, current: Tensor) -> Any:
        threshold = self.learnt["v_th"].to(current.dtype).expand_as(current)
        return super().initial_state(current)._replace(b=threshold)

    def advance(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        return super().advance(torch.zeros_like(current), state._replace(i=state.i + current))


def build(channels: int, tau_adapt_inv: float = 0.1, beta: float = 0.5) -> LSNN:
    start = dict.fromkeys(("tau_mem_inv", "tau_syn_inv", "v_th"), 0.5) | {"tau_adapt_inv": tau_adapt_inv, "beta": beta}
    return LSNN(channels, "lsnn", "lsnn_feed_forward_step", "LSNNFeedForwardState", "LSNNParameters", start)
