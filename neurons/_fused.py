"""The circuit's fast step, exact: what the plain step of `STC` computes with some thirty operations, in a few.

Gates, spike and reset are one function, and so are the two pathways (neurons/_packed.py); the backward passes are
written by hand. Numbers differ from the plain step's by rounding alone (tests/test_fused.py: 1e-10 in float64).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neurons._firing import density
from neurons._packed import Way, sigmoid_backward


class Factors(torch.autograd.Function):
    """The factors 1 + T, 1 + P of one step, as many as there are pathways; `packed` as neurons._packed.Packed."""

    @staticmethod
    def forward(ctx: Any, way: Way, spikes: Tensor, *packed: Tensor) -> tuple[Tensor, ...]:
        made = way.convolve(spikes)
        half, mean, deviation = way.normed(made)
        ctx.way = way
        ctx.save_for_backward(spikes, made, mean, deviation, half)
        return tuple((one * way.two).view(spikes.shape) for one in way.split(half))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        spikes, made, mean, deviation, half = ctx.saved_tensors
        way: Way = ctx.way
        gradient = torch.empty_like(half)
        for into, one in zip(way.split(gradient), gradients, strict=True):
            torch.mul(one.reshape(way.fold), way.two, out=into)
        inner, scale, shift = way.normed_backward(gradient, half, made, mean, deviation)
        wanted = (ctx.needs_input_grad[1], True)
        source, weight = way.convolve_backward(inner, way.laid(spikes), wanted)
        back = way.unlaid(source) if wanted[0] else None
        return None, back, weight.to(scale.dtype), scale, shift


class Unroll(torch.autograd.Function):
    """Integrate-and-fire under both pathways, all steps of an unroll.

        h = 2 a v f_T + 2 b x f_P        f: half the factors, from the spikes of the step before
        s = H(h - 1)
        v = h - s

    In: currents x [T, B, C, H, W], membrane and spikes [B, C, H, W], a and b (numbers, or tensors of one element), the
    pathways' parameters as neurons._packed.Packed. Out: spikes [T, B, C, H, W], the last membrane, the last spikes.
    """

    @staticmethod
    def forward(
        ctx: Any, way: Way, currents: Tensor, v: Tensor, s: Tensor, a: Any, b: Any, *packed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        outputs, membranes = torch.empty_like(currents), torch.empty_like(currents)
        ctx.silent = len(currents) > 1 and _silent(s)  # one step alone is hardly ever the first
        before, spikes, kept = v, s, list[Tensor]()
        for x, h, output in zip(_scaled(currents, b), membranes, outputs, strict=True):
            made = way.silence(s) if ctx.silent and spikes is s else way.convolve(spikes)
            half, mean, deviation = way.normed(made)
            keep, admit = way.split(half)
            into = h.view(way.fold)
            torch.mul(_scaled(before, a).view(way.fold), keep, out=into)
            into.addcmul_(x.view(way.fold), admit).mul_(way.two)
            torch.ge(h, way.one, out=output)
            before, spikes = h - output, output
            kept += (made, mean, deviation, half)
        ctx.way, ctx.numbers = way, (a, b)
        ctx.save_for_backward(currents, v, s, outputs, membranes, *kept)
        return outputs, before, spikes.clone()  # a view of outputs would cost their size on the way back

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, output_gradients: Tensor, v_gradient: Tensor, s_gradient: Tensor
    ) -> tuple[Tensor | None, ...]:
        way: Way = ctx.way
        (a, b), fold = ctx.numbers, way.fold
        currents, v, s, outputs, membranes, *kept = ctx.saved_tensors
        current_gradients = torch.empty_like(currents)
        xs, x_gradients = _scaled(currents, b).unbind(), current_gradients.unbind()
        hs, spikes, fired = membranes.unbind(), outputs.unbind(), output_gradients.unbind()
        pathways = _Pathways(way, len(xs), s, ctx.silent, s_gradient)
        v_gradients, befores = list[Tensor](), list[Tensor]()
        for t in range(len(xs) - 1, -1, -1):
            made, mean, deviation, half = kept[4 * t : 4 * t + 4]
            keep, admit = way.split(half)
            before = hs[t - 1] - spikes[t - 1] if t else v
            of_spikes = fired[t] if pathways.source is None else fired[t] + pathways.source
            g = _through_spike(hs[t], of_spikes, v_gradient, way).view(fold)
            torch.mul(g, admit, out=x_gradients[t].view(fold))
            v_gradient = (g * keep).reshape(v.shape)
            inner = torch.empty_like(half)
            into_keep, into_admit = way.split(inner)
            torch.mul(g, _scaled(before, a).view(fold), out=into_keep)
            torch.mul(g, xs[t].view(fold), out=into_admit)
            pathways.back(spikes[t - 1] if t else s, inner, half, made, mean, deviation)
            if isinstance(a, Tensor):
                v_gradients.append(v_gradient)
                befores.append(before)
            v_gradient = _scaled(v_gradient, a)
        a_gradient = _dot(torch.stack(v_gradients), torch.stack(befores), a) if v_gradients else None
        b_gradient = None
        if isinstance(b, Tensor):
            b_gradient = _dot(current_gradients, currents, b)
            current_gradients.mul_(b)
        of_parameters = pathways.of_parameters(outputs)
        return None, current_gradients, v_gradient, pathways.source, a_gradient, b_gradient, *of_parameters


class _Pathways:
    """The way back through the pathways, step by step from the last; the parameters' gradients add up."""

    def __init__(self, way: Way, steps: int, s: Tensor, silent: bool, source: Tensor) -> None:
        """`s`: spikes before the first step, constant 0 if `silent`; `source`: gradient of the last ones."""
        self.way, self.s, self.silent = way, s, silent
        self.source: Tensor | None = source  # gradient of the spikes that a step read
        self.weight: Tensor | None = None
        self.affine: list[Tensor] = []  # scale and shift
        self.inners: list[Tensor] = []  # whose share in the weight's gradient is still to come
        self.later = way.nhwc and steps > 1  # small maps: the share of all steps in one call, at the end
        self.laid = way.laid(s)  # of the shape and layout that the convolution's backward pass asks for

    def back(self, spikes: Tensor, inner: Tensor, half: Tensor, made: Tensor, mean: Tensor, deviation: Tensor) -> None:
        """One step, from the gradient `inner` of half its factors; it read `spikes`."""
        way = self.way
        given, scale, shift = way.normed_backward(inner, half, made, mean, deviation)
        self.affine = [self.affine[0].add_(scale), self.affine[1].add_(shift)] if self.affine else [scale, shift]
        self.source = None
        if self.silent and spikes is self.s:
            return  # nothing was read, and nothing asks for its gradient
        if self.later:
            self.inners.append(given)
        if self.later and way.detach:
            return
        laid = self.laid if self.later or spikes is self.s else way.laid(spikes)
        source, weight = way.convolve_backward(given, laid, (not way.detach, not self.later))
        if not self.later:
            self.weight = weight if self.weight is None else self.weight.add_(weight)
        if not way.detach:
            self.source = way.unlaid(source)

    def of_parameters(self, outputs: Tensor) -> list[Tensor]:
        """Gradients of the packed parameters; `outputs` [T, B, C, H, W] are the spikes of all steps."""
        scale, shift = self.affine
        if self.inners:
            read = outputs[:-1] if self.silent else torch.cat((self.s[None], outputs[:-1]))
            laid = self.way.laid(read.flatten(0, 1))
            _, self.weight = self.way.convolve_backward(torch.cat(self.inners[::-1]), laid, (False, True))
        weight = torch.zeros_like(self.way.packed.weight) if self.weight is None else self.weight.to(scale.dtype)
        return [weight, scale, shift]


def _dot(one: Tensor, other: Tensor, like: Tensor) -> Tensor:
    return (one * other).sum().reshape(like.shape)


def _through_spike(h: Tensor, of_spike: Tensor, v_gradient: Tensor, way: Way) -> Tensor:
    """Twice the gradient of h, for spikes S = H(h - 1) with gradient `of_spike` and a membrane h - S with its own."""
    firing = way.firing
    if firing.reset_gradient == "attached":
        of_spike = of_spike - v_gradient
    u = h - way.one
    if firing.surrogate == "sigmoid":
        through = sigmoid_backward(of_spike, u.mul_(way.alpha).sigmoid_())
        return torch.add(v_gradient, through, alpha=firing.alpha).mul_(way.two)
    return (of_spike * density(u, firing.surrogate, firing.alpha)).add_(v_gradient).mul_(way.two)


def _scaled(tensor: Tensor, number: Any) -> Tensor:
    """The tensor times `number`; itself where that is the number 1."""
    return tensor if isinstance(number, float) and number == 1.0 else tensor * number


def _silent(spikes: Tensor) -> bool:
    """Whether there is nothing to convolve: at the start of a sequence, seen at no cost on a CPU alone."""
    return spikes.device.type == "cpu" and not spikes.requires_grad and not bool(spikes.any())
