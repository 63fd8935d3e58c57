"""The paper's neurons against numbers from the released cells: spikes, states, loss and every gradient, in float64."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import neurons
from neurons import Firing

Array = NDArray[Any]
GOLDEN = Path(__file__).parent / "golden"
CHANNELS = 16

BUILDS: dict[str, dict[str, Any]] = {  # case -> the parameters that make a neuron the released one
    "lif": {},
    "plif": {"gain": "released"},
    "tclif": {"reset_gradient": "released"},
    "lmh": {"reset_gradient": "released"},
    "glif": {"surrogate": "released"},
    "stc_lif_detach0": {"detach": False},
    "stc_lif_detach1": {"detach": True},
    "stc_plif_detach0": {"detach": False},
    "stc_plif_detach1": {"detach": True},
    "stc_lmh_detach0": {"detach": False, "reset_gradient": "released"},
    "stc_lmh_detach1": {"detach": True, "reset_gradient": "released"},
}

COUPLINGS = {"d_u": "a", "s_u": "b", "d_p": "c", "s_p": "e"}
GATES = {"alpha": "alpha", "beta": "beta", "gamma": "gamma"}
CONSTANTS = {"tau": "tau", "Vth": "threshold", "leak": "leak", "reVth": "drop", "conduct": "conduct"}
SCALARS: dict[str, dict[str, str]] = {  # the released name of a neuron's own weight -> ours; those without are unused
    "lif": {},
    "plif": {"t_m": "w"},
    "tclif": {"t_m": "w", "s_u": "p", "s_p": "q"},
    "lmh": COUPLINGS,
    "glif": {f"glif.{theirs}": ours for theirs, ours in (GATES | CONSTANTS).items()},
    "stc_lif": {},
    "stc_plif": {"t_m": "neuron.w"},
    "stc_lmh": {theirs: f"neuron.{ours}" for theirs, ours in COUPLINGS.items()},
}
UNUSED = {"tclif": {"d_u", "d_p"}, "lmh": {"t_m"}, "stc_lmh": {"t_m"}}  # declared by the released cell, never read


def neuron_of(case: str) -> str:
    return case.removesuffix("_detach0").removesuffix("_detach1")


def golden(case: str) -> dict[str, Array]:
    with np.load(GOLDEN / f"{case}.npz") as file:
        return dict(file)


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> bool:
    """Whether two arrays agree relative to the largest value wanted."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    return found.shape == wanted.shape and bool(np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max())


def layer(case: str) -> tuple[nn.Module, neurons.Neuron, dict[str, Tensor]]:
    """The convolution before the neuron, the neuron, and all weights of both under their released names."""
    admit = nn.Sequential(nn.Conv2d(3, CHANNELS, 5, padding=2, bias=False), nn.GroupNorm(16, CHANNELS)).double()
    neuron = neurons.build(neuron_of(case), CHANNELS, **BUILDS[case]).double()
    ours = {name: neuron.get_buffer(name) for name, _ in neuron.named_buffers()} | dict(neuron.named_parameters())
    theirs = {own: released for released, own in SCALARS[neuron_of(case)].items()}
    weights: dict[str, Tensor] = {f"conv_x.{name}": weight for name, weight in admit.named_parameters()}
    for name, weight in ours.items():
        weights[theirs.get(name, name.replace("temporal", "conv_h").replace("spatial", "conv_v"))] = weight
    return admit, neuron, weights


def test_every_golden_file_is_a_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.npz")} == {*BUILDS, "shared"}


@pytest.mark.parametrize("case", BUILDS)
def test_agrees_with_the_released_cell(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, shared = golden(case), golden("shared")
    admit, neuron, weights = layer(case)
    released = {key.removeprefix("sd.") for key in wanted if key.startswith("sd.")}
    assert set(weights) == released - UNUSED.get(neuron_of(case), set())  # none of ours stays at its own start
    with torch.no_grad():
        for key, weight in weights.items():
            weight.copy_(torch.from_numpy(wanted[f"sd.{key}"]).view_as(weight))

    x = torch.from_numpy(shared["x"]).requires_grad_()
    currents = torch.stack([admit(frame) for frame in x])
    if case == "glif":  # the released one fires in float32, which rounds every gradient that passes through a spike
        fire = neuron.fire
        monkeypatch.setattr(neuron, "fire", lambda u: fire(u.float()))
    state: Any = neuron.initial_state(currents[0])
    spikes, membranes = [], []
    for current in currents:
        fired, state = neuron(current, state)
        spikes.append(fired)
        membranes.append(state.v.detach())
    loss = (torch.stack(spikes) * torch.from_numpy(shared["w"])).sum()
    torch.autograd.backward(loss)

    assert np.array_equal(torch.stack(spikes).detach(), wanted["spikes"])
    assert close(loss.item(), wanted["loss"])
    for membrane, traced in zip(membranes, wanted["h_trace"], strict=True):
        assert close(membrane.float(), traced, tolerance=float(np.finfo(np.float32).eps))  # kept as a float32 copy
    assert close(state.v.detach(), wanted["h_final"])
    assert ("d" in state._fields) == ("d_final" in wanted)
    if "d_final" in wanted:
        assert close(state.d.detach(), wanted["d_final"])

    assert x.grad is not None
    assert close(x.grad, wanted["grad_x"])
    for key in released:
        gradient = wanted[f"grad.{key}"]
        if gradient.size == 0:  # the released cell has none: a weight that is not learnt, or that nothing reads
            assert key not in weights or not isinstance(weights[key], nn.Parameter), key
            continue
        found = weights[key].grad
        assert found is not None, key
        assert close(found.reshape(gradient.shape), gradient), key


@pytest.mark.parametrize("case", BUILDS)
def test_starts_where_the_released_cell_starts(case: str) -> None:
    wanted, (_, _, weights) = golden(case), layer(case)
    for key in SCALARS[neuron_of(case)]:
        start = weights[key].detach().numpy()
        assert np.allclose(start, wanted[f"sd.{key}"].reshape(start.shape), rtol=1e-6, atol=1e-6), key


# --- the gradient of the reset where weights are not 0, as they are in every golden case ------------------------------


def tclif(currents: Tensor, p: Tensor, q: Tensor, w: Tensor, feedback: Any) -> Tensor:
    d, v, s, spikes = 0.0, 0.0, torch.zeros_like(currents[0]), []
    for x in currents:
        r = feedback(s)
        d = d - p.sigmoid() * v + x - w * r
        v = v + q.sigmoid() * d - r
        s = Firing()(v - 1)
        spikes.append(s)
    return torch.stack(spikes)


def lmh(currents: Tensor, a: Tensor, b: Tensor, c: Tensor, e: Tensor, feedback: Any) -> Tensor:
    d, v, spikes = 0.0, 0.0, []
    for x in currents:
        d = (a.sigmoid() - 0.5) * d + (b.sigmoid() - 0.5) * v + x
        h = (c.sigmoid() + 0.5) * d + (e.sigmoid() + 0.5) * v
        s = Firing()(h - 1)
        v = h - feedback(s)
        spikes.append(s)
    return torch.stack(spikes)


@pytest.mark.parametrize("policy", ["attached", "detached", "released"])
@pytest.mark.parametrize("cell", [tclif, lmh])
def test_the_reset_s_gradient_is_that_of_the_policy(
    cell: Any, policy: Any, currents: Callable[..., Tensor], generator: torch.Generator
) -> None:
    how: Any = {"reset_gradient": policy} if policy == "released" else {"firing": Firing(reset_gradient=policy)}
    neuron, drive = neurons.build(cell.__name__, CHANNELS, **how).double(), currents(dtype=torch.float64)
    weights = dict(neuron.named_parameters())
    for weight in weights.values():
        nn.init.uniform_(weight, -1, 1, generator=generator)
    spikes, _ = neuron.unroll(drive, neuron.initial_state(drive[0]))
    by_hand = cell(drive, **weights, feedback=Tensor.clone if policy == "attached" else Tensor.detach)
    assert torch.equal(spikes, by_hand)
    scale = torch.randn(drive.shape, generator=generator, dtype=torch.float64)
    found, wanted = (torch.autograd.grad((s * scale).sum(), list(weights.values())) for s in (spikes, by_hand))
    for name, one, other in zip(weights, found, wanted, strict=True):
        assert close(one, other), name
