"""Norse's functional steps under the suite's contract: own parameters, own full-size states, the shared firing."""

from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from neurons._library import load
from neurons._neuron import Neuron, per_channel, state_type


class NorseNeuron(Neuron):
    """The step function `step` of norse.torch.functional.`module`, whose state and parameter tuples are named.

    `learnable` gives the fields of the parameter tuple that are learnt, one value a channel, with their start values;
    `fixed` the other fields that differ from the library's defaults. Time is counted in steps (dt = 1). Norse always
    differentiates what a spike does to the state; here the table's policy holds.
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
        self.unpatched = getattr(library, step)
        self.step = self._with_firing(self.unpatched)
        self.state_tuple = getattr(library, state)
        self.parameter_tuple = getattr(library, parameters)
        self.state_type = state_type(*self.state_tuple._fields)
        self.learnt = nn.ParameterDict({n: nn.Parameter(per_channel(v, channels)) for n, v in learnable.items()})
        self.fixed = fixed
        self.fired: list[Tensor] = []  # during a step, what its thresholds gave

    def __setstate__(self, state: Any) -> None:
        """What a copy is made of: its step must fire with the copy's policy, not with the original's."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.step = self._with_firing(self.unpatched)

    def initial_state(self, current: Tensor) -> Any:
        return self.state_type(*(torch.zeros_like(current) for _ in self.state_type._fields))

    def parameters_now(self) -> Any:
        """The library's parameter tuple with the values learnt so far."""
        return self.parameter_tuple(**self.learnt, **self.fixed)

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        spikes, after = self.advance(current, self.state_tuple(*state[:-1]))
        return spikes, self.state_type(*after, spikes)

    def advance(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step of the library, with its own state tuple; the spikes carry their gradient under either policy."""
        try:
            spikes, after = self.step(current, state, self.parameters_now(), dt=1.0)
            if self.firing.reset_gradient == "detached":
                fired, *masks = self.fired
                spikes = fired * (1.0 - masks[0]) if masks else fired
        finally:  # recomputation for backward breaks off in the middle of a step
            self.fired.clear()
        return spikes, after

    def _threshold(self, u: Tensor, method: str, alpha: float) -> Tensor:
        spikes = self.firing(u, strict=True)
        self.fired.append(spikes)
        return self.feedback(spikes)

    def _with_firing(self, step: Any) -> Any:
        """A copy of the library's function, and of those of its own that it calls, whose `threshold` is the table's."""
        seen = {**step.__globals__, "threshold": self._threshold}
        del seen["__name__"]  # by it torch.compile would find the library's own globals, with the library's threshold
        for name in step.__code__.co_names:
            called = seen.get(name)
            if isinstance(called, FunctionType) and called.__module__.startswith("norse."):
                seen[name] = self._with_firing(called)
        return FunctionType(step.__code__, seen, step.__name__, step.__defaults__, step.__closure__)
