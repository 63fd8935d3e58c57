"""KTH from both official layouts: which sequences the rule cuts, who is in which split, and what the pixels are."""

import hashlib
import os
import random
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import refused
from numpy.typing import NDArray
from official import kth as official
from PIL import Image

import datasets
from datasets import DatasetError, _kth_files, _kth_pixels
from datasets._kth_clips import ACTIONS, Clip, merged, sequence_firsts
from datasets._official import File

Entry = tuple[int, str, int]  # person, action, number of a frame


def slow_rule(entries: list[Entry], length: int) -> list[Entry]:
    """The rule as a walk over all frames of a split from the last one on; returns where sequences start."""
    found, end = [], len(entries) - 1
    while end >= length - 1:
        window = entries[end - length + 1 : end + 1]
        person, action, first = window[0]
        if window == [(person, action, first + step) for step in range(length)]:
            found.append(window[0])
            end -= 3 if action in ("jogging", "running") else length
        else:
            end -= 1
    return found[::-1]


def entries_of(split: str) -> list[Entry]:
    return [
        (person, action, number)
        for action in ACTIONS
        for person in official.SPLITS[split]
        for first, last in official.runs_of(action)
        for number in range(first, last + 1)
    ]


def prepare(root: Path, **changed: Any) -> dict[str, NDArray[np.float32]]:
    """All sequences of each split, prepared afresh."""
    datasets.prepare("kth", root, root / "out", **{**official.PARAMS, **changed})
    return {split: datasets.open("kth", root / "out", split).batch(slice(None)) for split in official.SPLITS}


def made(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "out").iterdir())}


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    official.build(tmp_path)
    return tmp_path


# --- which sequences --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("predicted", [2, 1, 4])
def test_sequences_are_those_of_a_walk_over_all_frames(predicted: int, tmp_path: Path) -> None:
    official.build_flat(tmp_path)
    length = official.PARAMS["observed"] + predicted
    for split, found in prepare(tmp_path, predicted=predicted).items():
        starts = slow_rule(entries_of(split), length)
        wanted = [[official.coded(a, p, first + step) for step in range(length)] for p, a, first in starts]
        assert found.shape == (len(starts), length, 1, 16, 16)
        assert np.array_equal(np.rint(found[..., 0, 0, 0] * 255), wanted)
        assert np.ptp(found, axis=(2, 3, 4)).max() == 0


def test_the_rule_on_random_runs(random: np.random.Generator) -> None:
    for _ in range(100):
        length, action = int(random.integers(3, 9)), str(random.choice(ACTIONS))
        numbers = np.flatnonzero(random.random(60) < 0.9)
        runs = merged((int(n), int(n)) for n in numbers)
        wanted = slow_rule([(1, action, int(n)) for n in numbers], length)
        assert [first for run in runs for first in sequence_firsts(run, length, action)] == [n for _, _, n in wanted]


@pytest.mark.parametrize(
    ("ranges", "wanted"),
    [
        ([(1, 110), (110, 192)], [(1, 192)]),  # the four below are oddities of the official file
        ([(1, 112), (113, 162), (153, 254), (255, 408)], [(1, 408)]),
        ([(1, 64), (270, 332), (194, 264), (490, 570)], [(1, 64), (194, 264), (270, 332), (490, 570)]),
        ([(1, 104), (105, 206), (207, 311), (212, 456)], [(1, 456)]),
        ([(5, 9), (1, 20)], [(1, 20)]),
    ],
)
def test_ranges_make_runs(ranges: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> None:
    assert list(merged(ranges)) == wanted


def test_the_order_of_a_listing_does_not_matter(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(frames)
    before, shuffle = made(frames), random.Random(3)  # noqa: S311 - no secret
    for name in ("listdir", "scandir"):
        listing = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *path, listing=listing: _Shuffled(listing(*path), shuffle))
    prepare(frames)
    assert made(frames) == before


class _Shuffled(list[Any]):
    """A listing in another order, also one that is used in a `with` statement."""

    def __init__(self, listing: Iterable[Any], shuffle: random.Random) -> None:
        super().__init__(listing)
        shuffle.shuffle(self)

    def __enter__(self) -> "_Shuffled":
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.mark.parametrize("said", [(), ("11-13,1-4 , 12-16, 5-7   ", "20-23, 1-6, 7-12\t")])
def test_videos_and_folders_give_the_same(said: tuple[str, ...], tmp_path: Path) -> None:
    official.build_flat(tmp_path / "a")
    official.build_videos(tmp_path / "b", *said)
    prepare(tmp_path / "a")
    prepare(tmp_path / "b", source="avi")
    for name in ("train", "validation", "test"):
        for part in (f"{name}.npy", f"{name}-starts.npy"):
            assert made(tmp_path / "a")[part] == made(tmp_path / "b")[part]


def test_no_person_is_in_two_splits(tmp_path: Path) -> None:
    for action in ACTIONS:
        for person in official.PERSONS:
            pictures = dict.fromkeys(range(1, 6), np.full((official.HEIGHT, official.WIDTH), 10 * person, np.uint8))
            official.write_clip(tmp_path / "kth", action, person, [(1, 5)], pictures.__getitem__)
    for split, sequences in prepare(tmp_path).items():
        assert {int(value) for value in np.rint(np.unique(sequences) * 255)} == {10 * p for p in official.SPLITS[split]}
    persons = {"train": {15, 2}, "validation": {1}, "test": {17, 25}}
    for split, sequences in prepare(tmp_path, validation_persons=[1]).items():
        assert {int(value) for value in np.rint(np.unique(sequences) * 255)} == {10 * p for p in persons[split]}


def test_the_card_says_what_was_read(frames: Path) -> None:
    prepare(frames)
    card = datasets.card("kth", frames / "out", official.PARAMS)
    assert [one["file"] for one in card["read"]] == [f"kth/{action}" for action in ACTIONS]
    content = b"".join(path.read_bytes() for path in sorted((frames / "kth" / "boxing").rglob("*.jpg")))
    assert card["read"][0]["bytes"] == len(content)
    assert card["read"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["notes"] == ["30 clips found, the official data have 599"]


# --- pixels -----------------------------------------------------------------------------------------------------------


def test_frames_are_resized_as_opencv_does(random: np.random.Generator) -> None:
    """OpenCV's bilinear rule is torch's without aligned corners."""
    grey = random.integers(0, 256, (3, 120, 160), dtype=np.uint8)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(grey)[:, None].double(), size=(128, 128), mode="bilinear")
    assert np.abs(_kth_pixels.resized(grey, 128) - wanted[:, 0].numpy()).max() <= 0.5001


def test_a_small_frame_shows_no_more_flicker_than_the_large_one() -> None:
    """Stripes finer than the small frame's pixels average out, wherever they lie."""
    stripes = np.where(np.arange(160) % 2, 255, 0).astype(np.uint8)
    grey = np.stack([np.tile(np.roll(stripes, shift), (120, 1)) for shift in range(2)])
    assert np.abs(_kth_pixels.resized(grey, 32)[:, 2:-2, 2:-2] - 127.5).max() < 3


def test_a_frame_does_not_depend_on_those_it_is_read_with(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(frames)
    before = made(frames)
    monkeypatch.setattr(_kth_pixels, "CHUNK", 2)
    prepare(frames)
    assert made(frames) == before


def test_colours_become_luma_and_grey_files_stay(frames: Path) -> None:
    red, green, blue = 200, 40, 90
    for folder in (frames / "kth" / "boxing").iterdir():
        person = int(folder.name[6:8])
        for path in folder.iterdir():
            if person == 1:
                Image.new("RGB", (40, 30), (red, green, blue)).save(path, quality=100, subsampling=0)
            else:
                Image.new("L", (40, 30), 77).save(path, quality=100)
    sequences = prepare(frames)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    assert np.abs(sequences["train"][0] * 255 - luma).max() <= 1.5
    assert np.array_equal(np.rint(sequences["test"][0] * 255), np.full((5, 1, 16, 16), 77))


def clip_of(path: Path, *runs: tuple[int, int]) -> Clip:
    return Clip(path, 1, "boxing", runs)


def test_only_few_frames_are_in_memory_together(tmp_path: Path) -> None:
    clip = clip_of(official.write_clip(tmp_path, "boxing", 1, [(1, 100)], official.flat("boxing", 1)), (1, 100))
    blocks = list(_kth_pixels.frames(clip, ((3, 100),), (40, 30), 16))
    assert [len(block) for block in blocks] == [32, 32, 32, 2]
    assert [int(block[0, 0, 0, 0]) for block in blocks] == [official.coded("boxing", 1, n) for n in (3, 35, 67, 99)]


def test_a_video_with_loss_is_decoded_frame_by_frame(tmp_path: Path) -> None:
    """MPEG-4, as the official ones: every frame shows its bar where it was drawn, and in no other frame."""
    place = np.arange(40)

    def picture(number: int) -> NDArray[np.uint8]:
        return np.tile(np.rint(60 + 120 * np.exp(-(((place - 1.2 * number) / 2) ** 2))).astype(np.uint8), (30, 1))

    video = official.write_video(tmp_path, "boxing", 1, [picture(number) for number in range(1, 31)], codec="mpeg4")
    clip = clip_of(video, (4, 9), (15, 30))
    shown = np.concatenate(list(_kth_pixels.frames(clip, clip.runs, (40, 30), 40)))[:, 0]
    drawn = _kth_pixels.resized(np.stack([picture(number) for number in (*range(4, 10), *range(15, 31))]), 40)
    errors = np.abs(shown[:, None].astype(float) - drawn[None]).mean(axis=(2, 3))
    assert errors.shape == (22, 22)
    assert (np.diag(errors) < 4).all()
    assert (errors.argmin(axis=1) == np.arange(22)).all()


# --- archives ---------------------------------------------------------------------------------------------------------


def no_download(root: Path, file: File) -> Path:
    path = root / file.path
    if not path.is_file():
        raise DatasetError(f"{path}: missing, put it there")
    return path


def pack(root: Path, archive: str, top: str, pattern: str) -> None:
    """Moves files below kth/ into an archive, there below `top`, beside a file that nobody wants."""
    with zipfile.ZipFile(root / "kth" / archive, "w") as packed:
        packed.writestr("README.md", "-")
        for path in sorted((root / "kth").glob(pattern)):
            packed.write(path, f"{top}{path.name if path.suffix == '.avi' else path.relative_to(root / 'kth')}")
            path.unlink()


@pytest.mark.parametrize("top", ["", "kth_action/"])
def test_frames_come_out_of_the_archive(top: str, frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kth_files, "obtain", no_download)
    wanted = prepare(frames)
    pack(frames, "kth_action.zip", top, "*/*/*.jpg")
    for action in ACTIONS:
        shutil.rmtree(frames / "kth" / action)
    for _ in range(2):  # unpacked, and found unpacked
        for split, sequences in prepare(frames).items():
            assert np.array_equal(sequences, wanted[split])
        (frames / "kth" / "kth_action.zip").unlink(missing_ok=True)
    assert not list(frames.rglob("README.md"))
    shutil.rmtree(frames / "kth")
    refused("kth_action.zip: missing", prepare, frames)


def test_videos_come_out_of_their_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_kth_files, "obtain", no_download)
    official.build_videos(tmp_path)
    wanted = prepare(tmp_path, source="avi")
    for action in ACTIONS:
        pack(tmp_path, f"{action}.zip", "", f"{action}/*.avi")
        (tmp_path / "kth" / action).rmdir()
    for split, sequences in prepare(tmp_path, source="avi").items():
        assert np.array_equal(sequences, wanted[split])
    shutil.rmtree(tmp_path / "kth" / "running")  # as after a run that was stopped while it unpacked
    assert len(prepare(tmp_path, source="avi")["train"]) == len(wanted["train"])
