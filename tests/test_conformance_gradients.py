"""The gradient of every neuron: that it is there, right, of the shared surrogate, and of the table's reset policy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch
from conformance import (
    draw,
    every_neuron,
    fields,
    gradients,
    layer,
    perturbed,
    repeatable,
    same,
    step_through,
)
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from neurons import Firing, Neuron

pytestmark = every_neuron

RECTANGLE = Firing(surrogate="rectangle", alpha=1.0)
# Those whose spikes do nothing to their own state, so that no policy can make a difference.
WITHOUT_RESET = ("convlstm", "spikingjelly_slidingpsn", "snntorch_sconv2dlstm")


def fires_with(neuron: Neuron, firing: Firing) -> None:
    for part in neuron.modules():
        if isinstance(part, Neuron):
            part.firing = firing


def without_pathways(name: str) -> dict[str, str]:
    """The parameter that takes the circuit's pathways away: they carry the gradient of spikes under every policy."""
    return {"pathways": "none"} if name.startswith("stc_") else {}


def resets(name: str) -> bool:
    return name.removeprefix("stc_") not in WITHOUT_RESET


def test_gradient_reaches_the_first_current_and_every_parameter(name: str, device: str) -> None:
    neuron, drive = layer(name, device), draw(device, 4).requires_grad_()
    outputs, _ = step_through(neuron, drive)
    torch.autograd.backward(outputs[-1].sum())
    assert drive.grad is not None
    assert torch.isfinite(drive.grad).all()
    assert drive.grad[0].abs().sum() > 0
    for key, parameter in neuron.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key


def test_recomputed_steps_give_the_same_outputs_and_gradients(name: str, device: str) -> None:
    neuron, drive = repeatable(layer(name, device)), draw(device, 4).requires_grad_()
    outputs, state = step_through(neuron, drive)
    again, state_again = step_through_recomputed(neuron, drive)
    assert torch.equal(again, outputs)
    assert same(state_again, state)
    assert same(gradients(neuron, again, drive), gradients(neuron, outputs, drive))


def step_through_recomputed(neuron: Neuron, currents: Tensor) -> tuple[Tensor, Any]:
    state, outputs = neuron.initial_state(currents[0]), []
    for current in currents:
        output, state = checkpoint(neuron, current, state, use_reentrant=False)
        outputs.append(output)
    return torch.stack(outputs), state


# --- the gradient is right --------------------------------------------------------------------------------------------


class Smooth(Firing):
    """Spikes that are what their surrogate is the derivative of, so that finite differences apply."""

    def __call__(self, u: Tensor, *, strict: bool = False) -> Tensor:
        return torch.sigmoid(self.alpha * u)


@dataclass(frozen=True)
class Recording(Smooth):
    """Detached, and noting down what every spike did to its own neuron."""

    tape: list[Tensor] = field(default_factory=list)

    def feedback(self, spikes: Tensor) -> Tensor:
        self.tape.append(spikes.detach())
        return self.tape[-1]


@dataclass(frozen=True)
class Replaying(Smooth):
    """Spikes that do to their own neuron what was noted down, whatever they are now."""

    tape: Iterator[Tensor] = field(default_factory=lambda: iter(()))

    def feedback(self, spikes: Tensor) -> Tensor:
        return next(self.tape)


def scalar(neuron: Neuron, currents: Tensor) -> Tensor:
    """A number that depends on every output and on every field of the last state."""
    outputs, state = step_through(neuron, currents)
    weights = torch.linspace(-1, 2, outputs[0].numel(), device=outputs.device, dtype=outputs.dtype)
    return sum((weights.view_as(found) * found).sum() for found in (*outputs, *fields(state)))


def slope(value: Callable[[], Tensor], source: Tensor, direction: Tensor, step: float = 1e-4) -> Tensor:
    """The derivative of value() along a direction in `source`, by central differences of fourth order."""
    start, found = source.detach().clone(), []
    with torch.no_grad():
        for steps in (1, -1, 2, -2):
            source.copy_(start + steps * step * direction)
            found.append(value())
        source.copy_(start)
    near, far = found[0] - found[1], found[2] - found[3]
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("policy", ["attached", "detached"])
def test_gradient_is_that_of_finite_differences_where_spikes_are_smooth(name: str, device: str, policy: str) -> None:
    """Detached: that of a neuron whose spikes act on itself as a constant, and on all else as they are."""
    neuron = perturbed(layer(name, device, torch.float64))
    drive = draw(device, 3, side=3, dtype=torch.float64).requires_grad_()
    sources = (drive, *neuron.parameters())
    recording = Recording(reset_gradient="detached")
    fires_with(neuron, Smooth() if policy == "attached" else recording)
    found = torch.autograd.grad(scalar(neuron, drive), sources)

    def value() -> Tensor:
        if policy == "detached":
            fires_with(neuron, Replaying(reset_gradient="detached", tape=iter(recording.tape)))
        return scalar(neuron, drive)

    generator = torch.Generator().manual_seed(3)
    for source, gradient in zip(sources, found, strict=True):
        direction = torch.randn(source.shape, generator=generator, dtype=torch.float64).to(device)
        error = slope(value, source, direction) - (gradient * direction).sum()
        assert error.abs() <= 1e-6 * gradient.norm()


# --- the shared firing ------------------------------------------------------------------------------------------------


def test_surrogate_is_the_shared_one(name: str, device: str) -> None:
    neuron, drive = repeatable(layer(name, device)), draw(device).requires_grad_()
    other = repeatable(layer(name, device, firing=RECTANGLE))
    outputs, found = step_through(neuron, drive)[0], step_through(other, drive)[0]
    assert torch.equal(found, outputs)
    into, into_other = (gradients(n, o, drive)[0] for n, o in ((neuron, outputs), (other, found)))
    assert torch.equal(into, into_other) != neuron.spiking


def test_reset_policy_changes_no_spike_and_not_the_gradient_of_the_first_step(name: str, device: str) -> None:
    drive = draw(device).requires_grad_()
    build = partial(layer, name, device)
    attached, cut = (repeatable(build(firing=Firing(reset_gradient=policy))) for policy in ("attached", "detached"))
    outputs, cut_outputs = step_through(attached, drive)[0], step_through(cut, drive)[0]
    assert torch.equal(cut_outputs, outputs)
    first, cut_first = gradients(attached, outputs[:1], drive), gradients(cut, cut_outputs[:1], drive)
    assert first[0][0].abs().sum() > 0
    assert same(cut_first, first)
    into, into_cut = gradients(attached, outputs, drive)[0], gradients(cut, cut_outputs, drive)[0]
    assert torch.equal(into, into_cut) != resets(name)


def gradient_of_the_state(name: str, device: str, firing: Firing) -> Tensor:
    """That of all fields but the last spikes after three steps, in the currents, where spikes reach no synapse."""
    neuron, drive = repeatable(layer(name, device, firing=firing, **without_pathways(name))), draw(device, 3)
    with torch.no_grad():
        for key, parameter in neuron.named_parameters():
            if "recurrent" in key:  # a weight on the last spikes is a synapse, not a reset
                parameter.zero_()
    _, state = step_through(neuron, drive.requires_grad_())
    kept: Tensor = sum(found.sum() for found in fields(state._replace(s=torch.zeros(()))))  # type: ignore[assignment]
    return torch.autograd.grad(kept, drive)[0]


def test_a_detached_reset_lets_no_gradient_of_a_spike_into_the_state(name: str, device: str) -> None:
    """So the state's gradient cannot depend on the surrogate; attached, it does, wherever spikes reset."""
    cut = [gradient_of_the_state(name, device, Firing(s, 1.0, "detached")) for s in ("sigmoid", "rectangle")]
    assert torch.equal(*cut)
    attached = [gradient_of_the_state(name, device, Firing(s, 1.0, "attached")) for s in ("sigmoid", "rectangle")]
    assert torch.equal(*attached) != resets(name)
