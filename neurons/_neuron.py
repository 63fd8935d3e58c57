"""The contract that every neuron of the suite keeps: explicit state, one pure step, an unroll equal to stepping."""

from abc import ABC, abstractmethod
from collections import namedtuple
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from neurons._firing import Firing


class NeuronError(ValueError):
    """What a user can get wrong about neurons: one line that says what was found, what was wanted, what to do."""


class NotFiniteError(NeuronError):
    """NaN or infinity among a neuron's outputs: broken where it is untrained, diverged where it is being trained."""


class UnsupportedError(NeuronError):
    """The neuron cannot be had with these settings or on this machine; that is its result, not a fault."""


class MembraneState(NamedTuple):
    """The smallest state: membrane and last spikes, both [B, C, H, W].

    A neuron with more (a synaptic current, a dendrite) declares its own NamedTuple. In every state `s` is the output
    of the last step, and `v`, where there is a membrane, what the circuit may scale; a field of no dimensions is a
    clock; all others have the shape of the current.
    """

    v: Tensor
    s: Tensor


class Neuron(nn.Module, ABC):
    """A layer of neurons, one per (channel, row, column), that share their parameters over rows and columns.

    The state is handed in and handed back, never kept: two sequences may be interleaved, and any step may be repeated.
    """

    spiking: ClassVar[bool] = True  # False: the output is real-valued, and every table says so
    compiles: bool = True  # torch.compile takes its step as one graph, with equal results
    normalises_batch: bool = False  # in training it uses and updates statistics of the batch
    group: str = "own"  # which block of the tables it stands in
    note: str = ""  # what the tables must say beside its name
    firing: Firing = Firing()  # replaced by neurons.build; the same for every neuron of a table

    def fire(self, u: Tensor) -> Tensor:
        """Spikes of a membrane that stands `u` above its threshold, with the table's surrogate gradient."""
        return self.firing(u)

    def feedback(self, spikes: Tensor) -> Tensor:
        """The spikes as they reset the neuron that fired them, with the table's policy for that gradient."""
        return self.firing.feedback(spikes)

    def initial_state(self, current: Tensor) -> Any:
        """The state before the first step, shaped, typed and placed like `current` [B, C, H, W]: here, all at zero."""
        zeros = torch.zeros_like(current)
        return MembraneState(v=zeros, s=zeros)

    @abstractmethod
    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One time step: input current [B, C, H, W] and state in, output [B, C, H, W] and the next state out."""

    def __call__(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One time step, its input checked; raises NeuronError for integers and for shapes that do not match."""
        check_input(current, state)
        stepped: tuple[Tensor, Any] = super().__call__(current, state)
        return stepped

    def unroll(self, currents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """All steps of `currents` [T, B, C, H, W] from `state`: outputs [T, B, C, H, W] and the last state.

        Override it only with something that gives the same numbers as stepping.
        """
        outputs = []
        for current in currents:
            output, state = self(current, state)
            outputs.append(output)
        return torch.stack(outputs), state


def check_input(current: Tensor, state: Any) -> None:
    """Raises NeuronError where a step is given integers, or a state that was made for currents of another shape."""
    if not current.is_floating_point():
        raise NeuronError(f"current is {current.dtype}, wanted floating point; convert it with .float()")
    shape = current.shape
    for field in state:
        if field.shape != shape and field.ndim:
            raise NeuronError(
                f"state has shape {list(field.shape)} and current {list(shape)}; begin with initial_state(current)"
            )


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
