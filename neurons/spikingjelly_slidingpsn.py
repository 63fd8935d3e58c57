"""SpikingJelly's SlidingPSN: no membrane and no reset, but a learnt weighting of the last k currents.

    h = w1 x[t-k+1] + ... + wk x[t] + bias
    s = H(h)                   (strictly above 0)

Source: SpikingJelly 2.0.0, class SlidingPSN; Fang et al., NeurIPS 2023. Learnable: k weights (start 1, 1/2, 1/4, ...
back in time) and the bias (-1), shared by all channels. State: the last k currents x1 .. xk (zeros at first), s. It has
no membrane, so the circuit cannot be put on it. Of the parallel neurons it alone works in closed loop.
Differs from the library's default: k = 4, shared firing; its first steps see zeros where the library sees less.
"""

from typing import Any

import torch
from torch import Tensor

from neurons._neuron import NeuronError
from neurons._spikingjelly import SpikingJellyNeuron


class SlidingPSN(SpikingJellyNeuron):
    def initial_state(self, current: Tensor) -> Any:
        return self.state_type(*(torch.zeros_like(current) for _ in self.state_type._fields))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        queue = [past.flatten() for past in state[:-1]]
        (spikes,), (queue,) = self.node.single_step_functional_forward((current,), (queue,))
        return spikes, self.state_type(*(past.view_as(current) for past in queue), spikes)

    def _fire(self, u: Tensor) -> Tensor:
        return self.firing(u, strict=True)  # it resets nothing, so there is no feedback to detach


def build(channels: int, k: int = 4) -> SlidingPSN:
    if k < 1:
        raise NeuronError(f"spikingjelly_slidingpsn: k is {k}, wanted at least 1")
    return SlidingPSN(channels, "SlidingPSN", state=tuple(f"x{i + 1}" for i in range(k)), k=k)
