"""One step of every neuron in plain NumPy, written from the equations of its card.

A step takes the current x [B, C, H, W], the state z before it and the constants p (build parameters and weights, by
name), and returns the state after it, in which `s` is the output.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[Any]
State = dict[str, Any]
Constants = dict[str, Any]
Step = Callable[[Array, State, Constants], State]


def reached(u: Array) -> Array:
    """Spikes of the paper's neurons: 1 where the membrane has reached its threshold."""
    return (u >= 0).astype(float)


def above(u: Array) -> Array:
    """Spikes of a library's neurons: 1 where the membrane is strictly above its threshold."""
    return (u > 0).astype(float)


def sig(x: Any) -> Array:
    return 1 / (1 + np.exp(-x))


def convolve(x: Array, weight: Array, groups: int = 1) -> Array:
    """Cross-correlation of [B, C, H, W] with [C', C / groups, k, k], keeping the size of the map."""
    reach = weight.shape[-1] // 2
    windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach))), weight.shape[2:], (2, 3))
    parts = zip(np.split(windows, groups, axis=1), np.split(weight, groups), strict=True)
    return np.concatenate([np.einsum("bihwkl,oikl->bohw", part, kernel) for part, kernel in parts], axis=1)


def group_norm(x: Array, scale: Array, shift: Array, groups: int) -> Array:
    grouped = x.reshape(len(x), groups, -1)
    centred = grouped - grouped.mean(axis=2, keepdims=True)
    normed = centred / np.sqrt(np.square(centred).mean(axis=2, keepdims=True) + 1e-5)
    return normed.reshape(x.shape) * scale[:, None, None] + shift[:, None, None]


def after_spike(h: Array, s: Array, p: Constants) -> Array:
    return h - s if p["reset"] == "soft" else (1 - s) * h


def convlstm(x: Array, z: State, p: Constants) -> State:
    mixed = convolve(x, p["from_input.weight"]) + p["from_input.bias"][:, None, None]
    i, f, o, g = np.split(mixed + convolve(z["s"], p["from_hidden.weight"]), 4, axis=1)
    c = sig(f) * z["c"] + sig(i) * np.tanh(g)
    return {"c": c, "s": sig(o) * np.tanh(c)}


# --- the paper's ------------------------------------------------------------------------------------------------------


def lif(x: Array, z: State, p: Constants) -> State:
    h = z["v"] / 2 + x / 2
    s = reached(h - 1)
    return {"v": after_spike(h, s, p), "s": s}


def plif(x: Array, z: State, p: Constants) -> State:
    h = sig(p["w"]) * z["v"] + (1 - (p["w"] if p["gain"] == "released" else sig(p["w"]))) * x
    s = reached(h - 1)
    return {"v": h - s, "s": s}


def glif(x: Array, z: State, p: Constants) -> State:
    a, b, c = sig(p["alpha"]), sig(p["beta"]), sig(p["gamma"])
    tau, th, leak, r, g = (sig(p[name]) for name in ("tau", "threshold", "leak", "drop", "conduct"))
    s = z["s"]
    h = (1 - a * (1 - tau)) * z["v"] * (1 - c * s) - (1 - a) * leak + x * (1 - b * (1 - g)) - (1 - c) * r * s
    return {"v": h, "s": above(h - th)}


def tclif(x: Array, z: State, p: Constants) -> State:
    d = z["d"] - sig(p["p"]) * z["v"] + x - p["w"] * z["s"]
    v = z["v"] + sig(p["q"]) * d - z["s"]
    return {"v": v, "d": d, "s": reached(v - 1)}


def lmh(x: Array, z: State, p: Constants, keep: Any = 1.0) -> State:
    d = (sig(p["a"]) - 0.5) * z["d"] + (sig(p["b"]) - 0.5) * z["v"] + x
    h = (sig(p["c"]) + 0.5) * d + (sig(p["e"]) + 0.5) * z["v"] * keep
    s = reached(h - 1)
    return {"v": h - s, "d": d, "s": s}


# --- the circuit ------------------------------------------------------------------------------------------------------


def factors(s: Array, p: Constants) -> tuple[Any, Any]:
    """1 + T and 1 + P, each 1 where its pathway is not there."""

    def pathway(path: str) -> Any:
        if p.get("pathways") not in (None, "both", path):
            return 1.0
        groups = p.get("groups") or 16
        mixed = convolve(s, p[f"{path}.0.weight"], groups)
        return 1 + np.tanh(group_norm(mixed, p[f"{path}.1.weight"], p[f"{path}.1.bias"], groups))

    return pathway("temporal"), pathway("spatial")


def circuit(step: Step) -> Step:
    """The circuit around any neuron: it scales the membrane and the input."""

    def around(x: Array, z: State, p: Constants) -> State:
        keep, admit = factors(z["s"], p)
        after = step(x * admit, z | {"v": z["v"] * keep}, p)
        bound = p.get("bound") or np.inf
        return after | {"v": np.clip(after["v"], -bound, bound)}

    return around


def integrator(x: Array, z: State, p: Constants) -> State:
    h = z["v"] + x
    s = reached(h - 1)
    return {"v": h - s, "s": s}


def stc_lmh(x: Array, z: State, p: Constants) -> State:
    if p["modulation"] == "published":
        return circuit(lmh)(x, z, p)
    keep, admit = factors(z["s"], p)
    return lmh(x * admit, z, p, keep)


# --- snnTorch's -------------------------------------------------------------------------------------------------------


def leaky(x: Array, z: State, p: Constants) -> State:
    s = z["s"]
    if p.get("reset") == "zero":
        v = np.clip(p["beta"], 0, 1) * (1 - s) * z["v"] + x
    else:
        v = np.clip(p["beta"], 0, 1) * z["v"] + x - s * p["threshold"]
    return {"v": v, "s": above(v - p["threshold"])}


def synaptic(x: Array, z: State, p: Constants) -> State:
    i = np.clip(p["alpha"], 0, 1) * z["i"] + x
    v = np.clip(p["beta"], 0, 1) * z["v"] + i - z["s"] * p["threshold"]
    return {"i": i, "v": v, "s": above(v - p["threshold"])}


def rleaky(x: Array, z: State, p: Constants) -> State:
    return leaky(x + p["recurrent.V"] * z["s"], z, p)


def rsynaptic(x: Array, z: State, p: Constants) -> State:
    return synaptic(x + p["recurrent.V"] * z["s"], z, p)


def rleaky_conv(x: Array, z: State, p: Constants) -> State:
    back = convolve(z["s"], p["recurrent.weight"]) + p["recurrent.bias"][:, None, None]
    return leaky(x + back, z, p)


def sconv2dlstm(x: Array, z: State, p: Constants) -> State:
    mixed = convolve(np.concatenate([x, z["v"]], axis=1), p["conv.weight"]) + p["conv.bias"][:, None, None]
    i, f, o, g = np.split(mixed, 4, axis=1)
    m = sig(f) * z["m"] + sig(i) * np.tanh(g)
    v = sig(o) * np.tanh(m)
    return {"m": m, "v": v, "s": above(v - p["threshold"])}


# --- Norse's ----------------------------------------------------------------------------------------------------------


def norse_lif(x: Array, z: State, p: Constants) -> State:
    j = z["i"] + x
    h = z["v"] + p["tau_mem_inv"] * (j - z["v"])
    s = above(h - p["v_th"])
    return {"v": (1 - s) * h, "i": j - p["tau_syn_inv"] * j, "s": s}


def lifex(x: Array, z: State, p: Constants, a: Any = 0.0) -> State:
    j, v = z["i"] + x, z["v"]
    h = v + p["tau_mem_inv"] * (p["delta_T"] * np.exp((v - p["v_th"]) / p["delta_T"]) - v + j - a)
    s = above(h - p["v_th"])
    return {"v": (1 - s) * h, "i": j - p["tau_syn_inv"] * j, "s": s}


def lifadex(x: Array, z: State, p: Constants) -> State:
    after = lifex(x, z, p, z["a"])
    sunk = z["a"] + p["tau_ada_inv"] * (p["adaptation_current"] * z["v"] - z["a"])
    return after | {"a": sunk + p["adaptation_spike"] * after["s"]}


def lifrefrac(x: Array, z: State, p: Constants) -> State:
    inner = norse_lif(x, z, p)
    m = above(z["rho"])
    s = (1 - m) * inner["s"]
    rho = (1 - s) * np.maximum(z["rho"] - m, 0) + p["rho_reset"] * s
    return {"v": (1 - m) * inner["v"] + m * z["v"], "i": inner["i"], "rho": rho, "s": s}


def lsnn(x: Array, z: State, p: Constants) -> State:
    e = z["b"] + p["tau_adapt_inv"] * (p["v_th"] - z["b"])
    after = norse_lif(x, z, p | {"v_th": e})
    return after | {"b": e + p["beta"] * after["s"]}


# --- SpikingJelly's ---------------------------------------------------------------------------------------------------


def hard(h: Array, threshold: float = 1.0, floor: float = 0.0) -> State:
    s = above(h - threshold)
    return {"v": (1 - s) * h + floor * s, "s": s}


def soft_or_hard(h: Array, p: Constants) -> State:
    s = above(h - 1)
    return {"v": after_spike(h, s, p), "s": s}


def if_node(x: Array, z: State, p: Constants) -> State:
    return hard(z["v"] + x)


def lif_node(x: Array, z: State, p: Constants) -> State:
    v, tau = z["v"], p["tau"]
    return soft_or_hard(v + (x - v) / tau if p["decay_input"] else v - v / tau + x, p)


def plif_node(x: Array, z: State, p: Constants) -> State:
    v = z["v"]
    return soft_or_hard(v + sig(p["w"]) * (x - v) if p["decay_input"] else v - sig(p["w"]) * v + x, p)


def klif_node(x: Array, z: State, p: Constants) -> State:
    return hard(np.maximum(p["k"] * (z["v"] - z["v"] / p["tau"] + x), 0))


def clif_node(x: Array, z: State, p: Constants) -> State:
    h = z["v"] - z["v"] / p["tau"] + x
    s = above(h - 1)
    m = z["m"] * sig(h / p["tau"]) + s
    return {"v": h - s * (1 + sig(m)), "m": m, "s": s}


def cubalif_node(x: Array, z: State, p: Constants) -> State:
    c = p["c_decay"] * z["c"] + x
    return hard(p["v_decay"] * z["v"] + c) | {"c": c}


def eif_node(x: Array, z: State, p: Constants) -> State:
    v = z["v"]
    return hard(v + (x - v + p["delta_T"] * np.exp((v - 0.8) / p["delta_T"])) / p["tau"], floor=-0.1)


def qif_node(x: Array, z: State, p: Constants) -> State:
    v = z["v"]
    return hard(v + (x + v * (v - 0.4)) / p["tau"], threshold=0.5, floor=-0.1)


def izhikevich_node(x: Array, z: State, p: Constants) -> State:
    v, w = z["v"], z["w"]
    h = v + (x + v * (v - 0.4) - w) / 2
    after = hard(h, threshold=0.5)
    return after | {"w": w + (p["a"] * h - w) / p["tau_w"] + p["b"] * after["s"]}


def mpbn_node(x: Array, z: State, p: Constants) -> State:
    h = z["v"] - z["v"] / p["tau"] + x
    if p["training"]:
        mean, variance = h.mean(axis=(0, 2, 3)), h.var(axis=(0, 2, 3))
    else:
        mean, variance = p["vbn.running_mean"], p["vbn.running_var"]
    scale = p["vbn.weight"] / np.sqrt(variance + 1e-5)
    return hard((h - mean[:, None, None]) * scale[:, None, None] + p["vbn.bias"][:, None, None])


def glif_node(x: Array, z: State, p: Constants) -> State:
    g = p["conduct"][min(int(z["t"]), len(p["conduct"]) - 1)]
    names = {"threshold": p["v_threshold"], "leak": p["linear_decay"], "drop": p["v_subreset"], "conduct": g}
    return glif(x, z, p | names) | {"t": z["t"] + 1}


def slidingpsn_node(x: Array, z: State, p: Constants) -> State:
    k = p["k"]
    seen = [*(z[f"x{i}"] for i in range(2, k + 1)), x]
    h = sum(weight * past for weight, past in zip(p["weight"], seen, strict=True)) + p["bias"]
    return {f"x{i + 1}": past for i, past in enumerate(seen)} | {"s": above(h)}
