"""How much a network computes, counted on tensors without content: of any profile, in milliseconds, on any machine."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from benchmarks.command import Cell
from benchmarks.network import Predictor
from benchmarks.plan.extents import Extent
from benchmarks.settings import NetworkSettings, SettingsError
from neurons import STC

Pair = tuple[int, int]
SHORT = 3, 4  # frames of the two sequences that are counted: every step but the first computes the same
SIDE = 4  # of the maps that are counted: the work goes by the number of cells of a map


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates of one sequence, predicted and trained on (forward and backward), and the parameters.

    Convolutions and matrix products alone, with the zeros around a map, as a device computes them; every step as in
    closed loop.
    """

    inference: int
    training: int
    parameters: int


def count(cell: Cell, extent: Extent) -> Work:
    """The work of the cell's network on its dataset. Raises NeuronError or SettingsError as the network does."""
    settings = cell.settings.network
    channels, height, width = extent.frame
    if height % settings.patch or width % settings.patch:
        raise SettingsError(f"network.patch {settings.patch} does not divide frames of {height} x {width}")
    area = height * width // (SIDE * settings.patch) ** 2
    first, further, parameters = _by_step(cell.kind, json.dumps(cell.params), settings, channels)
    inference, training = (area * (one + (extent.length - 2) * more) for one, more in zip(first, further, strict=True))
    return Work(inference, training, parameters)


@cache
def _by_step(kind: str, params: str, settings: NetworkSettings, channels: int) -> tuple[Pair, Pair, int]:
    """Of maps of SIDE: what the first step takes and each further one (prediction, training); the parameters."""
    plain = settings.model_copy(update={"compile": False, "recompute": None})
    frame = channels, SIDE * settings.patch, SIDE * settings.patch
    network = Predictor(kind, json.loads(params), frame, plain, seed=0).to("meta")  # some read what they draw
    for module in network.modules():
        if isinstance(module, STC):
            module.fused = False  # the fast step asks for autocast, which knows no such device
    short, longer = (_counted(network, length, frame) for length in SHORT)
    further = longer[0] - short[0], longer[1] - short[1]
    first = tuple(of_all - (SHORT[0] - 2) * more for of_all, more in zip(short, further, strict=True))
    return (first[0], first[1]), further, sum(parameter.numel() for parameter in network.parameters())


def _counted(network: Predictor, length: int, frame: tuple[int, ...]) -> Pair:
    """Multiply-accumulates of one prediction and of one training step on a sequence of `length` frames."""
    frames: Any = torch.empty(1, length, *frame, device="meta")
    formulas = {torch.ops.aten.convolution_backward: _convolution_backward}
    with FlopCounterMode(display=False) as forward:
        # forward() of the network without its autocast, which changes no count
        predictions, _ = network._roll(frames, 1, None, None, False)
    with FlopCounterMode(display=False, custom_mapping=formulas) as backward:
        torch.nn.functional.mse_loss(predictions, frames[:, 1:]).backward()  # type: ignore[no-untyped-call]
    network.zero_grad()
    once = forward.get_total_flops() // 2
    return once, once + backward.get_total_flops() // 2


def _convolution_backward(made: Any, inputs: Any, weight: Any, *how: Any, **shapes: Any) -> int:
    """Each of the two gradients takes what the convolution took; torch's own formula leaves its groups out.

    `how`: bias, stride, padding, dilation, transposed, output padding, groups, which gradients are asked for.
    """
    once = conv_flop_count(inputs, weight, made, transposed=how[4])
    return once * sum(map(bool, how[7][:2]))
