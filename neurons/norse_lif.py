"""Norse's LIF: a leaky membrane driven by a decaying synaptic current, both time constants learnable.

    j = i + x
    h = v + tau_mem_inv (j - v)
    s = H(h - v_th)            (strictly above the threshold)
    v = (1 - s) h              (hard reset)
    i = j - tau_syn_inv j

Source: Norse 1.1.0, lif_feed_forward_step, dt = 1 step. Learnable per channel: tau_mem_inv, tau_syn_inv, v_th (.5).
State: v, i, s. The circuit scales v alone. Differs from the library: its constants are fixed and made for dt = 1 ms,
where it hardly fires; that they adapt is ours. Shared firing.
"""

from neurons._norse import NorseNeuron


def build(channels: int, tau_mem_inv: float = 0.5, tau_syn_inv: float = 0.5, v_th: float = 0.5) -> NorseNeuron:
    start = {"tau_mem_inv": tau_mem_inv, "tau_syn_inv": tau_syn_inv, "v_th": v_th}
    return NorseNeuron(channels, "lif", "lif_feed_forward_step", "LIFFeedForwardState", "LIFParameters", start)
