"""How much a network computes, counted on tensors without content: of any profile, in milliseconds, on any machine."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from benchmarks.command import Cell
from benchmarks.network import Predictor
from benchmarks.plan.extents import Extent
from neurons import STC

SHORT = 3, 4  # frames of the two sequences that are counted: every step but the first computes the same


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates of one sequence, predicted and trained on (forward and backward), and the parameters.

    Convolutions and matrix products alone, with the zeros around a map, as a device computes them.
    """

    inference: int
    training: int
    parameters: int


def count(cell: Cell, extent: Extent) -> Work:
    """The work of the cell's network on its dataset. Raises NeuronError or SettingsError as the network does."""
    settings = cell.settings.network.model_copy(update={"compile": False, "recompute": None})
    network = Predictor(cell.kind, cell.params, extent.frame, settings, seed=0).to("meta")  # some read what they draw
    for module in network.modules():
        if isinstance(module, STC):
            module.fused = False  # the fast step asks for autocast, which knows no such device
    lengths = SHORT if extent.length > max(SHORT) else (extent.length,)
    counted = [_counted(network, length, extent.frame) for length in lengths]
    more = extent.length - lengths[0]
    inference, training = (
        short + more * (longer - short) for short, longer in zip(counted[0], counted[-1], strict=True)
    )
    return Work(inference, training, sum(parameter.numel() for parameter in network.parameters()))


def _counted(network: Predictor, length: int, frame: tuple[int, ...]) -> tuple[int, int]:
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
