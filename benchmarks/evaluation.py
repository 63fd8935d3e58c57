"""A network's closed-loop predictions on a split, and what its neurons did meanwhile."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.network import Predictor
from datasets import Sequences
from neurons import check_output


@dataclass(frozen=True)
class Evaluation:
    """Predictions of the frames after the observed ones, and the mean output of each layer over everything.

    predicted: float32 [N, T - observed, C, H, W], not clipped. firing_rate: a layer's spikes per neuron and step over
    all sequences and all T - 1 steps. sparsity: share of zeros among all outputs of all layers.
    """

    predicted: NDArray[np.float32]
    firing_rate: list[float]
    sparsity: float


def evaluate(network: Predictor, sequences: Sequences, batch: int, device: torch.device) -> Evaluation:
    """Runs all `sequences` through `network`, `batch` at a time; raises NeuronError where one breaks its contract."""
    predicted = []
    active = np.zeros(len(network.layers))
    elements = np.zeros(len(network.layers))
    for start in range(0, len(sequences), batch):
        frames = torch.from_numpy(sequences.batch(slice(start, start + batch))).to(device)
        predictions, outputs = _predict(network, frames, sequences.observed)
        predicted.append(predictions[:, sequences.observed - 1 :].cpu().numpy())
        for i, (neuron, output) in enumerate(zip(network.neurons_by_layer(), outputs, strict=True)):
            check_output(neuron, output)
            active[i] += torch.count_nonzero(output).item()
            elements[i] += output.numel()
    return Evaluation(
        predicted=np.concatenate(predicted),
        firing_rate=[float(rate) for rate in active / elements],
        sparsity=float(1 - active.sum() / elements.sum()),
    )


def _predict(network: Predictor, frames: torch.Tensor, observed: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The network's forward pass in evaluation mode, without a graph; its mode is as before afterwards."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return network(frames, observed)
    finally:
        network.train(training)


def squared_error(predicted: NDArray[Any], sequences: Sequences) -> float:
    """MSE of the closed-loop predictions as the tables define it: what the validation split selects by."""
    total = 0.0
    for start in range(0, len(predicted), 64):
        true = sequences.batch(slice(start, start + 64))[:, sequences.observed :]
        total += float(np.square(predicted[start : start + 64].astype(np.float64) - true).sum())
    return total / float(predicted.shape[0] * predicted.shape[1])
