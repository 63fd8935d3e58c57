"""Both pathways of a circuit as one convolution and one GroupNorm, and how those are computed best.

the convolutions' channels stand in the order [merged group, {T, P}, channel], so that one GroupNorm of twice as
many groups follows; small groups are merged into block-diagonal ones, which the kernels of a CPU like better;
1 + tanh(n) = 2 sig(2 n): a sigmoid, many times as fast as tanh, gives half a factor; the 2 within it goes into
the GroupNorm's affine numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neurons._firing import Firing

SMALL_MAP = 256  # cells up to which a CPU convolves faster in channels-last, the two conversions included
SMALL_GROUP = 8  # channels below which a CPU computes block-diagonal groups faster than the true ones

_forward = torch.ops.aten.native_group_norm.default
_backward = torch.ops.aten.native_group_norm_backward.default
sigmoid_backward = torch.ops.aten.sigmoid_backward.default
_convolution_backward = torch.ops.aten.convolution_backward.default


@dataclass(frozen=True)
class Shape:
    """What the pathways have in common: how many there are, their channels, groups, kernel, GroupNorm's epsilon."""

    pathways: int
    channels: int
    groups: int
    kernel_size: int
    eps: float

    def merged(self, device: torch.device) -> int:
        """How many groups are computed: on a CPU fewer, so that each has at least SMALL_GROUP channels."""
        if device.type != "cpu":
            return self.groups
        fits = [m for m in range(1, self.groups + 1) if self.groups % m == 0 and self.channels // m >= SMALL_GROUP]
        return max(fits, default=1)


class Packed(NamedTuple):
    """The pathways' parameters as those of one convolution and one GroupNorm, the affine numbers doubled."""

    weight: Tensor  # [pathways C, C / merged, k, k]
    scale: Tensor  # [pathways C]
    shift: Tensor  # [pathways C]
    merged: int


def _blocks(weight: Tensor, shape: Shape, merged: int) -> Tensor:
    """The blocks on a packed weight's diagonal: a view [merged, pathways, C / groups, C / groups, k, k, blocks]."""
    own, blocks, size = shape.channels // shape.groups, shape.groups // merged, shape.kernel_size
    return weight.view(merged, shape.pathways, blocks, own, blocks, own, size, size).diagonal(dim1=2, dim2=4)


def pack(parameters: Sequence[Tensor], shape: Shape) -> Packed:
    """Packs weight [C, C / groups, k, k], scale [C] and shift [C] of each pathway in turn."""
    merged = shape.merged(parameters[0].device)
    own, blocks, size = shape.channels // shape.groups, shape.groups // merged, shape.kernel_size
    weight = parameters[0].new_zeros(shape.pathways * shape.channels, own * blocks, size, size)
    diagonal = _blocks(weight, shape, merged)
    for i, true in enumerate(parameters[0::3]):
        diagonal[:, i] = true.view(merged, blocks, own, own, size, size).movedim(1, -1)
    scale, shift = (
        torch.stack([one.view(merged, -1) for one in parameters[start::3]], dim=1).flatten().mul_(2) for start in (1, 2)
    )
    return Packed(weight, scale, shift, merged)


def unpack(weight: Tensor, scale: Tensor, shift: Tensor, shape: Shape, merged: int) -> list[Tensor]:
    """Gradients of packed parameters as those of the parameters that were packed."""
    diagonal = _blocks(weight.contiguous(), shape, merged)
    affine = [2 * one.view(merged, shape.pathways, -1) for one in (scale, shift)]
    found = []
    for i in range(shape.pathways):
        own = diagonal[:, i].movedim(-1, 1).reshape(shape.channels, -1, shape.kernel_size, shape.kernel_size)
        found += [own, *(one[:, i].flatten() for one in affine)]
    return found


class Packer:
    """Packs pathways' parameters, and keeps the result until they change."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._made_of: list[tuple[Tensor, int, int]] = []
        self._packed: Packed | None = None

    def __call__(self, parameters: Sequence[Tensor]) -> Packed:
        """The packed parameters; a change in place shows in a tensor's version, a new storage in its address."""
        state = [(p, p._version, p.data_ptr()) for p in parameters]
        same = len(state) == len(self._made_of) and all(
            new[0] is old[0] and new[1:] == old[1:] for new, old in zip(state, self._made_of, strict=True)
        )
        if self._packed is None or not same:
            with torch.no_grad():
                self._packed, self._made_of = pack(parameters, self.shape), state
        return self._packed


@dataclass(frozen=True)
class Way:
    """How one pass computes the pathways."""

    shape: Shape
    packed: Packed
    low: torch.dtype  # what the convolution computes in: less than the rest under autocast
    nhwc: bool  # it convolves in channels-last while the rest is in the usual layout
    detach: bool
    firing: Firing

    def split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """A tensor of all pathways' channels [B, pathways C, H, W] as one view each, [B, merged, C / merged, H, W]."""
        return torch.unflatten(tensor, 1, (self.packed.merged, self.shape.pathways, -1)).unbind(2)

    def merged(self, tensor: Tensor) -> Tensor:
        """A tensor [B, C, H, W] as a view that fits those of `split`."""
        return torch.unflatten(tensor, 1, (self.packed.merged, -1))

    def laid(self, tensor: Tensor) -> Tensor:
        """What the convolution reads: in its precision and layout."""
        return tensor.to(self.low, memory_format=torch.channels_last if self.nhwc else torch.preserve_format)

    def unlaid(self, tensor: Tensor, like: Tensor) -> Tensor:
        """What the convolution gave, as the rest of the step has it."""
        return tensor.to(like.dtype, memory_format=torch.contiguous_format if self.nhwc else torch.preserve_format)

    def kernel(self) -> Tensor:
        return self.laid(self.packed.weight)

    def convolve(self, spikes: Tensor, kernel: Tensor) -> Tensor:
        """What GroupNorm reads, [B, pathways C, H, W]."""
        padding = self.shape.kernel_size // 2
        made = torch.nn.functional.conv2d(self.laid(spikes), kernel, padding=padding, groups=self.packed.merged)
        return self.unlaid(made, spikes)

    def silence(self, spikes: Tensor) -> Tensor:
        """What `convolve` makes of spikes that are all 0."""
        return torch.zeros_like(spikes).repeat(1, self.shape.pathways, 1, 1)

    def normed(self, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Half the factors, and GroupNorm's mean and inverse deviation."""
        scale, shift = self.packed.scale, self.packed.shift
        n, mean, deviation = _forward(made, scale, shift, *self._sizes(made), self.shape.eps)
        return n.sigmoid_(), mean, deviation

    def normed_backward(
        self, gradient: Tensor, half: Tensor, made: Tensor, mean: Tensor, deviation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From half the factors back to what the convolution gave (laid for it), and to scale and shift."""
        inner = sigmoid_backward(gradient, half)
        made_gradient, scale, shift = _backward(
            inner, made, mean, deviation, self.packed.scale, *self._sizes(made), [True, True, True]
        )
        return self.laid(made_gradient), scale, shift

    def convolve_backward(
        self, gradient: Tensor, spikes: Tensor, kernel: Tensor, wanted: tuple[bool, bool]
    ) -> tuple[Tensor, Tensor]:
        """Gradients of the spikes and of the kernel, as far as `wanted`."""
        padding = [self.shape.kernel_size // 2] * 2
        source, weight, _ = _convolution_backward(
            gradient, spikes, kernel, None, [1, 1], padding, [1, 1], False, [0, 0], self.packed.merged, [*wanted, False]
        )
        return source, weight

    def _sizes(self, made: Tensor) -> tuple[int, int, int, int]:
        batch, channels, height, width = made.shape
        return batch, channels, height * width, self.shape.pathways * self.shape.groups


def way(shape: Shape, packed: Packed, current: Tensor, detach: bool, firing: Firing) -> Way:
    """How to compute the pathways for currents [B, C, H, W] of this size, layout and device, autocast or not."""
    kind = current.device.type
    small = kind == "cpu" and current.shape[-1] * current.shape[-2] <= SMALL_MAP
    low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else current.dtype
    return Way(shape, packed, low, small and current.is_contiguous(), detach, firing)
