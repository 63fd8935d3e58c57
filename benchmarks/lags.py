"""How far back a neuron reaches: gradient over lag, memory of one frame, membrane over time, the circuit's factors.

The network is driven for STEPS steps by true frames, a sequence's played forth and back. So every neuron sees the same
film. In closed loop each would see its own: noise before training, a picture that stands still some steps after the
last trained one; and its predictions would carry on what the neurons have forgotten.

gradient    The currents that a layer received are played to its neurons once more, and a random projection of their
            last outputs is differentiated by the state that they carried k steps earlier. Nothing else can carry the
            gradient (no other layer, no readout, no frame): it is the path through the neuron's own state.
memory      One frame is swapped for another sequence's, all later ones are as they were, and each layer's outputs are
            compared k steps later. States alone can carry the difference, those of the layers below among them.
membrane    Root mean square and greatest magnitude after every step.
factors     What the circuit multiplied membrane and current with, where there is a circuit.

Source of the question: Wang & Yu, ICML 2024, whose temporal factor need not forget exponentially as a leak does.
"""

import math
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.network import Predictor
from neurons import STC, Neuron

STEPS = 20  # that the network is driven for
SWAPPED = 4  # the step whose frame is swapped, counted from 0
REACH = 15  # greatest lag at which memory is looked at
BINS = 20  # of the factors, over 0 .. 2


class Factor:
    """One of the circuit's factors over all places and steps: a histogram, mean and standard deviation."""

    def __init__(self) -> None:
        self.bins = torch.zeros(BINS, dtype=torch.float64)
        self.moments = torch.zeros(3, dtype=torch.float64)  # how many, their sum, the sum of their squares

    def add(self, factor: Tensor) -> None:
        """Counts factors of any shape."""
        values = factor.detach().double().cpu()  # a GPU's histogram need not repeat itself
        self.bins += torch.histc(values, BINS, 0, 2)
        self.moments += torch.stack([torch.tensor(values.numel()), values.sum(), values.square().sum()])

    def summary(self) -> dict[str, Any] | None:
        """The share in each bin of 0 .. 2, `mean` and `sd`; None where there was no such factor."""
        count, total, squares = self.moments.tolist()
        if not count:
            return None
        mean = total / count
        sd = math.sqrt(max(0.0, squares / count - mean**2))
        return {"histogram": (self.bins / count).tolist(), "mean": mean, "sd": sd}


class Drive:
    """What one layer's neurons received and how their membrane went, step by step."""

    def __init__(self, neuron: Neuron) -> None:
        self.neuron = neuron
        self.currents: list[Tensor] = []
        self.rms: list[float] = []
        self.largest: list[float] = []
        self.membrane = ""
        self.temporal, self.spatial = Factor(), Factor()

    def see(self, current: Tensor, before: Any, after: Any) -> None:
        """Takes in one step; for a Predictor's `watch`."""
        if isinstance(self.neuron, STC) and self.currents:  # at rest there are no last spikes, and no factor to see
            for seen, factor in zip((self.temporal, self.spatial), self.neuron.factors(before.s), strict=True):
                if isinstance(factor, Tensor):  # the number 1 where the pathway is not there
                    seen.add(factor)
        self.currents.append(current)
        self.membrane = membrane_of(after)
        if self.membrane:
            values = getattr(after, self.membrane).double()
            self.rms.append(values.square().mean().sqrt().item())
            self.largest.append(values.abs().max().item())


def membrane_of(state: Any) -> str:
    """The field that stands for the membrane: `v`, or the first one beside `s` of a neuron that has none; else ""."""
    fields = [name for name, field in zip(state._fields, state, strict=True) if name != "s" and _carries(field)]
    return "v" if "v" in fields else next(iter(fields), "")


def _carries(field: Tensor) -> bool:
    """Whether a gradient can pass through the field: clocks and counters are none of the memory."""
    return field.is_floating_point() and field.ndim > 0


def film(frames: Tensor) -> Tensor:
    """The frames [B, T, C, H, W], T > 1, played forth and back until there are STEPS + 1 of them."""
    forth_and_back = [*range(frames.shape[1]), *range(frames.shape[1] - 2, 0, -1)]
    return frames[:, list(islice(cycle(forth_and_back), STEPS + 1))]


def lags(network: Predictor, frames: Tensor) -> list[dict[str, Any]]:
    """What the module's docstring lists, layer by layer, on true sequences [B, T, C, H, W]; docs/dynamics.md explains.

    The network is left as it was.
    """
    shown = film(frames)
    drives = [Drive(neuron) for neuron in network.neurons_by_layer()]
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(shown, STEPS, watch=lambda i, current, before, _, after: drives[i].see(current, before, after))
            memories = memory(network, shown)
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=network.autocast):
            norms = [gradient_norms(drive.neuron, drive.currents) for drive in drives]
    finally:
        network.train(training)
    return [_layer(*found) for found in enumerate(zip(drives, norms, memories, strict=True), start=1)]


def _layer(place: int, found: tuple[Drive, list[float], list[float] | None]) -> dict[str, Any]:
    drive, norms, changes = found
    first = norms[0] or 1.0  # where nothing comes through the last step, nothing does through any other
    record: dict[str, Any] = {
        "layer": place,
        "gradient": {"norm": [norm / first for norm in norms], "per_step": per_step(norms)},
        "memory": changes,
        "membrane": {"field": drive.membrane, "rms": drive.rms, "largest": drive.largest} if drive.membrane else None,
    }
    if isinstance(drive.neuron, STC):
        record["factors"] = {"temporal": drive.temporal.summary(), "spatial": drive.spatial.summary()}
    return record


def gradient_norms(neuron: Neuron, currents: list[Tensor]) -> list[float]:
    """Norms of the gradient by the state carried k = 1 .. T - 1 steps before the last output, mean over the sequences.

    `currents`: T of [B, C, H, W]. What is differentiated is the product of the last outputs with a fixed random
    tensor, so that neither the sign nor the number of outputs favours a neuron; all floating fields of the state count
    together. The state at rest is left out: there the GroupNorm of a silent map multiplies the circuit's gradient
    (docs/neurons.md), which says nothing about lag.
    """
    state = neuron.initial_state(currents[0])
    carried: list[list[Tensor]] = []
    output = torch.zeros_like(currents[0])
    with torch.enable_grad():
        for current in currents:
            state = state._make(_node(field) if _carries(field) else field for field in state)
            carried.append([field for field in state if _carries(field)])
            output, state = neuron(current, state)
        draw = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
        loss = (output * draw.to(output.device)).sum()
    if not loss.requires_grad:  # nothing of the state reaches the output
        return [0.0] * (len(currents) - 1)
    inputs = [field for fields in carried for field in fields]
    gradients = iter(torch.autograd.grad(loss, inputs, allow_unused=True))
    norms = []
    for fields in carried:
        squares = torch.zeros(len(output), dtype=torch.float64)
        for gradient in (next(gradients) for _ in fields):
            if gradient is not None:
                squares += gradient.double().square().flatten(1).sum(1).cpu()
        norms.append(squares.sqrt().mean().item())
    return norms[:0:-1]


def _node(field: Tensor) -> Tensor:
    """The field as a node of its own in the graph: what is differentiated by it is what this step makes of it.

    The same tensor may also be an output, or another field later on. One that no gradient reaches from before (a
    current that is kept, spikes that were detached) starts a graph here.
    """
    return field.view_as(field) if field.requires_grad else field.detach().requires_grad_()


def per_step(norms: list[float]) -> float | None:
    """The factor by which the gradient changes with every step back: exp of the slope of log norm over lag.

    A least-squares line through all lags with a norm that is finite and not 0; None where there are fewer than two.
    """
    lag = np.arange(1, len(norms) + 1)
    norm = np.array(norms)
    fit = np.isfinite(norm) & (norm > 0)
    if fit.sum() < 2:
        return None
    return math.exp(np.polyfit(lag[fit], np.log(norm[fit]), 1)[0])


def memory(network: Predictor, shown: Tensor) -> list[list[float]] | list[None]:
    """Relative change of each layer's outputs 0 .. REACH steps after a frame of `shown` was swapped.

    shown [B, STEPS + 1, C, H, W]; the frame becomes that of the sequence before. A relative change is the sum of the
    outputs' changes over the sum of their magnitudes, over all sequences: 0 where nothing is remembered, 2 (1 - rate)
    where spikes have become independent of what they were. None for each layer where there is no other sequence.
    """
    if len(shown) < 2:
        return [None] * len(network.layers)
    swapped = shown.clone()
    swapped[:, SWAPPED] = shown[:, SWAPPED].roll(1, dims=0)
    # at the same sizes, each alone: where states agree, outputs then agree to the last bit
    (_, before), (_, after) = (network(frames, STEPS) for frames in (shown, swapped))
    later = slice(SWAPPED, SWAPPED + REACH + 1)
    return [
        [_relative(old, new) for old, new in zip(one[later], other[later], strict=True)]
        for one, other in zip(before, after, strict=True)
    ]


def _relative(old: Tensor, new: Tensor) -> float:
    change = (new.double() - old.double()).abs().sum().item()
    size = old.double().abs().sum().item()
    return change / size if size else math.inf if change else 0.0
