"""The contract that every neuron of the suite keeps: explicit state, one pure step, an unroll equal to stepping."""

from abc import ABC, abstractmethod
from collections import namedtuple
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn


class NeuronError(ValueError):
    """What a user can get wrong about neurons: one line that says what was found, what was wanted, what to do."""


class NotFiniteError(NeuronError):
    """NaN or infinity among a neuron's outputs: broken where it is untrained, diverged where it is being trained."""


class UnsupportedError(NeuronError):
    """The neuron cannot be had with these settings or on this machine; that is its result, not a fault."""


class State(Protocol):
    """What the suite knows of any neuron's state: a NamedTuple of tensors [B, C, H, W], among them these two.

    A neuron declares its own NamedTuple; further fields (a synaptic current, a dendrite) are its own affair. A neuron
    without a membrane leaves `v` out, and the circuit then refuses to modulate it.
    """

    @property
    def v(self) -> Tensor:
        """Membrane potential carried to the next step."""

    @property
    def s(self) -> Tensor:
        """Output of the last step; for a spiking neuron 0 or 1."""

    def _replace(self, **fields: Tensor) -> Any:
        """A copy with some fields exchanged."""


class MembraneState(NamedTuple):
    """The smallest state: membrane and last spikes, both [B, C, H, W]."""

    v: Tensor
    s: Tensor


class Neuron(nn.Module, ABC):
    """A layer of neurons, one per (channel, row, column), that share their parameters over rows and columns.

    The state is handed in and handed back, never kept: two sequences may be interleaved, and any step may be repeated.
    """

    spiking: ClassVar[bool] = True  # False: the output is real-valued, and every table says so
    group: str = "own"  # which block of the tables it stands in

    def initial_state(self, current: Tensor) -> Any:
        """The state before the first step, shaped, typed and placed like `current` [B, C, H, W]: here, all at zero."""
        zeros = torch.zeros_like(current)
        return MembraneState(v=zeros, s=zeros)

    @abstractmethod
    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One time step: input current [B, C, H, W] and state in, output [B, C, H, W] and the next state out."""

    def unroll(self, currents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """All steps of `currents` [T, B, C, H, W] from `state`: outputs [T, B, C, H, W] and the last state.

        Override it only with something that gives the same numbers as stepping.
        """
        outputs = []
        for current in currents:
            output, state = self(current, state)
            outputs.append(output)
        return torch.stack(outputs), state


def check_output(neuron: Neuron, output: Tensor) -> None:
    """Holds outputs of any shape against the contract: finite and, where the neuron is spiking, 0 or 1.

    Raises NeuronError that names the violation.
    """
    if not torch.isfinite(output).all():
        raise NotFiniteError("output has NaN or infinite values, wanted finite ones")
    if neuron.spiking and not ((output == 0) | (output == 1)).all():
        odd = output[(output != 0) & (output != 1)].flatten()[0].item()
        raise NeuronError(f"spikes must be 0 or 1, found {odd:.4g}; a real-valued neuron declares `spiking = False`")


def check_shape(output: Tensor, currents: Tensor) -> None:
    """Raises NeuronError where an output is not shaped like the currents that made it."""
    if output.shape != currents.shape:
        raise NeuronError(f"output has shape {list(output.shape)}, wanted that of its current, {list(currents.shape)}")


def state_type(*fields: str) -> Any:
    """A NamedTuple type for the state of an adapted neuron: the library's own fields, then `s`."""
    return namedtuple("LibraryState", (*fields, "s"))


def per_channel(value: float, channels: int) -> Tensor:
    """A constant for each channel, shaped [C, 1, 1] so that it broadcasts over [B, C, H, W]."""
    return torch.full((channels, 1, 1), float(value))


class _Firing(torch.autograd.Function):
    """Heaviside step forward; the derivative of a logistic sigmoid of slope alpha backward."""

    @staticmethod
    def forward(u: Tensor, alpha: float, strict: bool) -> Tensor:
        return ((u > 0) if strict else (u >= 0)).to(u.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, bool], output: Tensor) -> None:
        u, ctx.alpha, _ = inputs
        ctx.save_for_backward(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        sigmoid = torch.sigmoid(ctx.alpha * u)
        return gradient * (ctx.alpha * sigmoid * (1 - sigmoid)), None, None


def fire(u: Tensor, *, alpha: float = 4.0, strict: bool = False) -> Tensor:
    """Spikes of a membrane that stands `u` above its threshold, with the surrogate gradient that all neurons share.

    Forward: 1 where u >= 0 (`strict`: u > 0, as snnTorch and Norse test it), else 0.
    Backward: d/du = alpha sig(alpha u) (1 - sig(alpha u)), the released code's sigmoid surrogate (alpha 4).
    """
    return _Firing.apply(u, alpha, strict)  # type: ignore[no-untyped-call]


def fire_strictly(u: Tensor) -> Tensor:
    """`fire` with the strict test, in the shape in which the libraries take a surrogate: one argument."""
    return fire(u, strict=True)
