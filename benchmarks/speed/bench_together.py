"""Four seeds trained together beside the same four one after another: a training step of each."""

import pytest
import torch
from torch import Tensor

from benchmarks.speed.pairs import InTurn
from benchmarks.speed.workloads import Network, sized
from benchmarks.together import Stack

SEEDS = 4


@pytest.mark.parametrize("name", ["lif", "stc_lif"])
def test_training_step(in_turn: InTurn, name: str, generator: torch.Generator) -> None:
    given = sized("quick", in_turn.timing)
    frames = torch.stack([given.frames(generator) for _ in range(SEEDS)])
    # all of the same weights, on which the time does not depend
    alone, others = ([Network(name, given, own) for own in frames] for _ in range(2))
    stack = Stack([other.predictor for other in others])
    own_predictions = torch.zeros(SEEDS, given.batch, given.length - given.observed - 1)

    def together() -> Tensor:
        losses = stack.backward(frames, given.observed, own_predictions)
        for other in others:
            other.optimizer.step()
        return losses

    def one_by_one() -> None:
        for network in alone:
            network.train()

    losses = in_turn(f"together, quick: training step of {SEEDS} seeds", together, one_by_one, "one by one")
    for network, own, loss in zip(alone, frames, losses, strict=True):  # the same but for rounding
        predictions = network.infer()
        assert abs(loss / torch.nn.functional.mse_loss(predictions, own[:, 1:]) - 1) < 1e-3
