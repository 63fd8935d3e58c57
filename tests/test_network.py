"""The network: exact patches, plain stepping, no look into the future, the same weights for every neuron."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, group_norm

import neurons
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings

NETWORK = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=4)
OBSERVED, LENGTH = 3, 7


def predictor(name: str = "lif", seed: int = 5) -> Predictor:
    return Predictor(name, {}, (2, 8, 8), NETWORK, seed)


@pytest.fixture
def frames(generator: torch.Generator) -> Tensor:
    return torch.rand(2, LENGTH, 2, 8, 8, generator=generator, dtype=torch.float64)


def to_patches(frame: Tensor, side: int) -> Tensor:
    """[B, C, H, W] -> [B, C side side, H / side, W / side]: a square of pixels becomes channels, row by row."""
    offsets = [(row, column) for row in range(side) for column in range(side)]
    channels = [frame[:, c, row::side, column::side] for c in range(frame.shape[1]) for row, column in offsets]
    return torch.stack(channels, dim=1)


def from_patches(patches: Tensor, side: int) -> Tensor:
    b, c, h, w = patches.shape
    frame = patches.new_empty(b, c // side**2, h * side, w * side)
    for i in range(c):
        channel, row, column = i // side**2, i % side**2 // side, i % side
        frame[:, channel, row::side, column::side] = patches[:, i]
    return frame


def plain(network: Predictor, frames: Tensor, true: list[list[bool]]) -> tuple[Tensor, list[Tensor]]:
    """Frame by frame and layer by layer; `true[t][b]` says whether step t of sequence b reads the true frame."""
    layers: list[Any] = list(network.layers)
    states: list[Any] = [None] * len(layers)
    predictions: list[Tensor] = []
    outputs: list[list[Tensor]] = [[] for _ in layers]
    for t, choice in enumerate(true):
        rows = [frames[b, t] if of_b else predictions[-1][b] for b, of_b in enumerate(choice)]
        signal = to_patches(torch.stack(rows), network.patch)
        for i, layer in enumerate(layers):
            convolved = conv2d(signal, layer.conv.weight, padding=NETWORK.kernel_size // 2)
            current = group_norm(convolved, NETWORK.groups, layer.norm.weight, layer.norm.bias)
            before = layer.neuron.initial_state(current) if states[i] is None else states[i]
            signal, states[i] = layer.neuron(current, before)
            outputs[i].append(signal)
        predictions.append(from_patches(conv2d(signal, network.readout.weight), network.patch))
    return torch.stack(predictions, dim=1), [torch.stack(steps) for steps in outputs]


@pytest.mark.parametrize("side", [1, 2, 4])
def test_patches_lose_nothing(side: int, frames: Tensor) -> None:
    assert torch.equal(torch.nn.functional.pixel_unshuffle(frames[:, 0], side), to_patches(frames[:, 0], side))
    assert torch.equal(from_patches(to_patches(frames[:, 0], side), side), frames[:, 0])


@pytest.mark.parametrize("name", neurons.available())
@pytest.mark.parametrize("sampled", [False, True])
def test_predicts_as_plain_stepping_does(name: str, sampled: bool, frames: Tensor, generator: torch.Generator) -> None:
    network = predictor(name).double()
    share = torch.rand(2, LENGTH - OBSERVED - 1, generator=generator) < 0.5
    assert 0 < share.sum() < share.numel()
    own = share.T.tolist() if sampled else [[False, False]] * (LENGTH - OBSERVED - 1)
    wanted, wanted_outputs = plain(network, frames, [[True, True]] * OBSERVED + own)
    found, outputs = network(frames, OBSERVED, share.double() if sampled else None)
    assert found.shape == (2, LENGTH - 1, 2, 8, 8)
    assert torch.allclose(found, wanted, rtol=1e-9, atol=1e-12)
    for output, wanted_output in zip(outputs, wanted_outputs, strict=True):
        assert output.shape == (LENGTH - 1, 2, 16, 4, 4)
        assert output.abs().sum() > 0
        assert torch.allclose(output, wanted_output, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", neurons.available())
def test_closed_loop_never_sees_the_future(name: str, frames: Tensor) -> None:
    network = predictor(name).double()
    blind = frames.clone()
    blind[:, OBSERVED:] = float("nan")
    assert torch.equal(network(blind, OBSERVED)[0], network(frames, OBSERVED)[0])


@pytest.mark.parametrize("name", neurons.available())
@pytest.mark.parametrize("seen", range(1, OBSERVED))
def test_a_prediction_never_sees_later_observed_frames(name: str, seen: int, frames: Tensor) -> None:
    network = predictor(name).double()
    blind = frames.clone()
    blind[:, seen:] = float("nan")
    assert torch.equal(network(blind, OBSERVED)[0][:, :seen], network(frames, OBSERVED)[0][:, :seen])


def test_a_true_share_of_one_reads_every_true_frame(frames: Tensor) -> None:
    network = predictor().double()
    taught, _ = network(frames, OBSERVED, torch.ones(2, LENGTH - OBSERVED - 1))
    observed, _ = network(frames, LENGTH - 1)
    assert torch.allclose(taught, observed, rtol=1e-12)


def test_gradient_passes_through_own_predictions(frames: Tensor) -> None:
    frames = frames.requires_grad_()
    predictor("stc_lif").double()(frames, OBSERVED)[0][:, -1].sum().backward()
    assert frames.grad is not None
    assert (frames.grad[:, :OBSERVED].abs().sum(dim=(0, 2, 3, 4)) > 0).all()
    assert (frames.grad[:, OBSERVED:] == 0).all()


def common(network: Predictor) -> dict[str, Tensor]:
    """The weights that are not the neuron's."""
    return {name: weight for name, weight in network.state_dict().items() if ".neuron." not in name}


@pytest.mark.parametrize("name", neurons.available())
def test_every_neuron_gets_the_same_network(name: str) -> None:
    found, wanted = common(predictor(name)), common(predictor("lif"))
    assert list(found) == list(wanted)
    assert {"layers.0.conv.weight", "layers.1.conv.weight", "layers.1.norm.weight", "readout.weight"} <= set(found)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_a_seed_draws_the_same_network_again_and_another_seed_another() -> None:
    one, again, other = (predictor("stc_lif", seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[key], again[key]) for key in one)
    drawn = [key for key in one if "conv" in key or "readout" in key or ".0.weight" in key]
    assert len(drawn) == 7
    assert not any(torch.equal(one[key], other[key]) for key in drawn)


@pytest.mark.parametrize("name", neurons.available())
def test_building_leaves_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    predictor(name)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_neuron_of_the_wrong_shape_is_refused(frames: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    network = predictor().double()

    def unroll(currents: Tensor, state: Any) -> tuple[Tensor, Any]:
        return currents[..., :-1], state

    monkeypatch.setattr(network.neurons_by_layer()[0], "unroll", unroll)
    with pytest.raises(neurons.NeuronError, match="shape"):
        network(frames, OBSERVED)
