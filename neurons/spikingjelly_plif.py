"""SpikingJelly's ParametricLIFNode: LIF whose leak is learnt.

    h = v - sig(w) v + x       (decay_input: h = v + sig(w) (x - v))
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (reset: soft is v = h - s)

Source: SpikingJelly 2.0.0; Fang et al., ICCV 2021. Learnable per channel: w (starts 0: half the membrane is kept).
State: v, s. Differs from the library's default: decay_input off, w per channel rather than per layer, shared firing.
"""

from typing import Any

from neurons._integrate import Reset
from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, init_tau: float = 2.0, decay_input: bool = False, reset: Reset = "hard") -> SpikingJellyNeuron:
    fixed: dict[str, Any] = {
        "init_tau": init_tau,
        "decay_input": decay_input,
        "v_reset": None if reset == "soft" else 0.0,
    }
    return SpikingJellyNeuron(channels, "ParametricLIFNode", per_channel=("w",), **fixed)
