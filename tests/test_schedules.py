"""What a training step sees: the order of the data, scheduled sampling and the learning rate, by closed forms."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmarks import training
from benchmarks.settings import SamplingSettings, TrainingSettings


def plan(**given: Any) -> TrainingSettings:
    """Settings of which only those of the schedule matter."""
    return TrainingSettings.model_construct(**given)


def sampled(steps: int, start: float, end: float, until: float) -> TrainingSettings:
    return plan(steps=steps, sampling=SamplingSettings(start=start, end=end, until=until))


# --- the order of the data --------------------------------------------------------------------------------------------


def order(available: int, seed: int, start: int, stop: int) -> list[NDArray[np.int64]]:
    return list(training.batch_order(available, 4, seed, start, stop))


def test_every_epoch_is_another_permutation() -> None:
    steps = order(12, 7, 0, 12)
    epochs = [np.concatenate(steps[3 * epoch : 3 * epoch + 3]) for epoch in range(4)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_an_incomplete_batch_is_left_out_of_its_epoch() -> None:
    batches = order(14, 7, 0, 6)
    assert [len(batch) for batch in batches] == [4] * 6
    assert all(len(set(np.concatenate(epoch))) == 12 for epoch in (batches[:3], batches[3:]))


def test_fewer_sequences_than_a_batch_are_all_taken() -> None:
    assert [sorted(batch) for batch in order(3, 7, 5, 7)] == [[0, 1, 2]] * 2


def test_the_order_is_a_function_of_seed_and_step() -> None:
    whole = order(12, 7, 0, 11)
    for start in (1, 3, 10):
        assert np.array_equal(order(12, 7, start, 11), whole[start:])
    assert len({tuple(np.concatenate(order(12, seed, 0, 3))) for seed in range(9)}) == 9


# --- schedules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sampling", "wanted"),
    [
        ((1.0, 0.0, 0.5), lambda step: max(0.0, 1 - step / 210)),
        ((1.0, 0.4, 1.0), lambda step: 1 - 0.6 * step / 420),
        ((0.8, 0.2, 0.25), lambda step: max(0.2, 0.8 - 0.6 * step / 105)),
        ((0.0, 1.0, 1.0), lambda step: step / 420),
        ((1.0, 0.3, 0.0), lambda step: 0.3),  # from the first step on
        ((0.5, 0.5, 0.1), lambda step: 0.5),
    ],
)
def test_the_true_share_goes_in_a_straight_line_and_stays(
    sampling: tuple[float, float, float], wanted: Callable[[int], float]
) -> None:
    found = [training.sampling_share(sampled(420, *sampling), step) for step in range(420)]
    assert np.allclose(found, [wanted(step) for step in range(420)], rtol=0, atol=1e-12)
    assert found[0] == (sampling[0] if sampling[2] else sampling[1])
    assert all(share == sampling[1] for share in found[math.ceil(420 * sampling[2]) :])


@pytest.mark.parametrize("way", [0, 0.25, 0.4, 0.5, 0.75])
def test_a_training_of_twice_the_steps_has_the_same_share_at_each_share_of_them(way: float) -> None:
    once, twice = (training.sampling_share(sampled(steps, 1.0, 0.1, 0.5), round(way * steps)) for steps in (420, 840))
    assert once == twice == pytest.approx(max(0.1, 1 - 0.9 * 2 * way))


@pytest.mark.parametrize(("step", "share"), [(0, 1.0), (50, 0.5), (75, 0.25), (99, 0.01), (100, 0.0), (199, 0.0)])
def test_true_frames_are_drawn_with_their_share(step: int, share: float) -> None:
    given = sampled(200, 1.0, 0.0, 0.5)
    drawn = training.true_share(given, (200, 110), 9, seed=3, step=step)
    assert drawn.shape == (200, 100)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    assert abs(drawn.mean() - share) <= 5 * math.sqrt(share * (1 - share) / drawn.size)
    assert np.array_equal(drawn, training.true_share(given, (200, 110), 9, seed=3, step=step))


def test_draws_of_true_frames_differ_by_seed_and_step() -> None:
    given = sampled(10, 0.5, 0.5, 1.0)
    draws = [training.true_share(given, (8, 30), 5, seed, step) for seed in (0, 1) for step in (0, 1)]
    assert len({draw.tobytes() for draw in draws}) == 4


@pytest.mark.parametrize(
    "given", [{"until": 1.5}, {"until": -0.1}, {"end": 2}, {"start": -1}, {"fall": 0.1}, {"stop": 10}]
)
def test_sampling_outside_of_the_training_or_the_shares_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SamplingSettings.model_validate({"start": 1.0, "end": 0.0, "until": 0.5, **given})


def test_the_learning_rate_warms_up_and_falls_by_half_a_cosine() -> None:
    rates = [
        training.learning_rate(plan(steps=20, warm_up=0.2, learning_rate=1.0, final_learning_rate=0.2), step)
        for step in range(20)
    ]
    assert np.allclose(rates[:5], [0.25, 0.5, 0.75, 1.0, 1.0])
    assert math.isclose(rates[12], 0.6)
    assert math.isclose(rates[8], 0.6 + 0.4 * math.sqrt(0.5))
    assert math.isclose(rates[16], 0.6 - 0.4 * math.sqrt(0.5))
    assert np.allclose([rates[4 + k] + rates[20 - k] for k in range(1, 16)], 1.2)
    assert (np.diff(rates[4:]) < 0).all()
    assert rates[-1] > 0.2


@pytest.mark.parametrize(("warm_up", "first", "last"), [(0.0, 1.0, None), (1.0, 0.05, 1.0)])
def test_the_learning_rate_without_one_of_its_parts(warm_up: float, first: float, last: float | None) -> None:
    found = plan(steps=20, warm_up=warm_up, learning_rate=1.0, final_learning_rate=0.0)
    assert math.isclose(training.learning_rate(found, 0), first)
    cosine = (1 + math.cos(math.pi * 19 / 20)) / 2
    assert math.isclose(training.learning_rate(found, 19), cosine if last is None else last)
