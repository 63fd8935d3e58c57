"""SpikingJelly's GatedLIFNode (GLIF): learnt gates between two forms of leak, gain and reset.

    I = x (1 - b (1 - g[t]))
    h = (1 - a (1 - tau)) v (1 - c s) - (1 - a) leak + I - (1 - c) r s       (s: the last spikes)
    s = H(h - th)              (strictly above the threshold)
    v = h                      (the reset comes one step late, through s)

Source: SpikingJelly 2.0.0, gated_lif_step; Yao et al., NeurIPS 2022. Learnable per channel, through sig: gates a, b, c
(start near .5, drawn), tau (.25), th, r (.5), leak (.5 / (2 steps)), and g (.5) for each of the first `steps` steps.
State: v (before its reset), t (the step), s. Differs from the library's default: a step at a time; beyond `steps` the
last g is used, where the library stops; the gates are drawn from torch's generator, not NumPy's. Shared firing.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from neurons._library import load
from neurons._neuron import Neuron, NeuronError, per_channel, state_type


class SpikingJellyGLIF(Neuron):
    group = "spikingjelly"

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise NeuronError(f"spikingjelly_glif: steps is {steps}, wanted at least 1")
        self.step = load("spikingjelly.activation_based.functional").gated_lif_step
        self.state_type = state_type("v", "t")
        gates = {name: nn.Parameter(0.2 * (torch.rand(channels, 1, 1) - 0.5)) for name in ("alpha", "beta", "gamma")}
        start = {"tau": 0.25, "v_threshold": 0.5, "linear_decay": 0.25 / steps, "v_subreset": 0.5}
        constants = {name: nn.Parameter(per_channel(math.log(p / (1 - p)), channels)) for name, p in start.items()}
        self.learnt = nn.ParameterDict({**gates, **constants})
        self.conduct = nn.Parameter(torch.zeros(steps, channels, 1, 1))

    def initial_state(self, current: Tensor) -> Any:
        zeros = torch.zeros_like(current)
        return self.state_type(v=zeros, t=torch.zeros((), dtype=torch.long, device=current.device), s=zeros)

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        learnt = {name: parameter.sigmoid() for name, parameter in self.learnt.items()}
        conduct = self.conduct.index_select(0, state.t.clamp(max=len(self.conduct) - 1).view(1))[0].sigmoid()
        spikes, v = self.step(
            current, state.v, self.feedback(state.s), **learnt, conduct=conduct, surrogate_function=self._fire
        )
        return spikes, self.state_type(v=v, t=state.t + 1, s=spikes)

    def _fire(self, u: Tensor) -> Tensor:
        return self.firing(u, strict=True)


def build(channels: int, steps: int = 8) -> SpikingJellyGLIF:
    return SpikingJellyGLIF(channels, steps)
