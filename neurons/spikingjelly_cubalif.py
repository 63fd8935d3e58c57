"""SpikingJelly's CUBALIFNode: a LIF that a decaying synaptic current drives.

    c = c_decay c + x
    h = v_decay v + c
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (hard reset)

Source: SpikingJelly 2.0.0, class CUBALIFNode. Learnable: nothing (c_decay .5, v_decay .75). State: v, c, s.
The circuit scales v alone. Differs from the library's default: threshold 1 (.5 there), shared firing.
"""

from typing import Any

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, c_decay: float = 0.5, v_decay: float = 0.75) -> SpikingJellyNeuron:
    fixed: dict[str, Any] = {"c_decay": c_decay, "v_decay": v_decay, "v_threshold": 1.0}
    return SpikingJellyNeuron(channels, "CUBALIFNode", state=("v", "c"), **fixed)
