"""How spikes are fired and how they reset: the same for every neuron of a table, so that a difference is its own."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

Surrogate = Literal["sigmoid", "atan", "triangle", "rectangle"]
ResetGradient = Literal["attached", "detached"]


@dataclass(frozen=True)
class Firing:
    """The surrogate gradient of a spike, and whether the gradient passes through what a spike does to its own neuron.

    Forward a spike is 1 where u >= 0 (`strict`: u > 0), else 0, u being the membrane less its threshold. Backward its
    derivative is a density of area 1 around u = 0, the sharper the greater alpha:

        sigmoid    alpha sig(alpha u) (1 - sig(alpha u))         (the released code's, alpha 4)
        atan       (alpha / 2) / (1 + (pi alpha u / 2)^2)
        triangle   alpha max(0, 1 - alpha |u|)
        rectangle  alpha where |u| < 1 / (2 alpha), else 0

    reset_gradient: `attached`: what a spike does to the state of its neuron (reset, adaptation, refractoriness) is
    differentiated through the surrogate; `detached`: it is a constant. Spikes that come back through weights, as in
    recurrent neurons and the circuit's pathways, are differentiated under either.
    """

    surrogate: Surrogate = "sigmoid"
    alpha: float = 4.0
    reset_gradient: ResetGradient = "attached"

    def __post_init__(self) -> None:
        """Raises ValueError for what would otherwise be taken for something else."""
        for value, choice in ((self.surrogate, Surrogate), (self.reset_gradient, ResetGradient)):
            if value not in get_args(choice):
                raise ValueError(f"firing: {value!r} found, wanted one of {', '.join(get_args(choice))}")
        if not self.alpha > 0:
            raise ValueError(f"firing: alpha is {self.alpha}, wanted a positive one")

    def __call__(self, u: Tensor, *, strict: bool = False) -> Tensor:
        """Spikes [B, C, H, W] of membranes that stand `u` [B, C, H, W] above their thresholds."""
        return _Fire.apply(u, self.surrogate, self.alpha, strict)  # type: ignore[no-untyped-call]

    def feedback(self, spikes: Tensor) -> Tensor:
        """The spikes as they act on the state of the neuron that fired them."""
        return spikes if self.reset_gradient == "attached" else spikes.detach()


class _Fire(torch.autograd.Function):
    """Heaviside step forward; the surrogate's density backward."""

    @staticmethod
    def forward(u: Tensor, surrogate: str, alpha: float, strict: bool) -> Tensor:
        return ((u > 0) if strict else (u >= 0)).to(u.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, str, float, bool], output: Tensor) -> None:
        u, ctx.surrogate, ctx.alpha, _ = inputs
        ctx.save_for_backward(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (u,) = ctx.saved_tensors
        return gradient * density(u, ctx.surrogate, ctx.alpha), None, None, None


def density(u: Tensor, surrogate: str, alpha: float) -> Tensor:
    """The surrogate derivative of a spike in u, as Firing lists them."""
    if surrogate == "sigmoid":
        sigmoid = torch.sigmoid(alpha * u)
        return alpha * sigmoid * (1 - sigmoid)
    if surrogate == "atan":
        return alpha / 2 / (1 + (torch.pi / 2 * alpha * u).square())
    if surrogate == "triangle":
        return alpha * (1 - alpha * u.abs()).clamp(min=0)
    return alpha * (u.abs() < 0.5 / alpha).to(u.dtype)
