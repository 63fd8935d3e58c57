"""Both pathways of a circuit as one convolution and one GroupNorm, and how those are computed best.

the convolutions' channels stand in the order [merged group, {T, P}, channel], so that one GroupNorm of twice as
many groups follows; on a CPU, small groups of small maps are convolved by neurons/_kernels.py, and where those do
not serve, they are merged into block-diagonal ones, which PyTorch's kernels like better;
1 + tanh(n) = 2 sig(2 n): a sigmoid, many times as fast as tanh, gives half a factor; the 2 within it goes into
the GroupNorm's affine numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neurons._firing import Firing
from neurons._kernels import Geometry, GroupedConvolution

SMALL_MAP = 256  # cells up to which a CPU convolves faster in channels-last, the two conversions included
SMALL_GROUP = 8  # channels below which a CPU computes block-diagonal groups faster than the true ones

_norm = torch.ops.aten.native_group_norm.default
_norm_backward = torch.ops.aten.native_group_norm_backward.default
_convolution_backward = torch.ops.aten.convolution_backward.default
sigmoid_backward = torch.ops.aten.sigmoid_backward.default
_ONES, _ZEROS, _ALL = [1, 1], [0, 0], [True, True, True]


@dataclass(frozen=True)
class Shape:
    """What the pathways have in common: how many there are, their channels, groups, kernel, GroupNorm's epsilon."""

    pathways: int
    channels: int
    groups: int
    kernel_size: int
    eps: float

    def geometry(self, current: Tensor, low: torch.dtype) -> Geometry | None:
        """Of the convolution that our own kernels compute for currents like this one; None where PyTorch's do."""
        own, (height, width) = self.channels // self.groups, current.shape[2:]
        made = Geometry(low, self.groups, own, self.pathways * own, height, width, self.kernel_size)
        here = current.device.type == "cpu" and low == current.dtype and current.is_contiguous()
        return made if here and made.fits() else None

    def merged(self, current: Tensor, low: torch.dtype) -> int:
        """How many groups are computed: by PyTorch on a CPU fewer, so that each has at least SMALL_GROUP channels."""
        if current.device.type != "cpu" or self.geometry(current, low):
            return self.groups
        fits = [m for m in range(1, self.groups + 1) if self.groups % m == 0 and self.channels // m >= SMALL_GROUP]
        return max(fits, default=1)


class Packed(NamedTuple):
    """The pathways' parameters as those of one convolution and one GroupNorm, the affine numbers doubled."""

    weight: Tensor  # [pathways C, C / merged, k, k]
    scale: Tensor  # [pathways C]
    shift: Tensor  # [pathways C]


class Pack(torch.autograd.Function):
    """Packs weight [C, C / groups, k, k], scale [C] and shift [C] of each pathway in turn, as Packed has them."""

    @staticmethod
    def forward(ctx: Any, shape: Shape, merged: int, *parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.shape, ctx.merged = shape, merged
        own, blocks, size = shape.channels // shape.groups, shape.groups // merged, shape.kernel_size
        weight = parameters[0].new_zeros(shape.pathways * shape.channels, own * blocks, size, size)
        diagonal = _blocks(weight, shape, merged)
        for i, true in enumerate(parameters[0::3]):
            diagonal[:, i] = true.view(merged, blocks, own, own, size, size).movedim(1, -1)
        scale, shift = (
            torch.stack([one.view(merged, -1) for one in parameters[start::3]], dim=1).flatten().mul_(2)
            for start in (1, 2)
        )
        return weight, scale, shift

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, weight: Tensor, scale: Tensor, shift: Tensor) -> tuple[Tensor | None, ...]:
        shape: Shape = ctx.shape
        diagonal = _blocks(weight.contiguous(), shape, ctx.merged)
        affine = [2 * one.view(ctx.merged, shape.pathways, -1) for one in (scale, shift)]
        found: list[Tensor | None] = [None, None]
        for i in range(shape.pathways):
            own = diagonal[:, i].movedim(-1, 1).reshape(shape.channels, -1, shape.kernel_size, shape.kernel_size)
            found += [own, *(one[:, i].flatten() for one in affine)]
        return tuple(found)


def _blocks(weight: Tensor, shape: Shape, merged: int) -> Tensor:
    """The blocks on a packed weight's diagonal: a view [merged, pathways, C / groups, C / groups, k, k, blocks]."""
    own, blocks, size = shape.channels // shape.groups, shape.groups // merged, shape.kernel_size
    return weight.view(merged, shape.pathways, blocks, own, blocks, own, size, size).diagonal(dim1=2, dim2=4)


class Packer:
    """Packs pathways' parameters once for all steps of a sequence: keeps the result until they change."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._made_of: list[Any] = []
        self._held: Sequence[Tensor] = ()  # so that no other tensor takes over the identity of one that was packed
        self._packed: Packed | None = None
        self._kernels: dict[tuple[torch.dtype, bool], Tensor] = {}
        self._ways: dict[Any, Way] = {}
        self._merged: dict[Any, int] = {}

    def __reduce__(self) -> tuple[type["Packer"], tuple[Shape]]:
        """A copy packs for itself: what is kept belongs to the graph of these parameters."""
        return Packer, (self.shape,)

    def __call__(self, parameters: Sequence[Tensor], merged: int) -> Packed:
        """The packed parameters; a change in place shows in a tensor's version, a new storage in its address.

        Pack saves nothing for its backward pass, so that the same result may be differentiated again.
        """
        made_of: list[Any] = [torch.is_grad_enabled(), merged]
        for one in parameters:
            made_of += (id(one), one._version, one.data_ptr(), one.requires_grad)
        if self._packed is None or made_of != self._made_of:
            self._packed = Packed(*Pack.apply(self.shape, merged, *parameters))  # type: ignore[no-untyped-call]
            self._made_of, self._held, self._kernels, self._ways = made_of, parameters, {}, {}
        return self._packed

    def way(self, parameters: Sequence[Tensor], current: Tensor, detach: bool, firing: Firing) -> "Way":
        """How to compute the pathways for currents [B, C, H, W] like this one."""
        kind = current.device.type
        low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else current.dtype
        key = (current.shape, current.dtype, low, current.is_contiguous(), kind, detach)
        if key not in self._merged:
            self._merged[key] = self.shape.merged(current, low)
        packed = self(parameters, self._merged[key])
        if key not in self._ways or self._ways[key].firing is not firing:
            self._ways[key] = Way(self, packed, current, low, detach, firing)
        return self._ways[key]

    def kernel(self, dtype: torch.dtype, nhwc: bool) -> Tensor:
        """The weight packed last, in the precision and layout that the convolution wants, outside the graph."""
        assert self._packed is not None, "nothing was packed"  # noqa: S101
        if (dtype, nhwc) not in self._kernels:
            layout = torch.channels_last if nhwc else torch.preserve_format
            self._kernels[dtype, nhwc] = self._packed.weight.detach().to(dtype, memory_format=layout)
        return self._kernels[dtype, nhwc]


class Way:
    """How one pass computes the pathways, for currents of one shape, layout, precision and device.

    Under autocast the convolution computes in less than the rest. Where maps are small, PyTorch convolves faster on a
    CPU in channels-last (`nhwc`), the conversions to and from the layout of the rest included.
    """

    def __init__(
        self, packer: Packer, packed: Packed, current: Tensor, low: torch.dtype, detach: bool, firing: Firing
    ) -> None:
        batch, channels, height, width = current.shape
        kind, shape = current.device.type, packer.shape
        self.packed, self.detach, self.firing, self.eps = packed, detach, firing, shape.eps
        self.merged = merged = shape.merged(current, low)
        geometry = shape.geometry(current, low)
        self.own = GroupedConvolution(geometry) if geometry else None
        small = kind == "cpu" and height * width <= SMALL_MAP and current.is_contiguous()
        self.nhwc = small and self.own is None
        self.kernel = packer.kernel(low, self.nhwc)
        self.dtype, self.low = current.dtype, low if low != current.dtype else None
        self.padding = [shape.kernel_size // 2] * 2
        self.sizes = (batch, shape.pathways * channels, height * width, shape.pathways * shape.groups)
        self.folds = (batch, merged, shape.pathways, channels // merged, height, width)
        self.fold = (batch, merged, channels // merged, height, width)  # a view [B, C, H, W] -> that fits `split`'s
        # as tensors: a Python number is cast anew in every operation, for longer than a small map is multiplied
        self.one, self.two, self.alpha = (current.new_tensor(number) for number in (1.0, 2.0, firing.alpha))

    @cached_property
    def turned(self) -> Tensor:
        """The kernel for the way back through our own convolution."""
        assert self.own is not None  # noqa: S101
        return self.own.turn(self.kernel)

    def split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """A tensor of all pathways' channels [B, pathways C, H, W] as one view each, [B, merged, C / merged, H, W]."""
        return tensor.view(self.folds).unbind(2)

    def laid(self, tensor: Tensor) -> Tensor:
        """What the convolution reads: in its precision and layout."""
        tensor = tensor if self.low is None else tensor.to(self.low)
        return tensor.contiguous(memory_format=torch.channels_last) if self.nhwc else tensor

    def unlaid(self, tensor: Tensor) -> Tensor:
        """What the convolution gave, as the rest of the step has it."""
        tensor = tensor if self.low is None else tensor.to(self.dtype)
        return tensor.contiguous() if self.nhwc else tensor

    def convolve(self, spikes: Tensor) -> Tensor:
        """What GroupNorm reads, [B, pathways C, H, W]."""
        if self.own:
            return self.own(spikes, self.kernel)
        laid = self.laid(spikes)
        return self.unlaid(torch.conv2d(laid, self.kernel, None, 1, self.padding, 1, self.merged))

    def silence(self, spikes: Tensor) -> Tensor:
        """What `convolve` makes of spikes that are all 0."""
        return spikes.new_zeros(self.sizes[0], self.sizes[1], *spikes.shape[2:])

    def normed(self, made: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Half the factors, and GroupNorm's mean and inverse deviation."""
        n, mean, deviation = _norm(made, self.packed.scale, self.packed.shift, *self.sizes, self.eps)
        return n.sigmoid_(), mean, deviation

    def normed_backward(
        self, gradient: Tensor, half: Tensor, made: Tensor, mean: Tensor, deviation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """From half the factors back to what the convolution gave (laid for it), and to scale and shift."""
        inner = sigmoid_backward(gradient, half)
        given, scale, shift = _norm_backward(inner, made, mean, deviation, self.packed.scale, *self.sizes, _ALL)
        return self.laid(given), scale, shift

    def convolve_backward(self, gradient: Tensor, laid: Tensor, wanted: tuple[bool, bool]) -> tuple[Any, Any]:
        """Gradients of the spikes, which are `laid`, and of the kernel, as far as `wanted`."""
        if self.own:
            source = self.own.back(gradient, self.turned) if wanted[0] else None
            return source, self.own.to_weight(laid, gradient) if wanted[1] else None
        source, weight, _ = _convolution_backward(
            gradient, laid, self.kernel, None, _ONES, self.padding, _ONES, False, _ZEROS, self.merged,
            [*wanted, False],
        )  # fmt: skip
        return source, weight
