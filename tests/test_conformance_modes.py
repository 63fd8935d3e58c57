"""Every neuron under what training may put it: one compiled graph, mixed precision."""

from typing import Any

import pytest
import torch
from conformance import draw, every_neuron, gradients, layer, repeatable, same, step_through
from torch import Tensor

import neurons

pytestmark = every_neuron


def compiled_step_through(neuron: Any, currents: Tensor) -> tuple[Tensor, Any]:
    """Through a step that is compiled as one graph; `eager` captures it whole and needs no C++ compiler to run it."""
    torch.compiler.reset()
    step: Any = torch.compile(neuron, fullgraph=True, backend="eager")
    state, outputs = neuron.initial_state(currents[0]), []
    for current in currents:
        output, state = step(current, state)
        outputs.append(output)
    return torch.stack(outputs), state


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo asks every input
def test_a_neuron_that_says_it_compiles_compiles_as_one_graph_with_equal_results(name: str, device: str) -> None:
    neuron, drive = repeatable(layer(name, device)), draw(device, 3, side=4)
    if not neuron.compiles:
        pytest.skip("its class says that it does not compile")
    if isinstance(neuron, neurons.STC):
        neuron.fused = False  # the compiler gets the plain step, whose operations it may fuse by itself
    drives = [drive.clone().requires_grad_() for _ in range(2)]
    wanted, wanted_state = step_through(neuron, drives[0])
    outputs, state = compiled_step_through(neuron, drives[1])
    assert torch.equal(outputs, wanted)
    assert same(state, wanted_state)
    assert same(gradients(neuron, outputs, drives[1]), gradients(neuron, wanted, drives[0]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_mixed_precision_keeps_spikes_spikes_and_gradients_finite(name: str, device: str, dtype: Any) -> None:
    neuron, drive = layer(name, device), draw(device, side=8)
    full, _ = step_through(neuron, drive)
    mixed = drive.to(dtype).requires_grad_()
    with torch.autocast(device, torch.bfloat16):
        outputs, state = step_through(neuron, mixed)
    neurons.check_output(neuron, outputs)
    assert all(torch.isfinite(field).all() for field in state)
    if neuron.spiking:
        assert abs(outputs.float().mean() - full.mean()) < 0.1
    for gradient in gradients(neuron, outputs.float(), mixed):
        assert torch.isfinite(gradient).all()
