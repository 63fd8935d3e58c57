"""The contract that every neuron keeps: each test runs on every public file of neurons/, present and to come."""

import copy
import gc
import io
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

import neurons

Draw = Callable[..., Tensor]
CHANNELS = 16

pytestmark = pytest.mark.parametrize("name", neurons.available())


def perturbed(name: str, generator: torch.Generator) -> neurons.Neuron:
    """A layer whose parameters are not those of a fresh one."""
    neuron = neurons.build(name, CHANNELS)
    with torch.no_grad():
        for parameter in neuron.parameters():
            parameter.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=generator))
    return neuron


def step_through(neuron: neurons.Neuron, currents: Tensor) -> tuple[Tensor, Any]:
    state, outputs = neuron.initial_state(currents[0]), []
    for current in currents:
        output, state = neuron(current, state)
        outputs.append(output)
    return torch.stack(outputs), state


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_library_neuron_is_a_short_file(name: str) -> None:
    """The adapters carry what the library's neurons share, so that one more costs at most 25 lines, card included."""
    file = Path(neurons.__path__[0]) / f"{name}.py"
    if neurons.build(name, 16).group in ("snntorch", "norse", "spikingjelly"):
        assert len(file.read_text().splitlines()) <= 25


def test_card_names_source_and_what_is_learnable(name: str) -> None:
    card = neurons.card(name)
    assert "Source" in card
    assert "Learnable" in card


def test_output_and_state_are_shaped_and_typed_like_the_current(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents()
    state: Any = neuron.initial_state(drive[0])
    for current in drive:
        output, state = neuron(current, state)
        assert "s" in state._fields  # and so it is a NamedTuple
        assert torch.equal(state.s, output)
        for tensor in (output, *state):
            assert tensor.shape == current.shape
            assert tensor.dtype == current.dtype
        neurons.check_output(neuron, output)
        neurons.check_shape(output, current)


def test_double_stays_double(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS).double(), currents(dtype=torch.float64)
    outputs, state = step_through(neuron, drive)
    assert {tensor.dtype for tensor in (outputs, *state)} == {torch.float64}


def test_gradient_reaches_the_first_current_and_every_parameter(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents(4).requires_grad_()
    outputs, _ = step_through(neuron, drive)
    torch.autograd.backward(outputs[-1].sum())
    assert drive.grad is not None
    assert torch.isfinite(drive.grad).all()
    assert drive.grad[0].abs().sum() > 0
    for key, parameter in neuron.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_step_is_pure(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents(4)
    _, state = step_through(neuron, drive[:3])
    state = type(state)(*(tensor.detach() for tensor in state))
    before = (drive[3].clone(), *(tensor.clone() for tensor in state))
    buffers = {key: value.clone() for key, value in neuron.state_dict().items()}
    first, first_state = neuron(drive[3], state)
    second, second_state = neuron(drive[3], state)
    assert same(before, (drive[3], *state))
    assert torch.equal(first, second)
    assert same(first_state, second_state)
    assert same(tuple(buffers.values()), tuple(neuron.state_dict().values()))


def test_interleaved_sequences_do_not_meet(name: str, currents: Draw) -> None:
    neuron, one, other = neurons.build(name, CHANNELS), currents(), currents()
    alone = step_through(neuron, one)[0], step_through(neuron, other)[0]
    states = [neuron.initial_state(one[0]), neuron.initial_state(other[0])]
    for step, pair in enumerate(zip(one, other, strict=True)):
        for i, current in enumerate(pair):
            output, states[i] = neuron(current, states[i])
            assert torch.equal(output, alone[i][step])


def test_samples_of_a_batch_do_not_meet(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS).double(), currents(batch=3, dtype=torch.float64)
    together, state = step_through(neuron, drive)
    alone, state_alone = step_through(neuron, drive[:, 1:2])
    if neuron.spiking:
        assert torch.equal(alone, together[:, 1:2])
    for a, b in zip((alone, *state_alone), (together[:, 1:2], *(field[1:2] for field in state)), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_unroll_equals_stepping(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents()
    stepped, stepped_state = step_through(neuron, drive)
    unrolled, unrolled_state = neuron.unroll(drive, neuron.initial_state(drive[0]))
    assert torch.equal(unrolled, stepped)
    assert same(unrolled_state, stepped_state)


def test_unroll_goes_on_from_a_state(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents()
    whole, last = neuron.unroll(drive, neuron.initial_state(drive[0]))
    first, state = neuron.unroll(drive[:3], neuron.initial_state(drive[0]))
    second, state = neuron.unroll(drive[3:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert same(state, last)


def test_deepcopy_is_equal_and_independent(name: str, currents: Draw, generator: torch.Generator) -> None:
    neuron, drive = perturbed(name, generator), currents()
    wanted, _ = step_through(neuron, drive)  # a layer that has run must be copied as well as a fresh one
    twin = copy.deepcopy(neuron)
    assert torch.equal(step_through(twin, drive)[0], wanted)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(step_through(neuron, drive)[0], wanted)


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_weights_survive_a_file(name: str, form: str, currents: Draw, generator: torch.Generator) -> None:
    neuron, drive = perturbed(name, generator), currents()
    fresh = neurons.build(name, CHANNELS)
    if form == "safetensors":
        read = load(save(neuron.state_dict()))
    else:
        file = io.BytesIO()
        torch.save(neuron.state_dict(), file)
        file.seek(0)
        read = torch.load(file, weights_only=True)
    fresh.load_state_dict(read)
    assert torch.equal(step_through(fresh, drive)[0], step_through(neuron, drive)[0])


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(found), Tensor) for found in gc.get_objects())


def test_memory_does_not_grow_with_steps(name: str, currents: Draw) -> None:
    neuron, current = neurons.build(name, CHANNELS), currents(1, side=3)[0]
    state, counts = neuron.initial_state(current), []
    for step in range(1, 201):
        _, state = neuron(current, state)
        state = type(state)(*(tensor.detach() for tensor in state))
        if step in (50, 200):
            counts.append(live_tensors())
    assert counts[0] == counts[1]


def test_a_step_s_graph_dies_with_its_outputs(name: str, currents: Draw) -> None:
    class Saved:
        """Holds a tensor that the graph keeps for backward, and lives as long as the graph does."""

        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor.detach()

    saved: weakref.WeakSet[Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> Saved:
        holder = Saved(tensor)
        saved.add(holder)
        return holder

    neuron, drive = neurons.build(name, CHANNELS), currents(2).requires_grad_()
    with saved_tensors_hooks(pack, lambda holder: holder.tensor):
        output, state = neuron(drive[0], neuron.initial_state(drive[0]))
        output, state = neuron(drive[1], state)
    assert len(saved) > 0
    del output, state
    gc.collect()
    assert len(saved) == 0


def test_a_dropped_layer_is_freed(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents(2)
    step_through(neuron, drive)
    parts = [weakref.ref(module) for module in neuron.modules()]
    del neuron
    gc.collect()
    assert [part() for part in parts] == [None] * len(parts)


def test_firing_rate_is_that_of_a_working_neuron(name: str, currents: Draw) -> None:
    neuron = neurons.build(name, CHANNELS)
    outputs, _ = step_through(neuron, currents(side=12))
    if neuron.spiking:
        assert 0.02 < outputs.mean() < 0.5
    else:
        assert outputs.std() > 0.01


def test_builds_and_steps_without_warnings(name: str, currents: Draw) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step_through(neurons.build(name, CHANNELS), currents(2))


def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(neurons.NeuronError, match=f"{name}.*no_such_thing"):
        neurons.build(name, CHANNELS, no_such_thing=1)
