"""Norse's LIFAdEx: LIFEx with an adaptation current that grows with the membrane and with every spike.

    j = i + x
    h = v + tau_mem_inv (delta_T exp((v - v_th) / delta_T) - v + j - a)
    s = H(h - v_th)            (strictly above the threshold)
    a = a + tau_ada_inv (adaptation_current v - a) + adaptation_spike s
    v = (1 - s) h              (hard reset; the v in the line above is that before the step)
    i = j - tau_syn_inv j

Source: Norse 1.1.0, lif_adex_feed_forward_step, dt = 1 step; Brette & Gerstner, J. Neurophysiol. 2005. Learnable per
channel: tau_mem_inv, tau_syn_inv, v_th, adaptation_current, adaptation_spike (.5), tau_ada_inv (.1).
State: v, i, a, s. The circuit scales v alone. Differs from the library: constants for dt = 1 step (its
adaptation_current of 4 gives exploding gradients there), and that they adapt, are ours. Shared firing.
"""

from neurons._norse import NorseNeuron

HALF = ("tau_mem_inv", "tau_syn_inv", "v_th", "adaptation_current", "adaptation_spike")


def build(channels: int, tau_ada_inv: float = 0.1, delta_T: float = 0.25) -> NorseNeuron:
    step, state, parameters = "lif_adex_feed_forward_step", "LIFAdExFeedForwardState", "LIFAdExParameters"
    start = {**dict.fromkeys(HALF, 0.5), "tau_ada_inv": tau_ada_inv}
    return NorseNeuron(channels, "lif_adex", step, state, parameters, start, delta_T=delta_T)
