"""The Spatio-Temporal Circuit: a neuron's own last spikes modulate its memory and its input.

Source: Wang & Yu, "Autaptic Synaptic Circuit Enhances Spatio-temporal Predictive Learning of Spiking Neural
Networks", ICML 2024, and the authors' released code.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import TypedDict

from neurons._firing import Firing
from neurons._fused import Factors, Unroll
from neurons._integrate import IntegrateAndFire
from neurons._neuron import MembraneState, Neuron, NeuronError, UnsupportedError, check_input
from neurons._packed import Packer, Shape, Way


class Circuit(TypedDict, total=False):
    """The circuit's parameters, as STC explains them: what `stc_<name>` takes beside the parameters of <name>."""

    pathways: Literal["both", "temporal", "spatial", "none"]
    kernel_size: int
    groups: int
    detach: bool
    bound: float | None
    step: Literal["fused", "plain"]


class STC(Neuron):
    """The circuit around any neuron whose state has a membrane `v`.

        T = tanh(GN(GConv_T(s)))       temporal pathway: scales the membrane,    v <- v (1 + T)
        P = tanh(GN(GConv_P(s)))       spatial pathway:  scales the input,       x <- x (1 + P)

    where s are the layer's own spikes of the last step. Both convolutions are grouped (`groups`), without bias, and
    keep the map's size; both factors lie between 0 and 2, so that memory can be kept, amplified or erased.

    pathways: which of the two there are; with `none` it is the neuron itself, bit for bit.
    detach: stops the gradient at s before both pathways (the released `gradient_detach`; off for Moving MNIST, on for
    TaxiBJ and KTH).
    bound: keeps the membrane between -bound and bound after every step; in the released code it may grow without end.
    step: `fused` computes the same with fewer operations (neurons/_fused.py); `plain` line by line, to hold it against.
    """

    group = "stc"

    def __init__(
        self,
        neuron: Neuron,
        channels: int,
        pathways: Literal["both", "temporal", "spatial", "none"] = "both",
        kernel_size: int = 5,
        groups: int = 16,
        detach: bool = False,
        bound: float | None = None,
        step: Literal["fused", "plain"] = "fused",
    ):
        super().__init__()
        fields = neuron.initial_state(torch.zeros(1, channels, 1, 1))._fields
        if "v" not in fields:
            raise UnsupportedError(f"STC modulates a membrane, and the state has none: no `v` among {list(fields)}")
        if groups < 1 or channels % groups:
            raise UnsupportedError(
                f"the circuit's {groups} groups do not divide {channels} channels; choose ones that do"
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise NeuronError(f"the circuit's kernel_size is {kernel_size}; an odd one keeps the size of the map")
        if bound is not None and not bound > 0:
            raise NeuronError(f"the circuit's bound is {bound}; wanted a positive one, or null for none")

        def pathway() -> nn.Sequential:
            conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
            return nn.Sequential(conv, nn.GroupNorm(groups, channels), nn.Tanh())

        self.neuron = neuron
        self.temporal = pathway() if pathways in ("both", "temporal") else None
        self.spatial = pathway() if pathways in ("both", "spatial") else None
        self.detach = detach
        self.bound = bound
        self.fused = step == "fused"
        there: list[Any] = [one for one in (self.temporal, self.spatial) if one is not None]
        self._parts = tuple((pathway[0], pathway[1]) for pathway in there)
        eps = there[0][1].eps if there else 0.0
        self.packer = Packer(Shape(len(there), channels, groups, kernel_size, eps))
        self.note, self.compiles, self.normalises_batch = neuron.note, neuron.compiles, neuron.normalises_batch

    def initial_state(self, current: Tensor) -> Any:
        return self.neuron.initial_state(current)

    def factors(self, spikes: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """The dynamic factors (1 + T, 1 + P), each [B, C, H, W] between 0 and 2, for the last spikes [B, C, H, W].

        A pathway that is not there leaves its factor at the number 1, which changes no bit of what it multiplies.
        """
        source = spikes.detach() if self.detach else spikes
        if self._is_fused(source):
            way = self._way(source)
            made = list(Factors.apply(way, source, *way.packed))  # type: ignore[no-untyped-call]
            return 1.0 if self.temporal is None else made.pop(0), 1.0 if self.spatial is None else made.pop(0)
        keep = 1.0 if self.temporal is None else 1.0 + self.temporal(source)
        admit = 1.0 if self.spatial is None else 1.0 + self.spatial(source)
        return keep, admit

    def modulated(self, current: Tensor, state: Any, keep: Any) -> tuple[Tensor, Any]:
        """One step of the neuron on the scaled current, its membrane scaled by `keep`."""
        stepped: tuple[Tensor, Any] = self.neuron(current, state._replace(v=state.v * keep))
        return stepped

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        if self._unrolls(current, state):
            outputs, state = self._unrolled(current[None], state)
            return outputs[0], state
        keep, admit = self.factors(state.s)
        output, state = self.modulated(current * admit, state, keep)
        if self.bound is not None:
            state = state._replace(v=state.v.clamp(-self.bound, self.bound))
        return output, state

    def unroll(self, currents: Tensor, state: Any) -> tuple[Tensor, Any]:
        """All steps; in one function where the neuron is integrate-and-fire under both pathways."""
        if not self._unrolls(currents[0], state):
            return super().unroll(currents, state)
        check_input(currents[0], state)
        return self._unrolled(currents, state)

    def _unrolled(self, currents: Tensor, state: Any) -> tuple[Tensor, Any]:
        neuron: Any = self.neuron
        way = self._way(currents[0])
        outputs, v, s = Unroll.apply(  # type: ignore[no-untyped-call]
            way, currents, state.v, state.s, *neuron.constants(), *way.packed
        )
        return outputs, MembraneState(v=v, s=s)

    def _unrolls(self, current: Tensor, state: Any) -> bool:
        """Whether the fused unroll computes this circuit: nothing about it is other than in STC-LIF and STC-PLIF."""
        neuron = self.neuron
        return (
            self._is_fused(current)
            and isinstance(neuron, IntegrateAndFire)
            and type(neuron).forward is IntegrateAndFire.forward
            and type(neuron.firing) is Firing
            and neuron.reset == "soft"
            and type(self).modulated is STC.modulated
            and self.temporal is not None
            and self.spatial is not None
            and self.bound is None
            and current.dtype == state.v.dtype == state.s.dtype
        )

    def _is_fused(self, like: Tensor) -> bool:
        """Whether the fast step serves tensors like this one: in full precision, outside of torch.compile."""
        full = like.dtype in (torch.float32, torch.float64)
        return self.fused and self.packer.shape.pathways > 0 and full and not torch.compiler.is_compiling()

    def _way(self, like: Tensor) -> Way:
        return self.packer.way(self._pathway_parameters(), like, self.detach, self.neuron.firing)

    def _pathway_parameters(self) -> list[Tensor]:
        """Weight, scale and shift of each pathway there is."""
        return [p for conv, norm in self._parts for p in (conv.weight, norm.weight, norm.bias)]
