"""City flow: how many vehicles enter and leave each cell of a made-up city in every half hour.

Real or synthetic: synthetic, simulated; a stand-in for TaxiBJ, of which it holds no record. [T, 2, side, side],
    in-flow and out-flow, one frame every half hour.
Source: an agent-based simulation of this suite. A fixed number of people each have a home, most have a job chosen by a
    gravity model; every day they plan trips to work, on errands and to places of leisure, and every trip runs along
    the shortest way, cell by cell. Nobody is made or lost: vehicles in a cell after an interval = those before
    + in-flow - out-flow.
Rhythm: to work in the morning and back in the evening of weekdays, later and to other places at weekends, quiet nights
    with a few who live twelve hours later. Rain (in spells) slows traffic and keeps people at home; a road that is dug
    up for some days sends traffic around it; some evenings a crowd goes to the stadium and leaves it together.
Licence: that of this suite (MIT).
Splits: one stretch of time, whole weeks: train, a day left out, validation, a day left out, test. No window crosses.
    The week before train is left out; the trips of its last night reach into train.
Values: vehicles / scale, where scale makes the greatest count of the train split 0.8. Later counts above 1.25 times
    that would be values above 1; they are kept, not clipped.
TaxiBJ-like setting: side 32, observed 4, predicted 4.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets._card import SPLITS
from datasets._city import HOUR, MINUTE, STEPS, City, Day, Ints, Roads, chosen, generator
from datasets._dataset import Split, write
from datasets._params import Count, Counts, Seed, demand

INTERVAL = 30 * MINUTE
DAY = 24 * HOUR // INTERVAL  # frames
WEEK = 7 * DAY
DAWN = 4 * HOUR  # who goes out is back home by dawn of the next day, so that every day can be made by itself
SPAN = 2 * DAY  # frames that the trips planned on one day may fall into
HEAD = 0.8  # the greatest count of the train split, as a value
BURN_IN = 7  # days before train
YEAR = 53  # weeks a split at most


def prepare(
    root: Path,
    out: Path,
    side: Annotated[int, Field(ge=8, le=32)],
    agents: Annotated[int, Field(ge=100, le=200_000)],
    weeks: Counts,
    observed: Count,
    predicted: Count,
    stride: Counts,
    seed: Seed,
) -> None:
    """Writes the canonical form to `out`. `root` is not read: the city is simulated.

    side: cells. agents: people. weeks: length of each split. observed, predicted: frames, of half an hour. stride:
    frames between the starts of two sequences of a split.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    length = observed + predicted
    lasts, steps = cast(dict[str, int], weeks), cast(dict[str, int], stride)
    for split in SPLITS:
        demand("city_flow", lasts[split] <= YEAR, f"weeks {lasts[split]} of {split}", f"at most {YEAR}")
        frames = lasts[split] * WEEK
        demand("city_flow", length <= frames, f"observed + predicted {length}", f"at most {frames}, all of {split}")
    city = City.founded(side, agents, seed)
    stretches = stretched(city, lasts)
    # Train is simulated twice, once for its greatest count, so that no more than a day is ever in memory.
    scale = int(max(counts.max() for counts in stretches["train"])) / HEAD
    splits = {
        split: Split(
            shape=(stretch.days * DAY, 2, side, side),
            dtype=np.float32,
            blocks=((counts / scale).astype(np.float32) for counts in stretch),
            starts=np.arange(0, stretch.days * DAY - length + 1, steps[split], dtype=np.int64),
            unit_range=split == "train",
        )
        for split, stretch in stretches.items()
    }
    card = {
        "name": "city_flow",
        "title": "City flow (synthetic)",
        "synthetic": True,
        "kind": "synthetic: an agent-based simulation of traffic in a made-up city",
        "source": "simulated by this suite; no recorded data",
        "licence": "MIT, as this suite",
        "split": "by time: whole weeks of train, validation and test in this order, a day left out between two",
        "interval": "30 min",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        "value": {"unit": "vehicles per half hour", "offset": 0.0, "scale": scale},
        "notes": ["a stand-in for TaxiBJ; its errors are not comparable with published ones"],
    }
    write(out, splits, card)


@dataclass(frozen=True)
class Stretch:
    """Days `first` .. `first + days - 1` of the city; iterates over them as counts [DAY, 2, side, side], made anew."""

    city: City
    first: int
    days: int

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        almanac = self.city.almanac(self.first + self.days)
        late: NDArray[np.int64] | int = 0  # what the trips of the day before, which end after midnight, add
        for index in range(self.first - 1, self.first + self.days):
            roads = self.city.roads_on(almanac[index])
            moves = driven(roads, planned(self.city, index, almanac[index], roads))
            if index >= self.first:
                yield flows(moves[:DAY] + late)
            late = moves[DAY:]


def stretched(city: City, weeks: dict[str, int]) -> dict[str, Stretch]:
    """The stretch of time of each split: whole weeks, with a day left out between two."""
    found, first = {}, BURN_IN
    for split in SPLITS:
        found[split] = Stretch(city, first, 7 * weeks[split])
        first += found[split].days + 1
    return found


class Trips(NamedTuple):
    """Who goes from which cell to which other, and when: the second of departure, since midnight. All [trips]."""

    who: NDArray[np.int64]
    here: Ints
    goal: Ints
    leaves: Ints


def planned(city: City, index: int, day: Day, roads: Roads) -> Trips:
    """Every trip that is planned on one day.

    A pure function of (city, index, day). Trips of one person follow each other: no one leaves before having arrived,
    and all are home by dawn. Those who live twelve hours later plan the same day, twelve hours later.
    """
    draw, home = generator(city.seed, 2, index), city.home

    def some(share: float) -> NDArray[np.bool_]:
        return draw.random(len(home)) < share

    def about(hour: float, spread: float) -> Ints:
        return ((hour + spread * draw.standard_normal(len(home))) * HOUR).astype(np.int32)

    def lasting(least: int, mean: int) -> Ints:
        return (MINUTE * (least + (mean - least) * draw.standard_exponential(len(home)))).astype(np.int32)

    def to_leisure(who: NDArray[np.bool_], here: Ints, otherwise: Ints) -> Ints:
        goals = otherwise.copy()
        goals[who] = chosen(city.fun, here[who], draw.random(int(who.sum())))
        return goals

    keen = 0.6 if day.rain else 1.0  # on going out
    working = city.employed & some(0.94 if day.working else 0.06)
    strolling = ~working & some((0.45 if day.working else 0.7) * keen)
    first = np.where(working, city.job, to_leisure(strolling, home, home))
    errand = to_leisure(working & some(0.2 * keen), first, first)
    after = to_leisure(working & some((0.3 if day.late else 0.15) * keen), first, home)
    evening = to_leisure(some((0.35 if day.late else 0.15) * keen), home, home)
    starts = np.where(working, city.habit + about(0, 0.3), about(11.5 if day.working else 13, 2.5))
    dines, goes_home = about(19.7, 1.0), np.zeros_like(home)
    if day.show is not None:
        fans = some(day.crowd) & ~city.night
        evening[fans] = city.stadium
        dines[fans] = (day.show - roads.travel[home, city.stadium] - lasting(5, 25))[fans]
        goes_home[fans] = (day.show + 2 * HOUR + lasting(0, 15))[fans]
    # Where to, not before which time of day, and after how long a stay: no trip where one already is.
    legs = (
        (first, starts, 0),
        (errand, about(12.3, 0.8), 0),
        (first, 0, lasting(15, 40)),
        (after, np.where(working, starts + about(8.8, 0.6), 0), lasting(45, 110)),
        (home, 0, lasting(45, 110)),
        (evening, dines, 20 * MINUTE),
        (home, goes_home, lasting(60, 120)),
    )
    here, free = home, np.full_like(home, DAWN)
    trips = []
    for goal, not_before, stay in legs:
        leaves = np.maximum(not_before, free + stay).astype(np.int32)
        trips.append((here, goal, leaves))
        free = np.where(goal == here, free, leaves + roads.travel[here, goal])
        here = goal
    back = free <= DAWN + 24 * HOUR  # who would be late stays at home that day
    shift = np.where(city.night, 12 * HOUR, 0).astype(np.int32)
    going = [np.flatnonzero((here != goal) & back) for here, goal, _ in trips]
    made = [(who, *(part[who] for part in trip)) for who, trip in zip(going, trips, strict=True)]
    who, origin, goal, leaves = (np.concatenate(part) for part in zip(*made, strict=True))
    return Trips(who, origin, goal, leaves + shift[who])


def driven(roads: Roads, trips: Trips) -> NDArray[np.int64]:
    """Moves of all trips over two days, by the direction of `STEPS`: [SPAN, 4, side, side], counted in the cell left.

    A trip starts and ends in the middle of a cell.
    """
    _, here, goal, clock = trips
    cells = len(roads.crossing)
    side = math.isqrt(cells)
    half, offset = roads.crossing // 2, np.array([row * side + column for row, column in STEPS], dtype=np.int32)
    places = []
    while len(here):
        clock = clock + half[here]
        way = roads.heading[goal, here]
        places.append((clock // INTERVAL * 4 + way) * cells + here)
        here = here + offset[way]
        clock += half[here]
        on = here != goal
        here, goal, clock = here[on], goal[on], clock[on]
    counts = np.bincount(np.concatenate(places or [here]), minlength=SPAN * 4 * cells)
    return counts.reshape(SPAN, 4, side, side)


def flows(moves: NDArray[np.int64]) -> NDArray[np.int64]:
    """In-flow and out-flow [T, 2, side, side] of moves [T, 4, side, side]: who leaves a cell enters its neighbour."""
    entered = sum(np.roll(moves[:, way], step, axis=(1, 2)) for way, step in enumerate(STEPS))
    return np.stack([np.asarray(entered), moves.sum(axis=1)], axis=1)
