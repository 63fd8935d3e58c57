"""The network's options that trade time, memory and layout: none of them changes what is computed."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import neurons
from benchmarks import memory
from benchmarks.network import Predictor, _segments
from benchmarks.settings import NetworkSettings

SETTINGS = NetworkSettings(patch=4, layers=2, channels=16, kernel_size=3, groups=8)
OBSERVED, LENGTH = 4, 8
NAMES = [name for name in neurons.available() if name != "spikingjelly_mpbn"]


def network(name: str, dtype: torch.dtype = torch.float64, **options: Any) -> Predictor:
    return Predictor(name, {}, (1, 16, 16), SETTINGS.model_copy(update=options), seed=0).to(dtype)


def frames(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(3, LENGTH, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=dtype)


def passed(made: Predictor) -> list[Tensor]:
    """Predictions under scheduled sampling, outputs, and the gradients of all parameters."""
    share = (torch.rand(3, LENGTH - OBSERVED - 1, generator=torch.Generator().manual_seed(1)) < 0.5).double()
    predictions, outputs = made(frames(), OBSERVED, share)
    gradients = torch.autograd.grad((predictions - frames()[:, 1:]).square().mean(), list(made.parameters()))
    return [predictions, *outputs, *gradients]


def close(one: list[Tensor], other: list[Tensor]) -> bool:
    return all((a - b).abs().max() <= 1e-10 * b.abs().max() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_recomputation_changes_no_number(name: str) -> None:
    assert close(passed(network(name, recompute=3)), passed(network(name)))


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_recomputation_of_stretches_of_any_length(steps: int) -> None:
    assert close(passed(network("stc_lif", recompute=steps)), passed(network("stc_lif")))


@pytest.mark.parametrize(
    ("kept", "wanted"),
    [(None, [(0, 5), (5, 9)]), (2, [(0, 2), (2, 4), (4, 5), (5, 7), (7, 9)]), (9, [(0, 5), (5, 9)])],
)
def test_a_sequence_is_cut_where_prediction_begins(kept: int | None, wanted: list[tuple[int, int]]) -> None:
    assert list(_segments(5, 9, kept)) == wanted


def test_a_sequence_of_one_predicted_frame_has_one_part() -> None:
    assert list(_segments(5, 5, None)) == [(0, 5)]


def test_recomputation_leaves_little_to_autograd() -> None:
    """It keeps what is recomputed out of autograd's sight: what is left is the input of every stretch."""

    def saved(made: Predictor) -> int:
        total: int = memory.saved(lambda: made(frames(), OBSERVED, with_outputs=False)[0].sum(), made)[
            "saved_for_backward"
        ]
        return total

    assert saved(network("stc_lif", recompute=2)) < 0.1 * saved(network("stc_lif"))


def test_recomputation_is_refused_where_a_step_has_effects() -> None:
    with pytest.raises(neurons.UnsupportedError, match=r"spikingjelly_mpbn with network.recompute: .* leave it null"):
        network("spikingjelly_mpbn", recompute=2)


def test_a_watched_pass_is_not_recomputed() -> None:
    made, seen = network("lif", recompute=2), list[int]()
    predictions, _ = made(frames(), OBSERVED, watch=lambda layer, *_: seen.append(layer))
    predictions.sum().backward()
    assert len(seen) == 2 * (LENGTH - 1)


@pytest.mark.parametrize("name", ["lif", "stc_lif", "stc_lmh", "norse_lsnn", "convlstm"])
def test_channels_last_changes_no_number(name: str) -> None:
    made = network(name, channels_last=True)
    weight = made.get_parameter("layers.0.conv.weight")
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert close(passed(made), passed(network(name)))


def test_without_outputs_there_are_the_same_predictions() -> None:
    made = network("stc_lif")
    wanted, outputs = made(frames(), OBSERVED)
    predictions, none = made(frames(), OBSERVED, with_outputs=False)
    assert torch.equal(predictions, wanted)
    assert len(outputs) == 2
    assert none == []


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # dynamo asks every input
def test_a_compiled_step_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Captured whole by `eager`, which needs no C++ compiler to run it."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    torch.compiler.reset()
    made = network("stc_lif", compile=True)
    assert set(made.state_dict()) == set(network("stc_lif").state_dict())
    assert close(passed(made), passed(network("stc_lif")))


def test_a_neuron_that_does_not_compile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neurons.Neuron, "compiles", False)
    with pytest.raises(neurons.UnsupportedError, match=r"glif with network.compile: .* set it false"):
        network("glif", compile=True)
