"""Neurons against truths that this project did not make: the released cells, the published equations, the libraries."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from spikingjelly.activation_based.neuron import ParametricLIFNode
from torch import Tensor, nn

import neurons

Array = NDArray[Any]
Draw = Callable[..., Tensor]
GOLDEN = Path(__file__).parent / "golden"
CHANNELS = 16


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> bool:
    """Whether two arrays agree relative to the largest value wanted."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    scale = np.abs(wanted).max()
    return found.shape == wanted.shape and bool(np.abs(found - wanted).max() <= tolerance * scale)


def trace(neuron: neurons.Neuron, currents: Tensor) -> Iterator[tuple[Array, dict[str, Array]]]:
    """Output and state of every step, in NumPy."""
    state = neuron.initial_state(currents[0])
    with torch.no_grad():
        for current in currents:
            output, state = neuron(current, state)
            yield output.numpy().copy(), {name: value.numpy().copy() for name, value in state._asdict().items()}


def vary(parameters: Any, low: float, high: float, generator: torch.Generator) -> None:
    """Gives every channel its own value, so that a mistaken broadcast shows."""
    with torch.no_grad():
        for parameter in parameters:
            parameter.uniform_(low, high, generator=generator)


# --- the released cells -----------------------------------------------------------------------------------------------


def modules(case: str) -> dict[str, nn.Module]:
    """Golden prefix -> module that holds its weight; `neuron` is the neuron itself."""
    params = {"detach": case.endswith("1")} if case.startswith("stc") else {}
    found: dict[str, nn.Module] = {
        "conv_x.0": nn.Conv2d(3, CHANNELS, 5, padding=2, bias=False),
        "conv_x.1": nn.GroupNorm(16, CHANNELS),
        "neuron": neurons.build(case.removesuffix("_detach0").removesuffix("_detach1"), CHANNELS, **params),
    }
    if case.startswith("stc"):
        for prefix, path in (("conv_h", "temporal"), ("conv_v", "spatial")):
            found |= {f"{prefix}.{i}": found["neuron"].get_submodule(f"{path}.{i}") for i in (0, 1)}
    for module in found.values():
        module.double()
    return found


@pytest.mark.parametrize("case", ["lif", "stc_lif_detach0", "stc_lif_detach1"])
def test_agrees_with_the_released_cell(case: str) -> None:
    golden, shared = np.load(GOLDEN / f"{case}.npz"), np.load(GOLDEN / "shared.npz")
    parts = modules(case)
    weights = {
        f"{prefix}.{name}": parameter
        for prefix, module in parts.items()
        if prefix != "neuron"
        for name, parameter in module.named_parameters()
    }
    assert {f"sd.{key}" for key in weights} == {key for key in golden.files if key.startswith("sd.")}
    with torch.no_grad():
        for key, weight in weights.items():
            weight.copy_(torch.from_numpy(golden[f"sd.{key}"]))

    x = torch.from_numpy(shared["x"]).requires_grad_()
    currents = torch.stack([parts["conv_x.1"](parts["conv_x.0"](frame)) for frame in x])
    neuron = parts["neuron"]
    assert isinstance(neuron, neurons.Neuron)
    spikes, state = neuron.unroll(currents, neuron.initial_state(currents[0]))
    loss = (spikes * torch.from_numpy(shared["w"])).sum()
    torch.autograd.backward(loss)

    assert np.array_equal(spikes.detach().numpy(), golden["spikes"])
    assert close(loss.item(), golden["loss"])
    assert close(state.v.detach(), golden["h_final"])
    for (_, fields), membrane in zip(trace(neuron, currents.detach()), golden["h_trace"], strict=True):
        assert close(fields["v"].astype(np.float32), membrane, tolerance=float(np.finfo(np.float32).eps))
    assert x.grad is not None
    assert close(x.grad, golden["grad_x"])
    for key, weight in weights.items():
        assert weight.grad is not None
        assert close(weight.grad, golden[f"grad.{key}"]), key


# --- the equations of the cards, in NumPy -----------------------------------------------------------------------------


def sig(x: Array) -> Array:
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


Step = Callable[[Array, dict[str, Array], dict[str, Array]], tuple[Array, dict[str, Array]]]


def lif(x: Array, state: dict[str, Array], p: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    h = state["v"] / 2 + x / 2
    s = (h >= 1).astype(float)
    return s, {"v": h - s, "s": s}


def stc_lif(x: Array, state: dict[str, Array], p: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    groups = len(p["temporal.0.weight"]) // p["temporal.0.weight"].shape[1]

    def pathway(path: str) -> Array:
        mixed = convolve(state["s"], p[f"{path}.0.weight"], groups)
        return np.tanh(group_norm(mixed, p[f"{path}.1.weight"], p[f"{path}.1.bias"], groups))

    h = state["v"] * (1 + pathway("temporal")) + x * (1 + pathway("spatial"))
    s = (h >= 1).astype(float)
    return s, {"v": h - s, "s": s}


def snntorch_leaky(x: Array, state: dict[str, Array], p: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    r = state["v"] > p["cell.threshold"]
    v = np.clip(p["cell.beta"], 0, 1) * state["v"] + x - r * p["cell.threshold"]
    s = (v > p["cell.threshold"]).astype(float)
    return s, {"v": v, "s": s}


def norse(x: Array, state: dict[str, Array], p: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    j = state["i"] + x
    h = state["v"] + p["learnt.tau_mem_inv"] * (j - state["v"])
    s = (h > p["learnt.v_th"]).astype(float)
    return s, {"v": (1 - s) * h, "i": j - p["learnt.tau_syn_inv"] * j, "s": s}


def plif(x: Array, state: dict[str, Array], p: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    h = state["v"] - sig(p["node.w"]) * state["v"] + x
    s = (h > 1).astype(float)
    return s, {"v": (1 - s) * h, "s": s}


def convlstm(x: Array, state: dict[str, Array], p: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    mixed = convolve(x, p["from_input.weight"]) + p["from_input.bias"][:, None, None]
    i, f, o, g = np.split(mixed + convolve(state["s"], p["from_hidden.weight"]), 4, axis=1)
    c = sig(f) * state["c"] + sig(i) * np.tanh(g)
    h = sig(o) * np.tanh(c)
    return h, {"c": c, "s": h}


@pytest.mark.parametrize(
    ("name", "params", "low", "high", "step"),
    [
        ("lif", {}, 0.0, 0.0, lif),
        ("stc_lif", {"groups": 16, "kernel_size": 5}, -1.0, 1.0, stc_lif),
        ("stc_lif", {"groups": 4, "kernel_size": 3}, -1.0, 1.0, stc_lif),
        ("snntorch_leaky", {}, -0.2, 1.3, snntorch_leaky),
        ("norse_lif", {}, 0.2, 0.9, norse),
        ("spikingjelly_plif", {}, -2.0, 2.0, plif),
        ("convlstm", {"kernel_size": 3}, -0.5, 0.5, convlstm),
    ],
)
def test_agrees_with_its_equations(
    name: str, params: dict[str, Any], low: float, high: float, step: Step, currents: Draw, generator: torch.Generator
) -> None:
    neuron = neurons.build(name, CHANNELS, **params).double()
    vary(neuron.parameters(), low, high, generator)
    weights = {key: value.detach().numpy() for key, value in neuron.named_parameters()}
    drive = currents(dtype=torch.float64) * 1.5
    state = dict.fromkeys(neuron.initial_state(drive[0])._fields, np.zeros(drive.shape[1:]))
    spikes = 0.0
    for current, (output, fields) in zip(drive.numpy(), trace(neuron, drive), strict=True):
        wanted, state = step(current, state, weights)
        if neuron.spiking:
            assert np.array_equal(output, wanted)
        assert set(fields) == set(state)
        for field, value in fields.items():
            assert np.allclose(value, state[field], rtol=1e-9, atol=1e-9), field
        spikes += np.abs(wanted).sum()
    assert spikes > 0


@pytest.mark.parametrize(
    ("name", "tie", "fires"),
    [
        ("lif", 2.0, True),
        ("stc_lif", 1.0, True),
        ("snntorch_leaky", 1.0, False),
        ("norse_lif", 1.0, False),
        ("spikingjelly_plif", 1.0, False),
    ],
)
def test_a_membrane_exactly_at_its_threshold(name: str, tie: float, fires: bool) -> None:
    neuron, ones = neurons.build(name, CHANNELS), torch.ones(1, CHANNELS, 2, 2)
    assert neuron(ones * tie, neuron.initial_state(ones))[0].unique().tolist() == [float(fires)]
    assert neuron(ones * (tie + 1e-6), neuron.initial_state(ones))[0].unique().tolist() == [1.0]


# --- the libraries, used in their own way -----------------------------------------------------------------------------


def test_snntorch_leaky_is_the_library_s(currents: Draw, generator: torch.Generator) -> None:
    drive = currents(20)
    neuron = neurons.build("snntorch_leaky", CHANNELS)
    beta, threshold = torch.rand(2, CHANNELS, 1, 1, generator=generator) + 0.1
    with torch.no_grad():
        neuron.get_parameter("cell.beta").copy_(beta)
        neuron.get_parameter("cell.threshold").copy_(threshold)
    own = snntorch.Leaky(beta=beta, threshold=threshold, init_hidden=True)
    for current, (spikes, fields) in zip(drive, trace(neuron, drive), strict=True):
        assert np.array_equal(spikes, own(current).numpy())
        assert np.array_equal(fields["v"], own.mem.numpy())


def test_norse_lif_is_the_library_s(currents: Draw, generator: torch.Generator) -> None:
    drive = currents(20)
    neuron = neurons.build("norse_lif", CHANNELS)
    from norse.torch.functional import lif as norse_lif  # after the neuron, which silences what its import warns of

    vary(neuron.parameters(), 0.2, 0.8, generator)
    values = {key.removeprefix("learnt."): value.detach() for key, value in neuron.named_parameters()}
    parameters = norse_lif.LIFParameters(**values)
    own = norse_lif.LIFFeedForwardState(v=torch.zeros(drive.shape[1:]), i=torch.zeros(drive.shape[1:]))
    for current, (spikes, fields) in zip(drive, trace(neuron, drive), strict=True):
        wanted, own = norse_lif.lif_feed_forward_step(current, own, parameters, dt=1.0)
        assert np.array_equal(spikes, wanted.numpy())
        assert np.array_equal(fields["v"], own.v.numpy())
        assert np.array_equal(fields["i"], own.i.numpy())


def test_spikingjelly_plif_is_the_library_s(currents: Draw) -> None:
    drive = currents(20)
    neuron = neurons.build("spikingjelly_plif", CHANNELS)
    own = [ParametricLIFNode(init_tau=1.5 + c / 4, decay_input=False, step_mode="s") for c in range(CHANNELS)]
    neuron.load_state_dict({"node.w": torch.stack([node.w.detach() for node in own]).view(-1, 1, 1)})
    with torch.no_grad():
        for current, (spikes, fields) in zip(drive, trace(neuron, drive), strict=True):
            wanted = torch.stack([node(current[:, c]) for c, node in enumerate(own)], dim=1)
            assert np.array_equal(spikes, wanted.numpy())
            assert np.array_equal(fields["v"], torch.stack([node.v for node in own], dim=1).numpy())


@pytest.mark.parametrize("init_tau", [1.5, 2.0, 4.0])
def test_plif_s_time_constant_is_the_library_s(init_tau: float) -> None:
    weight = neurons.build("spikingjelly_plif", CHANNELS, init_tau=init_tau).get_parameter("node.w")
    assert torch.allclose(torch.sigmoid(weight), torch.tensor(1 / init_tau))


# --- the shared surrogate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("strict", "at_zero"), [(False, 1.0), (True, 0.0)])
def test_firing_is_a_step_with_a_sigmoid_s_slope(strict: bool, at_zero: float) -> None:
    u = torch.tensor([-2.0, -1e-9, 0.0, 1e-9, 0.25, 2.0], dtype=torch.float64, requires_grad=True)
    spikes = neurons.fire(u, strict=strict)
    assert spikes.tolist() == [0.0, 0.0, at_zero, 1.0, 1.0, 1.0]
    (slope,) = torch.autograd.grad(spikes.sum(), u)
    likeness = sig(4 * u.detach().numpy())
    assert np.allclose(slope.numpy(), 4 * likeness * (1 - likeness), rtol=1e-12)
