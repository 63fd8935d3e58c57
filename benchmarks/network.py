"""The network around a neuron: patches, L layers of [conv, GroupNorm, neuron], a 1x1 readout, closed-loop prediction.

Source: the released code of Wang & Yu, ICML 2024. The same for every neuron, so that a difference is the neuron's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

import neurons
from benchmarks.settings import NetworkSettings, SettingsError

# Receives a layer's index, its current [B, C, H, W], the state before, the output and the state after: at every step.
Watch = Callable[[int, Tensor, Any, Tensor, Any], None]


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32 where it came in less."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class Layer(nn.Module):
    """Input current GroupNorm(Conv(x)) and the neurons that receive it."""

    def __init__(self, inputs: int, settings: NetworkSettings) -> None:
        super().__init__()
        size, channels = settings.kernel_size, settings.channels
        self.conv = nn.Conv2d(inputs, channels, size, padding=size // 2, bias=False)
        self.norm = nn.GroupNorm(settings.groups, channels)
        self.full_membrane = settings.membrane == "float32"
        self.neuron: Any = None  # put in after all layers are drawn, so that every neuron meets the same weights

    def forward(self, inputs: Tensor, state: Any, watch: Callable[..., None] | None = None) -> tuple[Tensor, Any]:
        """Outputs [T, B, C, H, W] and the last state for inputs [T, B, C', H, W]; without a state, from rest.

        The currents of all T steps come from one convolution: they depend on the inputs alone. `watch` receives the
        current, the state before, the output and the state after of every step.
        """
        currents = self.norm(self.conv(inputs.flatten(0, 1))).unflatten(0, inputs.shape[:2])
        if self.full_membrane:
            currents = at_least_float32(currents)
        if state is None:
            state = self.neuron.initial_state(currents[0])
        if watch is None:
            outputs, state = self.neuron.unroll(currents, state)
        else:
            outputs, state = self._watched(currents, state, watch)
        neurons.check_shape(outputs, currents)
        return outputs, state

    def _watched(self, currents: Tensor, state: Any, watch: Callable[..., None]) -> tuple[Tensor, Any]:
        """The same, step by step before the eyes of `watch`."""
        outputs = []
        for current in currents:
            output, after = self.neuron(current, state)
            watch(current, state, output, after)
            outputs.append(output)
            state = after
        return torch.stack(outputs), state


class Predictor(nn.Module):
    """Predicts the next frame at every step: from true frames while it observes, then from its own predictions."""

    def __init__(
        self, name: str, params: dict[str, Any], frame: tuple[int, ...], settings: NetworkSettings, seed: int
    ) -> None:
        """The network of neuron `name` with its `params`, for frames of shape `frame` (C, H, W), drawn from `seed`.

        Raises SettingsError where patches do not fill the frame, NeuronError where the neuron cannot be built.
        """
        super().__init__()
        if frame[1] % settings.patch or frame[2] % settings.patch:
            raise SettingsError(f"network.patch {settings.patch} does not divide frames of {frame[1]} x {frame[2]}")
        self.patch = settings.patch
        self.autocast = settings.precision == "bfloat16"
        firing = neurons.Firing(**settings.firing.model_dump())
        channels = frame[0] * settings.patch**2
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            widths = [channels] + [settings.channels] * settings.layers
            self.layers = nn.ModuleList(Layer(width, settings) for width in widths[:-1])
            self.readout = nn.Conv2d(settings.channels, channels, 1, bias=False)
            layers: Any = self.layers
            for layer in layers:
                layer.neuron = neurons.build(name, settings.channels, firing, **params)

    def neurons_by_layer(self) -> list[neurons.Neuron]:
        """The neurons of each layer, first to last."""
        layers: Any = self.layers
        return [layer.neuron for layer in layers]

    def forward(
        self, frames: Tensor, observed: int, true_share: Tensor | None = None, watch: Watch | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Predictions of frames 1 .. T-1 as [B, T-1, C, H, W], and each layer's outputs [T-1, B, channels, H', W'].

        frames [B, T, C, H, W], of which the first `observed` are read. Later inputs are the own predictions, or, where
        `true_share` [B, T - observed - 1] is 1, the true frame (scheduled sampling, in training only). `watch` sees
        every step of every layer; it costs the neurons' fast ways through many steps at once, and changes no number.
        """
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.autocast):
            predicted, outputs = self._roll(frames, observed, true_share, watch)
        return at_least_float32(predicted), outputs

    def _roll(
        self, frames: Tensor, observed: int, true_share: Tensor | None, watch: Watch | None
    ) -> tuple[Tensor, list[Tensor]]:
        inputs = pixel_unshuffle(frames, self.patch).transpose(0, 1)
        states: list[Any] = [None] * len(self.layers)
        predictions, outputs = [], []

        def advance(step_inputs: Tensor) -> Tensor:
            layer_outputs = []
            for i, layer in enumerate(self.layers):
                step_inputs, states[i] = layer(step_inputs, states[i], partial(watch, i) if watch else None)
                layer_outputs.append(step_inputs)
            outputs.append(layer_outputs)
            predictions.append(self.readout(step_inputs.flatten(0, 1)).unflatten(0, step_inputs.shape[:2]))
            newest: Tensor = predictions[-1][-1:]
            return newest

        last = advance(inputs[:observed])
        for t in range(observed, len(inputs) - 1):
            if true_share is not None:
                share = true_share[:, t - observed].view(1, -1, 1, 1, 1)
                last = share * inputs[t : t + 1] + (1 - share) * last
            last = advance(last)
        predicted = pixel_shuffle(torch.cat(predictions).transpose(0, 1), self.patch)
        return predicted, [torch.cat(steps) for steps in zip(*outputs, strict=True)]
