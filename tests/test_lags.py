"""How far a neuron reaches, against neurons whose reach is known: leaks, integrators, delays, none at all."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import neurons
from benchmarks import lags
from benchmarks.lags import STEPS, Drive, Factor, film, gradient_norms, memory, per_step
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings
from neurons import STC, MembraneState, Neuron

NETWORK = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=4)


class Leak(Neuron):
    """v <- a v + x; the output is v."""

    spiking = False

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = a

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        v = self.a * state.v + current
        return v, MembraneState(v=v, s=v)


class Delayed(NamedTuple):
    """The last current."""

    old: Tensor
    s: Tensor


class Delay(Neuron):
    """The output is the current of one step before: a state without a membrane."""

    spiking = False

    def initial_state(self, current: Tensor) -> Delayed:
        return Delayed(old=torch.zeros_like(current), s=torch.zeros_like(current))

    def forward(self, current: Tensor, state: Delayed) -> tuple[Tensor, Delayed]:
        return state.old, Delayed(old=current, s=state.old)


class Spoken(NamedTuple):
    """The last spikes alone."""

    s: Tensor


class Memoryless(Neuron):
    """Fires where its current is positive."""

    def initial_state(self, current: Tensor) -> Spoken:
        return Spoken(s=torch.zeros_like(current))

    def forward(self, current: Tensor, state: Spoken) -> tuple[Tensor, Spoken]:
        s = self.fire(current)
        return s, Spoken(s=s)


class Counted(NamedTuple):
    """A membrane and a clock."""

    v: Tensor
    clock: Tensor
    s: Tensor


class Clocked(Neuron):
    """A perfect integrator that counts its steps."""

    spiking = False

    def initial_state(self, current: Tensor) -> Counted:
        zeros = torch.zeros_like(current)
        return Counted(v=zeros, clock=torch.zeros((), dtype=torch.long), s=zeros)

    def forward(self, current: Tensor, state: Counted) -> tuple[Tensor, Counted]:
        v = state.v + current
        return v, Counted(v=v, clock=state.clock + 1, s=v)


def around(neuron: Neuron) -> Predictor:
    """A network whose layers have `neuron`."""
    network = Predictor("lif", {}, (1, 8, 8), NETWORK, seed=3)
    for layer in network.layers:
        layer.neuron = neuron
    return network


def still(current: Tensor, steps: int = STEPS) -> list[Tensor]:
    return [current] * steps


@pytest.fixture
def frames(generator: torch.Generator) -> Tensor:
    return torch.rand(3, 6, 1, 8, 8, generator=generator)


@pytest.mark.parametrize("a", [0.25, 0.8, 1.0, 1.3])
def test_the_gradient_of_a_leak_is_its_power(a: float, currents: Any) -> None:
    norms = gradient_norms(Leak(a), list(currents(steps=8, dtype=torch.float64)))
    assert np.array(norms) / norms[0] == pytest.approx([a**k for k in range(7)])
    assert per_step(norms) == pytest.approx(a)


def test_the_gradient_of_lif_below_its_threshold_is_its_leak_and_the_surrogates(currents: Any) -> None:
    """With h = v/2 + x/2, v' = h - S: dv'/dv = (1 - S'(h - 1)) / 2 and dS/dv = S'(h - 1) / 2, worked out in NumPy."""
    x = currents(steps=9, batch=2, dtype=torch.float64) / 4
    lif = neurons.build("lif", 16)
    h, through = np.zeros(x.shape[1:]), []
    for current in x.numpy():
        h = (h + current) / 2
        assert (h < 1).all()
        p = 1 / (1 + np.exp(-4 * (h - 1)))
        through.append(4 * p * (1 - p))
    draw = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(0)).double().numpy()
    gradient, wanted = draw * through[-1] / 2, []
    for slope in (None, *through[-2:0:-1]):
        gradient = gradient if slope is None else gradient * (1 - slope) / 2
        wanted.append(np.sqrt(np.square(gradient).sum((1, 2, 3))).mean())
    assert gradient_norms(lif, list(x)) == pytest.approx(wanted)


def test_what_is_no_state_carries_no_gradient(currents: Any) -> None:
    """A delay reaches one step back, though its state is the very tensor it was given; without memory, nothing."""
    draw = torch.randn(2, 16, 6, 6, generator=torch.Generator().manual_seed(0))
    first = draw.flatten(1).norm(dim=1).mean().item()
    assert gradient_norms(Delay(), list(currents())) == pytest.approx([first] + [0.0] * 6)
    assert per_step([first] + [0.0] * 6) is None
    assert gradient_norms(Memoryless(), list(currents())) == [0.0] * 7


def test_a_clock_is_no_memory(currents: Any) -> None:
    norms = gradient_norms(Clocked(), list(currents(steps=5)))
    assert norms == pytest.approx([norms[0]] * 4)


def test_the_slope_is_fitted_where_there_is_a_norm() -> None:
    assert per_step([3 * 0.7**k for k in range(6)]) == pytest.approx(0.7)
    assert per_step([2.0, 1.0, 0.0, 0.25, math.inf, math.nan]) == pytest.approx(0.5)  # 2 ** -(k - 1) at lags 1, 2, 4
    assert per_step([1.0, 0.0]) is None
    assert per_step([]) is None


def test_the_membrane_of_a_perfect_integrator_grows_by_its_current(frames: Tensor) -> None:
    current = torch.full((2, 3, 1, 1), 0.5)
    current[:, 1] = -2.0
    drive, state = Drive(Leak(1.0)), Leak(1.0).initial_state(current)
    for _ in range(4):
        _, after = Leak(1.0)(current, state)
        drive.see(current, state, after)
        state = after
    assert drive.membrane == "v"
    assert drive.rms == pytest.approx([k * math.sqrt((0.25 + 4 + 0.25) / 3) for k in (1, 2, 3, 4)])
    assert drive.largest == pytest.approx([2.0, 4.0, 6.0, 8.0])


def test_an_overflow_is_written_down() -> None:
    current = torch.full((1, 1, 1, 1), 1.0)
    drive, neuron = Drive(Leak(1e25)), Leak(1e25)
    state: Any = neuron.initial_state(current)
    for _ in range(3):
        _, after = neuron(current, state)
        drive.see(current, state, after)
        state = after
    assert drive.largest[:2] == pytest.approx([1.0, 1e25])
    assert drive.rms[2] == drive.largest[2] == math.inf


@pytest.mark.parametrize(("neuron", "field"), [(Delay(), "old"), (Clocked(), "v"), (Memoryless(), "")])
def test_what_stands_for_the_membrane(neuron: Neuron, field: str) -> None:
    assert lags.membrane_of(neuron.initial_state(torch.zeros(1, 2, 1, 1))) == field


def test_the_film_goes_forth_and_back() -> None:
    frames = torch.arange(4.0).view(1, 4, 1, 1, 1)
    assert film(frames).flatten().tolist() == [*([0, 1, 2, 3, 2, 1] * 4)][: STEPS + 1]
    long = torch.arange(50.0).view(1, 50, 1, 1, 1)
    assert film(long).flatten().tolist() == list(range(STEPS + 1))
    assert film(frames[:, :2]).flatten().tolist() == [k % 2 for k in range(STEPS + 1)]


def test_without_a_memory_nothing_is_left_of_a_swapped_frame(frames: Tensor) -> None:
    for changes in memory(around(Memoryless()), film(frames)):
        assert changes is not None
        assert len(changes) == lags.REACH + 1
        assert changes[0] > 0
        assert changes[1:] == [0.0] * lags.REACH


def test_a_leak_remembers_a_swapped_frame_by_its_powers(frames: Tensor) -> None:
    """Layer 1 of a linear leak: the difference is a^k of what the swap did to one current, the outputs sums of them."""
    network, shown = around(Leak(0.6)).double(), film(frames.double())
    driven: list[Tensor] = []
    with torch.no_grad():
        network(shown, STEPS, watch=lambda i, x, *_: driven.append(x) if i == 0 else None)
        swapped = shown.clone()
        for b in range(3):
            swapped[b, lags.SWAPPED] = shown[b - 1, lags.SWAPPED]
        other: list[Tensor] = []
        network(swapped, STEPS, watch=lambda i, x, *_: other.append(x) if i == 0 else None)
        found = memory(network, shown)[0]
    x = torch.stack(driven).numpy()
    jump = np.abs(other[lags.SWAPPED].numpy() - x[lags.SWAPPED]).sum()
    v, sizes = np.zeros_like(x[0]), []
    for current in x:
        v = 0.6 * v + current
        sizes.append(np.abs(v).sum())
    assert found == pytest.approx([jump * 0.6**k / sizes[lags.SWAPPED + k] for k in range(lags.REACH + 1)])


def test_one_sequence_has_no_other_to_swap_with(frames: Tensor) -> None:
    assert memory(around(Leak(0.5)), film(frames[:1])) == [None, None]


@pytest.mark.parametrize("pathways", ["both", "temporal", "spatial", "none"])
def test_silenced_pathways_have_factors_of_one(pathways: str, frames: Tensor) -> None:
    network = Predictor("stc_lif", {"pathways": pathways}, (1, 8, 8), NETWORK, seed=3)
    for neuron in network.modules():
        if isinstance(neuron, STC):
            for pathway in (neuron.temporal, neuron.spatial):
                if pathway is not None:
                    scale: Any = pathway[1].weight  # of the GroupNorm; its bias starts at 0
                    torch.nn.init.zeros_(scale)
    ones = {"histogram": [0.0] * 10 + [1.0] + [0.0] * 9, "mean": 1.0, "sd": 0.0}
    for layer in lags.lags(network, frames):
        for name in ("temporal", "spatial"):
            assert layer["factors"][name] == (ones if pathways in (name, "both") else None)


def test_factors_are_counted_in_their_bins() -> None:
    factor = Factor()
    factor.add(torch.tensor([[0.0, 0.05, 0.95], [1.0, 1.99, 2.0]]))
    factor.add(torch.tensor([0.55, 0.5]))
    wanted = np.zeros(20)
    wanted[[0, 9, 10, 19, 5]] = np.array([2, 1, 1, 2, 2]) / 8
    found = factor.summary()
    assert found is not None
    values = [0.0, 0.05, 0.95, 1.0, 1.99, 2.0, 0.55, 0.5]
    assert found["histogram"] == pytest.approx(wanted)
    assert (found["mean"], found["sd"]) == pytest.approx((np.mean(values), np.std(values)))
    assert Factor().summary() is None


def test_the_factors_are_those_of_the_last_spikes_from_the_second_step_on(frames: Tensor) -> None:
    network = Predictor("stc_lif", {}, (1, 8, 8), NETWORK, seed=3)
    with torch.no_grad():
        _, outputs = network(film(frames), STEPS)
        circuits = [layer.neuron for layer in network.layers]
        for found, circuit, spikes in zip(lags.lags(network, frames), circuits, outputs, strict=True):
            keep = 1 + torch.stack([circuit.temporal(s) for s in spikes[:-1]])  # type: ignore[operator, union-attr]
            assert found["factors"]["temporal"]["mean"] == pytest.approx(keep.mean().item(), rel=1e-4)
            assert found["factors"]["temporal"]["sd"] == pytest.approx(keep.std(correction=0).item(), rel=1e-4)


@pytest.mark.parametrize("name", [*neurons.available(), "stc_norse_lif"])
def test_every_neuron_has_lags_and_is_left_as_it_was(name: str, frames: Tensor) -> None:
    network = Predictor(name, {}, (1, 8, 8), NETWORK, seed=3)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = lags.lags(network, frames)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    for layer in found:
        norms = layer["gradient"]["norm"]
        assert len(norms) == STEPS - 1
        assert norms[0] == 1
        assert len(layer["memory"]) == lags.REACH + 1
        assert len(layer["membrane"]["rms"]) == len(layer["membrane"]["largest"]) == STEPS
    assert found == lags.lags(network, frames)
