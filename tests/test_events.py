"""Events: the threshold model, how events are counted, and what the embedded source makes of films."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray
from official import events as written

import datasets
from datasets import SPLITS, events
from datasets._figures import casting, film, in_view, persons, scene
from datasets._recordings import Events
from datasets.events import Grid, crossings

SIMULATION: dict[str, Any] = {"clips": 1, "clip_length": 6, "threshold": 0.3, "validation_persons": [3], "seed": 5}
EMBEDDED: dict[str, Any] = {
    "source": "embedded",
    "sensor": [18, 18],
    "side": 8,
    "bin_ms": 20,
    "cap": 3,
    "observed": 2,
    "predicted": 1,
    "stride": 1,
    "simulation": SIMULATION,
}
GRID = Grid([20, 16], 8, 10_000, 3)
FORMATS = (".npz", ".npy", ".h5", ".hdf5", ".aedat4")


def joined(parts: Any) -> Events:
    return Events(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def only(found: Events, which: Any) -> Events:
    return Events(found.t[which], found.x[which], found.y[which], found.p[which])


def recorded(root: Path, **change: Any) -> dict[str, NDArray[np.uint8]]:
    datasets.prepare("events", root, root / "out", **{**written.PARAMS, **change})
    return {split: np.array(datasets.open("events", root / "out", split).frames) for split in SPLITS}


def as_set(found: Events) -> list[tuple[int, ...]]:
    return sorted(zip(*(column.tolist() for column in found), strict=True))


# --- the threshold model ----------------------------------------------------------------------------------------------


def crossed_slowly(frames: NDArray[Any], interval: float, threshold: float) -> list[tuple[float, int, int, bool]]:
    """Pixel by pixel, frame by frame, event by event."""
    found = []
    for y in range(frames.shape[1]):
        for x in range(frames.shape[2]):
            levels = [float(np.log(frame[y, x] + events.DARKEST)) for frame in frames]
            reference = levels[0]
            for k in range(len(levels) - 1):
                while abs(levels[k + 1] - reference) >= threshold:
                    brighter = levels[k + 1] > reference
                    reference += threshold if brighter else -threshold
                    share = (reference - levels[k]) / (levels[k + 1] - levels[k])
                    found.append(((k + share) * interval, x, y, brighter))
    return found


def test_events_are_those_of_a_slow_loop(random: np.random.Generator) -> None:
    frames = np.clip(0.5 + np.cumsum(random.normal(0, 0.12, (25, 5, 4)), axis=0), 0, 1)
    found = joined(crossings([frames[:7], frames[7:20], frames[20:]], 2500.0, 0.15))
    wanted = crossed_slowly(frames, 2500.0, 0.15)
    assert len(wanted) > 500
    assert sorted(zip(found.x, found.y, found.p, found.t, strict=True)) == sorted(
        (x, y, p, int(t)) for t, x, y, p in wanted
    )


@pytest.mark.parametrize("brighter", [True, False])
def test_a_pixel_of_even_logarithmic_slope_has_events_at_even_times(brighter: bool) -> None:
    rate, threshold, seconds = (1.0 if brighter else -1.0) * 1.7, 0.13, 1.0
    times = np.linspace(0, seconds, 41)
    level = np.log(0.1 if brighter else 0.6) + rate * times
    frames = (np.exp(level) - events.DARKEST)[:, None, None]
    found = joined(crossings([frames], 1e6 / 40, threshold))
    count = int(1.7 * seconds / threshold)
    assert len(found.t) == count
    assert np.abs(found.t - 1e6 * np.arange(1, count + 1) * threshold / 1.7).max() <= 1
    assert (found.p == brighter).all()
    assert not found.x.any()
    assert not found.y.any()


def test_what_stands_still_has_no_events_and_small_changes_return_in_silence() -> None:
    frames = np.full((9, 3, 3), 0.4)
    assert len(joined(crossings([frames], 1000.0, 0.2)).t) == 0
    frames[1::2] *= 1.2  # the logarithm of which is below 0.2
    assert len(joined(crossings([frames], 1000.0, 0.2)).t) == 0


def test_the_reference_keeps_what_is_left_of_a_change() -> None:
    level = np.log(0.2) + np.array([0, 0.25, 0.25, 0.35])  # at 0.2 one event, 0.15 left, then 0.3 at 0.4 is not reached
    frames = (np.exp(level) - events.DARKEST)[:, None, None]
    found = joined(crossings([frames], 1000.0, 0.17))
    assert found.t.tolist() == [680, 2900]


def test_derived_events_are_the_films_and_the_background() -> None:
    who, bins = (2, 5, 0), 10
    grid = Grid([24, 24], 24, 20_000, 9)
    found = events.simulate(5, who, bins, 0.3, grid)
    assert (np.diff(found.t) >= 0).all()
    assert 0 <= found.t.min() <= found.t.max() <= bins * 20_000
    for column in (found.x, found.y):
        assert 0 <= column.min() <= column.max() < 24
    video = film(scene(5, *who), np.arange(bins * 4 + 1) * 5e-3, 24)
    moved = as_set(joined(crossings([video], 5000.0, 0.3)))
    assert set(moved) <= set(as_set(found))
    background = len(found.t) - len(moved)
    assert abs(background - events.ACTIVITY * 24**2 * 0.2) < 5 * (events.ACTIVITY * 24**2 * 0.2) ** 0.5


# --- counting ---------------------------------------------------------------------------------------------------------


def some_events(random: np.random.Generator, count: int = 4000, span: int = 150_000) -> Events:
    return Events(
        np.sort(random.integers(0, span, count)),
        random.integers(0, 20, count),
        random.integers(0, 16, count),
        random.random(count) < 0.3,
    )


def counted_slowly(found: Events, grid: Grid, bins: int) -> NDArray[np.int64]:
    counts = np.zeros((bins, 2, grid.side, grid.side), np.int64)
    pixels = min(grid.sensor) // grid.side
    left, top = ((wide - pixels * grid.side) // 2 for wide in grid.sensor)
    for t, x, y, p in zip(*found, strict=True):
        column, row = int(x) - left, int(y) - top
        inside = 0 <= column < pixels * grid.side and 0 <= row < pixels * grid.side
        if inside and t < bins * grid.bin_us:
            counts[t // grid.bin_us, int(p), row // pixels, column // pixels] += 1
    return counts


@pytest.mark.parametrize("sensor", [[20, 16], [16, 20], [17, 17]])
@pytest.mark.parametrize("side", [8, 7])
def test_counts_are_those_of_a_slow_loop(sensor: list[int], side: int, random: np.random.Generator) -> None:
    found = some_events(random)
    found = Events(found.t, found.x % sensor[0], found.y % sensor[1], found.p)
    grid = Grid(sensor, side, 10_000, 3)
    counts = counted_slowly(found, grid, 15)
    frames = np.concatenate(list(grid.frames([found], 0, 15)))
    assert counts.max() > 3
    assert np.array_equal(frames, 85 * counts.clip(max=3))


def test_counts_below_the_cap_are_kept(random: np.random.Generator) -> None:
    found = some_events(random)
    grid = Grid([20, 20], 10, 10_000, 255)
    assert np.concatenate(list(grid.frames([found], 0, 15))).sum() == len(found.t)


@pytest.mark.parametrize("cap", [1, 2, 7, 255])
def test_a_value_is_its_count_over_the_cap(cap: int) -> None:
    counts = range(cap + 3)
    t = np.repeat(np.arange(len(counts)) * 1000, counts)
    still = np.zeros(len(t), np.int64)
    frames = np.concatenate(list(Grid([7, 7], 7, 1000, cap).frames([Events(t, still, still, still > 0)], 0, cap + 3)))
    assert frames[:, 0, 0, 0].tolist() == [round(255 * min(n, cap) / cap) for n in counts]


def test_frames_in_blocks_are_the_same(random: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    found = some_events(random)
    found = only(found, (found.t < 31_000) | (found.t > 118_000))  # with silence for some blocks
    whole = np.concatenate(list(GRID.frames([found], 0, 19)))
    monkeypatch.setattr(events, "CELLS", 3 * 2 * GRID.side**2)
    cut = [only(found, slice(first, first + 97)) for first in range(0, len(found.t), 97)]
    blocks = list(GRID.frames(cut, 0, 19))
    assert [len(block) for block in blocks] == [3] * 6 + [1]
    assert np.array_equal(np.concatenate(blocks), whole)
    early = np.concatenate(list(GRID.frames(cut, 0, 7)))  # events after the last bin are left out
    assert np.array_equal(early, whole[:7])


# --- the embedded source ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    datasets.prepare("events", out.parent, out, **EMBEDDED)
    return out


def test_embedded_frames_count_the_events_of_the_splits_persons(embedded: Path) -> None:
    card = datasets.card("events", embedded, EMBEDDED)
    assert card["synthetic"]
    assert card["interval"] == "20 ms"
    grid = Grid([18, 18], 8, 20_000, 3)
    for split in SPLITS:
        cast = casting(persons(split, [3]), 1)
        sequences = datasets.open("events", embedded, split)
        assert sequences.frames.shape == (6 * len(cast), 2, 8, 8)
        for which in (0, len(cast) - 1):
            counts = counted_slowly(events.simulate(5, cast[which], 6, 0.3, grid), grid, 6)
            assert np.array_equal(sequences.frames[6 * which : 6 * which + 6], 85 * counts.clip(max=3))
        middles = (np.arange(6) + 0.5) * 0.02
        seen = [in_view(scene(5, *who), middles) for who in cast]
        wanted = [6 * k + first for k, one in enumerate(seen) for first in range(4) if one[first : first + 2].all()]
        assert sequences.starts.tolist() == wanted


def test_embedded_films_depend_on_their_own_indices_alone(embedded: Path, tmp_path: Path) -> None:
    more = {**EMBEDDED, "stride": 2, "simulation": {**SIMULATION, "clips": 2, "validation_persons": [1]}}
    datasets.prepare("events", tmp_path, tmp_path / "out", **more)
    few, many = (datasets.open("events", place, "test").frames for place in (embedded, tmp_path / "out"))
    assert np.array_equal(few.reshape(54, 6, 2, 8, 8), many.reshape(54, 2, 6, 2, 8, 8)[:, 0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": 19}, "side 19 found, wanted at most the shorter side of the sensor, 18"),
        ({"sensor": [18, 20]}, r"sensor \[18, 20\] found, wanted a square one"),
        ({"sensor": [18]}, "sensor .* at least 2 items"),
        ({"cap": 256}, "cap 256: .* less than or equal to 255"),
        ({"bin_ms": 0}, "bin_ms 0: .* greater than or equal to 1"),
        ({"source": "camera"}, "source 'camera': .*'embedded' or 'recordings'"),
        ({"source": "recordings"}, "simulation found, wanted null, as source is recordings"),
        ({"simulation": None}, "simulation null found, wanted its parameters, as source is embedded"),
        ({"simulation": {**SIMULATION, "threshold": 0.0}}, "simulation.threshold 0.0: .* greater than"),
        ({"simulation": {**SIMULATION, "clip_length": 2}}, "clip_length 2 found, wanted at least observed . predicted"),
        ({"simulation": {**SIMULATION, "fps": 2}}, "simulation.fps"),
    ],
)
def test_bad_parameters_get_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    refused(says, datasets.prepare, "events", tmp_path, tmp_path / "out", **{**EMBEDDED, **change})
    assert list(tmp_path.iterdir()) == []
