"""SpikingJelly's QIFNode: a quadratic membrane, stable at rest and rising on its own beyond a critical voltage.

    h = v + (x + v (v - .4)) / tau
    s = H(h - .5)              (strictly above the threshold)
    v = (1 - s) h - .1 s       (hard reset, to -.1)

Source: SpikingJelly 2.0.0, class QIFNode; Latham et al., J. Neurophysiol. 2000. Learnable: nothing (tau 2).
State: v (starts at -.1), s. Differs from the library's default: critical voltage .4 (.8 there) and threshold .5 (1),
for a rate like the others'; shared firing.
"""

from neurons._spikingjelly import SpikingJellyNeuron


def build(channels: int, tau: float = 2.0) -> SpikingJellyNeuron:
    return SpikingJellyNeuron(channels, "QIFNode", tau=tau, v_threshold=0.5, v_c=0.4)
