"""Prepared datasets: what every one keeps, that Moving MNIST moves as its card says, and what bad input gets."""

import errno
import json
import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MOVING, ROOT, refused
from numpy.typing import NDArray

import datasets
from benchmarks import settings
from datasets import SPLITS, moving_mnist

Array = NDArray[Any]
SMOKE = {name: cell.data for name, cell in settings.load(ROOT / "params.yaml").profiles["smoke"].items()}

pytestmark = pytest.mark.usefixtures("digits_read_once")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- every dataset ----------------------------------------------------------------------------------------------------


def test_every_dataset_has_a_smoke_profile() -> None:
    assert set(SMOKE) == set(datasets.available())


@pytest.mark.parametrize("name", datasets.available())
def test_card_says_what_it_is(name: str) -> None:
    card = import_module(f"datasets.{name}").__doc__ or ""
    for word in ("Real or synthetic", "Source", "Licence", "Split"):
        assert word in card


@pytest.mark.parametrize("name", SMOKE)
def test_prepared_form(name: str, tmp_path: Path) -> None:
    folder, again = tmp_path / "one", tmp_path / "deeper" / "two"
    for out in (folder, again):
        datasets.prepare(name, tmp_path, out, **SMOKE[name])
    assert contents(folder) == contents(again)
    card = datasets.card(name, folder, wanted=SMOKE[name])
    assert {"title", "kind", "source", "licence", "split"} <= set(card)
    seen: set[bytes] = set()
    for split in SPLITS:
        sequences = datasets.open(name, folder, split)
        assert isinstance(sequences.frames, np.memmap)
        assert not sequences.frames.flags.writeable
        assert len(sequences) == card["files"][split]["shape"][0]
        assert sequences.frames.dtype == np.uint8
        assert 1 <= sequences.observed < sequences.frames.shape[1]
        batch = sequences.batch(slice(0, 3))
        assert batch.dtype == np.float32
        assert np.array_equal((batch * 255).round(), sequences.frames[:3])
        assert batch.min() >= 0
        assert batch.max() <= 1
        assert np.array_equal(sequences.batch([2, 0]), batch[[2, 0]])
        own = {sequence.tobytes() for sequence in sequences.frames}
        assert not own & seen
        seen |= own


# --- Moving MNIST -----------------------------------------------------------------------------------------------------


def test_official_setting_has_the_official_shape(tmp_path: Path) -> None:
    official = {**MOVING, "canvas": 64, "digit_size": 28, "step": [0.1, 0.1], "observed": 10, "predicted": 10}
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "out", **official)
    sequences = datasets.open("moving_mnist", tmp_path / "out", "test")
    assert sequences.frames.shape == (5, 20, 1, 64, 64)
    assert sequences.observed == 10
    assert (sequences.frames.max(axis=(1, 2, 3, 4)) == 255).all()


@pytest.mark.parametrize("size", [7, 14, 28])
def test_splits_share_no_digit(size: int, mnist: tuple[Array, Array]) -> None:
    parts = moving_mnist._shrink(*mnist, size)
    own = {split: {glyph.tobytes() for glyph in glyphs} for split, glyphs in parts.items()}
    assert {split: len(glyphs) for split, glyphs in parts.items()} == {"train": 3500, "validation": 750, "test": 750}
    assert len(set.union(*own.values())) == sum(len(glyphs) for glyphs in own.values()) == 5000


def test_shrinking_averages_blocks(mnist: tuple[Array, Array]) -> None:
    pixels, labels = mnist
    first = moving_mnist._shrink(pixels, labels, 14)["train"][0]
    wanted = [
        [pixels[labels == 0][0][2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for c in range(14)] for r in range(14)
    ]
    assert np.array_equal(first, np.round(wanted))


@pytest.mark.parametrize(("first", "count"), [(0, 1), (2, 3), (5, 1030), (1023, 3)])
def test_a_sequence_depends_on_its_index_alone(first: int, count: int, random: np.random.Generator) -> None:
    glyphs = random.integers(0, 256, (50, 4, 4), dtype=np.uint8)
    setting: tuple[Any, ...] = (10, 2, [0.1, 0.3], 3)
    many = moving_mnist.generate(glyphs, 7, 0, 1040, *setting)
    assert np.array_equal(moving_mnist.generate(glyphs, 7, first, count, *setting), many[first : first + count])


def test_seeds_differ_and_splits_of_one_seed_do_too(tmp_path: Path, prepared: Path) -> None:
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "other", **{**MOVING, "seed": 4})
    streams = [
        datasets.open("moving_mnist", folder, split).frames[0]
        for folder in (prepared, tmp_path / "other")
        for split in SPLITS
    ]
    assert len({stream.tobytes() for stream in streams}) == 6


def flight(draws: Array, step: list[float], length: int) -> list[tuple[float, float]]:
    """Positions of one digit: straight flight; at a wall it stops there and that component turns around."""
    place, angle = [float(draws[0]), float(draws[1])], 2 * math.pi * float(draws[2])
    speed = step[0] + (step[1] - step[0]) * float(draws[3])
    velocity, path = [speed * math.sin(angle), speed * math.cos(angle)], []
    for _ in range(length):
        path.append((place[0], place[1]))
        for axis in (0, 1):
            place[axis] += velocity[axis]
            if not 0 < place[axis] < 1:
                place[axis] = 0.0 if place[axis] <= 0 else 1.0
                velocity[axis] = -velocity[axis]
    return path


def test_digits_fly_straight_and_bounce(random: np.random.Generator) -> None:
    draws = random.random((40, 2, 8))
    found = moving_mnist.trajectories(draws, [0.1, 0.4], 25)
    wanted = [[flight(digit, [0.1, 0.4], 25) for digit in sequence] for sequence in draws]
    assert found.shape == (40, 2, 25, 2)
    assert np.allclose(found, wanted, rtol=0, atol=1e-12)
    assert found.min() == 0
    assert found.max() == 1


def test_frames_are_rendered_by_truncation_and_maximum(random: np.random.Generator) -> None:
    glyphs = random.integers(0, 256, (30, 4, 4), dtype=np.uint8)
    canvas, step, length, key = 9, [0.1, 0.4], 12, 11
    draws = np.random.Generator(np.random.Philox(key=key)).random((6, 2, 8))
    wanted = np.zeros((6, length, 1, canvas, canvas), dtype=np.uint8)
    for n, sequence in enumerate(draws):
        for digit in sequence:
            glyph = glyphs[int(digit[4] * 30)]
            for t, place in enumerate(flight(digit, step, length)):
                top, left = (int(part * (canvas - 4)) for part in place)
                for row in range(4):
                    for column in range(4):
                        old = wanted[n, t, 0, top + row, left + column]
                        wanted[n, t, 0, top + row, left + column] = max(old, glyph[row, column])
    assert np.array_equal(moving_mnist.generate(glyphs, key, 0, 6, canvas, 2, step, length), wanted)


# --- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [False, True])
def test_a_failing_write_leaves_what_was_there(before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    if before:
        datasets.prepare("moving_mnist", tmp_path, home / "prepared", **MOVING)
    old = {path.name: contents(path) for path in home.glob("*")}
    save, calls = np.save, []

    def full_disk(*arguments: Any, **params: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(*arguments, **params)

    monkeypatch.setattr(np, "save", full_disk)
    changed = {**MOVING, "seed": 9}
    refused("prepared: .*No space left", datasets.prepare, "moving_mnist", tmp_path, home / "prepared", **changed)
    assert {path.name: contents(path) for path in home.glob("*")} == old


def test_a_new_form_replaces_the_old_one_whole(tmp_path: Path, prepared: Path) -> None:
    (prepared / "left over").touch()
    datasets.prepare("moving_mnist", tmp_path, prepared, **{**MOVING, "seed": 9})
    assert set(contents(prepared)) == {"card.json", *(f"{split}.npy" for split in SPLITS)}
    assert json.loads((prepared / "card.json").read_text())["params"]["seed"] == 9
