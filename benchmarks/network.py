"""The network around a neuron: patches, L layers of [conv, GroupNorm, neuron], a 1x1 readout, closed-loop prediction.

Source: the released code of Wang & Yu, ICML 2024. The same for every neuron, so that a difference is the neuron's.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

import neurons
from benchmarks.settings import AS_WIDE_AS, NetworkSettings, SettingsError

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
        self.compiled: tuple[Any, ...] = ()

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
        if watch is None and not self.compiled:
            outputs, state = self.neuron.unroll(currents, state)
        else:
            outputs, state = self._stepped(currents, state, watch)
        neurons.check_shape(outputs, currents)
        return outputs, state

    def _stepped(self, currents: Tensor, state: Any, watch: Callable[..., None] | None) -> tuple[Tensor, Any]:
        """The same step by step: compiled, or before the eyes of `watch`."""
        step = self.compiled[0] if self.compiled else self.neuron
        outputs = []
        for current in currents:
            output, after = step(current, state)
            if watch is not None:
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

        With as_wide_as (the `neuron` and `params` of a twin) among `params` it is widened to the twin's size.
        Raises SettingsError where patches do not fill the frame, NeuronError where the neuron cannot be built.
        """
        super().__init__()
        if frame[1] % settings.patch or frame[2] % settings.patch:
            raise SettingsError(f"network.patch {settings.patch} does not divide frames of {frame[1]} x {frame[2]}")
        twin, usual = params.get(AS_WIDE_AS), settings.channels
        if twin:
            params = {key: value for key, value in params.items() if key != AS_WIDE_AS}
            settings = _widened(name, params, frame, settings, twin)
        self.patch = settings.patch
        self.autocast = settings.precision == "bfloat16"
        self.recompute = settings.recompute
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
                if twin:
                    size = (
                        f"{settings.channels} channels in place of {usual}, to the size of {twin['neuron']}'s network"
                    )
                    layer.neuron.note = f"{layer.neuron.note}; {size}" if layer.neuron.note else size
        if settings.channels_last:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # of the weights: what is computed from them follows
        if settings.compile or settings.recompute:
            self._check_options(name, settings)

    def _check_options(self, name: str, settings: NetworkSettings) -> None:
        for layer in self.layers:
            neuron: Any = layer.neuron
            if settings.recompute and neuron.normalises_batch:
                raise neurons.UnsupportedError(
                    f"{name} with network.recompute: its statistics of the batch would be updated twice; leave it null"
                )
            if settings.compile and not neuron.compiles:
                raise neurons.UnsupportedError(f"{name} with network.compile: its step is not one graph; set it false")
            if settings.compile:
                layer.compiled = (torch.compile(neuron, fullgraph=True),)  # type: ignore[assignment]  # in a tuple: not a part of the module

    def neurons_by_layer(self) -> list[neurons.Neuron]:
        """The neurons of each layer, first to last."""
        layers: Any = self.layers
        return [layer.neuron for layer in layers]

    def forward(
        self,
        frames: Tensor,
        observed: int,
        true_share: Tensor | None = None,
        watch: Watch | None = None,
        with_outputs: bool = True,
    ) -> tuple[Tensor, list[Tensor]]:
        """Predictions of frames 1 .. T-1 as [B, T-1, C, H, W], and each layer's outputs [T-1, B, channels, H', W'].

        frames [B, T, C, H, W], of which the first `observed` are read. Later inputs are the own predictions, or, where
        `true_share` [B, T - observed - 1] is 1, the true frame (scheduled sampling, in training only). `watch` sees
        every step of every layer; it costs the neurons' fast ways through many steps at once, and changes no number.
        Training needs no outputs: without them the list is empty.
        """
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=self.autocast):
            predicted, outputs = self._roll(frames, observed, true_share, watch, with_outputs)
        return at_least_float32(predicted), outputs

    def _roll(
        self, frames: Tensor, observed: int, true_share: Tensor | None, watch: Watch | None, with_outputs: bool
    ) -> tuple[Tensor, list[Tensor]]:
        inputs = pixel_unshuffle(frames, self.patch).transpose(0, 1)
        states: Any = [None] * len(self.layers)
        kept = self.recompute if self.recompute and watch is None and torch.is_grad_enabled() else None
        predictions, outputs = list[Tensor](), list[list[Tensor]]()
        last = inputs[:0]  # the newest prediction; before the first one there is none
        for start, stop in _segments(observed, len(inputs) - 1, kept):
            true = inputs[start:stop]
            share = None if true_share is None else true_share[:, max(0, start - observed) : stop - observed]
            run: Any = self._observe if start < observed else self._continue
            if kept:
                run = partial(checkpoint, run, use_reentrant=False, preserve_rng_state=False, context_fn=_saving)
            made, new, states = run(true, last, share, states, watch)
            predictions += made
            outputs += new if with_outputs else []
            last = made[-1][-1:]
        predicted = pixel_shuffle(torch.cat(predictions).transpose(0, 1), self.patch)
        return predicted, [torch.cat(steps) for steps in zip(*outputs, strict=True)]

    def _observe(self, true: Tensor, last: Tensor, share: Tensor | None, states: Any, watch: Watch | None) -> Any:
        """Steps that read true frames [T, B, C, H, W], layer by layer: predictions, layers' outputs, states."""
        prediction, outputs, states = self._advance(true, states, watch)
        return [prediction], [outputs], states

    def _continue(self, true: Tensor, last: Tensor, share: Tensor | None, states: Any, watch: Watch | None) -> Any:
        """Steps that read the prediction before, or, where `share` [B, T] is 1, the true frame."""
        predictions, outputs = list[Tensor](), list[list[Tensor]]()
        for t in range(len(true)):
            if share is not None:
                of_step = share[:, t].view(1, -1, 1, 1, 1)
                last = of_step * true[t : t + 1] + (1 - of_step) * last
            last, new, states = self._advance(last, states, watch)
            predictions.append(last)
            outputs.append(new)
        return predictions, outputs, states

    def _advance(self, inputs: Tensor, states: Any, watch: Watch | None) -> tuple[Tensor, list[Tensor], list[Any]]:
        """Inputs [T, B, C, H, W] through all layers: prediction of each step, outputs of each layer, their states."""
        outputs, after = list[Tensor](), list[Any]()
        for i, layer in enumerate(self.layers):
            inputs, state = layer(inputs, states[i], partial(watch, i) if watch else None)
            outputs.append(inputs)
            after.append(state)
        return self.readout(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]), outputs, after


def _widened(
    name: str, params: dict[str, Any], frame: tuple[int, ...], settings: NetworkSettings, twin: dict[str, Any]
) -> NetworkSettings:
    """The settings with as many channels as bring the parameter count nearest to the twin's at the usual width.

    Channels per group of the GroupNorm stay as they are, so that the width goes in steps of them; a tie goes to the
    narrower network, and none is narrower than usual.
    """
    plain = settings.model_copy(update={"compile": False, "recompute": None})  # they change no count
    step = settings.channels // settings.groups

    def count(kind: str, of: dict[str, Any], groups: int) -> int:
        sized = plain.model_copy(update={"channels": step * groups, "groups": groups})
        return sum(parameter.numel() for parameter in Predictor(kind, of, frame, sized, seed=0).parameters())

    wanted = count(twin["neuron"], twin["params"], settings.groups)
    groups, below = settings.groups, count(name, params, settings.groups)
    while (above := count(name, params, groups + 1)) <= wanted:
        groups, below = groups + 1, above
    if above - wanted < wanted - below:
        groups += 1
    return settings.model_copy(update={"channels": step * groups, "groups": groups})


def _segments(observed: int, steps: int, kept: int | None) -> Iterator[tuple[int, int]]:
    """First and last step (excluded) of each part of a sequence: observed, then the rest, in parts of `kept` steps."""
    for start, stop in ((0, observed), (observed, steps)):
        size = kept or stop - start
        yield from ((first, min(first + size, stop)) for first in range(start, stop, size)) if size else ()


def _saving() -> Any:
    """Recomputation spares the dense convolutions, which cost most of the time and little of the memory."""
    return create_selective_checkpoint_contexts(_policy)  # type: ignore[no-untyped-call]


def _policy(context: Any, operation: Any, *arguments: Any, **named: Any) -> CheckpointPolicy:
    dense = operation is torch.ops.aten.convolution.default and arguments[8] == 1  # its number of groups
    return CheckpointPolicy.MUST_SAVE if dense else CheckpointPolicy.PREFER_RECOMPUTE
