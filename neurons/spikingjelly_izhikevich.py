"""SpikingJelly's IzhikevichNode: a quadratic membrane with a recovery variable that makes it adapt.

    h = v + (x + v (v - .4) - w) / tau
    s = H(h - .5)              (strictly above the threshold)
    w = w + (a h - w) / tau_w + b s
    v = (1 - s) h              (hard reset)

Source: SpikingJelly 2.0.0, class IzhikevichNode; Izhikevich, IEEE Trans. Neural Networks 2003. Learnable: nothing
(tau 2, a, b .2, tau_w 10). State: v, w, s. The circuit scales v alone. Differs from the library's default: a, b (0
there: no adaptation at all), tau_w, critical voltage .4, rest 0 and threshold .5, for rates like the others'. Shared
firing.
"""

from typing import Any

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, a: float = 0.2, b: float = 0.2, tau_w: float = 10.0) -> SpikingJellyNeuron:
    fixed: dict[str, Any] = {"v_threshold": 0.5, "v_c": 0.4, "v_rest": 0.0}
    return SpikingJellyNeuron(channels, "IzhikevichNode", state=("v", "w"), a=a, b=b, tau_w=tau_w, **fixed)
