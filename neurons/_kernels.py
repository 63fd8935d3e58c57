"""Grouped convolutions of few channels on small maps, by code that is compiled for one shape each.

PyTorch's kernels for a CPU want at least eight channels in a group; the circuit's groups have two or four. What they
would pad with zeros is not computed here: vectors run along a map's rows, and the sums over a group's channels and the
kernel's cells stay in registers. Each sum is one chain of fused multiply-adds in an order that the shape alone decides,
so that a result's bits depend neither on the CPU nor on the length of its registers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal

import torch
from torch import Tensor

MOST_CHANNELS = 8  # of a group, above which PyTorch's kernels are as fast
MOST_SCRATCH = 2**18  # bytes of a group's padded maps, which lie on the stack and should stay in a core's cache
LANES = (4, 16)  # fewest and most numbers of a vector
BYTES = {torch.float32: 4, torch.float64: 8}


@dataclass(frozen=True)
class Geometry:
    """Of one convolution: stride 1, an odd kernel, zeros around, so that it keeps the size of the map."""

    dtype: torch.dtype
    groups: int
    inputs: int  # channels of a group
    outputs: int
    height: int
    width: int
    kernel_size: int

    @property
    def lanes(self) -> int:
        """Numbers of a vector: a whole row of a map, or an equal part of it."""
        return divisor(self.width, LANES[1])

    def fits(self) -> bool:
        """Whether the kernels serve it, and well."""
        if self.dtype not in BYTES or self.inputs > MOST_CHANNELS or self.lanes < LANES[0]:
            return False
        around = self.kernel_size - 1
        padded = (self.height + around) * (self.width + around) * BYTES[self.dtype]
        return max(self.inputs, self.outputs) * padded <= MOST_SCRATCH

    def turned(self) -> "Geometry":
        """Of the convolution that takes gradients of the outputs to those of the inputs."""
        return replace(self, inputs=self.outputs, outputs=self.inputs)


class GroupedConvolution:
    """A convolution and its two gradients on a CPU, for one geometry that `fits`.

    Maps are [B, groups x inputs, H, W], outputs and their gradient [B, groups x outputs, H, W], a weight is
    [groups x outputs, inputs, k, k], as PyTorch has it. ValueError for a tensor of another shape, type or device: the
    compiled code is given addresses and could not tell.
    """

    def __init__(self, geometry: Geometry) -> None:
        self.of = of = geometry
        kernel = (of.kernel_size, of.kernel_size)
        self._weight = (of.groups * of.outputs, of.inputs, *kernel)
        self._turned = (of.groups * of.inputs, of.outputs, *kernel)
        self._maps, self._outputs = ((of.groups * n, of.height, of.width) for n in (of.inputs, of.outputs))

    def __call__(self, maps: Tensor, weight: Tensor) -> Tensor:
        """The outputs."""
        maps, weight = self._seen(maps, len(maps), *self._maps), self._seen(weight, *self._weight)
        return _run(self._forward, maps, weight, (len(maps), *self._outputs))

    def turn(self, weight: Tensor) -> Tensor:
        """The weight as `back` wants it, [groups x inputs, outputs, k, k]: rotated by half a turn."""
        of = self.of
        apart = weight.view(of.groups, of.outputs, of.inputs, of.kernel_size, of.kernel_size)
        return apart.transpose(1, 2).flip(3, 4).contiguous().flatten(0, 1)

    def back(self, gradient: Tensor, turned: Tensor) -> Tensor:
        """The gradient of the maps, from that of the outputs."""
        gradient, turned = self._seen(gradient, len(gradient), *self._outputs), self._seen(turned, *self._turned)
        return _run(self._back, gradient, turned, (len(gradient), *self._maps))

    def to_weight(self, maps: Tensor, gradient: Tensor) -> Tensor:
        """The gradient of the weight."""
        maps, gradient = self._seen(maps, len(maps), *self._maps), self._seen(gradient, len(maps), *self._outputs)
        return _run(self._correlate, maps, gradient, self._weight)

    @cached_property
    def _forward(self) -> "Kernel":
        return _kernel("convolution", self.of)

    @cached_property
    def _back(self) -> "Kernel":
        return _kernel("convolution", self.of.turned())

    @cached_property
    def _correlate(self) -> "Kernel":
        return _kernel("correlation", self.of)

    def _seen(self, tensor: Tensor, *shape: int) -> Tensor:
        """The tensor, its numbers in a row, if it is what the compiled code takes it for."""
        if tensor.shape != shape or tensor.dtype != self.of.dtype or tensor.device.type != "cpu":
            found = f"{list(tensor.shape)} of {tensor.dtype} on {tensor.device.type}"
            raise ValueError(f"found {found}, wanted {list(shape)} of {self.of.dtype} on cpu")
        return tensor.contiguous()


Kernel = Callable[[int, int, int, int], None]  # addresses of what is read and of what is written, size of the batch


@cache
def _kernel(body: Literal["convolution", "correlation"], of: Geometry) -> Kernel:
    """Compiled when it is first wanted, in some 0.1 s."""
    from neurons import _vectors

    return _vectors.compiled(getattr(_vectors, body), of)


def _run(kernel: Kernel, one: Tensor, other: Tensor, shape: tuple[int, ...]) -> Tensor:
    if not len(one):
        return one.new_zeros(shape)
    made = one.new_empty(shape)
    kernel(one.data_ptr(), other.data_ptr(), made.data_ptr(), len(one))
    return made


def divisor(number: int, most: int) -> int:
    """The greatest one up to `most`."""
    return max(n for n in range(1, min(number, most) + 1) if number % n == 0)
