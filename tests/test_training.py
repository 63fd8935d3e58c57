"""The training loop: what it keeps, that killing it and going on changes nothing, and that divergence is a result."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import in_memory
from torch import Tensor

from benchmarks import training
from benchmarks.checkpoint import Checkpoint
from benchmarks.evaluation import evaluate
from benchmarks.metrics import Scores
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings, SamplingSettings, TrainingSettings
from datasets import Sequences

NETWORK = NetworkSettings(patch=2, layers=1, channels=16, kernel_size=3, groups=4)
STEPS = 12
CPU = torch.device("cpu")


def settings(**changed: Any) -> TrainingSettings:
    base: dict[str, Any] = {
        "seeds": 1,
        "steps": STEPS,
        "batch": 4,
        "learning_rate": 1e-2,
        "final_learning_rate": 0.0,
        "warm_up": 0.1,
        "clip": None,
        "sampling": SamplingSettings(start=1.0, end=0.0, until=2 / 3),
        "validate_every": 4,
        "device": "cpu",
        "workers": 1,
        "loaders": 0,
    }
    return TrainingSettings(**{**base, **changed})


@pytest.fixture
def data(random: np.random.Generator) -> tuple[Sequences, Sequences]:
    """A train and a validation split of noise."""
    frames = random.integers(0, 256, (18, 6, 1, 8, 8), dtype=np.uint8)
    return in_memory(frames[:12], 3), in_memory(frames[12:], 3)


class KilledError(Exception):
    """Stands for the signal that ends a run."""


def go_on(step: int, loss: float) -> None:
    """Goes on."""


def killer(after: int) -> Callable[[int, float], None]:
    def on_step(step: int, loss: float) -> None:
        if step == after:
            raise KilledError

    return on_step


def run(
    data: tuple[Sequences, Sequences], file: Path, name: str = "lif", on_step: Any = go_on, **changed: Any
) -> tuple[training.Trained, dict[str, Tensor]]:
    network = Predictor(name, {}, (1, 8, 8), NETWORK, seed=1)
    trained = training.train(network, *data, settings(**changed), 1, CPU, Checkpoint(file), on_step)
    return trained, network.state_dict()


def same(one: tuple[training.Trained, dict[str, Tensor]], other: tuple[training.Trained, dict[str, Tensor]]) -> bool:
    """Bit for bit the same outcome, curve and weights; the curve's first training loss is NaN on both sides."""
    weights = all(torch.equal(one[1][key], other[1][key]) for key in one[1])
    return repr(one[0]) == repr(other[0]) and weights and set(one[1]) == set(other[1])


# --- what it keeps ----------------------------------------------------------------------------------------------------


def test_training_keeps_the_weights_that_did_best_on_validation(
    data: tuple[Sequences, Sequences], tmp_path: Path
) -> None:
    trained, weights = run(data, tmp_path / "seed")
    assert trained.status == "ok"
    assert [row["step"] for row in trained.curve] == [0, 4, 8, 12]
    best = min(trained.curve, key=lambda row: row["validation_mse"])
    assert trained.best_step == best["step"] > 0
    network = Predictor("lif", {}, (1, 8, 8), NETWORK, seed=2)
    network.load_state_dict(weights)
    scores = Scores("mse")
    evaluate(network, data[1], 4, CPU, scores.add)
    assert scores.overall()["mse"] == best["validation_mse"]


def test_the_best_weights_outlive_later_ones_and_a_kill(
    data: tuple[Sequences, Sequences], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = iter([5.0, 3.0, 4.0, 6.0])
    monkeypatch.setattr(training, "_validate", lambda *arguments: next(errors))
    first, second = (Predictor("lif", {}, (1, 8, 8), NETWORK, seed=1) for _ in range(2))
    best: dict[str, Tensor] = {}

    def on_step(step: int, loss: float) -> None:
        if step == 4:
            best.update({key: weight.clone() for key, weight in first.state_dict().items()})
        killer(9)(step, loss)

    plan, checkpoint = settings(), Checkpoint(tmp_path / "seed")
    with pytest.raises(KilledError):
        training.train(first, *data, plan, 1, CPU, checkpoint, on_step)
    trained = training.train(second, *data, plan, 1, CPU, checkpoint, go_on)
    assert trained.best_step == 4
    assert all(torch.equal(weight, best[key]) for key, weight in second.state_dict().items())
    assert not any(torch.equal(weight, best[key]) for key, weight in first.state_dict().items())


def test_one_step_is_one_step_of_adam(data: tuple[Sequences, Sequences], tmp_path: Path) -> None:
    losses: list[float] = []
    _, weights = run(
        data,
        tmp_path / "seed",
        on_step=lambda step, loss: losses.append(loss),
        steps=1,
        warm_up=0.0,
        learning_rate=1e-3,
    )
    network = Predictor("lif", {}, (1, 8, 8), NETWORK, seed=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    frames = torch.from_numpy(data[0].batch(next(training.batch_order(12, 4, 1, 0, 1))))
    predictions, _ = network(frames, 3, torch.ones(4, 2))
    loss = (predictions - frames[:, 1:]).square().mean()
    torch.autograd.backward(loss)
    optimizer.step()
    assert math.isclose(losses[0], loss.item(), rel_tol=1e-6)
    assert all(torch.allclose(weights[key], value, atol=1e-6) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    "name", ["lif", "stc_lif", "snntorch_leaky", "convlstm", "norse_lifrefrac", "spikingjelly_mpbn"]
)
@pytest.mark.parametrize("after", [2, 7, 8])
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    name: str, after: int, data: tuple[Sequences, Sequences], tmp_path: Path
) -> None:
    whole = run(data, tmp_path / "whole", name)
    with pytest.raises(KilledError):
        run(data, tmp_path / "killed", name, killer(after))
    steps: list[int] = []
    assert same(run(data, tmp_path / "killed", name, lambda step, loss: steps.append(step)), whole)
    assert steps == list(range((after - 1) // 4 * 4 + 1, STEPS + 1))


def test_a_finished_run_is_not_run_again(data: tuple[Sequences, Sequences], tmp_path: Path) -> None:
    first = run(data, tmp_path / "seed")
    assert same(run(data, tmp_path / "seed", on_step=killer(1)), first)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    data: tuple[Sequences, Sequences], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KilledError):
        run(data, tmp_path / "seed", on_step=killer(7))
    file = tmp_path / "seed.0000004.safetensors"
    old = file.read_bytes()

    def full_disk(tensors: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"the beginning")
        raise OSError("No space left on device")

    monkeypatch.setattr("benchmarks.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        run(data, tmp_path / "seed")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {file.name: old}


def test_clipping_bounds_the_gradient(data: tuple[Sequences, Sequences], tmp_path: Path) -> None:
    norms: list[float] = []
    network = Predictor("lif", {}, (1, 8, 8), NETWORK, seed=1)

    def on_step(step: int, loss: float) -> None:
        norms.append(math.sqrt(sum(float(p.grad.square().sum()) for p in network.parameters() if p.grad is not None)))

    training.train(network, *data, settings(clip=1e-3), 1, CPU, Checkpoint(tmp_path / "seed"), on_step)
    assert max(norms) <= 1e-3 * (1 + 1e-5)


# --- divergence -------------------------------------------------------------------------------------------------------


def test_an_exploding_learning_rate_is_a_result(data: tuple[Sequences, Sequences], tmp_path: Path) -> None:
    trained, _ = run(data, tmp_path / "seed", learning_rate=1e30, warm_up=0.0)
    assert trained.status == "diverged"
    assert "inf" in trained.reason or "nan" in trained.reason


def test_divergence_that_spikes_hide_is_found(data: tuple[Sequences, Sequences], tmp_path: Path) -> None:
    """NaN does not reach the threshold, so that a network of NaN weights falls silent with a finite loss."""
    network = Predictor("lif", {}, (1, 8, 8), NETWORK, seed=1)

    def poison(step: int, loss: float) -> None:
        if step == 2:
            with torch.no_grad():
                next(network.layers[0].parameters()).fill_(torch.nan)

    one, other = (replace(split, length=4) for split in data)
    trained = training.train(network, one, other, settings(), 1, CPU, Checkpoint(tmp_path / "c"), poison)
    assert trained.status == "diverged"
    assert "step 3" in trained.reason
    assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_divergence_first_seen_in_validation_is_a_result(data: tuple[Sequences, Sequences], tmp_path: Path) -> None:
    trained, _ = run(data, tmp_path / "c", "convlstm", learning_rate=1e30, warm_up=0.0, validate_every=1)
    assert trained.status == "diverged"


def test_a_checkpoint_of_another_network_changes_nothing(
    data: tuple[Sequences, Sequences], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(data, tmp_path / "c", "lif")
    network = Predictor("stc_lif", {}, (1, 8, 8), NETWORK, seed=1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert Checkpoint(tmp_path / "c").load(network, torch.optim.Adam(network.parameters())) is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_loss_of_nan_is_a_result(
    data: tuple[Sequences, Sequences], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = torch.nn.functional.mse_loss, []

    def poisoned(predictions: Tensor, frames: Tensor) -> Tensor:
        calls.append(1)
        return real(predictions, frames) * (math.nan if len(calls) == 6 else 1)

    monkeypatch.setattr(torch.nn.functional, "mse_loss", poisoned)
    trained, _ = run(data, tmp_path / "seed")
    assert trained.status == "diverged"
    assert "nan at step 6" in trained.reason
    assert [row["step"] for row in trained.curve] == [0, 4]
