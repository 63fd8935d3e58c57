"""The circuit's fast step beside its plain one, which is its oracle: the same in less time."""

import pytest
import torch

from benchmarks.speed.pairs import InTurn
from benchmarks.speed.workloads import SIZES, Network, OneLayer, layer, sized

NAMES = ("stc_lif", "stc_plif", "stc_lmh", "stc_glif", "stc_norse_lif")
PLAIN = "plain"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["step", "unroll"])
def test_layer(in_turn: InTurn, size: str, name: str, way: str, generator: torch.Generator) -> None:
    given = sized(size, in_turn.timing)
    currents = given.maps(10 if in_turn.timing else 2, generator)
    own = OneLayer(layer(name, currents.shape[2]), currents)
    plain = OneLayer(layer(name, currents.shape[2], step=PLAIN), currents)
    plain.neuron.load_state_dict(own.neuron.state_dict())
    what = "one step" if way == "step" else "10 steps and back"
    output = in_turn(f"circuit, {size}: {what}", getattr(own, way), getattr(plain, way), PLAIN)
    differ = output != getattr(plain, way)()
    assert differ.float().mean() < 1e-3  # the same but for rounding, which turns a spike now and then


@pytest.mark.parametrize(("size", "name"), [*(("quick", name) for name in NAMES), ("large", "stc_lif")])
def test_training_step(in_turn: InTurn, size: str, name: str, generator: torch.Generator) -> None:
    given = sized(size, in_turn.timing)
    frames = given.frames(generator)
    own, plain = Network(name, given, frames), Network(name, given, frames, step=PLAIN)
    in_turn(f"circuit, {size}: training step", own.train, plain.train, PLAIN)
    assert all(parameter.grad is not None for parameter in own.predictor.parameters())
