"""Moving pictures: they move, bounce and merge as the protocol says, and in law as its loop does.

What comes from official files is in tests/test_moving_files.py.
"""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MOVING, ROOT
from numpy.typing import NDArray
from scipy.stats import ks_2samp

import datasets
from benchmarks.speed.protocol import by_the_protocol
from datasets import SPLITS, moving_mnist
from datasets._moving import PIXELS, Motion, blocks, drawn, trajectories

Array = NDArray[Any]
OFFICIAL = Motion(canvas=64, digits=2, step=[0.1, 0.1], length=20)

pytestmark = pytest.mark.usefixtures("digits_read_once")


def generate(glyphs: Array, key: int, first: int, count: int, move: Motion) -> Array:
    """Sequences [count, length, canvas, canvas] of a stream."""
    frames = np.concatenate(list(blocks(glyphs, key, first, count, move)))
    return frames.reshape(count, move.length, move.canvas, move.canvas)


# --- how they move ----------------------------------------------------------------------------------------------------


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
    found = trajectories(draws, [0.1, 0.4], 25)
    wanted = [[flight(digit, [0.1, 0.4], 25) for digit in sequence] for sequence in draws]
    assert found.shape == (25, 40, 2, 2)
    assert np.allclose(found.transpose(1, 2, 0, 3), wanted, rtol=0, atol=1e-12)
    assert found.min() == 0
    assert found.max() == 1


@pytest.mark.parametrize(("canvas", "digits", "length"), [(9, 2, 12), (5, 1, 3), (13, 4, 1)])
def test_frames_are_rendered_by_truncation_and_maximum(
    canvas: int, digits: int, length: int, random: np.random.Generator
) -> None:
    glyphs = random.integers(0, 256, (30, 4, 4), dtype=np.uint8)
    move, key = Motion(canvas, digits, [0.1, 0.4], length), 11
    draws = np.random.Generator(np.random.Philox(key=key)).random((6, digits, 8))
    wanted = np.zeros((6, length, canvas, canvas), dtype=np.uint8)
    for n, sequence in enumerate(draws):
        for digit in sequence:
            glyph = glyphs[int(digit[4] * 30)]
            for t, place in enumerate(flight(digit, move.step, length)):
                top, left = (int(part * (canvas - 4)) for part in place)
                for row in range(4):
                    for column in range(4):
                        old = wanted[n, t, top + row, left + column]
                        wanted[n, t, top + row, left + column] = max(old, glyph[row, column])
    assert np.array_equal(generate(glyphs, key, 0, 6, move), wanted)


def test_the_law_is_that_of_the_protocol() -> None:
    """Speed, turns and overlap, seen in white squares; our first frame is before the protocol's first step."""
    squares, count = np.full((1, 28, 28), 255, dtype=np.uint8), 500

    def ours(digits: int) -> Array:
        return generate(squares, digits, 0, count, Motion(64, digits, [0.1, 0.1], 21))[:, 1:] > 0

    def loop(digits: int, step: float) -> Array:
        return np.stack([made > 0 for made in by_the_protocol(squares, count, 64, digits, step, 20, seed=digits)])

    found = [*speed_and_turns(ours(1)), overlap(ours(2))]
    wanted = [*speed_and_turns(loop(1, 0.1)), overlap(loop(2, 0.1))]
    for one, other in zip(found, wanted, strict=True):
        assert ks_2samp(one, other, method="asymp").pvalue > 0.02
    for one, other in zip(found, speed_and_turns(loop(1, 0.12)), strict=False):
        assert ks_2samp(one, other, method="asymp").pvalue < 1e-6  # another law would be noticed


def speed_and_turns(frames: Array) -> list[Array]:
    """Of sequences [N, T, 64, 64] with one square: pixels moved from frame to frame on average, and turns."""
    corners = np.stack([frames.any(axis=3).argmax(axis=2), frames.any(axis=2).argmax(axis=2)], axis=-1)
    moved = np.diff(corners, axis=1)
    turns = (moved[:, 1:] * moved[:, :-1] < 0).sum(axis=(1, 2))
    return [np.hypot(moved[..., 0], moved[..., 1]).mean(axis=1), turns]


def overlap(frames: Array) -> Array:
    """Of sequences [N, T, 64, 64] with two squares: the share of a square that both cover, on average."""
    return 2 - frames.sum(axis=(2, 3)).mean(axis=1) / 28**2


# --- a function of its index alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "count"), [(0, 1), (2, 3), (5, 1030), (1023, 3)])
def test_a_sequence_depends_on_its_index_alone(
    first: int, count: int, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    glyphs, move = random.integers(0, 256, (50, 4, 4), dtype=np.uint8), Motion(10, 2, [0.1, 0.3], 3)
    many = generate(glyphs, 7, 0, 1040, move)
    assert np.array_equal(generate(glyphs, 7, first, count, move), many[first : first + count])
    monkeypatch.setattr("datasets._moving.PATHS", 100)
    monkeypatch.setattr("datasets._moving.PIXELS", 5000)
    assert np.array_equal(generate(glyphs, 7, first, count, move), many[first : first + count])


def test_seeds_differ_and_splits_of_one_seed_do_too(tmp_path: Path, prepared: Path) -> None:
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "other", **{**MOVING, "seed": 4})
    streams = [
        datasets.open("moving_mnist", folder, split).batch([0])
        for folder in (prepared, tmp_path / "other")
        for split in SPLITS
    ]
    assert len({stream.tobytes() for stream in streams}) == 6


# --- the embedded digits ----------------------------------------------------------------------------------------------


def test_official_setting_has_the_official_shape(tmp_path: Path) -> None:
    official = {**MOVING, "canvas": 64, "digit_size": 28, "step": [0.1, 0.1], "observed": 10, "predicted": 10}
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "out", **official)
    sequences = datasets.open("moving_mnist", tmp_path / "out", "test")
    assert sequences.shape == (5, 20, 1, 64, 64)
    assert sequences.observed == 10
    assert (sequences.frames.max(axis=(1, 2, 3)) == 255).all()


@pytest.mark.parametrize("size", [4, 7, 14, 28])
def test_splits_share_no_digit(size: int, mnist: tuple[Array, Array]) -> None:
    parts = moving_mnist._deal(*mnist, size)
    own = {split: {glyph.tobytes() for glyph in glyphs} for split, glyphs in parts.items()}
    assert {split: len(glyphs) for split, glyphs in parts.items()} == {"train": 3500, "validation": 750, "test": 750}
    assert len(set.union(*own.values())) == sum(len(glyphs) for glyphs in own.values()) == 5000


def test_shrinking_averages_blocks(mnist: tuple[Array, Array]) -> None:
    pixels, labels = mnist
    first = moving_mnist._deal(pixels, labels, 14)["train"][0]
    wanted = [
        [pixels[labels == 0][0][2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for c in range(14)] for r in range(14)
    ]
    assert np.array_equal(first, np.round(wanted))


# --- memory -----------------------------------------------------------------------------------------------------------


def test_frames_are_made_as_they_are_asked_for(random: np.random.Generator) -> None:
    split = drawn(random.integers(0, 256, (9, 28, 28), dtype=np.uint8), OFFICIAL, 10_000, 0, "train")
    assert split.shape == (200_000, 1, 64, 64)
    block = next(iter(split.blocks))
    assert isinstance(block, np.ndarray)
    assert block.nbytes <= PIXELS


OPENED = """
import json, resource, sys, time
from pathlib import Path
import numpy as np
import datasets

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)

datasets.available()
before, start = peak(), time.perf_counter()
sequences = datasets.open("moving_mnist", Path(sys.argv[1]), "test")
taken, last = time.perf_counter() - start, sequences.batch([9_999])
print(json.dumps([len(sequences), float(last.max()), taken, peak() - before]))
"""


def test_the_official_size_is_opened_without_being_read(prepared: Path) -> None:
    card = json.loads((prepared / "card.json").read_text())
    card["observed"], card["predicted"] = 10, 10
    card["files"]["test"] |= {"frames": [200_000, 1, 64, 64], "sequences": 10_000}
    (prepared / "card.json").write_text(json.dumps(card))
    np.save(prepared / "test-starts.npy", np.arange(10_000) * 20)
    np.lib.format.open_memmap(prepared / "test.npy", "w+", np.uint8, (200_000, 1, 64, 64))  # 819 MB, none written
    done = subprocess.run(
        [sys.executable, "-c", OPENED, prepared], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    count, value, seconds, grown = json.loads(done.stdout)
    assert (count, value) == (10_000, 0)
    assert seconds < 1
    assert grown < 50
