"""Every neuron beside LIF: a step, ten steps with their backward pass, a training step and inference of a network.

LIF itself is held against a layer without memory.
"""

import pytest
import torch

from benchmarks.speed.pairs import InTurn
from benchmarks.speed.workloads import MEMORYLESS, NEURONS, REFERENCE, Network, OneLayer, layer, sized

ALL = [("quick", name) for name in NEURONS]
SOME = [("large", name) for name in ("lif", "plif", "stc_lif", "stc_lmh", "convlstm")]  # a step takes seconds
EVERYWHERE = [*ALL, *(("large", name) for name in NEURONS)]


def reference(name: str) -> str:
    return MEMORYLESS if name == REFERENCE else REFERENCE


@pytest.mark.parametrize(("size", "name"), EVERYWHERE)
def test_step(in_turn: InTurn, size: str, name: str, generator: torch.Generator) -> None:
    current = sized(size, in_turn.timing).maps(1, generator)
    own, other = (OneLayer(layer(one, current.shape[2]), current) for one in (name, reference(name)))
    output = in_turn(f"{size}: one step", own.step, other.step, reference(name))
    assert output.shape == current.shape[1:]


@pytest.mark.parametrize(("size", "name"), EVERYWHERE)
def test_unroll(in_turn: InTurn, size: str, name: str, generator: torch.Generator) -> None:
    currents = sized(size, in_turn.timing).maps(10 if in_turn.timing else 2, generator)
    own, other = (OneLayer(layer(one, currents.shape[2]), currents) for one in (name, reference(name)))
    outputs = in_turn(f"{size}: 10 steps and back", own.unroll, other.unroll, reference(name))
    assert outputs.shape == currents.shape
    assert own.currents.grad is not None


@pytest.mark.parametrize(("size", "name"), ALL + SOME)
def test_training_step(in_turn: InTurn, size: str, name: str, generator: torch.Generator) -> None:
    given = sized(size, in_turn.timing)
    frames = given.frames(generator)
    own, other = (Network(one, given, frames) for one in (name, reference(name)))
    in_turn(f"{size}: training step", own.train, other.train, reference(name))
    assert all(parameter.grad is not None for parameter in own.predictor.parameters())


@pytest.mark.parametrize(("size", "name"), ALL + SOME)
def test_inference(in_turn: InTurn, size: str, name: str, generator: torch.Generator) -> None:
    given = sized(size, in_turn.timing)
    frames = given.frames(generator)
    own, other = (Network(one, given, frames) for one in (name, reference(name)))
    predictions = in_turn(f"{size}: inference", own.infer, other.infer, reference(name))
    assert predictions.shape == frames[:, 1:].shape
