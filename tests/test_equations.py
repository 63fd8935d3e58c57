"""Every neuron against the equations of its card: step by step against plain NumPy, with constants of every value."""

from collections.abc import Callable
from typing import Any

import numpy as np
import oracles
import pytest
import torch
from oracles import Array, Constants, State, Step, circuit
from torch import Tensor

import neurons

Draw = Callable[..., Tensor]
CHANNELS = 16

ORACLES: dict[str, Step] = {
    "convlstm": oracles.convlstm,
    "glif": oracles.glif,
    "lif": oracles.lif,
    "lmh": oracles.lmh,
    "norse_lif": oracles.norse_lif,
    "norse_lifadex": oracles.lifadex,
    "norse_lifex": oracles.lifex,
    "norse_lifrefrac": oracles.lifrefrac,
    "norse_lsnn": oracles.lsnn,
    "plif": oracles.plif,
    "snntorch_leaky": oracles.leaky,
    "snntorch_rleaky": oracles.rleaky,
    "snntorch_rleaky_conv": oracles.rleaky_conv,
    "snntorch_rsynaptic": oracles.rsynaptic,
    "snntorch_sconv2dlstm": oracles.sconv2dlstm,
    "snntorch_synaptic": oracles.synaptic,
    "spikingjelly_clif": oracles.clif_node,
    "spikingjelly_cubalif": oracles.cubalif_node,
    "spikingjelly_eif": oracles.eif_node,
    "spikingjelly_glif": oracles.glif_node,
    "spikingjelly_if": oracles.if_node,
    "spikingjelly_izhikevich": oracles.izhikevich_node,
    "spikingjelly_klif": oracles.klif_node,
    "spikingjelly_lif": oracles.lif_node,
    "spikingjelly_mpbn": oracles.mpbn_node,
    "spikingjelly_plif": oracles.plif_node,
    "spikingjelly_qif": oracles.qif_node,
    "spikingjelly_slidingpsn": oracles.slidingpsn_node,
    "stc_lif": circuit(oracles.integrator),
    "stc_lmh": oracles.stc_lmh,
    "stc_plif": circuit(oracles.plif),
    "tclif": oracles.tclif,
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("lif", {"reset": "hard"}),
    ("plif", {"gain": "published"}),
    ("glif", {"surrogate": "released"}),
    ("stc_lif", {"groups": 4, "kernel_size": 3}),
    ("stc_lif", {"pathways": "temporal"}),
    ("stc_lif", {"pathways": "spatial"}),
    ("stc_lif", {"pathways": "none"}),
    ("stc_lif", {"bound": 1.5}),
    ("stc_plif", {"gain": "released"}),
    ("stc_lmh", {"modulation": "published"}),
    ("stc_lmh", {"pathways": "temporal", "groups": 8}),
    ("convlstm", {"kernel_size": 3}),
    ("norse_lifadex", {"delta_T": 0.5}),
    ("norse_lifrefrac", {"rho_reset": 2.0}),
    ("snntorch_leaky", {"reset": "zero"}),
    ("spikingjelly_cubalif", {"c_decay": 0.3, "v_decay": 0.6}),
    ("spikingjelly_eif", {"tau": 3.0, "delta_T": 0.5}),
    ("spikingjelly_glif", {"steps": 3}),  # fewer than the 8 it runs
    ("spikingjelly_izhikevich", {"a": 0.5, "b": 0.1, "tau_w": 4.0}),
    ("spikingjelly_lif", {"decay_input": True}),
    ("spikingjelly_lif", {"reset": "soft", "tau": 3.0}),
    ("spikingjelly_plif", {"decay_input": True}),
    ("spikingjelly_plif", {"reset": "soft"}),
    ("spikingjelly_slidingpsn", {"k": 2}),
]
# Where constants are drawn from: wide, but where a neuron still fires now and then.
RANGES = {
    "convlstm": (-0.5, 0.5),
    "norse": (0.2, 0.9),
    "snntorch_rleaky_conv": (-0.2, 0.2),
    "snntorch_sconv2dlstm": (-0.3, 0.3),
    "snntorch": (-0.2, 1.3),  # beyond [0, 1], where decays are clamped; negative thresholds
    "spikingjelly_klif": (0.5, 2.0),
    "spikingjelly_mpbn": (0.3, 1.5),
    "spikingjelly": (-1.5, 1.5),
    "": (-1.0, 1.0),
}
# What a state starts from where it is not zero.
STARTS: dict[str, Callable[[Constants], dict[str, Any]]] = {
    "norse_lsnn": lambda p: {"b": p["v_th"]},
    "spikingjelly_eif": lambda p: {"v": -0.1},  # at its reset, as the library
    "spikingjelly_qif": lambda p: {"v": -0.1},
}


def varied(neuron: neurons.Neuron, name: str, generator: torch.Generator) -> Constants:
    """Gives every channel its own constants, so that a mistaken broadcast shows; returns them by the cards' names."""
    low, high = next(bounds for prefix, bounds in RANGES.items() if name.startswith(prefix))
    found: Constants = {}
    for key, value in neuron.state_dict().items():
        if value.is_floating_point() and not key.endswith("graded_spikes_factor"):  # snnTorch's: 1, or no spikes
            value.uniform_(low, high, generator=generator)
        for holder in ("neuron.", "cell.", "node.", "learnt."):  # where wrapper and adapters keep them
            key = key.removeprefix(holder)
        found[key] = value.numpy()
    return found


def follows(neuron: neurons.Neuron, name: str, step: Step, p: Constants, drive: Tensor) -> None:
    """Asserts that a neuron steps through `drive` as its oracle does."""
    fields = neuron.initial_state(drive[0])._fields
    zeros = np.zeros(drive.shape[1:])
    state: State = dict.fromkeys(fields, zeros)
    if "t" in fields:
        state["t"] = 0
    if name in STARTS:
        state |= {field: zeros + value for field, value in STARTS[name](p).items()}
    found: Any = neuron.initial_state(drive[0])
    outputs: Array = np.zeros(0)
    for current in drive:
        with torch.no_grad():
            output, found = neuron(current, found)
        state = step(current.numpy(), state, p)
        if neuron.spiking:
            assert np.array_equal(output, state["s"])
        assert set(state) == set(fields)
        for field in fields:
            assert np.allclose(getattr(found, field), state[field], rtol=1e-9, atol=1e-9), field
        outputs = np.append(outputs, state["s"])
    assert 0.01 < np.abs(outputs).mean() < 0.7  # silent or always firing, little would have been compared


@pytest.mark.parametrize("name", neurons.available())
def test_every_neuron_has_an_oracle(name: str) -> None:
    assert name in ORACLES, "write its equations in tests/oracles.py and name them in ORACLES"


def test_every_oracle_has_a_neuron() -> None:
    assert set(ORACLES) <= set(neurons.available())


@pytest.mark.parametrize(
    ("name", "params"), [*((name, {}) for name in ORACLES), *VARIANTS], ids=lambda value: str(value) if value else ""
)
def test_agrees_with_its_equations(
    name: str, params: dict[str, Any], currents: Draw, generator: torch.Generator
) -> None:
    neuron = neurons.build(name, CHANNELS, **params).double().eval()
    p = neurons.parameters(name) | params | varied(neuron, name, generator) | {"training": False}
    drive = currents(dtype=torch.float64) * 1.5
    follows(neuron, name, ORACLES[name], p, drive)
    for part in neuron.modules():
        if isinstance(part, neurons.Neuron):
            part.firing = neurons.Firing(reset_gradient="detached")  # takes ways of its own through the adapters
    follows(neuron, name, ORACLES[name], p, drive)


@pytest.mark.parametrize("name", neurons.twins())
def test_a_twin_agrees_with_the_circuit_s_equations(name: str, currents: Draw, generator: torch.Generator) -> None:
    inner, drive = neurons.wrapped(name), currents(dtype=torch.float64) * 1.5
    try:
        neuron = neurons.build(name, CHANNELS).double().eval()
    except neurons.UnsupportedError:
        assert inner in ("convlstm", "spikingjelly_slidingpsn")  # no membrane
        return
    p = neurons.parameters(name) | neurons.parameters(inner) | varied(neuron, inner, generator) | {"training": False}
    follows(neuron, inner, circuit(ORACLES[inner]), p, drive)


def test_mpbn_normalises_by_the_batch_in_training_and_remembers_it(currents: Draw, generator: torch.Generator) -> None:
    neuron, drive = neurons.build("spikingjelly_mpbn", CHANNELS).double().train(), currents(dtype=torch.float64) * 1.5
    p: Constants = {"tau": 2.0, "training": True} | varied(neuron, "spikingjelly_mpbn", generator)
    mean, variance = p["vbn.running_mean"].copy(), p["vbn.running_var"].copy()
    first = drive[0].numpy()  # the membrane of the first step, the state being zero
    neuron(drive[0], neuron.initial_state(drive[0]))
    seen = first.size / CHANNELS
    assert np.allclose(p["vbn.running_mean"], 0.9 * mean + 0.1 * first.mean(axis=(0, 2, 3)))
    assert np.allclose(p["vbn.running_var"], 0.9 * variance + 0.1 * first.var(axis=(0, 2, 3)) * seen / (seen - 1))
    follows(neuron, "spikingjelly_mpbn", ORACLES["spikingjelly_mpbn"], p, drive)


# --- a membrane exactly at its threshold ------------------------------------------------------------------------------

FIRES_AT = {"lif", "plif", "tclif", "lmh", "stc_lif", "stc_plif", "stc_lmh"}  # u >= 0; all others at u > 0 only
TIES: dict[str, tuple[float, dict[str, Any], dict[str, float]]] = {
    # The current that brings a resting membrane to its threshold, if not 1; build parameters and weights set for it.
    "lif": (2.0, {}, {}),
    "tclif": (2.0, {}, {}),
    "stc_plif": (2.0, {}, {}),
    "glif": (0.5, {}, {"leak": -1e3, "conduct": 1e3}),  # nothing leaks, all is let in
    "norse_lifex": (1.0, {"delta_T": 1e-3}, {}),  # no upswing at rest
    "norse_lifadex": (1.0, {"delta_T": 1e-3}, {}),
    "snntorch_rleaky_conv": (1.0, {}, {"cell.recurrent.bias": 0.0}),
    "snntorch_sconv2dlstm": (0.0, {}, {"cell.threshold": 0.0, "cell.conv.weight": 0.1, "cell.conv.bias": 0.0}),
    "spikingjelly_eif": (2.0, {"delta_T": 1e-3}, {}),
    "spikingjelly_glif": (0.5, {}, {"learnt.linear_decay": -1e3, "conduct": 1e3}),
}


@pytest.mark.parametrize("name", [name for name in neurons.available() if name != "convlstm"])
def test_a_membrane_exactly_at_its_threshold(name: str) -> None:
    tie, params, weights = TIES.get(name, (1.0, {}, {}))
    neuron = neurons.build(name, CHANNELS, **params).double().eval()
    for key, value in weights.items():
        torch.nn.init.constant_(neuron.get_parameter(key), value)
    if name == "spikingjelly_mpbn":
        setattr(neuron.get_submodule("node.vbn"), "eps", 0.0)  # noqa: B010 (so that an untrained norm changes nothing)
    ones = torch.ones(1, CHANNELS, 2, 2, dtype=torch.float64)
    rest: Any = neuron.initial_state(ones)
    if "v" in rest._fields:
        rest = rest._replace(v=0 * ones)
    for nudge, fires in ((-1e-9, False), (0.0, name in FIRES_AT), (1e-9, True)):
        assert torch.equal(neuron(ones * (tie + nudge), rest)[0], ones * fires), nudge
