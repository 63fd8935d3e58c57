"""The contract that every neuron keeps: each test runs on every neuron there is or will be, and on every device.

What a neuron may be built from and with is in test_conformance_registry, its gradients in test_conformance_gradients,
what it leaves behind in test_conformance_lifetimes, compilation and precision in test_conformance_modes.
"""

from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
import torch
from conformance import (
    CHANNELS,
    DEVICES,
    NAMES,
    detached,
    draw,
    every_neuron,
    fields,
    gradients,
    layer,
    perturbed,
    repeatable,
    same,
    step_through,
)
from conftest import ROOT
from torch import Tensor

import neurons

# What a state can have been made for instead.
OTHER_SHAPES: list[Callable[[Tensor], Tensor]] = [
    lambda field: field[:1],  # a batch of 1, which would broadcast
    lambda field: torch.cat([field, field]),  # a larger batch
    lambda field: field[:, :8],  # fewer channels
    lambda field: field[:, :1],  # one channel, which would broadcast
    lambda field: field[..., :-1],  # a narrower map
    lambda field: field.flatten(2),  # a row
]


def refused(neuron: neurons.Neuron, current: Tensor, state: Any, says: str) -> None:
    with pytest.raises(neurons.NeuronError, match=says) as error:
        neuron(current, state)
    assert len(str(error.value).splitlines()) == 1


# --- the files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", neurons.available())
def test_card_names_source_and_what_is_learnable(name: str) -> None:
    card = neurons.card(name)
    assert "Source" in card
    assert "Learnable" in card


def test_one_more_neuron_costs_about_thirty_lines() -> None:
    files = [ROOT / "neurons" / f"{name}.py" for name in neurons.available()]
    assert median(len(file.read_text().splitlines()) for file in files) <= 30


# --- outputs and states -----------------------------------------------------------------------------------------------


@every_neuron
def test_output_and_state_are_shaped_typed_and_placed_like_the_current(name: str, device: str) -> None:
    neuron, drive = layer(name, device), draw(device)
    state: Any = neuron.initial_state(drive[0])
    for current in drive:
        output, state = neuron(current, state)
        assert "s" in state._fields  # and so it is a NamedTuple
        assert torch.equal(state.s, output)
        for tensor in (output, *fields(state)):
            assert tensor.shape == current.shape
            assert tensor.dtype == current.dtype
        assert {tensor.device.type for tensor in (output, *state)} == {device}
        neurons.check_output(neuron, output)
        neurons.check_shape(output, current)


@every_neuron
def test_double_stays_double(name: str, device: str) -> None:
    neuron, drive = layer(name, device).to(torch.float64), draw(device, dtype=torch.float64)
    assert {parameter.dtype for parameter in neuron.parameters()} <= {torch.float64}
    assert {field.dtype for field in fields(neuron.initial_state(drive[0]))} == {torch.float64}
    outputs, state = step_through(neuron, drive)
    assert {tensor.dtype for tensor in (outputs, *fields(state))} == {torch.float64}


@every_neuron
def test_a_library_neuron_learns_every_constant_per_channel(name: str, device: str) -> None:
    neuron = layer(name, device)
    assert set(dict(neuron.named_parameters())) <= set(neuron.state_dict())
    library = neuron.group in ("snntorch", "norse", "spikingjelly")
    if library and name != "spikingjelly_slidingpsn":  # its weights over time are one set a layer by definition
        for key, parameter in neuron.named_parameters():
            assert CHANNELS in parameter.shape, key


@every_neuron
def test_firing_rate_is_that_of_a_working_neuron(name: str, device: str) -> None:
    neuron = layer(name, device)
    outputs, _ = step_through(neuron, draw(device, side=12))
    if neuron.spiking:
        assert 0.02 < outputs.mean() < 0.5
    else:
        assert outputs.std() > 0.01


# --- one pure step ----------------------------------------------------------------------------------------------------


@every_neuron
def test_step_is_pure(name: str, device: str) -> None:
    neuron, drive = repeatable(layer(name, device)), draw(device, 4)
    state = detached(step_through(neuron, drive[:3])[1])
    before = (drive[3].clone(), *(tensor.clone() for tensor in state))
    kept = {key: value.clone() for key, value in neuron.state_dict().items()}
    first, first_state = neuron(drive[3], state)
    second, second_state = neuron(drive[3], state)
    assert same(before, (drive[3], *state))
    assert torch.equal(first, second)
    assert same(first_state, second_state)
    assert same(tuple(kept.values()), tuple(neuron.state_dict().values()))


@every_neuron
def test_only_a_neuron_that_says_so_updates_statistics_and_only_in_training(name: str, device: str) -> None:
    for training in (True, False):
        neuron, drive = layer(name, device).train(training), draw(device, 2)
        before = tuple(value.clone() for value in neuron.state_dict().values())
        step_through(neuron, drive)
        changed = not same(before, tuple(neuron.state_dict().values()))
        assert changed == (training and neuron.normalises_batch)


@every_neuron
def test_interleaved_sequences_do_not_meet(name: str, device: str) -> None:
    neuron = repeatable(layer(name, device))
    drives = draw(device, seed=1), draw(device, seed=2)
    alone = [step_through(neuron, drive)[0] for drive in drives]
    states = [neuron.initial_state(drive[0]) for drive in drives]
    for step in range(len(drives[0])):
        for i, drive in enumerate(drives):
            output, states[i] = neuron(drive[step], states[i])
            assert torch.equal(output, alone[i][step])


@every_neuron
def test_samples_of_a_batch_do_not_meet(name: str, device: str) -> None:
    neuron = repeatable(layer(name, device, torch.float64))
    drive = draw(device, batch=3, dtype=torch.float64)
    together, state = step_through(neuron, drive)
    alone, state_alone = step_through(neuron, drive[:, 1:2])
    if neuron.spiking:
        assert torch.equal(alone, together[:, 1:2])
    ours = [field[1:2] for field in fields(state)]
    for a, b in zip((alone, *fields(state_alone)), (together[:, 1:2], *ours), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


# --- a sequence of steps ----------------------------------------------------------------------------------------------


@every_neuron
def test_unroll_equals_stepping(name: str, device: str) -> None:
    neuron, drive = repeatable(perturbed(layer(name, device))), draw(device).requires_grad_()
    stepped, stepped_state = step_through(neuron, drive)
    unrolled, unrolled_state = neuron.unroll(drive, neuron.initial_state(drive[0]))
    assert torch.equal(unrolled, stepped)
    assert same(unrolled_state, stepped_state)
    found, wanted = gradients(neuron, unrolled, drive), gradients(neuron, stepped, drive)
    if isinstance(neuron, neurons.STC):  # whose parameters' gradients of all steps are taken at once
        assert all((a - b).norm() <= 1e-5 * b.norm() for a, b in zip(found, wanted, strict=True))
    else:
        assert same(found, wanted)


@every_neuron
def test_unroll_goes_on_from_a_state(name: str, device: str) -> None:
    neuron, drive = repeatable(layer(name, device)), draw(device)
    whole, last = neuron.unroll(drive, neuron.initial_state(drive[0]))
    first, state = neuron.unroll(drive[:3], neuron.initial_state(drive[0]))
    second, state = neuron.unroll(drive[3:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert same(state, last)


# --- what a step refuses ----------------------------------------------------------------------------------------------


@every_neuron
def test_an_integer_current_is_refused(name: str, device: str) -> None:
    neuron, current = layer(name, device), draw(device, 1)[0]
    refused(neuron, (current > 0).long(), neuron.initial_state(current), r"torch\.int64, wanted floating point")


@every_neuron
def test_a_state_of_another_shape_is_refused_and_never_reset(name: str, device: str) -> None:
    neuron, current = layer(name, device), draw(device, 1)[0]
    state = neuron.initial_state(current)
    for other in OTHER_SHAPES:
        wrong = type(state)(*(other(field) if field.ndim else field for field in state))
        refused(neuron, current, wrong, "state has shape.*begin with initial_state")
    for field in state._fields:  # one wrong field is enough
        if getattr(state, field).ndim:
            refused(neuron, current, state._replace(**{field: getattr(state, field)[:1]}), "state has shape")


def test_every_neuron_and_every_twin_is_tested_on_every_device() -> None:
    assert {*neurons.available()} <= {*NAMES}
    assert len(NAMES) > len(neurons.available())
    assert ("cuda" in DEVICES) == torch.cuda.is_available()
