"""SpikingJelly's MPBNLIFNode: LIF whose membrane is batch-normalised before it fires.

    h = BatchNorm(v - v / tau + x)
    s = H(h - 1)               (strictly above the threshold)
    v = (1 - s) h              (hard reset)

Source: SpikingJelly 2.0.0, class MPBNLIFNode; Guo et al., ICCV 2023. Learnable per channel: the norm's scale and shift.
State: v, s. In training its output depends on the whole batch, and running statistics are updated at every step.
Differs from the library's default: shared firing.
"""

from typing import Any

from neurons._spikingjelly import SpikingJellyNeuron


class MPBN(SpikingJellyNeuron):
    normalises_batch = True

    def arguments(self) -> dict[str, Any]:
        running = {name: self.node.vbn.get_buffer(name) for name in ("running_mean", "running_var")}
        tracked = {"num_batches_tracked": self.node.vbn.num_batches_tracked}
        return {"_mpbn_stats": {**running, **tracked, "mu": None, "sigma2": None, "bn_momentum": 0.1}}


def build(channels: int, tau: float = 2.0) -> MPBN:
    return MPBN(channels, "MPBNLIFNode", tau=tau, out_channels=channels)
