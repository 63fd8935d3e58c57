"""What the network's settings do to its numbers: precision, the membrane's own precision, and how neurons fire."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import neurons
from benchmarks.network import Predictor
from benchmarks.settings import FiringSettings, NetworkSettings
from neurons import Firing

OBSERVED, LENGTH = 3, 6
OTHER = {"surrogate": "triangle", "alpha": 2.0, "reset_gradient": "detached"}
TWINS = ["stc_glif", "stc_norse_lif", "stc_snntorch_leaky", "stc_spikingjelly_klif"]  # one of each kind


def predictor(name: str = "stc_lif", **settings: Any) -> Predictor:
    network = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=4, **settings)
    return Predictor(name, {}, (2, 8, 8), network, seed=5)


@pytest.fixture
def frames(generator: torch.Generator) -> Tensor:
    return torch.rand(2, LENGTH, 2, 8, 8, generator=generator)


def stepped(network: Predictor, frames: Tensor) -> Tensor:
    """The closed loop written out, with no word of precision: observed frames at once, then one by one."""
    layers: list[Any] = list(network.layers)
    states: list[Any] = [None] * len(layers)
    inputs = nn.functional.pixel_unshuffle(frames, network.patch).transpose(0, 1)[:OBSERVED]
    predictions: list[Tensor] = []
    while len(predictions) < LENGTH - 1:
        signal = inputs
        for i, layer in enumerate(layers):
            currents = layer.norm(layer.conv(signal.flatten(0, 1))).unflatten(0, signal.shape[:2])
            outputs = []
            for current in currents:
                before = layer.neuron.initial_state(current) if states[i] is None else states[i]
                output, states[i] = layer.neuron(current, before)
                outputs.append(output)
            signal = torch.stack(outputs)
        predictions += list(network.readout(signal.flatten(0, 1)).unflatten(0, signal.shape[:2]))
        inputs = predictions[-1].unsqueeze(0)
    return nn.functional.pixel_shuffle(torch.stack(predictions, dim=1), network.patch)


def test_in_float32_nothing_is_cast(frames: Tensor) -> None:
    """Bit for bit what plain stepping gives, so that the settings of the tables cost no table its numbers."""
    wanted = stepped(predictor(), frames)
    for settings in ({}, {"precision": "float32", "membrane": "current"}, {"membrane": "float32"}):
        found, outputs = predictor(**settings)(frames, OBSERVED)
        assert found.dtype == torch.float32
        assert torch.equal(found, wanted)
        assert {output.dtype for output in outputs} == {torch.float32}


@pytest.mark.parametrize("membrane", ["current", "float32"])
def test_float64_stays_float64(membrane: str, frames: Tensor) -> None:
    network = predictor(membrane=membrane).double()
    assert network(frames.double(), OBSERVED)[0].dtype == torch.float64
    assert {state.v.dtype for state in last_states(network, frames.double())} == {torch.float64}


def last_states(network: Predictor, frames: Tensor) -> list[Any]:
    """Each layer's state after the last step."""
    states: dict[nn.Module, Any] = {}
    for layer in network.layers:
        layer.register_forward_hook(lambda layer, inputs, made: states.update({layer: made[1]}))
    network(frames, OBSERVED)
    return list(states.values())


def test_in_bfloat16_every_convolution_is_and_predictions_are_not(frames: Tensor) -> None:
    network = predictor(precision="bfloat16")
    made: list[torch.dtype] = []
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 2 * 3 + 1  # a layer's own, its two pathways; the readout
    for convolution in convolutions:
        convolution.register_forward_hook(lambda module, inputs, output: made.append(output.dtype))
    predicted, _ = network(frames, OBSERVED)
    assert set(made) == {torch.bfloat16}
    assert predicted.dtype == torch.float32
    assert not torch.equal(predicted, predictor()(frames, OBSERVED)[0])
    predicted.square().mean().backward()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize(("membrane", "wanted"), [("current", torch.bfloat16), ("float32", torch.float32)])
def test_the_membrane_is_in_float32_where_it_is_asked_for(membrane: str, wanted: torch.dtype, frames: Tensor) -> None:
    states = last_states(predictor(precision="bfloat16", membrane=membrane), frames)
    assert [state.v.dtype for state in states] == [wanted, wanted]


@pytest.mark.parametrize("name", neurons.available() + TWINS)
def test_every_neuron_runs_in_half_precision(name: str, frames: Tensor) -> None:
    for membrane in ("current", "float32"):
        network = predictor(name, precision="bfloat16", membrane=membrane)
        predicted, outputs = network(frames, OBSERVED)
        assert predicted.dtype == torch.float32
        for neuron, output in zip(network.neurons_by_layer(), outputs, strict=True):
            neurons.check_output(neuron, output)
        predicted.square().mean().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
        if membrane == "float32":
            floating = [f for state in last_states(network, frames) for f in state if f.is_floating_point()]
            assert {field.dtype for field in floating} == {torch.float32}


@pytest.mark.parametrize("name", neurons.available() + TWINS)
def test_firing_settings_reach_every_neuron_and_the_one_inside_a_circuit(name: str) -> None:
    network = predictor(name, firing=FiringSettings.model_validate(OTHER))
    fires = [module.firing for module in network.modules() if isinstance(module, neurons.Neuron)]
    assert len(fires) == (4 if name.startswith("stc_") else 2)  # of two layers
    assert set(fires) == {Firing("triangle", 2.0, "detached")}


@pytest.mark.parametrize("name", [n for n in neurons.available() if n != "convlstm"] + TWINS)
def test_firing_changes_the_gradient_and_no_prediction(name: str, frames: Tensor) -> None:
    """The forward pass knows of no surrogate."""
    seen = []
    for settings in ({}, {"firing": FiringSettings.model_validate(OTHER)}):
        network = predictor(name, **settings)
        predicted, _ = network(frames, OBSERVED)
        predicted.square().mean().backward()
        layer: Any = network.layers[0]
        seen.append((predicted, layer.conv.weight.grad))
    (one, gradient), (other, changed) = seen
    assert torch.equal(one, other)
    assert not torch.allclose(gradient, changed, rtol=1e-3)
