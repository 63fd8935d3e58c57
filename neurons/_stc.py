"""The Spatio-Temporal Circuit: a neuron's own last spikes modulate its memory and its input.

Source: Wang & Yu, "Autaptic Synaptic Circuit Enhances Spatio-temporal Predictive Learning of Spiking Neural
Networks", ICML 2024, and the authors' released code.
"""

from typing import Any

from torch import Tensor, nn

from neurons._neuron import Neuron, NeuronError, UnsupportedError


class STC(Neuron):
    """The circuit around any neuron whose state has a membrane `v`.

        T = tanh(GN(GConv_T(s)))       temporal pathway: scales the membrane,    v <- v (1 + T)
        P = tanh(GN(GConv_P(s)))       spatial pathway:  scales the input,       x <- x (1 + P)

    where s are the layer's own spikes of the last step. Both convolutions are grouped (`groups`), without bias, and
    keep the map's size; both factors lie between 0 and 2, so that memory can be kept, amplified or erased. `detach`
    stops the gradient at s before both pathways (the released `gradient_detach`; off for Moving MNIST, on for TaxiBJ
    and KTH).
    """

    group = "stc"

    def __init__(self, neuron: Neuron, channels: int, kernel_size: int = 5, groups: int = 16, detach: bool = False):
        super().__init__()
        if groups < 1 or channels % groups:
            raise UnsupportedError(
                f"the circuit's {groups} groups do not divide {channels} channels; choose ones that do"
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise NeuronError(f"the circuit's kernel_size is {kernel_size}; an odd one keeps the size of the map")

        def pathway() -> nn.Sequential:
            conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2, groups=groups, bias=False)
            return nn.Sequential(conv, nn.GroupNorm(groups, channels), nn.Tanh())

        self.neuron = neuron
        self.temporal = pathway()
        self.spatial = pathway()
        self.detach = detach

    def initial_state(self, current: Tensor) -> Any:
        state = self.neuron.initial_state(current)
        if "v" not in state._fields:
            raise UnsupportedError(
                f"STC modulates a membrane, and the state has none: no `v` among {list(state._fields)}"
            )
        return state

    def factors(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """The dynamic factors (1 + T, 1 + P), each [B, C, H, W] between 0 and 2, for the last spikes [B, C, H, W]."""
        source = spikes.detach() if self.detach else spikes
        return 1.0 + self.temporal(source), 1.0 + self.spatial(source)

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        keep, admit = self.factors(state.s)
        output: tuple[Tensor, Any] = self.neuron(current * admit, state._replace(v=state.v * keep))
        return output
