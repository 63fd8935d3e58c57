"""What a neuron leaves behind: nothing in memory, everything in a file."""

import copy
import gc
import io
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conformance import (
    CHANNELS,
    detached,
    draw,
    every_neuron,
    gradients,
    layer,
    perturbed,
    repeatable,
    same,
    step_through,
)
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import neurons

pytestmark = every_neuron


@pytest.fixture(scope="module", autouse=True)
def quick_collection() -> Iterator[None]:
    """Sets aside what the libraries made at their import, so that a collection looks at a test's own objects alone."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


# --- memory -----------------------------------------------------------------------------------------------------------


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(found), Tensor) for found in gc.get_objects())


def test_memory_does_not_grow_with_steps(name: str, device: str) -> None:
    neuron, current = layer(name, device), draw(device, 1, batch=1, side=2)[0]
    state, counts = neuron.initial_state(current), []
    for step in range(1, 1001):
        _, state = neuron(current, state)
        state = detached(state)
        if step in (100, 1000):
            counts.append(live_tensors())
    assert counts[0] == counts[1]


class Saved:
    """Holds a tensor that the graph keeps for backward, and lives as long as the graph does."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()


def test_a_step_s_graph_dies_with_its_outputs(name: str, device: str) -> None:
    saved: weakref.WeakSet[Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> Saved:
        holder = Saved(tensor)
        saved.add(holder)
        return holder

    neuron, drive = layer(name, device), draw(device, 2).requires_grad_()
    with saved_tensors_hooks(pack, lambda holder: holder.tensor):
        outputs, state = step_through(neuron, drive)
    assert len(saved) > 0
    del outputs, state
    gc.collect()
    assert len(saved) == 0


def test_a_step_that_broke_off_leaves_nothing(name: str, device: str) -> None:
    """Recomputation for backward stops as soon as it has what it needs; a tensor left over could not be copied."""
    neuron, drive = repeatable(layer(name, device)), draw(device, 2).requires_grad_()
    wanted = step_through(neuron, drive)[0]
    output, _ = checkpoint(neuron, drive[0], neuron.initial_state(drive[0]), use_reentrant=False)
    gradients(neuron, output, drive)
    assert torch.equal(step_through(copy.deepcopy(neuron), drive)[0], wanted)


def test_a_dropped_layer_is_freed(name: str, device: str) -> None:
    neuron = layer(name, device)
    step_through(neuron, draw(device, 2))
    parts = [weakref.ref(module) for module in neuron.modules()]
    del neuron
    gc.collect()
    assert [part() for part in parts] == [None] * len(parts)


def test_layers_that_were_built_and_dropped_are_freed(name: str, device: str) -> None:
    parts = [weakref.ref(part) for _ in range(50) for part in neurons.build(name, CHANNELS).to(device).modules()]
    gc.collect()
    assert not [part for part in parts if part() is not None]


# --- copies and files -------------------------------------------------------------------------------------------------


def test_deepcopy_is_equal_and_independent(name: str, device: str) -> None:
    neuron, drive = repeatable(perturbed(layer(name, device))), draw(device)
    wanted, _ = step_through(neuron, drive)  # a layer that has run must be copied as well as a fresh one
    twin = copy.deepcopy(neuron)
    assert torch.equal(step_through(twin, drive)[0], wanted)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(step_through(neuron, drive)[0], wanted)


def test_a_copy_fires_with_its_own_policy(name: str, device: str) -> None:
    """A library's step that was bound to the original would ask the original how to fire."""
    neuron, drive = repeatable(layer(name, device)), draw(device).requires_grad_()
    firing = neurons.Firing(surrogate="rectangle", alpha=1.0, reset_gradient="detached")
    wanted = repeatable(layer(name, device, firing=firing))
    twin = copy.deepcopy(neuron)
    for part in twin.modules():
        if isinstance(part, neurons.Neuron):
            part.firing = firing
    into = [gradients(either, step_through(either, drive)[0], drive) for either in (twin, wanted)]
    assert same(*into)


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_weights_survive_a_file(name: str, device: str, form: str) -> None:
    neuron, drive = repeatable(perturbed(layer(name, device))), draw(device)
    fresh = repeatable(layer(name, device))
    if form == "safetensors":
        read = load(save(neuron.state_dict()))
    else:
        file = io.BytesIO()
        torch.save(neuron.state_dict(), file)
        file.seek(0)
        read = torch.load(file, weights_only=True)
    fresh.load_state_dict(read)
    assert torch.equal(step_through(fresh, drive)[0], step_through(neuron, drive)[0])


def trainee(name: str, device: str) -> tuple[Any, torch.optim.Adam]:
    """A convolution, so that there is something to learn under every neuron, and the neuron."""
    neuron = layer(name, device)
    network = nn.ModuleDict({"convolution": nn.Conv2d(CHANNELS, CHANNELS, 1).to(device), "neuron": neuron})
    return network, torch.optim.Adam(network.parameters(), lr=0.01)


def train(network: Any, optimizer: torch.optim.Adam, drives: list[Tensor]) -> None:
    for drive in drives:
        optimizer.zero_grad()
        currents = torch.stack([network["convolution"](current) for current in drive])
        outputs, _ = step_through(network["neuron"], currents)
        (outputs - 0.5).square().mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def test_training_that_went_through_a_file_equals_training_that_did_not(name: str, device: str, tmp_path: Path) -> None:
    drives = [draw(device, 3, side=4, seed=seed) for seed in range(4)]
    network, optimizer = trainee(name, device)
    train(network, optimizer, drives)

    first, first_optimizer = trainee(name, device)
    train(first, first_optimizer, drives[:2])
    torch.save((first.state_dict(), first_optimizer.state_dict()), tmp_path / "half")
    second, second_optimizer = trainee(name, device)
    weights, moments = torch.load(tmp_path / "half", weights_only=True)
    second.load_state_dict(weights)
    second_optimizer.load_state_dict(moments)
    train(second, second_optimizer, drives[2:])

    whole, halves, start = (found.state_dict() for found in (network, second, trainee(name, device)[0]))
    assert list(whole) == list(halves)
    assert same(tuple(whole.values()), tuple(halves.values()))
    assert not same(tuple(whole.values()), tuple(start.values()))


# --- the log ----------------------------------------------------------------------------------------------------------


def test_builds_and_steps_without_warnings(name: str, device: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step_through(layer(name, device), draw(device, 2))
