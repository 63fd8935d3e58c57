"""Stage `parity`: one neuron, built by hand and by each library with matched settings, must be one and the same.

    python -m benchmarks.parity

Writes results/parity.json: for every pair the spikes that differ and how far the gradients are apart. The layers are
those of the tables, adapters included, so that what is shown equal is what was compared.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import neurons
from benchmarks import closure, command
from benchmarks.cell import hashed
from benchmarks.files import PARITY, write_json
from benchmarks.rounding import rounded
from neurons import Firing, Neuron, UnsupportedError

STEPS, BATCH, CHANNELS, SIDE = 20, 4, 16, 12
COMPARED = (  # every neuron that is built here
    "glif",
    "lif",
    "norse_lif",
    "norse_lsnn",
    "plif",
    "snntorch_leaky",
    "spikingjelly_glif",
    "spikingjelly_lif",
    "spikingjelly_plif",
)
TOLERANCE = 1e-6  # of gradients, relative to the largest
POLICIES = ("attached", "detached")
Array = NDArray[np.float64]
Run = tuple[Tensor, dict[str, Tensor]]  # spikes, and gradients of the loss by name


def inputs() -> dict[str, str]:
    """What decides the comparison: this code, and the neurons that are built; by name, as digests."""
    files = {name: digest for kind in COMPARED for name, digest in closure.of_neuron(kind).items()}
    return {**closure.digests("benchmarks/parity.py"), **files}


def main() -> None:
    """Compares all pairs."""
    command.parser("parity", "Compare neurons built by hand and by each library with matched settings.").parse_args()
    torch.set_num_threads(1)
    pairs = [pair for compared in (lif, plif, glif, alif) for pair in compared()]
    made = inputs()
    write_json(PARITY, {"key": hashed(made), "inputs": made, "pairs": rounded(pairs), "tolerance": TOLERANCE})
    for pair in pairs:
        gap = f"{pair['gradient']:.1e}" if pair["status"] == "ok" else pair["status"]
        print(f"{pair['neuron']}: {pair['one']} and {pair['other']}, {pair['policy']}: {pair['differ']} spikes, {gap}")


def lif() -> list[dict[str, Any]]:
    """LIF with h = v / 2 + x / 2: hard reset in all four, soft reset in the two that have it."""
    hard: dict[str, tuple[dict[str, Any], float]] = {  # name -> parameters, gain of the current before it
        "snntorch_leaky": ({"beta": 0.5, "reset": "zero"}, 0.5),
        "norse_lif": ({"tau_mem_inv": 0.5, "tau_syn_inv": 1.0, "v_th": 1.0}, 1.0),
        "spikingjelly_lif": ({"decay_input": True}, 1.0),
    }
    soft = {"decay_input": True, "reset": "soft"}
    pairs = []
    for policy in POLICIES:
        reference = _run("lif", policy, {"reset": "hard"})
        for name, (params, gain) in hard.items():
            own = _guarded(_run, name, policy, params, gain)
            pairs.append(_pair("LIF, hard reset", "lif", name, policy, reference, own))
        own = _guarded(_run, "spikingjelly_lif", policy, soft)
        pairs.append(_pair("LIF, soft reset", "lif", "spikingjelly_lif", policy, _run("lif", policy, {}), own))
    return pairs


def plif() -> list[dict[str, Any]]:
    """PLIF as published, its leak moved from its start; the library learns -w, one a channel."""

    def native(neuron: Neuron) -> dict[str, Tensor]:
        return {"w": neuron.get_parameter("w").fill_(0.7)}

    def library(neuron: Neuron) -> dict[str, Tensor]:
        return {"w": neuron.get_parameter("node.w").fill_(-0.7)}

    pairs = []
    for policy in POLICIES:
        one = _run("plif", policy, {"gain": "published"}, prepare=native)
        other = _guarded(_run, "spikingjelly_plif", policy, {"decay_input": True, "reset": "soft"}, prepare=library)
        if not isinstance(other, str):
            other[1]["w"] = -other[1]["w"].sum().view(1)
        pairs.append(_pair("PLIF", "plif", "spikingjelly_plif", policy, one, other))
    return pairs


def glif() -> list[dict[str, Any]]:
    """GLIF with the gates at the released values; the library's g is one a step, and the same at all of them here."""
    names = {"tau": "tau", "v_threshold": "threshold", "linear_decay": "leak", "v_subreset": "drop"}

    def native(neuron: Neuron) -> dict[str, Tensor]:
        return {name: neuron.get_parameter(name) for name in names.values()}

    def library(neuron: Neuron) -> dict[str, Tensor]:
        model = neurons.build("glif", CHANNELS)
        for name in ("alpha", "beta", "gamma"):
            neuron.get_parameter(f"learnt.{name}").copy_(model.get_buffer(name))
        for own, name in names.items():
            neuron.get_parameter(f"learnt.{own}").copy_(model.get_parameter(name))
        return {name: neuron.get_parameter(f"learnt.{own}") for own, name in names.items()}

    return [
        _pair(
            "GLIF",
            "glif",
            "spikingjelly_glif",
            policy,
            _run("glif", policy, {}, prepare=native),
            _guarded(_run, "spikingjelly_glif", policy, {}, prepare=library),
        )
        for policy in POLICIES
    ]


def alif() -> list[dict[str, Any]]:
    """ALIF (Norse's LSNN) against its equations and their derivatives, written out in NumPy."""
    pairs = []
    for policy in POLICIES:
        own = _guarded(_run, "norse_lsnn", policy, {}, dtype=torch.float64)
        currents, weights = (tensor.numpy() for tensor in _drive(torch.float64))
        spikes, gradient = alif_oracle(currents, weights, policy == "attached")
        oracle = torch.from_numpy(spikes), {"current": torch.from_numpy(gradient)}
        pairs.append(_pair("ALIF", "NumPy", "norse_lsnn", policy, oracle, own))
    return pairs


def alif_oracle(currents: Array, weights: Array, attached: bool) -> tuple[Array, Array]:
    """Spikes of ALIF for currents [T, ...], and the gradient in them of sum(weights spikes), by the chain rule.

    Constants as norse_lsnn starts: membrane and synapse .5, threshold .5, adaptation .1 and .5; sigmoid surrogate of
    slope 4. Equations: the card of norse_lsnn. `attached`: through what a spike does to membrane and threshold, too.
    """
    leak, decay, threshold, adapt, beta = 0.5, 0.5, 0.5, 0.1, 0.5
    v, i, b = np.zeros_like(currents[0]), np.zeros_like(currents[0]), np.full_like(currents[0], threshold)
    kept = []
    for x in currents:
        j = i + x
        h = v + leak * (j - v)
        e = b + adapt * (threshold - b)
        s = (h > e).astype(np.float64)
        kept.append((s, h, h - e))
        v, b, i = (1 - s) * h, e + beta * s, j - decay * j
    gradient = np.zeros_like(currents)
    to_v, to_i, to_b = np.zeros_like(v), np.zeros_like(v), np.zeros_like(v)  # d loss / d state after the step
    for t in reversed(range(len(currents))):
        s, h, u = kept[t]
        to_s = weights[t] + (to_b * beta - to_v * h if attached else 0.0)
        slope = 1 / (1 + np.exp(-4 * u))
        to_u = to_s * 4 * slope * (1 - slope)
        to_h = to_v * (1 - s) + to_u
        gradient[t] = to_h * leak + to_i * (1 - decay)
        to_v, to_i, to_b = to_h * (1 - leak), gradient[t], (to_b - to_u) * (1 - adapt)
    return np.stack([s for s, _, _ in kept]), gradient


def _drive(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Currents and the loss's weights of all comparisons, [T, B, C, H, W] each."""
    generator = torch.Generator().manual_seed(0)
    shape = (STEPS, BATCH, CHANNELS, SIDE, SIDE)
    currents, weights = (torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2))
    return 1.5 * currents, weights


def _run(
    name: str,
    policy: Any,
    params: dict[str, Any],
    gain: float = 1.0,
    prepare: Callable[[Neuron], dict[str, Tensor]] = lambda neuron: {},
    dtype: torch.dtype = torch.float32,
) -> Run:
    """Spikes of a layer, and the gradients of sum(weights spikes) in the currents and in what `prepare` returns."""
    neuron = neurons.build(name, CHANNELS, Firing(reset_gradient=policy), **params).to(dtype)
    with torch.no_grad():
        watched = prepare(neuron)
    currents, weights = _drive(dtype)
    watched = {"current": currents.requires_grad_(), **watched}
    spikes, _ = neuron.unroll(gain * currents, neuron.initial_state(currents[0]))
    gradients = torch.autograd.grad((spikes * weights).sum(), list(watched.values()))
    return spikes.detach(), dict(zip(watched, gradients, strict=True))


def _guarded(run: Any, *arguments: Any, **more: Any) -> Run | str:
    """What `run` gives, or why the library cannot be had."""
    try:
        found: Run = run(*arguments, **more)
        return found
    except UnsupportedError as error:
        return f"unsupported ({error})"


def _pair(neuron: str, one: str, other: str, policy: str, first: Run, second: Run | str) -> dict[str, Any]:
    names = {"neuron": neuron, "one": one, "other": other, "policy": policy}
    if isinstance(second, str):
        return {**names, "status": second, "spikes": None, "fired": None, "differ": None, "gradient": None}
    spikes, gradients = first
    gaps = [((second[1][key] - wanted).abs().max() / wanted.abs().max()).item() for key, wanted in gradients.items()]
    return {
        **names,
        "status": "ok",
        "spikes": spikes.numel(),
        "fired": int(spikes.sum().item()),
        "differ": int((spikes != second[0]).sum().item()),
        "gradient": max(gaps),
    }


if __name__ == "__main__":
    command.run(main)
