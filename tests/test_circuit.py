"""The circuit around every neuron with a membrane, and the checks that hold outputs to the contract."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conformance import (
    CHANNELS,
    CIRCUITS,
    REFUSED,
    draw,
    every_circuit,
    gradients,
    layer,
    on_every_device,
    perturbed,
    repeatable,
    same,
    step_through,
)
from torch import Tensor

import neurons
from neurons._integrate import IntegrateAndFire
from neurons._lmh import LMH
from neurons._plif import PLIF

Draw = Callable[..., Tensor]

# The circuits that have a file of their own, each with the neuron that it is around.
BASES: dict[str, Callable[[], neurons.Neuron]] = {
    "stc_lif": IntegrateAndFire,
    "stc_plif": lambda: PLIF(gain="published"),
    "stc_lmh": lambda: LMH(reset_gradient="shared"),
}
# snnTorch's neurons reset one step late, by a library that would test the membrane again.
LATE = [name for name in CIRCUITS if "snntorch" in name and "sconv2dlstm" not in name]


def one_line(error: pytest.ExceptionInfo[Exception]) -> bool:
    return len(str(error.value).splitlines()) == 1


def parameter_names(neuron: neurons.Neuron) -> set[str]:
    return {key for key, _ in neuron.named_parameters()}


def silence(pathway: Any, factor_at: float = 0.0) -> None:
    """Makes a pathway give tanh(factor_at) everywhere, whatever the spikes."""
    with torch.no_grad():
        pathway[1].weight.zero_()
        pathway[1].bias.fill_(factor_at)


# --- the circuit's equations ------------------------------------------------------------------------------------------


@on_every_device
def test_stc_lif_is_the_circuit_around_a_perfect_integrator(device: str) -> None:
    drive = draw(device, 1, dtype=torch.float64)[0]
    circuit = layer("stc_lif", device, torch.float64)
    state = circuit.initial_state(drive)._replace(v=drive.flip(0), s=(drive > 0).double())
    keep, admit = circuit.factors(state.s)
    spikes, after = circuit(drive, state)
    h = state.v * keep + drive * admit
    assert torch.equal(spikes, (h >= 1).double())
    assert torch.allclose(after.v, h - spikes, rtol=0, atol=1e-12)


@every_circuit
def test_factors_lie_between_0_and_2(name: str, device: str) -> None:
    circuit = layer(name, device, torch.float64)
    spikes = (draw(device, 1, dtype=torch.float64)[0] > 1).double()
    for factor in circuit.factors(spikes):
        assert factor.shape == spikes.shape
        assert ((factor > 0) & (factor < 2)).all()
        assert factor.std() > 0.1


@every_circuit
def test_temporal_factor_scales_the_membrane_and_the_spatial_one_the_input(name: str, device: str) -> None:
    """Amplified to twice, a step equals that of the neuron on twice the membrane, or on twice the input."""
    drive = draw(device, 4)
    for pathway, scale in (("temporal", {"v": 2.0}), ("spatial", {"x": 2.0})):
        circuit = repeatable(layer(name, device, pathways=pathway, **published(name)))
        silence(getattr(circuit, pathway), factor_at=20.0)  # tanh is 1 there, to the last bit
        _, state = step_through(circuit, drive[:3])
        output, after = circuit(drive[3], state)
        scaled = state._replace(v=scale.get("v", 1.0) * state.v)
        wanted, wanted_after = circuit.neuron(scale.get("x", 1.0) * drive[3], scaled)
        assert torch.equal(output, wanted)
        assert same(after, wanted_after)


def published(name: str) -> dict[str, str]:
    """stc_lmh's other form: as released, its temporal factor reaches but one of the terms that read the membrane."""
    return {"modulation": "published"} if name == "stc_lmh" else {}


@on_every_device
def test_stc_lmh_as_released_scales_the_soma_alone(device: str) -> None:
    drive = draw(device, 4, dtype=torch.float64)
    circuit = perturbed(layer("stc_lmh", device, torch.float64, pathways="temporal"))
    with torch.no_grad():
        circuit.neuron.b.fill_(1.0)  # at 0 the dendrite does not read the membrane
    _, state = step_through(circuit, drive[:3])
    dendrites = [circuit(drive[3], state._replace(s=s))[1].d for s in (state.s, 1 - state.s)]
    assert torch.equal(*dendrites)


@pytest.mark.parametrize("name", LATE)
@on_every_device
def test_a_spike_that_was_emitted_is_reset_however_the_circuit_scales_the_membrane(name: str, device: str) -> None:
    circuit = layer(name, device, torch.float64, pathways="temporal")
    silence(circuit.temporal, factor_at=-20.0)  # erases the membrane: tested again, it would not have fired
    with torch.no_grad():
        for key, parameter in circuit.named_parameters():
            if "recurrent" in key:
                parameter.zero_()
    nothing = torch.zeros(2, CHANNELS, 4, 4, device=device, dtype=torch.float64)
    state = circuit.initial_state(nothing)
    fired = (draw(device, 1, side=4)[0] > 0).double()
    _, after = circuit(nothing, state._replace(v=1.5 * fired, s=fired))
    assert torch.allclose(after.v, -circuit.neuron.cell.threshold * fired, rtol=0, atol=1e-12)


# --- pathways, detach, bound ------------------------------------------------------------------------------------------


@every_circuit
def test_without_pathways_it_is_the_neuron_itself_bit_for_bit(name: str, device: str) -> None:
    circuit = repeatable(perturbed(layer(name, device, pathways="none")))
    inner = neurons.wrapped(name)
    alone = repeatable(layer(inner, device) if inner else BASES[name]().to(device))
    alone.load_state_dict(circuit.neuron.state_dict())
    drive = draw(device).requires_grad_()
    found, found_state = step_through(circuit, drive)
    wanted, wanted_state = step_through(alone, drive)
    assert torch.equal(found, wanted)
    assert same(found_state, wanted_state)
    assert same(gradients(circuit, found, drive), gradients(alone, wanted, drive))


@every_circuit
def test_silent_pathways_leave_the_neuron_as_it_is(name: str, device: str) -> None:
    circuit, drive = repeatable(layer(name, device)), draw(device)
    for pathway in (circuit.temporal, circuit.spatial):
        silence(pathway)
    found, found_state = step_through(circuit, drive)
    wanted, wanted_state = step_through(circuit.neuron, drive)
    assert torch.equal(found, wanted)
    assert same(found_state, wanted_state)


@every_circuit
def test_each_pathway_brings_its_own_parameters_and_no_others(name: str, device: str) -> None:
    both, temporal, spatial, none = (
        layer(name, device, pathways=which) for which in ("both", "temporal", "spatial", "none")
    )
    own = parameter_names(none)
    assert own == {f"neuron.{key}" for key in parameter_names(both.neuron)}
    assert {key.partition(".")[0] for key in parameter_names(temporal) - own} == {"temporal"}
    assert {key.partition(".")[0] for key in parameter_names(spatial) - own} == {"spatial"}
    assert parameter_names(both) == parameter_names(temporal) | parameter_names(spatial)
    spikes = (draw(device, 1)[0] > 1).float()
    assert [factor is not None and not isinstance(factor, float) for factor in temporal.factors(spikes)] == [
        True,
        False,
    ]
    assert [factor is not None and not isinstance(factor, float) for factor in spatial.factors(spikes)] == [False, True]


@every_circuit
@pytest.mark.parametrize("detach", [False, True])
def test_detach_stops_the_gradient_at_the_spikes(name: str, device: str, detach: bool) -> None:
    circuit = layer(name, device, detach=detach)
    spikes = (draw(device, 1)[0] > 1).float().requires_grad_()
    for factor in circuit.factors(spikes):
        (into,) = torch.autograd.grad(factor.square().sum(), spikes, allow_unused=True, retain_graph=True)
        assert (into is None) if detach else (into.abs().sum() > 0)


@on_every_device
@pytest.mark.parametrize("detach", [False, True])
def test_detach_leaves_the_gradient_of_the_membrane(device: str, detach: bool) -> None:
    drive = draw(device, 2)
    circuit = layer("stc_lif", device, detach=detach)
    _, state = circuit(drive[0], circuit.initial_state(drive[0]))
    spikes, membrane = (drive[0] > 0).float().requires_grad_(), drive[0].clone().requires_grad_()
    output, _ = circuit(drive[1], state._replace(v=membrane, s=spikes))
    into_spikes, into_membrane = torch.autograd.grad(output.sum(), (spikes, membrane), allow_unused=True)
    assert into_membrane.abs().sum() > 0
    assert (into_spikes is None) if detach else (into_spikes.abs().sum() > 0)


@every_circuit
def test_bound_keeps_the_membrane_between_and_changes_nothing_inside(name: str, device: str) -> None:
    drive, bound = 2 * draw(device), 0.5
    free, held = (repeatable(layer(name, device, bound=value, step="plain")) for value in (None, bound))
    state, reached = held.initial_state(drive[0]), False
    for current in drive:
        output, after = held(current, state)
        wanted, unheld = free(current, state)
        assert torch.equal(output, wanted)
        assert torch.equal(after.v, unheld.v.clamp(-bound, bound))
        assert same(after._replace(v=unheld.v), unheld)
        reached |= bool((unheld.v.abs() > bound).any())
        state = after
    assert reached


@every_circuit
def test_a_bound_that_is_never_reached_changes_nothing(name: str, device: str) -> None:
    drive = draw(device).requires_grad_()
    results = []
    for bound in (None, 1e6):
        circuit = repeatable(layer(name, device, bound=bound, step="plain"))
        outputs, state = step_through(circuit, drive)
        results.append((outputs, *state, *gradients(circuit, outputs, drive)))
    assert same(*results)


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_a_neuron_without_a_membrane_has_no_circuit(name: str) -> None:
    with pytest.raises(neurons.UnsupportedError, match="no `v` among") as error:
        neurons.build(name, CHANNELS)
    assert one_line(error)


def test_the_neurons_without_a_membrane_are_those_that_say_so_in_their_cards() -> None:
    assert {neurons.wrapped(name) for name in REFUSED} == {"convlstm", "spikingjelly_slidingpsn"}
    assert all("no membrane" in " ".join(neurons.card(neurons.wrapped(name)).split()) for name in REFUSED)


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"groups": 5}, "5 groups do not divide 16 channels"),
        ({"groups": 0}, "0 groups do not divide 16 channels"),
        ({"groups": "4"}, "groups: Input should be a valid integer, found '4'"),
        ({"kernel_size": 4}, "kernel_size is 4; an odd one"),
        ({"kernel_size": -1}, "kernel_size is -1; an odd one"),
        ({"bound": -1}, "bound is -1.*wanted a positive one"),
        ({"bound": 0.0}, "bound is 0.*wanted a positive one"),
        ({"bound": float("nan")}, "bound is nan.*wanted a positive one"),
        ({"detach": 1}, "detach: Input should be a valid boolean, found 1"),
        ({"pathways": "sideways"}, "pathways: Input should be 'both', 'temporal', 'spatial' or 'none'.*'sideways'"),
    ],
)
def test_a_circuit_that_cannot_be_is_refused(name: str, params: dict[str, Any], says: str) -> None:
    with pytest.raises(neurons.NeuronError, match=says) as error:
        neurons.build(name, CHANNELS, **params)
    assert one_line(error)


# --- checks of outputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "says"), [([0.0, float("nan")], "NaN"), ([1.0, float("inf")], "infinite"), ([0.0, 0.5], r"found 0\.5")]
)
def test_a_bad_output_gets_one_line(values: list[float], says: str) -> None:
    with pytest.raises(neurons.NeuronError, match=says) as error:
        neurons.check_output(neurons.build("lif", CHANNELS), torch.tensor(values))
    assert one_line(error)


def test_a_real_valued_neuron_may_give_real_values() -> None:
    neuron = neurons.build("convlstm", CHANNELS)
    neurons.check_output(neuron, torch.tensor([-0.5, 0.25]))
    with pytest.raises(neurons.NotFiniteError, match="NaN"):
        neurons.check_output(neuron, torch.tensor([float("nan")]))


def test_a_wrong_shape_gets_one_line() -> None:
    drive = draw("cpu", 1, side=6)[0]
    neurons.check_shape(drive, drive)
    with pytest.raises(neurons.NeuronError, match=r"\[2, 16, 6\].*\[2, 16, 6, 6\]") as error:
        neurons.check_shape(drive[..., 0], drive)
    assert one_line(error)
