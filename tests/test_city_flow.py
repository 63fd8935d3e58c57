"""City flow: nobody is made or lost, trips go the shortest way, the city has a rhythm, a split is a stretch of time."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray

import datasets
from datasets import SPLITS, city_flow
from datasets._city import HOUR, City, Day, Roads, chosen, gravity
from datasets.city_flow import DAWN, DAY, INTERVAL, SPAN, Stretch, Trips

Array = NDArray[Any]
SIDE = 8
PARAMS: dict[str, Any] = {
    "side": SIDE,
    "agents": 800,
    "weeks": {"train": 2, "validation": 1, "test": 1},
    "observed": 4,
    "predicted": 4,
    "stride": {"train": 2, "validation": 1, "test": 3},
    "seed": 5,
}
ORDINARY = Day(weekday=2, rain=False, works=None, show=None, crowd=0.05)


@pytest.fixture(scope="module")
def city() -> City:
    return City.founded(SIDE, 2000, 3)


@pytest.fixture(scope="module")
def month(city: City) -> Array:
    """Four weeks from a Monday on, by day: [28, DAY, 2, SIDE, SIDE]."""
    return np.stack(list(Stretch(city, 7, 28)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("city") / "out"
    datasets.prepare("city_flow", out, out, **PARAMS)
    return out


def walk(roads: Roads, here: int, goal: int, clock: int) -> list[tuple[int, int]]:
    """A trip on foot, cell by cell: (second, cell entered). Every step must be the start of a shortest way."""
    steps = []
    while here != goal:
        row, column = divmod(here, SIDE)
        drow, dcolumn = ((-1, 0), (1, 0), (0, -1), (0, 1))[int(roads.heading[goal, here])]
        assert 0 <= row + drow < SIDE
        assert 0 <= column + dcolumn < SIDE
        there = (row + drow) * SIDE + column + dcolumn
        lasts = (int(roads.crossing[here]) + int(roads.crossing[there])) // 2
        assert roads.travel[here, goal] == lasts + roads.travel[there, goal]
        steps.append((clock + int(roads.crossing[here]) // 2, there))
        clock, here = clock + lasts, there
    return steps


def test_ways_are_the_shortest(city: City) -> None:
    crossing = city.roads.crossing
    shortest = np.full((64, 64), np.inf)
    np.fill_diagonal(shortest, 0)
    for here, there in np.ndindex(64, 64):
        if abs(here // 8 - there // 8) + abs(here % 8 - there % 8) == 1:
            shortest[here, there] = (crossing[here] + crossing[there]) / 2
    for through in range(64):  # Floyd and Warshall's
        shortest = np.minimum(shortest, shortest[:, through, None] + shortest[through])
    assert np.array_equal(city.roads.travel, shortest)
    assert np.array_equal(city.roads.slowed().travel, shortest * 1.25)
    for here, goal in [(0, 63), (7, 56), (20, 43), (9, 9)]:
        steps = walk(city.roads, here, goal, 100)
        assert [cell for _, cell in steps][-1:] == ([goal] if here != goal else [])


def test_destinations_follow_the_gravity_model(random: np.random.Generator) -> None:
    attraction, travel = random.random(5), random.integers(0, 3000, (5, 5), dtype=np.int32)
    wanted = np.array([[attraction[j] * np.exp(-travel[i, j] / 900) for j in range(5)] for i in range(5)])
    wanted /= wanted.sum(axis=1, keepdims=True)
    chances = gravity(attraction, travel, 900)
    here = np.repeat(np.arange(5, dtype=np.int32), 20_000)
    goals = chosen(chances, here, random.random(100_000))
    found = np.stack([np.bincount(goals[here == i], minlength=5) for i in range(5)]) / 20_000
    assert np.abs(found - wanted).max() < 5 * 0.5 / np.sqrt(20_000)
    assert chosen(chances, here, np.full(100_000, 1 - 2**-53)).max() == 4


def test_homes_are_in_suburbs_and_work_in_the_centre(city: City) -> None:
    row, column = np.divmod(np.arange(64), 8)
    away = np.hypot(row - 3.5, column - 3.5)
    assert away[city.job].mean() < away[city.home].mean() - 0.5


def test_the_almanac_has_all_kinds_of_days_and_does_not_depend_on_its_length(city: City) -> None:
    days = city.almanac(364)
    assert days[:50] == city.almanac(50)
    assert [day.weekday for day in days[:8]] == [0, 1, 2, 3, 4, 5, 6, 0]
    for share in (np.mean([day.rain for day in days]), np.mean([day.works is not None for day in days])):
        assert 0.1 < share < 0.5
    assert 0.1 < np.mean([day.show is not None for day in days]) < 0.4
    spells = np.mean([two.rain for one, two in pairwise(days) if one.rain])
    assert spells > 1.5 * np.mean([day.rain for day in days])


@pytest.mark.parametrize("day", [ORDINARY, Day(5, True, 27, 19 * HOUR, 0.1)])
def test_nobody_is_in_two_places(city: City, day: Day) -> None:
    roads = city.roads_on(day)
    trips = city_flow.planned(city, 9, day, roads)
    by_person: dict[int, list[tuple[int, int, int]]] = {}
    for who, here, goal, leaves in zip(*(part.tolist() for part in trips), strict=True):
        assert here != goal
        by_person.setdefault(who, []).append((leaves, here, goal))
    for who, chain in by_person.items():
        place, free = int(city.home[who]), DAWN + 12 * HOUR * int(city.night[who])
        dawn = free + 24 * HOUR
        for leaves, here, goal in sorted(chain):
            assert here == place
            assert leaves >= free
            place, free = goal, leaves + int(roads.travel[here, goal])
        assert place == city.home[who]
        assert free <= dawn
    assert 0.4 < len(by_person) / 2000 < 0.95


def test_vehicles_are_conserved(city: City) -> None:
    """Where each vehicle is at the end of every interval, followed one by one, against the flows."""
    roads = city.roads_on(ORDINARY)
    trips = Trips._make(part[:700] for part in city_flow.planned(city, 4, ORDINARY, roads))
    counts = city_flow.flows(city_flow.driven(roads, trips)).reshape(SPAN, 2, 64)
    present = np.zeros((SPAN + 1, 64), dtype=int)
    entered, left = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for _, here, goal, leaves in zip(*(part.tolist() for part in trips), strict=True):
        steps = walk(roads, here, goal, leaves)
        for (when, to), start in zip(steps, [here, *(cell for _, cell in steps)], strict=False):
            entered[when // INTERVAL, to] += 1
            left[when // INTERVAL, start] += 1
        for edge in range(SPAN + 1):
            so_far = [cell for when, cell in steps if when < edge * INTERVAL]
            present[edge, so_far[-1] if so_far else here] += 1
    assert {(t, cell): n for (t, cell), n in np.ndenumerate(counts[:, 0]) if n} == entered
    assert {(t, cell): n for (t, cell), n in np.ndenumerate(counts[:, 1]) if n} == left
    assert np.array_equal(present[1:], present[:-1] + counts[:, 0] - counts[:, 1])
    assert (present.sum(axis=1) == 700).all()


def test_the_population_is_constant_and_home_at_dawn(city: City, month: Array) -> None:
    early = replace(city, night=np.zeros(2000, dtype=bool))
    counts = np.concatenate(list(Stretch(early, 9, 4))).astype(int)
    homes = np.bincount(city.home, minlength=64).reshape(8, 8)
    change = counts[:, 0] - counts[:, 1]
    dawn = DAWN // INTERVAL
    present = homes + np.cumsum(change[dawn:], axis=0)
    assert present.min() >= 0
    assert (present.sum(axis=(1, 2)) == 2000).all()
    assert all(np.array_equal(present[DAY * days - 1], homes) for days in (1, 2, 3))
    assert not np.array_equal(present[12], homes)
    assert np.array_equal(month[:, :, 0].sum(axis=(2, 3)), month[:, :, 1].sum(axis=(2, 3)))


def test_a_part_of_the_time_made_by_itself_is_the_same(city: City, month: Array) -> None:
    again = np.stack(list(Stretch(City.founded(SIDE, 2000, 3), 10, 2)))
    assert np.array_equal(again, month[3:5])
    assert not np.array_equal(np.stack(list(Stretch(City.founded(SIDE, 2000, 4), 10, 2))), again)


def hours(start: float, end: float) -> slice:
    return slice(int(start * 2), int(end * 2))


def test_to_work_in_the_morning_and_back_in_the_evening(city: City, month: Array) -> None:
    jobs = np.bincount(city.job[city.employed], minlength=64) - np.bincount(city.home, minlength=64)
    busiest = np.argsort(jobs)[-8:]
    cells = month.reshape(28, DAY, 2, 64)[..., busiest].sum(axis=-1).astype(int)
    gained = cells[:, :, 0] - cells[:, :, 1]
    for day in range(28):
        morning, evening = gained[day, hours(6, 11)].sum(), gained[day, hours(15, 21)].sum()
        if day % 7 < 5:
            assert morning > 200
            assert evening < -150
        else:
            assert abs(morning) < 120


def test_nights_are_quiet_and_weekends_are_not_weekdays(month: Array) -> None:
    total = month[:, :, 0].sum(axis=(2, 3))
    weekday = np.arange(28) % 7 < 5
    night, rush = total[:, hours(2, 5)].mean(axis=1), total[:, hours(7.5, 9)].mean(axis=1)
    assert (night < 0.3 * total[:, hours(7, 21)].mean(axis=1)).all()
    assert night.min() > 0
    assert rush[weekday].min() > 2 * rush[~weekday].max()


def test_days_and_weeks_repeat(month: Array) -> None:
    series = month[:, :, 0].sum(axis=(2, 3)).ravel().astype(float)
    series -= series.mean()
    repeats = {lag: np.corrcoef(series[lag:], series[:-lag])[0, 1] for lag in range(8, 7 * DAY + 8)}
    others = max(r for lag, r in repeats.items() if min(lag % DAY, -lag % DAY) > 4)
    assert repeats[DAY] > 0.75
    assert repeats[DAY] > others + 0.2
    assert repeats[7 * DAY] == max(repeats.values()) > 0.9


def day_of(city: City, day: Day) -> Array:
    roads = city.roads_on(day)
    return city_flow.flows(city_flow.driven(roads, city_flow.planned(city, 2, day, roads)))


def test_rain_lowers_flows_and_road_works_send_traffic_around(city: City) -> None:
    ordinary, rain = day_of(city, ORDINARY), day_of(city, ORDINARY._replace(rain=True))
    assert 0.5 < rain.sum() / ordinary.sum() < 0.95
    row, column = np.unravel_index(ordinary.sum(axis=(0, 1)).argmax(), (8, 8))
    dug = day_of(city, ORDINARY._replace(works=int(row * 8 + column)))
    assert dug[:, 0, row, column].sum() < 0.7 * ordinary[:, 0, row, column].sum()
    assert dug.sum() > 0.9 * ordinary.sum()


def test_a_crowd_comes_to_the_stadium_and_leaves_it_together(city: City) -> None:
    show = ORDINARY._replace(show=19 * HOUR, crowd=0.2)
    row, column = divmod(city.stadium, 8)
    more = (day_of(city, show) - day_of(city, ORDINARY))[:, :, row, column]
    fans = 0.2 * 0.92 * 2000
    assert more[hours(14, 21), 0].sum() - more[hours(14, 21), 1].sum() > 0.7 * fans
    assert more[hours(21, 22), 1].sum() > 0.5 * fans


def test_values_are_counts_over_a_constant_of_the_train_split(folder: Path) -> None:
    card = datasets.card("city_flow", folder, wanted=PARAMS)
    assert card["title"].endswith("(synthetic)")
    assert card["value"]["offset"] == 0
    city, first = City.founded(SIDE, 800, 5), 7
    for split in SPLITS:
        days = 7 * PARAMS["weeks"][split]
        frames = datasets.open("city_flow", folder, split).frames
        counts = np.concatenate(list(Stretch(city, first, days)))
        assert frames.dtype == np.float32
        assert np.abs(frames * card["value"]["scale"] - counts).max() < 1e-4
        assert split != "train" or frames.max() == np.float32(0.8)
        first += days + 1


def test_sequences_slide_over_their_split(folder: Path) -> None:
    for split, frames in {"train": 672, "validation": 336, "test": 336}.items():
        sequences = datasets.open("city_flow", folder, split)
        stride = PARAMS["stride"][split]
        assert sequences.starts.tolist() == [i * stride for i in range(frames) if i * stride + 8 <= frames]
        assert sequences.shape[1:] == (8, 2, 8, 8)
        assert np.array_equal(sequences.batch([1])[0], sequences.frames[stride : stride + 8])


def test_splits_are_a_day_or_more_apart_and_train_does_not_depend_on_the_others(folder: Path, tmp_path: Path) -> None:
    stretches = city_flow.stretched(City.founded(8, 100, 0), {"train": 3, "validation": 1, "test": 2})
    days = {split: (stretch.first, stretch.first + stretch.days) for split, stretch in stretches.items()}
    assert days == {"train": (7, 28), "validation": (29, 36), "test": (37, 51)}
    other = {**PARAMS, "weeks": {"train": 2, "validation": 2, "test": 1}}
    datasets.prepare("city_flow", tmp_path, tmp_path / "out", **other)
    for name in ("train.npy", "train-starts.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "out/validation.npy").read_bytes() != (folder / "validation.npy").read_bytes()


def test_there_is_something_to_predict(city: City, month: Array) -> None:
    """The last frame is no good guess two hours on; who knows the hour does far better, as good as counts can be."""
    counts = month.astype(float)
    frames = counts.reshape(-1, 2, 8, 8)
    last = np.square(frames[4:] - frames[:-4]).mean()
    weekdays = counts[[day for day in range(28) if day % 7 < 4]]
    known = (np.square(weekdays - weekdays.mean(axis=0)).mean(axis=0) * 16 / 15).mean()
    noise = weekdays.mean()  # the variance of independent arrivals is their mean
    assert last > 4 * known
    assert 0.5 * noise < known < 10 * noise
    assert np.square(frames - frames.mean(axis=0)).mean() > 4 * known


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": 7}, "side 7"),
        ({"side": 33}, "side 33"),
        ({"side": 16.0}, "side 16.0"),
        ({"agents": 99}, "agents 99"),
        ({"weeks": {"train": 1, "test": 1}}, "weeks.validation"),
        ({"weeks": {"train": 54, "validation": 1, "test": 1}}, "weeks 54 of train found, wanted at most 53"),
        ({"observed": 330, "predicted": 7}, "observed \\+ predicted 337 found, wanted at most 336, all of validation"),
        ({"observed": 0}, "observed 0"),
        ({"stride": {"train": 0, "validation": 1, "test": 1}}, "stride.train 0"),
        ({"seed": 2**32}, "seed 4294967296"),
        ({"city": "Paris"}, "unknown parameter 'city'"),
    ],
)
def test_a_wrong_parameter_is_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    refused(says, datasets.prepare, "city_flow", tmp_path, tmp_path / "out", **{**PARAMS, **change})
    assert not list(tmp_path.iterdir())
