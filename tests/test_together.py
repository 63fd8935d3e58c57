"""Seeds that are trained together take the steps that each would take alone, and end as it would."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import in_memory
from safetensors.torch import load_file
from test_devices import in_double
from test_training import CPU, KilledError, go_on, killer, settings
from torch import Tensor

import neurons
from benchmarks import evaluation, together, training
from benchmarks.checkpoint import Checkpoint
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings
from benchmarks.together import Stack, refusal, train_together
from benchmarks.training import Trained
from datasets import Sequences
from neurons import NotFiniteError

SHAPE: dict[str, Any] = {"patch": 2, "layers": 2, "channels": 16, "kernel_size": 3, "groups": 4}
NETWORK = NetworkSettings(**SHAPE)
FRAME = (1, 8, 8)
SEEDS = (1, 2, 5)
REFUSED = {
    "glif": "`tau` is not an nn.Parameter",  # it asks for its parameters as such, and finds slices of a stack
    "spikingjelly_mpbn": "it changes its buffers in training",
}
Data = tuple[Sequences, Sequences]
Outcome = dict[int, tuple[Trained, dict[str, Tensor]]]  # by place


@pytest.fixture
def data(random: np.random.Generator) -> Data:
    """A train and a validation split of noise."""
    frames = random.integers(0, 256, (18, 6, *FRAME), dtype=np.uint8)
    return in_memory(frames[:12], 3), in_memory(frames[12:], 3)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches in float64, in which rounding stays far from flipping a spike."""
    for module in (training, together, evaluation):
        monkeypatch.setattr(module, "batches", in_double)


def networks(name: str, dtype: Any = torch.float64, of: Any = SEEDS, **params: Any) -> list[Predictor]:
    return [Predictor(name, params, FRAME, NETWORK, seed).to(dtype) for seed in of]


def stacked(
    made: list[Predictor], data: Data, folder: Path, on_step: Any = go_on, ended: Any = (), **changed: Any
) -> Outcome:
    """How each of the seeds ended, and its weights then; those at the places `ended` had done so before."""
    checkpoints = [None if place in ended else Checkpoint(folder / f"seed{SEEDS[place]}") for place in range(len(made))]
    ending = train_together(made, *data, settings(**changed), SEEDS[: len(made)], CPU, checkpoints, on_step)
    found = {}
    for place, trained in ending:
        found[place] = trained, {name: one.clone() for name, one in made[place].state_dict().items()}
    return found


def alone(network: Predictor, seed: int, data: Data, folder: Path, on_step: Any = go_on, **changed: Any) -> Any:
    checkpoint = Checkpoint(folder / f"alone{seed}")
    trained = training.train(network, *data, settings(**changed), seed, CPU, checkpoint, on_step)
    return trained, network.state_dict()


def close(one: Any, other: Any, tolerance: float) -> None:
    """The same ending, curve and weights but for rounding."""
    assert one[0].status == other[0].status
    assert one[0].best_step == other[0].best_step
    for mine, wanted in zip(one[0].curve, other[0].curve, strict=True):
        assert mine == pytest.approx(wanted, rel=tolerance, nan_ok=True)
    for name, wanted in other[1].items():
        assert (one[1][name] - wanted).abs().max() <= tolerance * wanted.abs().max(), name


def identical(one: Outcome, other: Outcome) -> None:
    """Bit for bit the same endings, curves and weights."""
    assert one.keys() == other.keys()
    for place, (trained, weights) in one.items():
        assert repr(trained) == repr(other[place][0])
        assert all(torch.equal(weights[name], wanted) for name, wanted in other[place][1].items())


# --- one step, every neuron -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*neurons.available(), "stc_norse_lif", "stc_snntorch_rleaky", "stc_glif"])
def test_every_neuron_has_its_own_gradients_in_a_stack_or_is_refused(name: str, generator: torch.Generator) -> None:
    why = refusal(networks(name, torch.float32), FRAME)
    expected = REFUSED.get(name.removeprefix("stc_"), "")
    assert (expected in why) if expected else why == ""
    if why:
        assert len(why.splitlines()) == 1
        return
    apart, made = networks(name), networks(name)
    frames = torch.rand(len(SEEDS), 2, 6, *FRAME, generator=generator, dtype=torch.float64)
    share = torch.randint(2, (len(SEEDS), 2, 2), generator=generator).double()
    losses = Stack(made).backward(frames, 3, share)
    for place, network in enumerate(apart):
        predictions, _ = network(frames[place], 3, share[place])
        loss = (predictions - frames[place, :, 1:]).square().mean()
        torch.autograd.backward(loss)
        assert losses[place].item() == pytest.approx(loss.item(), rel=1e-10)
        for key, parameter in network.named_parameters():
            found = made[place].get_parameter(key).grad
            if parameter.grad is not None:
                assert found is not None
                assert (found - parameter.grad).abs().max() <= 1e-10 * parameter.grad.abs().max(), key


def test_a_network_is_its_slice(generator: torch.Generator) -> None:
    made = networks("stc_lif")
    before = [{name: one.clone() for name, one in network.state_dict().items()} for network in made]
    stack = Stack(made)
    for network, kept in zip(made, before, strict=True):
        assert all(torch.equal(one, kept[name]) for name, one in network.state_dict().items())
    made[1].load_state_dict({name: one + 1 for name, one in before[1].items()})
    for name, common in stack.parameters.items():
        assert torch.equal(common[1], before[1][name] + 1)
        assert torch.equal(common[2], before[2][name])


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ({"precision": "bfloat16"}, ""),
        ({"recompute": 2}, "network.recompute found, which a stack cannot have"),
        ({"channels_last": True}, "network.channels_last found, which a stack cannot have"),
    ],
)
def test_options_of_the_network(option: dict[str, Any], wanted: str) -> None:
    made = [Predictor("stc_lif", {}, FRAME, NetworkSettings(**SHAPE, **option), seed) for seed in SEEDS]
    assert refusal(made, FRAME) == wanted


# --- many steps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [("lif", {}), ("stc_lif", {"step": "plain"}), ("norse_lifrefrac", {})],
)
@pytest.mark.usefixtures("double")
def test_twenty_steps_are_those_of_each_alone(name: str, params: dict[str, Any], data: Data, tmp_path: Path) -> None:
    """Loss, gradient norm before it is clipped and validation error after every step, and the weights."""
    how: dict[str, Any] = {"steps": 20, "validate_every": 1, "clip": 0.05}
    found = stacked(networks(name, of=SEEDS[:2], **params), data, tmp_path, **how)
    assert list(found) == [0, 1]
    for place, network in enumerate(networks(name, of=SEEDS[:2], **params)):
        wanted = alone(network, SEEDS[place], data, tmp_path, **how)
        assert len(wanted[0].curve) == 21
        assert max(row["gradient_norm"] for row in wanted[0].curve[1:]) > 0.05
        close(found[place], wanted, 1e-10)


def test_in_single_precision_the_result_is_close(data: Data, tmp_path: Path) -> None:
    found = stacked(networks("stc_lif", torch.float32), data, tmp_path)
    for place, network in enumerate(networks("stc_lif", torch.float32)):
        wanted, _ = alone(network, SEEDS[place], data, tmp_path)
        trained = found[place][0]
        errors = [min(row["validation_mse"] for row in one.curve) for one in (trained, wanted)]
        assert errors[0] == pytest.approx(errors[1], rel=0.02)
        assert errors[0] < 0.9 * trained.curve[0]["validation_mse"]  # it has learnt something


# --- divergence -------------------------------------------------------------------------------------------------------


def poison(network: Predictor) -> Callable[[int, float], None]:
    def on_step(step: int, loss: float) -> None:
        if step == 6:
            with torch.no_grad():
                next(network.layers[0].parameters()).fill_(torch.nan)

    return on_step


@pytest.mark.usefixtures("double")
def test_a_seed_that_diverges_ends_as_alone_and_the_others_go_on(data: Data, tmp_path: Path) -> None:
    made, apart = networks("lif"), networks("lif")
    found = stacked(made, data, tmp_path, poison(made[1]))
    assert list(found) == [1, 0, 2]  # as soon as it has
    for place, network in enumerate(apart):
        wanted = alone(network, SEEDS[place], data, tmp_path, poison(network) if place == 1 else go_on)
        close(found[place], wanted, 1e-10)
        assert found[place][0].reason == wanted[0].reason
    assert "at step 7" in found[1][0].reason
    assert all(torch.equal(one, found[1][1][name]) for name, one in made[1].state_dict().items())  # it stays as it was


@pytest.mark.usefixtures("double")
def test_divergence_first_seen_in_validation(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = networks("lif", of=SEEDS[:2])
    real, looks = training._validate, []

    def validate(network: Predictor, *arguments: Any) -> float:
        looks.append(network)
        if network is made[0] and looks.count(network) == 3:
            raise NotFiniteError("output has NaN")
        return real(network, *arguments)

    monkeypatch.setattr(training, "_validate", validate)
    found = stacked(made, data, tmp_path)
    assert (found[0][0].status, found[0][0].reason) == ("diverged", "output has NaN, in validation after step 8")
    assert [row["step"] for row in found[0][0].curve] == [0, 4]
    assert [row["step"] for row in found[1][0].curve] == [0, 4, 8, 12]


# --- going on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lif", "stc_lif"])
def test_killed_seeds_go_on_as_if_they_had_not_been(name: str, data: Data, tmp_path: Path) -> None:
    whole = stacked(networks(name, torch.float32), data, tmp_path / "whole")
    for after in (2, 7):
        with pytest.raises(KilledError):
            stacked(networks(name, torch.float32), data, tmp_path / "killed", killer(after))
    steps: list[int] = []
    resumed = stacked(networks(name, torch.float32), data, tmp_path / "killed", lambda step, loss: steps.append(step))
    assert steps == list(range(5, 13))
    identical(resumed, whole)
    for file in (tmp_path / "whole").iterdir():  # what would be gone on from, the optimizer's numbers among it
        mine, wanted = load_file(tmp_path / "killed" / file.name), load_file(file)
        assert mine.keys() == wanted.keys()
        assert all(torch.equal(mine[key], wanted[key]) for key in wanted)


def test_seeds_that_are_ahead_wait(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the first and the second seed's checkpoint of step 8, and the third's first one lost as well."""
    whole = stacked(networks("stc_lif", torch.float32), data, tmp_path / "whole")
    real = Checkpoint.save

    def save(self: Checkpoint, network: Any, optimizer: Any, progress: Any) -> None:
        if self.path.name == f"seed{SEEDS[1]}" and progress.step == 8:
            raise KilledError
        real(self, network, optimizer, progress)

    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(KilledError):
        stacked(networks("stc_lif", torch.float32), data, tmp_path / "killed")
    monkeypatch.setattr(Checkpoint, "save", real)
    (tmp_path / "killed" / f"seed{SEEDS[2]}.0000004.safetensors").unlink()
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == [
        "seed1.0000004.safetensors",
        "seed1.0000008.safetensors",
        "seed2.0000004.safetensors",
    ]
    identical(stacked(networks("stc_lif", torch.float32), data, tmp_path / "killed"), whole)


def test_one_that_had_ended_keeps_its_place_and_changes_nothing(data: Data, tmp_path: Path) -> None:
    whole = stacked(networks("lif", torch.float32), data, tmp_path / "whole")
    del whole[1]
    identical(stacked(networks("lif", torch.float32), data, tmp_path / "less", ended={1}), whole)
