"""Norse's functional steps under the suite's contract: own parameters, own full-size states, the shared surrogate."""

from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from neurons._library import load
from neurons._neuron import Neuron, fire_strictly, per_channel, state_type


class NorseNeuron(Neuron):
    """The step function `step` of norse.torch.functional.`module`, whose state and parameter tuples are named.

    `learnable` gives the fields of the parameter tuple that are learnt, one value a channel, with their start values;
    `fixed` the other fields that differ from the library's defaults. Time is counted in steps (dt = 1).
    """

    group = "norse"

    def __init__(
        self,
        channels: int,
        module: str,
        step: str,
        state: str,
        parameters: str,
        learnable: dict[str, float],
        **fixed: Any,
    ):
        super().__init__()
        library = load(f"norse.torch.functional.{module}")
        self.step = _with_surrogate(getattr(library, step))
        self.state_tuple = getattr(library, state)
        self.parameter_tuple = getattr(library, parameters)
        self.state_type = state_type(*self.state_tuple._fields)
        self.learnt = nn.ParameterDict({n: nn.Parameter(per_channel(v, channels)) for n, v in learnable.items()})
        self.fixed = fixed

    def initial_state(self, current: Tensor) -> Any:
        return self.state_type(*(torch.zeros_like(current) for _ in self.state_type._fields))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        parameters = self.parameter_tuple(**self.learnt, **self.fixed)
        spikes, after = self.step(current, self.state_tuple(*state[:-1]), parameters, dt=1.0)
        return spikes, self.state_type(*after, spikes)


def _with_surrogate(step: Any) -> Any:
    """A copy of the library's function that has the shared surrogate as its `threshold`; the library stays as it is."""
    seen = {**step.__globals__, "threshold": lambda u, method, alpha: fire_strictly(u)}
    return FunctionType(step.__code__, seen, step.__name__, step.__defaults__, step.__closure__)
