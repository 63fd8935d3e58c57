"""Norse's LIFEx: Norse's LIF with an exponential upswing near the threshold.

    j = i + x
    h = v + tau_mem_inv (delta_T exp((v - v_th) / delta_T) - v + j)
    s = H(h - v_th)            (strictly above the threshold)
    v = (1 - s) h              (hard reset)
    i = j - tau_syn_inv j

Source: Norse 1.1.0, lif_ex_feed_forward_step, dt = 1 step; Fourcaud-Trocme et al., J. Neurosci. 2003. Learnable per
channel: tau_mem_inv, tau_syn_inv, v_th (.5), delta_T (.25). State: v, i, s. The circuit scales v alone. A membrane
far above its threshold makes the exponential overflow: training may diverge.
Differs from the library: constants for dt = 1 step, and that they adapt, are ours. Shared firing.
"""

from neurons._norse import NorseNeuron


def build(
    channels: int, tau_mem_inv: float = 0.5, tau_syn_inv: float = 0.5, v_th: float = 0.5, delta_T: float = 0.25
) -> NorseNeuron:
    start = {"tau_mem_inv": tau_mem_inv, "tau_syn_inv": tau_syn_inv, "v_th": v_th, "delta_T": delta_T}
    return NorseNeuron(
        channels, "lif_ex", "lif_ex_feed_forward_step", "LIFExFeedForwardState", "LIFExParameters", start
    )
