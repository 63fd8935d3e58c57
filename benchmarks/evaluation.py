"""A network's closed-loop predictions on a split, and what its neurons did meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.loading import batches
from benchmarks.metrics import Array
from benchmarks.network import Predictor, Watch
from datasets import Sequences
from neurons import check_output


@dataclass(frozen=True)
class Activity:
    """What the neurons gave out over all sequences and all T - 1 steps.

    firing_rate: a layer's spikes per neuron and step. sparsity: share of zeros among all outputs of all layers.
    """

    firing_rate: list[float]
    sparsity: float


def evaluate(
    network: Predictor,
    sequences: Sequences,
    batch: int,
    device: torch.device,
    on_batch: Callable[[Array, Array], None],
    loaders: int = 0,
    on_outputs: Callable[[list[torch.Tensor]], None] | None = None,
    watch: Watch | None = None,
) -> Activity:
    """Runs all `sequences` through `network`, `batch` at a time; raises NeuronError where one breaks its contract.

    `on_batch` receives, in the order of the sequences, the predictions of the frames after the observed ones, not
    clipped, and these frames themselves: float32 [B, T - observed, C, H, W] each. `on_outputs` receives what each
    layer's neurons gave out in the same batch, [T - 1, B, channels, H', W'], `watch` every step (Predictor.forward).
    """
    active = np.zeros(len(network.layers))
    elements = np.zeros(len(network.layers))
    for frames in batches(sequences, sequences.slices(batch), device, loaders):
        predictions, outputs = _predict(network, frames, sequences.observed, watch)
        on_batch(predictions[:, sequences.observed - 1 :].cpu().numpy(), frames[:, sequences.observed :].cpu().numpy())
        if on_outputs is not None:
            on_outputs(outputs)
        for i, (neuron, output) in enumerate(zip(network.neurons_by_layer(), outputs, strict=True)):
            check_output(neuron, output)
            active[i] += torch.count_nonzero(output).item()
            elements[i] += output.numel()
    return Activity(
        firing_rate=[float(rate) for rate in active / elements],
        sparsity=float(1 - active.sum() / elements.sum()),
    )


def _predict(
    network: Predictor, frames: torch.Tensor, observed: int, watch: Watch | None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The network's forward pass in evaluation mode, without a graph; its mode is as before afterwards."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            return network(frames, observed, watch=watch)
    finally:
        network.train(training)
