"""Who fires, when and how often: statistics of the spikes of a split, gathered as they stream by."""

from typing import Any

import torch
from torch import Tensor

BINS = 20  # of the firing rates 0 .. 1 of single neurons


class Spikes:
    """Counts of all spikes of each layer, by neuron and by step.

    A neuron is a channel at a place: a layer of [C, H, W] has C H W of them. What is kept does not grow with the
    number of sequences.
    """

    def __init__(self) -> None:
        self.sequences = 0
        self.by_neuron: list[Tensor] = []  # of each layer, int64 [C, H, W]
        self.by_step: list[Tensor] = []  # of each layer, int64 [T]

    def add(self, outputs: list[Tensor]) -> None:
        """Counts a batch: the outputs [T, B, C, H, W] of each layer, 0 or 1."""
        fired = [output.detach() != 0 for output in outputs]
        by_neuron, by_step = ([layer.sum(axes).cpu() for layer in fired] for axes in ((0, 1), (1, 2, 3, 4)))
        if not self.sequences:
            self.by_neuron, self.by_step = by_neuron, by_step
        else:
            for total, new in zip(self.by_neuron + self.by_step, by_neuron + by_step, strict=True):
                total += new
        self.sequences += outputs[0].shape[1]

    def summary(self) -> dict[str, Any]:
        """The statistics of each layer, and `sparsity`, the share of zeros among all outputs of all layers.

        rate: spikes a neuron and step; rate_by_step: the same for each step; rate_of_neurons: the share of the layer's
        neurons whose own rate lies in each of BINS equal bins of 0 .. 1; dead: share of neurons that never fire;
        saturated: share of those that fire at every step of every sequence.
        """
        outputs = sum(counts.numel() for counts in self.by_neuron) * self.sequences * len(self.by_step[0])
        fired = sum(int(counts.sum()) for counts in self.by_step)
        return {
            "sparsity": 1 - fired / outputs,
            "layers": [self._layer(*counts) for counts in zip(self.by_neuron, self.by_step, strict=True)],
        }

    def _layer(self, by_neuron: Tensor, by_step: Tensor) -> dict[str, Any]:
        neurons, chances = by_neuron.numel(), self.sequences * len(by_step)
        rate = int(by_step.sum()) / (neurons * chances)
        bins = (by_neuron.flatten() * BINS // chances).clamp(
            max=BINS - 1
        )  # in whole numbers: edges fall where they are
        return {
            "rate": rate,
            "sparsity": 1 - rate,
            "rate_by_step": (by_step / (neurons * self.sequences)).tolist(),
            "rate_of_neurons": (torch.bincount(bins, minlength=BINS) / neurons).tolist(),
            "dead": int((by_neuron == 0).sum()) / neurons,
            "saturated": int((by_neuron == chances).sum()) / neurons,
        }
