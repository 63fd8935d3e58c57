"""What is timed: a layer of neurons, and the whole network, at two sizes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import neurons
from benchmarks import settings
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings

LOADED = settings.load(Path(__file__).parents[2] / "params.yaml")
# name -> (kind, parameters): every file of the folder, then what params.yaml adds, twins and labels
NEURONS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in neurons.available()},
    **{name: (settings.kind(name), params) for name, params in LOADED.neurons.items()},
}
REFERENCE = "lif"
MEMORYLESS = "memoryless"  # what the reference itself is held against, or its own pace would show nowhere


@dataclass(frozen=True)
class Size:
    """A network and the sequences it is given: frames of side x side pixels, of which `observed` are read."""

    network: NetworkSettings
    side: int
    length: int
    observed: int
    batch: int

    def maps(self, steps: int, generator: torch.Generator) -> Tensor:
        """Currents [steps, B, C, H, W] of unit variance, as one layer of the network receives them."""
        side = self.side // self.network.patch
        return torch.randn(steps, self.batch, self.network.channels, side, side, generator=generator)

    def frames(self, generator: torch.Generator) -> Tensor:
        """Sequences [B, T, 1, side, side] of noise in [0, 1]."""
        return torch.rand(self.batch, self.length, 1, self.side, self.side, generator=generator)


SIZES = {
    "quick": Size(NetworkSettings(patch=4, layers=2, channels=32, kernel_size=5, groups=16), 32, 10, 5, batch=8),
    "large": Size(NetworkSettings(patch=2, layers=3, channels=64, kernel_size=5, groups=16), 64, 20, 10, batch=4),
}


def sized(name: str, timing: bool) -> Size:
    """One of SIZES; on a single short sequence where nothing is timed and it is only seen to run."""
    return SIZES[name] if timing else replace(SIZES[name], length=3, observed=2, batch=1)


class Memoryless(neurons.Neuron):
    """A logistic unit without state: about the least that a layer can do."""

    spiking = False

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        return current.sigmoid(), state


def layer(name: str, channels: int, **params: Any) -> neurons.Neuron:
    """The neurons of an entry of NEURONS, or the memoryless ones."""
    if name == MEMORYLESS:
        return Memoryless()
    kind, own = NEURONS[name]
    return neurons.build(kind, channels, **own, **params)


class OneLayer:
    """A layer by itself on given currents [T, B, C, H, W]."""

    def __init__(self, neuron: neurons.Neuron, currents: Tensor) -> None:
        self.neuron, self.currents = neuron, currents.clone().requires_grad_()
        self.state = neuron.initial_state(currents[0])

    def step(self) -> Tensor:
        """One step from rest, without a graph."""
        with torch.no_grad():
            output: Tensor = self.neuron(self.currents[0], self.state)[0]
        return output

    def unroll(self) -> Tensor:
        """All steps and the backward pass through them; the outputs."""
        outputs, _ = self.neuron.unroll(self.currents, self.state)
        torch.autograd.backward(outputs.sum())
        return outputs


class Network:
    """The whole network with its optimizer on one fixed batch."""

    def __init__(self, neuron: str, size: Size, frames: Tensor, **params: Any) -> None:
        kind, own = (REFERENCE, {}) if neuron == MEMORYLESS else NEURONS[neuron]
        self.predictor = Predictor(kind, {**own, **params}, frames.shape[2:], size.network, seed=0)
        if neuron == MEMORYLESS:
            layers: Any = self.predictor.layers
            for part in layers:
                part.neuron = Memoryless()
        self.frames, self.observed = frames, size.observed
        # at a rate of zero every step costs a step and leaves the next one the same work
        self.optimizer = torch.optim.Adam(self.predictor.parameters(), lr=0.0)

    def train(self) -> None:
        """One training step in closed loop: forward, backward, update."""
        self.optimizer.zero_grad()
        predictions, _ = self.predictor(self.frames, self.observed)
        torch.autograd.backward(nn.functional.mse_loss(predictions, self.frames[:, 1:]))
        self.optimizer.step()

    def infer(self) -> Tensor:
        """Closed-loop predictions [B, T - 1, 1, side, side]."""
        with torch.no_grad():
            predictions: Tensor = self.predictor(self.frames, self.observed)[0]
        return predictions
