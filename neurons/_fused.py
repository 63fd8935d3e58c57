"""The circuit's fast step, exact: what the plain step of `STC` computes with some thirty operations, in a few.

Gates, spike and reset are one function, and so are the two pathways (neurons/_packed.py); the backward passes are
written by hand. Numbers differ from the plain step's by rounding alone: 1e-10 relative in float64 (tests/test_fused.py).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neurons._firing import Firing, density
from neurons._packed import Way, sigmoid_backward, unpack


class Factors(torch.autograd.Function):
    """The factors 1 + T, 1 + P of one step, as many as there are pathways; `parameters` as for neurons._packed.pack."""

    @staticmethod
    def forward(ctx: Any, way: Way, spikes: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        made = way.convolve(spikes, way.kernel())
        half, mean, deviation = way.normed(made)
        ctx.way = way
        ctx.save_for_backward(spikes, made, mean, deviation, half)
        return tuple((2 * one).flatten(1, 2) for one in way.split(half))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        spikes, made, mean, deviation, half = ctx.saved_tensors
        way: Way = ctx.way
        gradient = torch.empty_like(half)
        for into, one in zip(way.split(gradient), gradients, strict=True):
            torch.mul(way.merged(one), 2, out=into)
        inner, scale, shift = way.normed_backward(gradient, half, made, mean, deviation)
        wanted = (ctx.needs_input_grad[1], True)
        source, weight = way.convolve_backward(inner, way.laid(spikes), way.kernel(), wanted)
        back = way.unlaid(source, spikes) if wanted[0] else None
        return None, back, *unpack(weight.to(scale.dtype), scale, shift, way.shape, way.packed.merged)


class Unroll(torch.autograd.Function):
    """Integrate-and-fire under both pathways, all steps of an unroll.

        h = 2 a v f_T + 2 b x f_P        f: half the factors, from the spikes of the step before
        s = H(h - 1)
        v = h - s

    In: currents x [T, B, C, H, W], membrane and spikes [B, C, H, W], a and b (numbers, or tensors of one element), the
    pathways' parameters. Out: spikes [T, B, C, H, W] and the last membrane.
    """

    @staticmethod
    def forward(
        ctx: Any, way: Way, currents: Tensor, v: Tensor, s: Tensor, a: Any, b: Any, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.silent = _silent(s)
        outputs, membranes = torch.empty_like(currents), torch.empty_like(currents)
        kernel, kept = way.kernel(), list[Tensor]()
        before, spikes = v, s
        for t, (x, h, output) in enumerate(zip(currents, membranes, outputs, strict=True)):
            made = way.silence(spikes) if ctx.silent and t == 0 else way.convolve(spikes, kernel)
            half, mean, deviation = way.normed(made)
            keep, admit = way.split(half)
            into = way.merged(h)
            torch.mul(way.merged(_scaled(before, a)), keep, out=into)
            into.addcmul_(way.merged(_scaled(x, b)), admit).mul_(2)
            torch.ge(h, 1, out=output)
            before, spikes = h - output, output
            kept += [made, mean, deviation, half]
        ctx.way, ctx.numbers = way, (a, b)
        ctx.save_for_backward(currents, v, s, outputs, membranes, *kept)
        return outputs, before

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output_gradients: Tensor, v_gradient: Tensor) -> tuple[Tensor | None, ...]:
        way: Way = ctx.way
        a, b = ctx.numbers
        currents, v, s, outputs, membranes, *kept = ctx.saved_tensors
        kernel, pathways = way.kernel(), _Sums(way)
        current_gradients = torch.empty_like(currents)
        a_gradients, b_gradients = [], []
        for t in range(len(currents) - 1, -1, -1):
            made, mean, deviation, half = kept[4 * t : 4 * t + 4]
            before, spikes = (membranes[t - 1] - outputs[t - 1], outputs[t - 1]) if t else (v, s)
            x, x_gradient = currents[t], current_gradients[t]
            fired = output_gradients[t] if pathways.source is None else output_gradients[t] + pathways.source
            g = way.merged(_through_spike(membranes[t], fired, v_gradient, way.firing))
            keep, admit = way.split(half)
            torch.mul(g, admit, out=way.merged(x_gradient))
            v_gradient = (g * keep).flatten(1, 2)
            inner = torch.empty_like(half)
            into_keep, into_admit = way.split(inner)
            torch.mul(g, way.merged(_scaled(before, a)), out=into_keep)
            torch.mul(g, way.merged(_scaled(x, b)), out=into_admit)
            if isinstance(a, Tensor):
                a_gradients.append((v_gradient * before).sum())
            if isinstance(b, Tensor):
                b_gradients.append((x_gradient * x).sum())
            v_gradient = _scaled(v_gradient, a)
            x_gradient.copy_(_scaled(x_gradient, b))
            at_rest = t == 0 and not ctx.needs_input_grad[3]
            pathways.add(way.normed_backward(inner, half, made, mean, deviation), spikes, kernel, at_rest)
        of_numbers = [sum(them).reshape_as(one) if them else None for them, one in ((a_gradients, a), (b_gradients, b))]
        s_gradient = pathways.source if ctx.needs_input_grad[3] else None
        return None, current_gradients, v_gradient, s_gradient, *of_numbers, *pathways.of_parameters(kernel)


class _Sums:
    """Gradients of the pathways' parameters, summed over the steps of an unroll, and of the spikes before each step."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.source: Tensor | None = None  # of the spikes that the latest step read
        self.sums: list[Any] = [None, None, None]  # of weight, scale and shift
        self.later: list[tuple[Tensor, Tensor]] = []  # gradients and spikes whose share in the weight is still to come

    def add(self, inner: tuple[Tensor, Tensor, Tensor], spikes: Tensor, kernel: Tensor, at_rest: bool) -> None:
        """Takes in one step: what came back through GroupNorm, and the spikes it read; `at_rest`: those need none."""
        gradient, *affine = inner
        laid, down = self.way.laid(spikes), not (self.way.detach or at_rest)
        # small maps: the weight's share of all steps in one call, at the end
        source, weight = self.way.convolve_backward(gradient, laid, kernel, (down, not self.way.nhwc))
        if self.way.nhwc:
            self.later.append((gradient, laid))
        self.sums = [_plus(total, new) for total, new in zip(self.sums, (weight, *affine), strict=True)]
        self.source = self.way.unlaid(source, spikes) if down else None

    def of_parameters(self, kernel: Tensor) -> list[Tensor]:
        """Gradients of each pathway's parameters."""
        weight, scale, shift = self.sums
        if self.later:
            gradients, spikes = (torch.cat(them) for them in zip(*self.later, strict=True))
            _, weight = self.way.convolve_backward(gradients, spikes, kernel, (False, True))
        return unpack(weight.to(scale.dtype), scale, shift, self.way.shape, self.way.packed.merged)


def _plus(total: Tensor | None, new: Tensor | None) -> Tensor | None:
    return new if total is None else total if new is None else total.add_(new)


def _through_spike(h: Tensor, fired: Tensor, v_gradient: Tensor, firing: Firing) -> Tensor:
    """Twice the gradient of h, for spikes S = H(h - 1) with gradient `fired` and a membrane h - S with its own."""
    of_spike = fired - v_gradient if firing.reset_gradient == "attached" else fired
    u = h - 1
    if firing.surrogate == "sigmoid":
        through = sigmoid_backward(of_spike, u.mul_(firing.alpha).sigmoid_())
        return torch.add(v_gradient, through, alpha=firing.alpha).mul_(2)
    return (of_spike * density(u, firing.surrogate, firing.alpha)).add_(v_gradient).mul_(2)


def _scaled(tensor: Tensor, number: Any) -> Tensor:
    """The tensor times `number`; itself where that is the number 1."""
    return tensor if isinstance(number, float) and number == 1.0 else tensor * number


def _silent(spikes: Tensor) -> bool:
    """Whether there is nothing to convolve: at the start of a sequence, seen at no cost on a CPU alone."""
    return spikes.device.type == "cpu" and not spikes.requires_grad and not bool(spikes.any())
