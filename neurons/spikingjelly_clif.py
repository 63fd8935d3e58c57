"""SpikingJelly's ComplementaryLIFNode (CLIF): a second potential remembers spikes and deepens the reset.

    h = v - v / tau + x
    s = H(h - 1)               (strictly above the threshold)
    m = m sig(h / tau) + s
    v = h - s (1 + sig(m))

Source: SpikingJelly 2.0.0, class ComplementaryLIFNode; Huang et al., ICML 2024. Learnable: nothing (tau 2).
State: v, m, s. The circuit scales v alone. Differs from the library's default: shared firing, in evaluation too (the
library has a step without gradient there).
"""

from neurons._spikingjelly import SpikingJellyNeuron


class CLIF(SpikingJellyNeuron):
    def train(self, mode: bool = True) -> "CLIF":
        super().train(mode)
        self.node.train()  # in evaluation the library would leave the shared firing
        return self


def build(channels: int, tau: float = 2.0) -> CLIF:
    return CLIF(channels, "ComplementaryLIFNode", state=("v", "m"), tau=tau)
