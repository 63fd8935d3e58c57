"""Timing against workloads whose times are known: no real clock is read here."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, cycle, repeat

import numpy as np
import pytest
import torch

from benchmarks import timing
from benchmarks.timing import Pairs, in_turn, quartiles, standard_error


def nothing() -> None:
    """A call that is only a name here."""


def other() -> None:
    """The reference's call, only a name too."""


def known(own: Iterable[float], reference: Iterable[float]) -> Callable[[timing.Call], float]:
    """A clock that says in turn what each call takes."""
    says: dict[timing.Call, Iterator[float]] = {nothing: iter(own), other: iter(reference)}
    return lambda call: next(says[call])


def pairs_of(own: Iterable[float], reference: Iterable[float], repeats: int = 6, seconds: float = 0.0) -> Pairs:
    return in_turn(nothing, other, known(own, reference), repeats, seconds)


def settled(own: list[float], reference: list[float]) -> Pairs:
    return Pairs(own, reference, warm_up=0, settled=True)


def test_each_pair_times_both_and_they_take_turns_at_going_first() -> None:
    calls: list[timing.Call] = []

    def timer(call: timing.Call) -> float:
        calls.append(call)
        return 1.0

    in_turn(nothing, other, timer, 7, 0.0)
    assert calls == [nothing, other, other, nothing] * 4  # the first pair is warm-up, seven are timed


@pytest.mark.parametrize(
    ("slow", "warm_up"),
    [
        ([], 1),  # the first call never counts
        ([50.0], 1),
        ([9.0, 6.0, 4.0, 2.0], 3),  # of calls 3, 4, 5 the median is 1, as of the next three
        ([1.9, 1.7, 1.5, 1.4, 1.3, 1.2], 5),  # creeps: each window of three above the next until calls 5, 6, 7
        ([50.0, 1.0, 1.0, 30.0], 1),  # one slow call among settled ones is no warm-up
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_warm_up_is_found_whichever_of_the_two_has_it(slow: list[float], warm_up: int, swapped: bool) -> None:
    has_it, has_not = chain(slow, repeat(1.0)), repeat(2.0)
    found = pairs_of(has_not, has_it) if swapped else pairs_of(has_it, has_not)
    assert (found.warm_up, found.settled) == (warm_up, True)
    assert len(found.own) == warm_up + 6


def test_a_warm_up_without_end_is_cut_off_and_flagged() -> None:
    found = pairs_of((0.9**i for i in range(1000)), (0.9**i for i in range(1000)))
    assert found.warm_up == timing.MOST_WARM_UP
    assert found.summary()["noisy"]
    assert found.summary()["ratio_to_lif"] == 1.0


def test_what_is_precise_stops_at_the_repeats_and_what_is_not_when_its_time_is_spent() -> None:
    assert len(pairs_of(repeat(0.2), repeat(0.1), repeats=9, seconds=100.0).own) == 1 + 9
    restless = pairs_of(cycle([0.25, 0.25, 0.5, 0.5]), repeat(0.125), repeats=9, seconds=8.0)
    assert sum(restless.own[:-1] + restless.reference[:-1]) < 8.0 <= sum(restless.own + restless.reference)
    assert restless.summary()["noisy"]


def test_more_pairs_are_taken_until_the_ratio_is_precise() -> None:
    """Ratios 0.98 and 1.02 in turn: IQR 0.04, and (1.25 / 1.35) 0.04 / sqrt(n) is 0.0103 at 13 pairs, 0.0099 at 14."""
    found = pairs_of(cycle([0.98, 1.02]), repeat(1.0), repeats=6, seconds=1000.0)
    assert found.summary()["pairs"] == 14
    assert found.summary()["ratio_error"] == pytest.approx(1.25 * 0.04 / (1.35 * 14**0.5))


def test_the_ratio_is_the_median_of_the_pairs_and_outlives_a_slow_stretch() -> None:
    """Own takes 3 times as long in every pair, while the machine's speed drifts by 10: the ratio is 3 all the same."""
    drift = [1.0, 1.0, 5.0, 10.0, 10.0]
    found = settled([3 * slowness for slowness in drift], drift).summary()
    assert (found["median"], found["quartiles"], found["ratio_to_lif"]) == (15.0, [3.0, 30.0], 3.0)
    assert (found["ratio_error"], found["pairs"], found["warm_up"], found["noisy"]) == (0.0, 5, 0, False)


@pytest.mark.parametrize(
    ("own", "noisy"),
    [
        ([2.0] * 10, False),
        ([2.0] * 8 + [9.0] * 2, False),  # a few slow calls move no median
        ([2.0] * 5 + [2.06] * 5, False),  # 3 % from half to half
        ([2.0] * 5 + [2.2] * 5, True),  # 10 %
        ([2.0, 3.0, 1.0, 2.5, 1.5] * 2, True),  # quartiles 1.5 and 2.5: standard error 15 %
    ],
)
def test_noise_is_flagged(own: list[float], noisy: bool) -> None:
    assert settled(own, [1.0] * 10).summary()["noisy"] is noisy


def test_the_standard_error_is_what_repeated_medians_spread_by() -> None:
    draws = np.random.default_rng(7).normal(1.0, 0.02, (2000, 25))
    errors = [standard_error(list(draw)) for draw in draws]
    assert np.median(errors) == pytest.approx(np.median(draws, axis=1).std(), rel=0.1)
    assert standard_error([1.0]) == math.inf


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_quartiles_are_those_of_numpy(length: int) -> None:
    values = list(np.random.default_rng(length).random(length))
    assert quartiles(values) == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))


def test_every_single_time_is_kept_and_warm_up_counts_below_zero() -> None:
    pairs = Pairs([9.0, 2.0, 2.0], [3.0, 1.0, 1.0], warm_up=1)
    assert list(pairs.rows("inference")) == [
        ("inference", -1, 9.0, 3.0),
        ("inference", 0, 2.0, 1.0),
        ("inference", 1, 2.0, 1.0),
    ]


def test_on_a_cpu_the_monotonic_clock_is_read_around_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [10.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def call() -> None:
        clock[0] += 0.25

    assert timing.timed(call, torch.device("cpu")) == 0.25


def test_on_a_gpu_its_own_events_are_read_once_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            did.append("record")

        def elapsed_time(self, end: object) -> float:
            assert isinstance(end, Event)
            did.append("read")
            return 12.5  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: did.append("wait"))
    assert timing.timed(lambda: did.append("call"), torch.device("cuda")) == 0.0125
    assert did == ["wait", "record", "call", "record", "wait", "read"]
