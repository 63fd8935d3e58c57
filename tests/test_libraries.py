"""Every library neuron against its library's own class or step, used in the library's own ordinary way."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import pytest
import snntorch
import torch
from libraries import CHANNELS, Case, Theirs, agrees, gradient_agrees, stacked
from spikingjelly.activation_based import neuron as spikingjelly
from spikingjelly.activation_based import surrogate
from torch import Tensor, nn

import neurons
from neurons import Firing

Draw = Callable[..., Tensor]
STEPS = 20


def strictly(u: Tensor, *norse: Any) -> Tensor:
    """The shared surrogate for a library to call."""
    return Firing()(u, strict=True)


# --- snnTorch: its classes keep their state; the reset is never differentiated ----------------------------------------

# snnTorch tests the membrane again to find out what to reset, we take the spike: the same while thresholds, and so the
# membranes at which they fire, are positive (a negative one would reset at the first step what never fired).
POSITIVE: dict[str, Any] = {"low": 0.1, "high": 0.9}
MEM, SYN_MEM = {"v": "mem"}, {"i": "syn", "v": "mem"}
CONV = {"conv2d_channels": CHANNELS, "kernel_size": 3}
LSTM = {"in_channels": CHANNELS, "out_channels": CHANNELS, "kernel_size": 3}
SNNTORCH = [
    Case("snntorch_leaky", "Leaky", {}, MEM, **POSITIVE),
    Case("snntorch_leaky", "Leaky", {"reset_mechanism": "zero"}, MEM, {"reset": "zero"}, **POSITIVE),
    Case("snntorch_rleaky", "RLeaky", {"all_to_all": False}, MEM, **POSITIVE),
    Case("snntorch_rleaky_conv", "RLeaky", CONV, MEM, **POSITIVE),
    Case("snntorch_synaptic", "Synaptic", {}, SYN_MEM, **POSITIVE),
    Case("snntorch_rsynaptic", "RSynaptic", {"all_to_all": False}, SYN_MEM, **POSITIVE),
    Case("snntorch_sconv2dlstm", "SConv2dLSTM", LSTM, {"m": "syn", "v": "mem"}, low=0.05, high=0.2),
]


def run_snntorch(case: Case, neuron: neurons.Neuron, currents: Tensor, **how: Any) -> Theirs:
    ours = {name.removeprefix("cell."): weight.detach().clone() for name, weight in neuron.named_parameters()}
    constants = {name.removeprefix("recurrent."): weight for name, weight in ours.items() if weight.ndim == 3}
    learn = {f"learn_{name}": True for name in constants if name != "V"}
    own = getattr(snntorch, case.theirs)(**constants, **learn, **case.arguments, **how, init_hidden=True)
    snntorch.SpikingNeuron.instances.remove(own)  # which would keep it for ever
    own.to(currents.dtype)
    with torch.no_grad():
        for name, weight in ours.items():
            own.get_parameter(name).copy_(weight)
    spikes, steps = [], []
    for current in currents:
        spikes.append(own(current))
        steps.append({name: getattr(own, theirs) for name, theirs in case.states.items()})
    return Theirs(torch.stack(spikes), stacked(steps), {f"cell.{name}": [own.get_parameter(name)] for name in ours})


@pytest.mark.parametrize("case", SNNTORCH, ids=str)
def test_steps_as_snntorch_does(case: Case, currents: Draw, generator: torch.Generator) -> None:
    neuron, drive = case.build(generator), currents(STEPS)
    agrees(neuron, drive, run_snntorch(case, neuron, drive))


@pytest.mark.parametrize("case", SNNTORCH, ids=str)
def test_detached_it_has_snntorch_s_gradient(case: Case, currents: Draw, generator: torch.Generator) -> None:
    drive = currents(STEPS, dtype=torch.float64).requires_grad_()
    neuron = case.build(generator, firing=Firing(reset_gradient="detached")).double()
    gradient_agrees(neuron, drive, run_snntorch(case, neuron, drive, spike_grad=strictly))


# --- Norse: its steps are functions of the state; the reset is always differentiated ----------------------------------

CONSTANTS: dict[str, Any] = {"low": 0.2, "high": 0.8}
V_I, WITH_A, WITH_B = ({name: name for name in names} for names in (("v", "i"), ("v", "i", "a"), ("v", "b")))
NORSE = [  # theirs: module, and what stands in the names of its step, state and parameters
    Case("norse_lif", "lif LIF", {}, V_I, **CONSTANTS),
    Case("norse_lifex", "lif_ex LIFEx", {}, V_I, **CONSTANTS),
    Case("norse_lifadex", "lif_adex LIFAdEx", {"delta_T": 0.25}, WITH_A, **CONSTANTS),
    Case("norse_lifrefrac", "lif_refrac LIFRefrac", {"rho_reset": 2.0}, V_I, {"rho_reset": 2.0}, **CONSTANTS),
    Case("norse_lsnn", "lsnn LSNN", {}, WITH_B, **CONSTANTS),
]


def norse(module: str) -> Any:
    return import_module(f"norse.torch.functional.{module}")  # after a neuron, which silences what its import warns of


def run_norse(case: Case, neuron: neurons.Neuron, currents: Tensor) -> Theirs:
    module, prefix = case.theirs.split()
    library = norse(module)
    names = (f"{module}_feed_forward_step", f"{prefix}FeedForwardState", f"{prefix}Parameters")
    step, State, Parameters = (getattr(library, name) for name in names)
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in neuron.named_parameters()}
    constants = {name.removeprefix("learnt."): weight for name, weight in weights.items()}
    zeros = torch.zeros_like(currents[0])
    if module == "lif_refrac":
        p = Parameters(library.LIFParameters(**constants), rho_reset=torch.tensor(case.arguments["rho_reset"]))
        state = State(library.LIFFeedForwardState(zeros, zeros), zeros)
    else:
        p = Parameters(**constants, **case.arguments)
        state = State(*(zeros for _ in State._fields))
    if module == "lsnn":  # its input acts one step late, ours at once: so it is given its inputs one step early
        state = state._replace(i=currents[0], b=constants["v_th"].expand_as(zeros))
        currents = torch.cat([currents[1:], zeros[None]])
    spikes, steps = [], []
    for current in currents:
        fired, state = step(current, state, p, dt=1.0)
        spikes.append(fired)
        after = state.lif if module == "lif_refrac" else state
        steps.append({name: getattr(after, theirs) for name, theirs in case.states.items()})
        if module == "lif_refrac":
            steps[-1]["rho"] = state.rho
    return Theirs(torch.stack(spikes), stacked(steps), {name: [weight] for name, weight in weights.items()})


@pytest.mark.parametrize("case", NORSE, ids=str)
def test_steps_as_norse_does(case: Case, currents: Draw, generator: torch.Generator) -> None:
    neuron, drive = case.build(generator), currents(STEPS)
    agrees(neuron, drive, run_norse(case, neuron, drive))


@pytest.mark.parametrize("case", NORSE, ids=str)
def test_attached_it_has_norse_s_gradient(
    case: Case, currents: Draw, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = currents(STEPS, dtype=torch.float64).requires_grad_()
    neuron = case.build(generator, firing=Firing(reset_gradient="attached")).double()
    for module in {"lif", case.theirs.split()[0]}:  # LIFRefrac's step calls LIF's
        monkeypatch.setattr(norse(module), "threshold", strictly)
    gradient_agrees(neuron, drive, run_norse(case, neuron, drive))


# --- SpikingJelly: its nodes keep their state; a flag says whether the reset is differentiated ------------------------

# It fires at u >= 0, we at u > 0: no membrane here is exactly at its threshold.
V: dict[str, str] = {"v": "v"}
WHOLE = {"decay_input": False}
IZHIKEVICH = {"v_threshold": 0.5, "v_c": 0.4, "v_rest": 0.0, "a": 0.2, "b": 0.2, "tau_w": 10.0}
SPIKINGJELLY = [
    Case("spikingjelly_if", "IFNode", {}, V),
    Case("spikingjelly_lif", "LIFNode", WHOLE, V),
    Case("spikingjelly_lif", "LIFNode", {}, V, {"decay_input": True}),
    Case("spikingjelly_lif", "LIFNode", {**WHOLE, "v_reset": None}, V, {"reset": "soft"}),
    Case("spikingjelly_plif", "ParametricLIFNode", WHOLE, V),
    Case("spikingjelly_plif", "ParametricLIFNode", {}, V, {"decay_input": True}),
    Case("spikingjelly_plif", "ParametricLIFNode", {**WHOLE, "v_reset": None}, V, {"reset": "soft"}),
    Case("spikingjelly_klif", "KLIFNode", WHOLE, V, low=0.5, high=2.0),
    Case("spikingjelly_clif", "ComplementaryLIFNode", {}, {"v": "v", "m": "m"}),
    Case("spikingjelly_cubalif", "CUBALIFNode", {"v_threshold": 1.0}, {"v": "v", "c": "c"}),
    Case("spikingjelly_eif", "EIFNode", {}, V),
    Case("spikingjelly_qif", "QIFNode", {"v_threshold": 0.5, "v_c": 0.4}, V),
    Case("spikingjelly_izhikevich", "IzhikevichNode", IZHIKEVICH, {"v": "v", "w": "w"}),
    Case("spikingjelly_izhikevich", "IzhikevichNode", IZHIKEVICH | {"b": 0.0}, {"v": "v", "w": "w"}, {"b": 0.0}),
    Case("spikingjelly_mpbn", "MPBNLIFNode", {"out_channels": CHANNELS}, V, low=0.3, high=1.5),
    Case("spikingjelly_glif", "GatedLIFNode", {"T": STEPS, "inplane": CHANNELS}, V, {"steps": STEPS}),
    Case("spikingjelly_slidingpsn", "SlidingPSN", {"k": 4}, {}, low=-0.7, high=0.7),
]
# It cannot detach CLIF and GLIF, nor what a spike adds to Izhikevich's w (its b): there detached has no likeness.
ALWAYS_ATTACHED = [
    case for case in SPIKINGJELLY if "clif" in case.name or "glif" in case.name or case.arguments.get("b")
]
POLICIES = [(case, "attached") for case in SPIKINGJELLY]
POLICIES += [(case, "detached") for case in SPIKINGJELLY if case not in ALWAYS_ATTACHED]


class OneNodeAChannel(nn.Module):
    """A node whose learnable constant is one number, once for each channel."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(make() for _ in range(CHANNELS))

    def forward(self, current: Tensor) -> Tensor:
        return torch.stack([node(current[:, c]) for c, node in enumerate(self.nodes)], dim=1)

    @property
    def v(self) -> Tensor:
        return torch.stack([cast(Any, node).v for node in self.nodes], dim=1)


def run_spikingjelly(case: Case, neuron: neurons.Neuron, currents: Tensor, detach_reset: bool = False) -> Theirs:
    def node() -> nn.Module:
        made = getattr(spikingjelly, case.theirs)(**case.arguments, surrogate_function=surrogate.Sigmoid(alpha=4.0))
        made.detach_reset = detach_reset  # which not every constructor takes
        return made.to(currents.dtype)

    own: Any = OneNodeAChannel(node) if case.theirs in ("ParametricLIFNode", "KLIFNode") else node()
    weights: dict[str, list[Tensor]] = {}
    for name, weight in neuron.named_parameters():
        theirs = name.removeprefix("node.").removeprefix("learnt.")
        weights[name] = [part.get_parameter(theirs) for part in getattr(own, "nodes", [own])]
        with torch.no_grad():
            for part, value in zip(weights[name], weight.flatten().tensor_split(len(weights[name])), strict=True):
                part.copy_(value.view_as(part))
    if case.theirs == "GatedLIFNode":  # takes all its steps at once
        return Theirs(own(currents), {"v": own.v[None]}, weights)
    spikes, steps = [], []
    for current in currents:
        spikes.append(own(current))
        steps.append({name: getattr(own, theirs) for name, theirs in case.states.items()})
    states = stacked(steps)
    if case.theirs == "SlidingPSN":  # its first steps see fewer currents, ours as many, of zeros
        states = {f"x{i + 1}": past.view(1, *currents[0].shape) for i, past in enumerate(own.queue)}
    return Theirs(torch.stack(spikes), states, weights, {f"node.{name}": b for name, b in own.named_buffers()})


@pytest.mark.parametrize("case", SPIKINGJELLY, ids=str)
def test_steps_as_spikingjelly_does(case: Case, currents: Draw, generator: torch.Generator) -> None:
    neuron, drive = case.build(generator), currents(STEPS)
    theirs = run_spikingjelly(case, neuron, drive)
    agrees(neuron, drive, theirs)
    for name, buffer in neuron.named_buffers():  # the running statistics of a norm
        assert torch.equal(buffer, theirs.buffers[name]), name


@pytest.mark.parametrize(("case", "policy"), POLICIES, ids=str)
def test_it_has_spikingjelly_s_gradient(case: Case, policy: Any, currents: Draw, generator: torch.Generator) -> None:
    drive = currents(STEPS, dtype=torch.float64).requires_grad_()
    neuron = case.build(generator, firing=Firing(reset_gradient=policy)).double()
    gradient_agrees(neuron, drive, run_spikingjelly(case, neuron, drive, detach_reset=policy == "detached"))


def test_every_library_neuron_is_compared() -> None:
    libraries = ("snntorch_", "norse_", "spikingjelly_")
    compared = {case.name for case in [*SNNTORCH, *NORSE, *SPIKINGJELLY]}
    assert compared == {name for name in neurons.available() if name.startswith(libraries)}


@pytest.mark.parametrize("init_tau", [1.5, 2.0, 4.0])
def test_plif_s_time_constant_is_spikingjelly_s(init_tau: float) -> None:
    weight = neurons.build("spikingjelly_plif", CHANNELS, init_tau=init_tau).get_parameter("node.w")
    assert torch.allclose(torch.sigmoid(weight), torch.tensor(1 / init_tau))
