"""Advection: the fields against closed forms and an integrator of ordinary equations, and what each sequence draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

import datasets
from datasets import SPLITS, advection
from datasets.advection import evolved, sequences_of, smooth

Array = NDArray[Any]
PARAMS: dict[str, Any] = {
    "side": 12,
    "observed": 3,
    "predicted": 2,
    "wind": [0.3, 1.5],
    "diffusivity": [0.01, 0.1],
    "relaxation": 0.05,
    "sequences": {"train": 9, "validation": 4, "test": 5},
    "seed": 3,
}
CALM = np.zeros((24, 24))


def blowing(*winds: tuple[float, float]) -> Array:
    """The same wind between all frames for one sequence, or another one each: [1, T - 1, 2]."""
    return np.array([winds])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("advection") / "out"
    datasets.prepare("advection", out, out, **PARAMS)
    return out


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("down", "across"), [(1, 0), (0, 3), (-2, 5), (4, 4)])
def test_a_wave_moves_and_decays(down: int, across: int) -> None:
    side, wind, diffusivity = 24, (0.7, -1.3), 0.3
    row, column = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    found = evolved(
        np.cos(2 * np.pi * (down * row + across * column) / side)[None],
        CALM,
        blowing(*[wind] * 5),
        np.array([diffusivity]),
        0.0,
    )
    for t in range(6):
        phase = 2 * np.pi * (down * (row - wind[0] * t) + across * (column - wind[1] * t)) / side
        amplitude = np.exp(-diffusivity * (2 * np.pi / side) ** 2 * (down**2 + across**2) * t)
        assert np.allclose(found[0, t], amplitude * np.cos(phase), rtol=0, atol=1e-12)


def test_a_gaussian_is_carried_along_the_wind_and_spreads() -> None:
    side, width, diffusivity, start = 40, 3.0, 0.8, (11.0, 30.0)
    winds = [(1.5, 0.0), (1.2, 0.9), (0.5, 1.4), (-0.3, 1.47), (-1.0, 1.1)]

    def gaussian(place: tuple[float, float], variance: float) -> Array:
        images = side * np.arange(-3, 4)[:, None]  # the torus shows it again and again
        down, across = (np.exp(-((np.arange(side) - c - images) ** 2) / (2 * variance)).sum(axis=0) for c in place)
        return np.asarray(width**2 / variance * np.outer(down, across))

    found = evolved(
        gaussian(start, width**2)[None], np.zeros((side, side)), blowing(*winds), np.array([diffusivity]), 0.0
    )
    for t in range(6):
        place = (start[0] + sum(u for u, _ in winds[:t]), start[1] + sum(v for _, v in winds[:t]))
        wanted = gaussian(place, width**2 + 2 * diffusivity * t)
        assert np.allclose(found[0, t], wanted, rtol=0, atol=1e-8)


def test_whole_cells_of_wind_shift_the_field(random: np.random.Generator) -> None:
    start = smooth(random.standard_normal((1, 24, 24)))
    found = evolved(start, CALM, blowing((2, -3), (0, 5)), np.zeros(1), 0.0)
    assert np.allclose(found[0, 1], np.roll(start[0], (2, -3), axis=(0, 1)), atol=1e-12)
    assert np.allclose(found[0, 2], np.roll(start[0], (2, 2), axis=(0, 1)), atol=1e-12)


def test_without_wind_every_place_nears_its_climate(random: np.random.Generator) -> None:
    start, climate = smooth(random.standard_normal((3, 24, 24))), smooth(random.standard_normal((24, 24)))
    found = evolved(start + 0.3, climate + 0.7, np.zeros((3, 4, 2)), np.zeros(3), 0.2)
    for t in range(5):
        assert np.allclose(found[:, t], climate + 0.7 + (start + 0.3 - climate - 0.7) * np.exp(-0.2 * t), atol=1e-12)


def test_the_mean_is_conserved_without_a_source(random: np.random.Generator) -> None:
    start = smooth(random.standard_normal((4, 17, 17))) + np.arange(4)[:, None, None]
    winds = random.standard_normal((4, 6, 2))
    found = evolved(start, smooth(random.standard_normal((17, 17))), winds, random.random(4), 0.0)
    assert np.allclose(found.mean(axis=(2, 3)), np.arange(4)[:, None], atol=1e-12)
    assert (np.diff(np.square(found - found.mean(axis=(2, 3), keepdims=True)).sum(axis=(2, 3))) < 0).all()


@pytest.mark.parametrize("side", [9, 12])
def test_everything_together_solves_the_equation(side: int, random: np.random.Generator) -> None:
    start, climate = smooth(random.standard_normal((1, side, side))), smooth(random.standard_normal((side, side)))
    winds, diffusivity, relaxation = [(0.8, -0.4), (1.1, 0.6), (-0.2, 1.3)], 0.15, 0.3
    k = 2 * np.pi * np.fft.fftfreq(side)
    down, across = (axis.ravel() for axis in np.meshgrid(k, k, indexing="ij"))
    modes, source = np.fft.fft2(start[0]).ravel(), relaxation * np.fft.fft2(climate).ravel()
    found = evolved(start, climate, blowing(*winds), np.array([diffusivity]), relaxation)
    for t, (u, v) in enumerate(winds):
        rate = -1j * (down * u + across * v) - diffusivity * (down**2 + across**2) - relaxation

        def change(_: float, q: Array, rate: Array = rate) -> Array:
            return rate * q + source

        modes = solve_ivp(change, (0, 1), modes, rtol=1e-10, atol=1e-10).y[:, -1]
        assert np.allclose(found[0, t + 1], np.fft.ifft2(modes.reshape(side, side)).real, rtol=0, atol=1e-8)


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [16, 33])
def test_noise_gets_the_spectrum_of_weather(side: int, random: np.random.Generator) -> None:
    fields = smooth(random.standard_normal((200, side, side)))
    assert np.allclose(fields.mean(axis=(1, 2)), 0, atol=1e-12)
    assert np.allclose(np.square(fields).mean(axis=(1, 2)), 1)
    energy = np.square(np.abs(np.fft.fft2(fields))).mean(axis=0)
    k = side * np.fft.fftfreq(side)
    size = np.hypot(k[:, None], k)
    kept = (size > 0) & (np.abs(k) < side / 2)[:, None] & (np.abs(k) < side / 2)
    assert energy[~kept].max() < 1e-20 * energy.max()
    slope = np.polyfit(np.log(size[kept]), np.log(energy[kept]), 1)[0]
    assert slope == pytest.approx(-4, abs=0.05)  # of one mode; the |k| modes of a ring together have -3


def test_the_wind_keeps_its_speed_and_turns_evenly() -> None:
    fields = sequences_of(1, "train", range(300), 6, 16, [0.5, 2.0], [0.0, 0.0], 0.0)
    modes = np.fft.fft2(fields)
    moved = [-np.angle(mode[:, 1:] / mode[:, :-1]) * 16 / (2 * np.pi) for mode in (modes[..., 1, 0], modes[..., 0, 1])]
    speed, angle = np.hypot(*moved), np.unwrap(np.arctan2(*moved))
    assert np.allclose(speed, speed[:, :1], atol=1e-9)
    assert 0.5 <= speed.min() < 0.55
    assert 1.95 < speed.max() <= 2.0
    turns = np.diff(angle)
    assert np.allclose(turns, turns[:, :1], atol=1e-9)
    assert np.pi / 13 < np.abs(turns).max() <= np.pi / 12 + 1e-9
    assert abs(np.exp(1j * angle[:, 0]).mean()) < 0.2  # from all sides


def test_diffusivity_is_drawn_from_its_range() -> None:
    fields = sequences_of(1, "test", range(200), 2, 16, [0.0, 1.0], [0.2, 0.6], 0.0)
    mode = np.abs(np.fft.fft2(fields)[..., 1, 0])
    found = -np.log(mode[:, 1] / mode[:, 0]) / (2 * np.pi / 16) ** 2
    assert 0.2 - 1e-9 <= found.min() < 0.22
    assert 0.58 < found.max() <= 0.6 + 1e-9


def test_all_sequences_share_a_climate_with_a_warm_belt() -> None:
    climate = advection.climate_of(5, 16)
    for split in SPLITS:
        last = sequences_of(5, split, range(2), 400, 16, [0.0, 0.0], [0.0, 0.0], 0.1)[:, -1]
        assert np.allclose(last, climate, atol=1e-12)
    assert climate[6:10].mean() > 0.1
    assert climate[[0, 1, 14, 15]].mean() < -0.1
    assert np.square(climate).mean() == pytest.approx(0.22**2)
    assert not np.allclose(advection.climate_of(6, 16), climate)


def test_a_sequence_depends_on_its_index_alone() -> None:
    setting: tuple[Any, ...] = (5, 12, [0.3, 1.5], [0.01, 0.1], 0.05)
    many = sequences_of(3, "train", range(40), *setting)
    assert np.allclose(sequences_of(3, "train", range(17, 20), *setting), many[17:20], rtol=0, atol=1e-14)
    others = [many, sequences_of(3, "test", range(40), *setting), sequences_of(4, "train", range(40), *setting)]
    starts = np.concatenate(others)[:, 0].reshape(120, -1)
    apart = np.abs(starts[:, None] - starts).max(axis=2) + np.eye(120)
    assert apart.min() > 0.05


def test_no_value_leaves_the_range() -> None:
    for side in (7, 16):
        fields = sequences_of(2, "train", range(1500), 8, side, [0.0, 3.0], [0.0, 0.05], 0.1)
        assert np.abs(fields[:, 0]).max() <= 1
        assert np.abs(fields).max() < 1.15  # between two cells a start may be a little higher; 1.25 is a value of 1
        assert 0.2 < fields.std() < 0.35


# --- prepared ---------------------------------------------------------------------------------------------------------


def test_prepared_sequences_are_the_fields_as_values(folder: Path, tmp_path: Path) -> None:
    card = datasets.card("advection", folder, wanted=PARAMS)
    assert card["title"].endswith("(synthetic)")
    for split in SPLITS:
        sequences = datasets.open("advection", folder, split)
        count = PARAMS["sequences"][split]
        assert sequences.shape == (count, 5, 1, 12, 12)
        found = sequences.batch(slice(None))[:, :, 0]
        wanted = sequences_of(3, split, range(count), 5, 12, [0.3, 1.5], [0.01, 0.1], 0.05)
        assert np.allclose(card["value"]["offset"] + card["value"]["scale"] * found, wanted, atol=1e-6)
        assert np.allclose(found, 0.5 + 0.4 * wanted, atol=1e-7)
    datasets.prepare("advection", tmp_path, tmp_path / "again", **PARAMS)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        p.name: p.read_bytes() for p in (tmp_path / "again").iterdir()
    }


def test_blocks_join_without_a_seam(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advection, "BLOCK", 4 * 5 * 12 * 12)
    datasets.prepare("advection", tmp_path, tmp_path / "out", **PARAMS)
    for split in SPLITS:
        small, large = (datasets.open("advection", where, split).frames for where in (tmp_path / "out", folder))
        assert np.allclose(small, large, rtol=0, atol=1e-7)


def test_there_is_something_to_predict() -> None:
    fields = sequences_of(0, "test", range(300), 10, 16, [0.4, 1.2], [0.005, 0.03], 0.03)
    seen, true = fields[:, :5], fields[:, 5:]
    step = np.arange(1, 6)[:, None, None]
    last = np.square(seen[:, -1:] - true).mean(axis=(0, 2, 3))
    line = np.square(seen[:, -1:] + step * (seen[:, -1:] - seen[:, -2:-1]) - true).mean(axis=(0, 2, 3))
    mean = np.square(fields.mean(axis=(0, 1)) - true).mean(axis=(0, 2, 3))
    assert line[0] < last[0] < mean[0]
    assert line[-1] > last[-1]
    modes = np.fft.fft2(seen)
    moved = [-np.angle(mode[:, -1] / mode[:, -2]) / (2 * np.pi) for mode in (modes[..., 1, 0], modes[..., 0, 1])]
    k = 16 * np.fft.fftfreq(16)
    phase = moved[0][:, None, None] * k[:, None] + moved[1][:, None, None] * k
    carried = np.fft.ifft2(modes[:, -1:] * np.exp(-2j * np.pi * phase[:, None] * step)).real
    assert np.square(carried - true).mean() < 0.3 * last.mean()  # who sees the wind


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"side": 6}, "side 6"),
        ({"side": 12.0}, "side 12.0"),
        ({"wind": [1.0]}, "wind \\[1.0\\]"),
        ({"wind": [1.0, 0.5]}, "wind \\[1.0, 0.5\\] found, wanted \\[least, greatest\\] between 0 and 6"),
        ({"wind": [0.0, 6.5]}, "wind \\[0.0, 6.5\\]"),
        ({"wind": [0.0, float("nan")]}, "wind \\[0.0, nan\\]"),
        ({"diffusivity": [-0.1, 0.5]}, "diffusivity \\[-0.1, 0.5\\]"),
        ({"diffusivity": [0.1, float("inf")]}, "diffusivity \\[0.1, inf\\]"),
        ({"relaxation": 1.5}, "relaxation 1.5"),
        ({"relaxation": float("nan")}, "relaxation nan"),
        ({"predicted": 0}, "predicted 0"),
        (
            {"observed": 233_014, "predicted": 3},
            "observed \\+ predicted 233017 found, wanted at most 233016 at side 12",
        ),
        ({"sequences": {"train": 1, "validation": 1, "test": 0}}, "sequences.test 0"),
        ({"sequences": {"train": 10**7 + 1, "validation": 1, "test": 1}}, "sequences 10000001 of train"),
        ({"seed": -1}, "seed -1"),
        ({"season": 3}, "unknown parameter 'season'"),
    ],
)
def test_a_wrong_parameter_is_one_line(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    refused(says, datasets.prepare, "advection", tmp_path, tmp_path / "out", **{**PARAMS, **change})
    assert not list(tmp_path.iterdir())
