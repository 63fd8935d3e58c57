"""Stick actions: that figures move and are drawn as their text says, and who is in which split."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray

import datasets
from datasets import SPLITS, _figures, stick_actions
from datasets._figures import ACTIONS, MOTIONS, Scene, scene

SMALL: dict[str, Any] = {
    "side": 12,
    "clips": 1,
    "clip_length": 9,
    "observed": 2,
    "predicted": 2,
    "stride": 2,
    "validation_persons": [3],
    "seed": 5,
}
TIMES = np.linspace(0, 4, 161)
GOING = ("jogging", "running", "walking")


def shown(action: str, person: int = 2, clip: int = 0) -> Scene:
    return scene(7, person, ACTIONS.index(action), clip)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    datasets.prepare("stick_actions", out.parent, out, **SMALL)
    return out


# --- bodies and motion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_every_part_keeps_its_length(action: str) -> None:
    one = shown(action)
    ends = _figures.segments(one, TIMES)
    lengths = np.hypot(*np.moveaxis(ends[:, :, 1] - ends[:, :, 0], -1, 0))
    assert np.allclose(lengths, one.scale * one.lengths, rtol=1e-12)


@pytest.mark.parametrize("action", ACTIONS)
def test_limbs_hang_together(action: str) -> None:
    ends = _figures.segments(shown(action), TIMES)
    for inner, outer in ((0, 1), (5, 6), (2, 3), (3, 4), (7, 8), (8, 9)):
        assert np.array_equal(ends[:, inner, 1], ends[:, outer, 0])


@pytest.mark.parametrize("action", ACTIONS)
def test_a_pose_repeats_after_one_period(action: str) -> None:
    one = shown(action)
    period = 1 / one.cadence
    poses = []
    for times in (TIMES, TIMES + period, TIMES + period / 3):
        across, facing = _figures.place(one, times)
        ends = _figures.segments(one, times)
        ends[..., 0] = (ends[..., 0] - across[:, None, None]) * facing[:, None, None]
        poses.append(ends)
    assert np.allclose(poses[0], poses[1], atol=1e-9)
    assert np.abs(poses[0] - poses[2]).max() > 0.02


@pytest.mark.parametrize("action", GOING)
def test_legs_and_arms_of_one_that_goes_are_half_a_period_apart(action: str) -> None:
    phase = np.linspace(0, 7, 50)
    near, far = np.moveaxis(_figures.angles(MOTIONS[action], phase), 1, 0)
    assert np.allclose(near, _figures.angles(MOTIONS[action], phase + np.pi)[:, 1])
    assert np.abs(near - far).max() > 0.3
    arm, thigh = near[:, 0] - near[:, 0].mean(), near[:, 2] - near[:, 2].mean()
    assert np.corrcoef(arm, thigh)[0, 1] < -0.99  # an arm swings against the leg of its side


@pytest.mark.parametrize("action", ["handclapping", "handwaving"])
def test_who_claps_or_waves_is_a_mirror_image_of_himself(action: str) -> None:
    one = shown(action)
    ends = _figures.segments(one, TIMES)
    mirrored = ends.copy()
    mirrored[..., 0] = 2 * one.place - mirrored[..., 0]
    assert np.allclose(ends[:, 0:5], mirrored[:, 5:10])


def test_hands_meet_in_a_clap_and_part_before_the_next() -> None:
    one = shown("handclapping")
    ends = _figures.segments(one, TIMES)
    apart = np.abs(ends[:, 1, 1, 0] - ends[:, 6, 1, 0]) / one.scale
    assert apart.min() < 0.06
    assert apart.max() > 0.6


def test_a_punch_extends_the_arm_by_the_square_of_its_phase() -> None:
    phase = np.linspace(0, 7, 50)
    near = _figures.angles(MOTIONS["boxing"], phase)[:, 0]
    extended = (1 + np.sin(phase)) ** 2 / 4
    assert np.allclose(near[:, 0], 0.3 + 1.2 * extended)
    assert np.allclose(near[:, 1] - near[:, 0], 2.2975 - 2.1 * extended)


@pytest.mark.parametrize("action", ACTIONS)
def test_the_lower_foot_stands_on_the_ground_but_for_the_flight(action: str) -> None:
    one = shown(action)
    lowest = _figures.segments(one, TIMES)[:, [3, 8], 1, 1].max(axis=1)
    phase = 2 * np.pi * one.cadence * TIMES + one.phase
    rise = one.scale * one.motion.flight * np.sin(phase) ** 2
    assert np.allclose(lowest, one.ground - rise)


@pytest.mark.parametrize("action", GOING)
def test_who_goes_is_as_fast_as_his_legs_and_turns_out_of_sight(action: str) -> None:
    for person in range(1, 6):
        one = shown(action, person)
        across, facing = _figures.place(one, TIMES)
        swing = one.reach * one.motion.thigh.c1
        leg = one.scale * (one.lengths[2] + one.lengths[3])
        speed = 4 * leg * np.sin(swing) * one.cadence * one.motion.gain
        straight = facing[1:] == facing[:-1]
        assert np.allclose((np.diff(across) / np.diff(TIMES))[straight], (facing[1:] * speed)[straight])
        assert not straight.all()
        turns = np.flatnonzero(~straight)
        assert ((across[turns] < -0.2) | (across[turns] > 1.2)).all()
        assert np.abs(np.diff(across)).max() <= speed * np.diff(TIMES).max() * (1 + 1e-9)
        out = ~_figures.in_view(one, TIMES)
        assert out[turns].all() or out[turns + 1].all()


def test_walking_jogging_and_running_get_faster() -> None:
    speeds = []
    for action in ("walking", "jogging", "running"):
        across, _ = _figures.place(shown(action), np.array([0, 1e-3]))
        speeds.append(abs(across[1] - across[0]) / shown(action).scale)
    assert speeds == sorted(speeds)


def test_a_body_is_the_persons_in_every_action_and_film() -> None:
    first, other = shown("walking"), shown("walking", person=4)
    for action in ACTIONS:
        for clip in range(3):
            one = shown(action, clip=clip)
            assert np.array_equal(one.lengths, first.lengths)
            assert np.array_equal(one.radii, first.radii)
    assert not np.isclose(first.lengths, other.lengths).all()
    assert shown("walking", clip=1).phase != first.phase


# --- drawing ----------------------------------------------------------------------------------------------------------


def drawn_slowly(one: Scene, time: float, side: int) -> NDArray[np.float64]:
    """One frame, pixel by pixel: parts are laid over each other, each covers by its distance from the pixel."""
    ends = _figures.segments(one, np.array([time]))[0] * side
    picture = np.empty((side, side))
    for row in range(side):
        for column in range(side):
            u, v = (column + 0.5) / side, (row + 0.5) / side
            value = one.light + sum(a * np.cos(2 * np.pi * (f * u + g * v) + p) for a, f, g, p in one.waves)
            for part in _figures.FRONTAL if one.motion.frontal else _figures.PROFILE:
                (x0, y0), (x1, y1) = ends[part]
                x, y = column + 0.5 - x0, row + 0.5 - y0
                length = np.hypot(x1 - x0, y1 - y0)
                along = (x * (x1 - x0) + y * (y1 - y0)) / length
                across = (x * (y1 - y0) - y * (x1 - x0)) / length
                beyond = max(0, -along, along - length)
                distance = np.hypot(beyond, across)
                cover = min(1, max(0, one.radii[part] * one.scale * side + 0.5 - distance))
                value = (1 - cover) * value + cover * one.shades[part]
            picture[row, column] = value
    return picture


@pytest.mark.parametrize("action", ACTIONS)
def test_a_film_is_what_a_slow_loop_draws(action: str) -> None:
    one = shown(action)
    seen = _figures.in_view(one, TIMES)
    times = [0.3, float(TIMES[seen][-1])]
    if action in GOING:
        at_edge = np.flatnonzero(seen[1:] != seen[:-1])
        times = [float(TIMES[at_edge[0] + shift]) for shift in (-3, 0, 3)]
    film = _figures.film(one, np.array(times), 18)
    for frame, time in zip(film, times, strict=True):
        assert np.abs(frame - drawn_slowly(one, time, 18)).max() < 2e-4


def test_a_capsule_has_its_area() -> None:
    canvas = np.zeros((1, 70, 70), np.float32)
    ends = np.array([[[11.3, 20.1], [31.8, 9.7]]], np.float32)
    _figures._draw(canvas, ends, np.float32(4.0), np.float32(1.0), 33, 15)
    wanted = 2 * 4.0 * np.hypot(20.5, 10.4) + np.pi * 4.0**2
    assert canvas.sum() == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("action", GOING)
def test_out_of_view_there_is_the_background_alone(action: str) -> None:
    one = shown(action)
    seen = _figures.in_view(one, TIMES)
    film, empty = _figures.film(one, TIMES, 16), _figures.background(one, 16)
    differs = (film != empty).any(axis=(1, 2))
    assert (~differs)[~seen].all()
    assert differs.mean() > 0.9 * seen.mean()
    assert 0 < (~seen).sum() < len(TIMES)


# --- the dataset ------------------------------------------------------------------------------------------------------


def test_persons_are_in_one_split_each() -> None:
    parts = [_figures.persons(split, [15, 2]) for split in SPLITS]
    assert parts[1:] == [[2, 15], list(range(17, 26))]
    assert sorted(chain.from_iterable(parts)) == list(range(1, 26))


def test_frames_are_the_films_of_the_splits_persons(folder: Path) -> None:
    for split, count in zip(SPLITS, (15, 1, 9), strict=True):
        frames = datasets.open("stick_actions", folder, split).frames
        people, noise = _figures.persons(split, [3]), []
        assert frames.shape == (count * 6 * 9, 1, 12, 12)
        for person, action in ((people[0], 0), (people[-1], 4)):
            clean = _figures.film(scene(5, person, action, 0), np.arange(9) / stick_actions.RATE, 12)
            first = (people.index(person) * 6 + action) * 9
            difference = frames[first : first + 9, 0] / 255 - clean
            assert difference.std() == pytest.approx(stick_actions.NOISE, rel=0.1)
            assert abs(difference.mean()) < 1e-3
            noise.append(difference.ravel())
        assert abs(np.mean(noise[0] * noise[1])) < 0.15 * stick_actions.NOISE**2


def test_sequences_start_where_the_figure_is_seen_in_all_observed_frames(folder: Path) -> None:
    for split in SPLITS:
        starts = datasets.open("stick_actions", folder, split).starts
        wanted = []
        for film, (person, action) in enumerate((p, a) for p in _figures.persons(split, [3]) for a in range(6)):
            for first in (0, 2, 4):
                times = np.array([first, first + 1]) / stick_actions.RATE
                seen = _figures.in_view(scene(5, person, action, 0), times)
                wanted += [9 * film + first] if seen.all() else []
        assert starts.tolist() == wanted
        assert len(wanted) < 3 * 6 * len(_figures.persons(split, [3])) or split == "validation"


def test_a_film_depends_on_its_own_indices_alone(folder: Path, tmp_path: Path) -> None:
    more = {**SMALL, "clips": 2, "validation_persons": [1], "stride": 3}
    datasets.prepare("stick_actions", tmp_path, tmp_path / "out", **more)
    few, many = (datasets.open("stick_actions", place, "test").frames for place in (folder, tmp_path / "out"))
    assert np.array_equal(few.reshape(54, 9, 12, 12), many.reshape(54, 2, 9, 12, 12)[:, 0])
    carved = datasets.open("stick_actions", folder, "validation").frames
    train = datasets.open("stick_actions", tmp_path / "out", "train").frames
    assert np.array_equal(carved.reshape(6, 9, 12, 12), train.reshape(15, 6, 2, 9, 12, 12)[1, :, 0])


def test_films_rendered_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = [(1, 5, 0), (1, 0, 1)]
    whole = np.concatenate(list(stick_actions.films(5, cast, 9, 12)))
    monkeypatch.setattr(stick_actions, "RUN", 4 * 12**2)
    parts = list(stick_actions.films(5, cast, 9, 12))
    assert [len(part) for part in parts] == [4, 4, 1] * 2
    assert np.array_equal(np.concatenate(parts), whole)


def test_another_seed_gives_other_films(folder: Path, tmp_path: Path) -> None:
    datasets.prepare("stick_actions", tmp_path, tmp_path / "out", **{**SMALL, "seed": 6})
    one, other = (datasets.open("stick_actions", place, "validation").frames for place in (folder, tmp_path / "out"))
    assert not {frame.tobytes() for frame in one} & {frame.tobytes() for frame in other}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clip_length": 3}, "clip_length 3 found, wanted at least observed . predicted, 4; change it in params.yaml"),
        ({"validation_persons": [3, 3]}, "each person once"),
        ({"validation_persons": [17]}, "validation_persons.0 17: .* less than or equal to 16"),
        ({"validation_persons": list(range(1, 17))}, "validation_persons .* at most 15"),
        ({"validation_persons": []}, "validation_persons .* at least 1"),
        ({"stride": 0}, "stride 0: .* greater than or equal to 1"),
        ({"side": 6}, "side 6: .* greater than or equal to 7"),
        ({"clips": 1.5}, "clips 1.5: .* valid integer"),
        ({"fps": 25}, "unknown parameter 'fps'"),
    ],
)
def test_bad_parameters_get_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    refused(says, datasets.prepare, "stick_actions", tmp_path, tmp_path / "out", **{**SMALL, **change})
    assert list(tmp_path.iterdir()) == []
