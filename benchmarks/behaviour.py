"""What a neuron does: its spikes, its operations and their energy, and how far back it reaches.

Seen in the network of seed 0, before training and with the weights that training left.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import energy, operations
from benchmarks.cell import Cell
from benchmarks.device import settle
from benchmarks.evaluation import evaluate
from benchmarks.lags import lags
from benchmarks.network import Predictor
from benchmarks.rounding import rounded
from benchmarks.spikes import Spikes
from datasets import Sequences

BATCH = 8  # test sequences for operations and lags


def behaviour(cell: Cell, weights: dict[str, Tensor]) -> dict[str, Any]:
    """What dynamics.json says of a cell whose training left `weights`; may raise whatever a neuron does."""
    device = settle(cell.settings.training.device)
    test = cell.open("test")
    frames = torch.from_numpy(test.batch(spread(len(test)))).to(device)
    network = Predictor(cell.kind, cell.params, test.shape[2:], cell.settings.network, seed=0).to(device)
    neuron = network.neurons_by_layer()[0]
    start = lags(network, frames)
    network.load_state_dict(weights)
    counts = operations.count(network, frames, test.observed)
    content: dict[str, Any] = {
        "group": neuron.group,
        "spiking": neuron.spiking,
        **({"spikes": spikes(network, test, cell.settings.training.batch, device)} if neuron.spiking else {}),
        "operations": counts,
        "energy": energy.estimate(counts),
        "lags": {"start": start, "trained": lags(network, frames)},
    }
    made: dict[str, Any] = rounded(content)
    return made


def spikes(network: Predictor, split: Sequences, batch: int, device: torch.device) -> dict[str, Any]:
    """Statistics of the spikes over all sequences of a split, in closed loop."""
    seen = Spikes()
    evaluate(network, split, batch, device, lambda predicted, true: None, on_outputs=seen.add)
    return seen.summary()


def spread(available: int) -> Any:
    """Indices of up to BATCH sequences that lie far apart: neighbours on a film share most of their frames."""
    count = min(BATCH, available)
    return np.arange(count) * available // count
