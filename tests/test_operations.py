"""The counter of operations against counts by hand, by loops, and by another library's counter."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

import neurons
from benchmarks import operations
from benchmarks.counting import KINDS, fan_out
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings
from neurons import MembraneState, Neuron, NeuronError

SIDE, CHANNELS, TAPS = 4, 4, (2, 3, 3, 2)  # of a 3-wide kernel, how many reach each row (and column) of 4
ONE = NetworkSettings(patch=1, layers=1, channels=CHANNELS, kernel_size=3, groups=2)
TWO = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=16)
WITHOUT_MEMBRANE = {"stc_convlstm", "stc_spikingjelly_slidingpsn"}  # there is nothing for a circuit to modulate
NAMES = sorted({*neurons.available(), *neurons.twins()} - WITHOUT_MEMBRANE)


@pytest.fixture
def frames(generator: torch.Generator) -> Tensor:
    """Three sequences of five frames of 8 x 8, analog."""
    return torch.rand(3, 5, 1, 8, 8, generator=generator)


def built(name: str, settings: NetworkSettings = TWO, side: int = 8, **params: Any) -> Predictor:
    return Predictor(name, params, (1, side, side), settings, seed=0)


def with_neuron(neuron: Callable[[], Neuron]) -> Predictor:
    """A network of two layers of `neuron`."""
    network = built("lif")
    for layer in network.layers:
        layer.neuron = neuron()
    return network


def test_lif_by_hand(generator: torch.Generator) -> None:
    """One layer, 4 channels, a 4 x 4 map, 3 frames of which 2 are read: 2 steps."""
    network = built("lif", ONE, SIDE)
    frames = torch.rand(1, 3, 1, SIDE, SIDE, generator=generator)
    found = operations.count(network, frames, 2)
    with torch.no_grad():
        spikes = int(network(frames, 2)[1][0].sum())
    assert spikes > 0

    # Ten taps of three fall on a row of four, so each of 4 channels multiplies 10 x 10 times a step.
    (layer,) = found["layers"]
    assert layer["input"]["mac"] == layer["input"]["dense"] == 2 * 4 * 10 * 10
    assert layer["input"]["ac"] == 0
    assert layer["norm"]["normalisation"] == 2 * 64
    # h = .5 v + .5 x; h - 1 >= 0; v = h - s, on 64 neurons.
    assert {kind: layer["neuron"][kind] for kind in KINDS} == {
        "additions": 2 * 64 * 3,
        "multiplications": 2 * 64 * 2,
        "comparisons": 2 * 64,
        "transcendental": 0,
    }
    assert layer["neuron"]["contractions"] == []
    assert layer["state"] == {"values": 64, "spikes": 64}
    # Each spike meets one weight of the 1 x 1 readout to one channel.
    assert found["readout"]["ac"] == spikes
    assert found["readout"]["dense"] == 2 * 64
    assert found["readout"]["mac"] == 0
    assert found["steps"] == 2
    assert found["total"] == {
        "mac": 800,
        "ac": spikes,
        "dense": 800 + 128,
        "effective": 800 + spikes,
        "normalisation": 128,
        "additions": 384,
        "multiplications": 256,
        "comparisons": 128,
        "transcendental": 0,
        "neuron_operations": 768,
    }


@pytest.mark.parametrize("step", ["plain", "fused"])
def test_the_circuit_by_hand(step: str, generator: torch.Generator) -> None:
    """Each spike of the last step meets, in each pathway, 2 channels of its group through every tap that lands."""
    network = built("stc_lif", ONE, SIDE, step=step, groups=2, kernel_size=3)
    frames = torch.rand(2, 5, 1, SIDE, SIDE, generator=generator)
    found = operations.count(network, frames, 3)
    with torch.no_grad():
        outputs = network(frames, 3)[1][0].numpy()
    met = 0
    for _, _, _, row, column in np.argwhere(outputs[:-1] == 1):
        met += 2 * TAPS[row] * TAPS[column]
    neuron = found["layers"][0]["neuron"]
    assert met > 0
    assert [site["ac"] for site in neuron["contractions"]] == [met / 2, met / 2]  # two sequences
    assert [site["weights"] for site in neuron["contractions"]] == [4 * 2 * 9] * 2
    assert [site["runs"] for site in neuron["contractions"]] == [4, 4]
    assert neuron["dense"] == 2 * 4 * 4 * 2 * 10 * 10
    assert neuron["mac"] == 0
    assert neuron["normalisation"] == 4 * 2 * 64
    # 1 + T, 1 + P, v + x, h - 1, h - s; v (1 + T), x (1 + P); H; two tanh. Retention and gain are 1.
    assert [neuron[kind] for kind in KINDS] == [4 * 64 * times for times in (5, 2, 1, 2)]
    circuit: Any = network.neurons_by_layer()[0]
    assert circuit.fused == (step == "fused")  # as it was before


@pytest.mark.parametrize("name", NAMES)
def test_every_neuron_is_counted_the_same_in_any_batch(name: str, frames: Tensor) -> None:
    """A sequence beside copies of itself costs what it costs alone: nothing of the network is shared out."""
    network = built(name)
    alone = operations.count(network, frames[:1], 3)["total"]
    beside = operations.count(network, frames[:1].expand(2, -1, -1, -1, -1), 3)["total"]
    assert alone == beside
    assert alone["dense"] > 0
    assert alone["neuron_operations"] > 0
    assert (alone["ac"] == 0) != network.neurons_by_layer()[0].spiking


@pytest.mark.parametrize("name", ["lif", "stc_lif", "stc_norse_lif", "snntorch_rleaky_conv", "spikingjelly_slidingpsn"])
def test_spike_driven_operations_are_those_that_spikingjelly_counts(name: str, frames: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
    params: dict[str, Any] = {"step": "plain"} if name.startswith("stc") else {}
    network = built(name, **params).eval()
    theirs = SynOpCounter()
    with torch.no_grad(), DispatchCounterMode([theirs]):
        network(frames, 3, watch=lambda *_: None)
    assert operations.count(network, frames, 3)["total"]["ac"] == theirs.get_total() / len(frames)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "transposed"),
    [
        (7, 3, 1, 1, 1, False),
        (8, 5, 2, 2, 1, False),
        (9, 3, 1, 0, 2, False),
        (6, 4, 3, 1, 1, False),
        (5, 3, 2, 1, 1, True),
    ],
)
def test_fan_out_is_what_a_convolution_of_one_does(
    size: int, kernel: int, stride: int, padding: int, dilation: int, transposed: bool
) -> None:
    """A single input of 1 through weights of 1 comes out as many times as it has weights."""
    ones = torch.ones(1, 1, kernel)
    run: Any = nn.functional.conv_transpose1d if transposed else nn.functional.conv1d
    outputs = [
        run(unit.view(1, 1, -1), ones, stride=stride, padding=padding, dilation=dilation) for unit in torch.eye(size)
    ]
    expected = tuple(int(output.sum()) for output in outputs)
    assert fan_out(size, outputs[0].shape[-1], kernel, stride, padding, dilation, transposed) == expected


class Hiding(Neuron):
    """A neuron whose convolution is no module, and reads its weight in another form at every step."""

    def __init__(self, disguise: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.secret = nn.Parameter(torch.ones(16, 16, 1, 1))
        self.disguise = disguise

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        h = current + conv2d(state.s, self.disguise(self.secret))
        s = self.fire(h - 1.0)
        return s, MembraneState(v=h, s=s)


@pytest.mark.parametrize(
    "disguise",
    [
        lambda weight: weight,
        lambda weight: weight.clone(),
        lambda weight: weight.to(torch.float64).to(torch.float32),
        lambda weight: weight.flatten(1).t().contiguous().t().view(16, 16, 1, 1),
        lambda weight: weight / weight.norm(),
    ],
)
def test_a_hidden_convolution_is_found(disguise: Callable[[Tensor], Tensor], frames: Tensor) -> None:
    network = with_neuron(lambda: Hiding(disguise))
    found = operations.count(network, frames, 3)
    with torch.no_grad():
        outputs = network(frames, 3)[1]
    for i, layer in enumerate(found["layers"]):
        (site,) = layer["neuron"]["contractions"]
        assert site["name"] == f"layers.{i}.neuron.secret"
        assert site["ac"] == 16 * outputs[i][:-1].sum().item() / 3
        assert site["dense"] == 4 * 16 * 16 * 16
        assert layer["neuron"]["additions"] == 4 * 16 * 16 * 2  # the weight's own arithmetic is done once for all


class Idle(Neuron):
    """A neuron with a convolution that it never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral = nn.Conv2d(16, 16, 1, bias=False)

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        s = self.fire(current - 1.0)
        return s, MembraneState(v=current, s=s)


def test_a_weight_that_never_runs_is_named(frames: Tensor) -> None:
    with pytest.raises(NeuronError, match=r"^layers\.0\.neuron\.lateral\.weight, layers\.1\.neuron\.lateral\.weight "):
        operations.count(with_neuron(Idle), frames, 3)


class Exotic(Neuron):
    """A neuron that computes what no table has."""

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        s = self.fire(torch.special.bessel_j0(current) - 1.0)
        return s, MembraneState(v=current, s=s)


def test_an_unknown_operation_is_named_and_nothing_is_left_changed(frames: Tensor) -> None:
    network = with_neuron(Exotic).train()
    with pytest.raises(NeuronError, match="Exotic in layer 0 runs the operation 'special_bessel_j0'"):
        operations.count(network, frames, 3)
    assert network.training
    modules = [network.readout, *(m for layer in network.layers for m in (layer, layer.conv, layer.norm, layer.neuron))]
    assert not any({"forward", "initial_state"} & set(vars(module)) for module in modules)


class Drawing(Neuron):
    """A neuron that draws noise, which is work at every step, however it is shaped."""

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        s = self.fire(current + torch.rand(current.shape))
        return s, MembraneState(v=current, s=s)


def test_noise_is_an_operation(frames: Tensor) -> None:
    with pytest.raises(NeuronError, match="Drawing in layer 0 runs the operation 'rand'"):
        operations.count(with_neuron(Drawing), frames, 3)


class Filling(Idle):
    """A neuron that writes the spikes into an array of its own making before it reads them."""

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        array = torch.zeros(current.shape)
        array[:, :8] = state.s[:, :8]
        s = self.fire(current + self.lateral(array))
        return s, MembraneState(v=current, s=s)


def test_what_is_written_into_a_constant_makes_it_none(frames: Tensor) -> None:
    network = with_neuron(Filling)
    neuron = operations.count(network, frames[:1], 3)["layers"][0]["neuron"]
    with torch.no_grad():
        spikes = network(frames[:1], 3)[1][0][:-1, :, :8].sum().item()
    assert neuron["ac"] == 16 * spikes > 0
    assert neuron["additions"] == 4 * 16 * 16


class Sums(Idle):
    """Everything that is counted otherwise than once an element; the weight and the bias by a matrix product."""

    def forward(self, current: Tensor, state: MembraneState) -> tuple[Tensor, MembraneState]:
        mixed = nn.functional.linear(state.s.movedim(1, -1), self.lateral.weight.flatten(1), current[0, :, 0, 0])
        h = torch.lerp(current, torch.addcmul(current, current, mixed.movedim(-1, 1), value=0.5), 0.25) ** 2
        s = self.fire(h.sub(current.mean(dim=1, keepdim=True), alpha=2.0) * 1.0 + 0.0)
        return s, MembraneState(v=h, s=s)


def test_products_reductions_and_scaled_sums_by_hand(frames: Tensor) -> None:
    network = with_neuron(Sums)
    neuron = operations.count(network, frames[:1], 3)["layers"][1]["neuron"]
    with torch.no_grad():
        spikes = network(frames[:1], 3)[1][1][:-1].sum().item()
    elements, places = 16 * 16, 16
    assert neuron["ac"] == 16 * spikes
    assert neuron["dense"] == 4 * 16 * elements
    # bias 1, addcmul 1, lerp 2, sub 1; the mean adds 15 of 16 channels
    assert neuron["additions"] == 4 * (5 * elements + elements - places)
    # addcmul and its value 2, lerp 1, square 1, alpha 1; the mean divides once
    assert neuron["multiplications"] == 4 * (5 * elements + places)
    assert neuron["comparisons"] == 4 * elements
    assert neuron["transcendental"] == 0


def test_binary_frames_are_no_spikes_once_the_network_reads_its_own_predictions(frames: Tensor) -> None:
    """NeuroBench's rule, over the whole of a pass: one analog input makes a multiplier necessary."""
    network, binary = built("lif"), (frames > 0.5).float()
    inputs = [operations.count(network, binary[:, :length], 3)["layers"][0]["input"] for length in (4, 5)]
    assert [part["contractions"][0]["spike_driven"] for part in inputs] == [True, False]
    assert inputs[0]["mac"] == inputs[1]["ac"] == 0
    assert inputs[0]["ac"] == inputs[0]["effective"] < inputs[0]["dense"]
    assert inputs[1]["mac"] == inputs[1]["dense"]


def test_reduced_precision_hides_no_weight(frames: Tensor) -> None:
    network = built("stc_lif", TWO.model_copy(update={"precision": "bfloat16", "membrane": "float32"}))
    names = [site["name"] for site in operations.count(network, frames, 3)["layers"][1]["neuron"]["contractions"]]
    assert names == ["layers.1.neuron.temporal.0.weight", "layers.1.neuron.spatial.0.weight"]


def test_counting_changes_no_number(frames: Tensor) -> None:
    network = built("stc_lif")
    with torch.no_grad():
        before = network(frames, 3)[0]
        operations.count(network, frames, 3)
        after = network(frames, 3)[0]
    assert torch.equal(before, after)
