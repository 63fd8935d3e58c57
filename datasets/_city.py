"""A made-up city: where people live, work and go out, the roads between, what befalls each day, who lives there.

The grid is `side` x `side` cells, numbered row by row; arrays over cells have N = side * side entries. All times are
whole seconds, so that sums of them are exact.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

MINUTE, HOUR = 60, 3600
ACROSS = 180 * MINUTE  # from one edge of the city to the other by ordinary streets, however fine the grid
STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # (row, column) of the four moves
COMMUTE, STROLL = 45 * MINUTE, 30 * MINUTE  # the gravity model's scale of travel time, to work and to leisure
MAIN = 0.8  # times as long through a cell on a main road
DUG_UP = 8  # times as long through a cell whose road is dug up
FREE_NEXT = (4, 5)  # Friday and Saturday, followed by a day without work
EMPLOYED, NIGHT = 0.65, 0.08  # share of people with a job, and share of those who live twelve hours later


@dataclass(frozen=True)
class Roads:
    """Shortest ways. crossing [N]: seconds through a cell, a multiple of 8. travel [N, N]: seconds from cell to cell.

    heading [goal, here]: index into STEPS of the first move from `here` towards `goal`.
    """

    crossing: Ints
    travel: Ints
    heading: NDArray[np.uint8]

    @classmethod
    def of(cls, crossing: Ints, side: int) -> "Roads":
        """Dijkstra's shortest ways on the grid; a move takes half of the one cell and half of the other."""
        cell = np.arange(side * side).reshape(side, side)
        ends = [(cell[:-1], cell[1:]), (cell[:, :-1], cell[:, 1:])]
        here, there = (np.concatenate([pair[i].ravel() for pair in ends]) for i in (0, 1))
        both = np.concatenate([here, there]), np.concatenate([there, here])
        weight = (crossing[both[0]] + crossing[both[1]]) / 2
        travel, before = dijkstra(csr_array((weight, both)), return_predecessors=True)
        # The ways are the same in both directions: what comes before `here` on the way from the goal is where to go.
        move = np.where(before < 0, 0, before - cell.ravel())
        heading = np.select([move == row * side + column for row, column in STEPS], np.arange(4), 0)
        return cls(crossing, travel.astype(np.int32), heading.astype(np.uint8))

    def slowed(self) -> "Roads":
        """The same ways, each a quarter longer."""
        return replace(self, crossing=self.crossing * 5 // 4, travel=self.travel * 5 // 4)


class Day(NamedTuple):
    """What befalls the city on one day; weekday 0 is a Monday, `works` and `show` are None where there is none."""

    weekday: int
    rain: bool
    works: int | None  # the cell where a road is dug up
    show: int | None  # when something starts in the stadium, in seconds since midnight
    crowd: float  # share of the people who go there

    @property
    def working(self) -> bool:
        return self.weekday < 5

    @property
    def late(self) -> bool:
        """Whether people stay out longer: the next day is free."""
        return self.weekday in FREE_NEXT


@dataclass(frozen=True, eq=False)
class City:
    """People and places. `home` and `job` [agents] are cells; `night` [agents] is who lives twelve hours later.

    habit [agents]: seconds since midnight when they leave for work. fun: the chances of places of leisure.
    """

    side: int
    seed: int
    roads: Roads
    stadium: int
    home: Ints
    job: Ints
    employed: NDArray[np.bool_]
    night: NDArray[np.bool_]
    habit: Ints
    fun: Floats

    @classmethod
    def founded(cls, side: int, agents: int, seed: int) -> "City":
        """The city of this seed: a centre, suburbs around it, malls and parks, main roads, and `agents` people."""
        draw = generator(seed, 0)
        centre = draw.uniform(0.42, 0.58, 2)
        around = 2 * np.pi * (np.arange(7) + draw.uniform(-0.3, 0.3, 7)) / 7
        suburbs = centre + draw.uniform(0.22, 0.4, 7)[:, None] * np.stack([np.sin(around), np.cos(around)], 1)
        parks, estates = draw.uniform(0.15, 0.85, (3, 2)), draw.uniform(0.15, 0.85, (2, 2))
        turn = draw.uniform(0, 2 * np.pi)
        stadium = centre + 0.3 * np.array([np.sin(turn), np.cos(turn)])
        homes = _blobs(side, suburbs, draw.uniform(0.5, 1.5, 7), 0.11) + 0.05
        jobs = _blobs(side, [centre, *estates], [1.0, 0.5, 0.5], 0.12) + 0.02
        leisure = _blobs(side, [centre, *parks], [0.6, 0.5, 0.5, 0.5], 0.08) + 0.02
        roads = Roads.of(_streets(side, centre, draw), side)
        home = draw.choice(side * side, agents, p=homes / homes.sum()).astype(np.int32)
        return cls(
            side=side,
            seed=seed,
            roads=roads,
            stadium=int(np.argmax(_blobs(side, stadium[None], [1.0], 0.1))),
            home=home,
            job=chosen(gravity(jobs, roads.travel, COMMUTE), home, draw.random(agents)),
            employed=draw.random(agents) < EMPLOYED,
            night=draw.random(agents) < NIGHT,
            habit=_seconds(draw.normal(8.0, 0.7, agents).clip(5.5, 10.5)),
            fun=gravity(leisure, roads.travel, STROLL),
        )

    def roads_on(self, day: Day) -> Roads:
        """The roads as they are on this day."""
        roads = self.roads if day.works is None else _dug_up(self, day.works)
        return roads.slowed() if day.rain else roads

    def almanac(self, days: int) -> list[Day]:
        """What befalls each of the first `days` days; a day is the same however many are asked for."""
        draws, wet, left, works, found = generator(self.seed, 1).random((days, 7)), False, 0, None, []
        for index, (cloud, show, start, crowd, dig, where, lasts) in enumerate(draws):
            weekday = index % 7
            wet = bool(cloud < (0.6 if wet else 0.15))
            left -= 1
            if left <= 0:
                works = int(where * self.side**2) if dig < 0.12 else None
                left = 1 + int(6 * lasts) if works is not None else 0
            shown = show < (0.4 if weekday in FREE_NEXT else 0.15)
            opens = int((18.5 + 1.5 * start) * HOUR) if shown else None
            found.append(Day(weekday, wet, works, opens, 0.015 + 0.02 * crowd))
        return found


@lru_cache(maxsize=1)  # works last for days
def _dug_up(city: City, works: int) -> Roads:
    crossing = city.roads.crossing.copy()
    crossing[works] *= DUG_UP
    return Roads.of(crossing, city.side)


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Random numbers of a stream: two numbers at most, below 2**32 each."""
    first, second = (*stream, 0)[:2]
    return np.random.Generator(np.random.Philox(key=np.array([seed, first << 32 | second], dtype=np.uint64)))


def gravity(attraction: Floats, travel: Ints, scale: int) -> Floats:
    """Chances of a trip from here to there, proportional to attraction(there) * exp(-travel / scale), for `chosen`.

    The singly constrained gravity model with an exponential deterrence (Wilson, Transportation Research 1, 1967).
    Cumulative, the row of cell i running from i to i + 1: all rows are one ascending array [N * N].
    """
    total = np.cumsum(attraction * np.exp(-travel / scale), axis=1)
    return (total / total[:, -1:] + np.arange(len(travel))[:, None]).ravel()


def chosen(chances: Floats, here: Ints, uniform: Floats) -> Ints:
    """A cell to go to for each of `here`, by the `chances` of `gravity`; uniform in [0, 1)."""
    cells = math.isqrt(len(chances))
    found = np.searchsorted(chances, here + uniform, side="right") - here * cells
    return np.minimum(found, cells - 1).astype(np.int32)


def _seconds(hours: Floats) -> Ints:
    return (hours * HOUR).astype(np.int32)


def _blobs(side: int, places: object, weights: object, width: float) -> Floats:
    """Sum of Gaussians at places [K, 2] of the unit square, at each cell's middle: [N]."""
    middle = (np.arange(side) + 0.5) / side
    row, column = (axis.ravel() for axis in np.meshgrid(middle, middle, indexing="ij"))
    centres = np.asarray(places)
    away = (row - centres[:, :1]) ** 2 + (column - centres[:, 1:]) ** 2
    return np.asarray(np.asarray(weights) @ np.exp(-away / (2 * width**2)))


def _streets(side: int, centre: Floats, draw: np.random.Generator) -> Ints:
    """Seconds through each cell [N]: uneven streets, and faster main roads along three rows and three columns."""
    slow = draw.uniform(0.85, 1.35, (side, side))
    mains = np.zeros((side, side), dtype=bool)
    for axis in (0, 1):
        for at in (centre[axis], centre[axis] - 0.27, centre[axis] + 0.27):
            np.moveaxis(mains, axis, 0)[int(at * side)] = True
    slow[mains] *= MAIN
    return (8 * np.round(ACROSS / side / 8 * slow)).astype(np.int32).ravel()
