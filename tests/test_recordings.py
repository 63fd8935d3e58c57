"""Recordings of events: the same frames from every format, who is in which split, and how much memory it takes."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import aedat
import lz4.frame
import numpy as np
import pytest
import zstandard
from conftest import refused
from official import events as written
from test_events import as_set, counted_slowly, joined, recorded

import datasets
from datasets import SPLITS, _aedat4, _recordings
from datasets._recordings import Events
from datasets.events import Grid

GRID = Grid(written.SENSOR, 8, 10_000, 3)
FORMATS = (".npz", ".npy", ".h5", ".hdf5", ".aedat4")


def signed(recording: written.Recording) -> written.Recording:
    return {**recording, "p": np.where(recording["p"], 1, -1).astype(np.int8)}


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_frames(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(written.SENSOR, 8, 10_000, 3)
    wanted = {}
    for seed, split in enumerate(SPLITS):
        one = written.recording(seed)
        written.save(tmp_path / "events" / split / f"one{suffix}", one)
        first = int(one["t"][0])
        shifted = Events(one["t"] - first, *(one[name].astype(np.int64) for name in "xyp"))
        bins = int(one["t"][-1] - first + 1) // 10_000
        wanted[split] = 85 * counted_slowly(shifted, grid, bins).clip(max=3)
    for rows in (2**18, 129):  # also when read in many blocks
        monkeypatch.setattr(_recordings, "ROWS", rows)
        for split, frames in recorded(tmp_path).items():
            assert np.array_equal(frames, wanted[split])


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5", ".hdf5"])
def test_polarities_may_be_signed(suffix: str, tmp_path: Path) -> None:
    one = written.recording(4)
    written.save(tmp_path / f"unsigned{suffix}", one)
    written.save(tmp_path / f"signed{suffix}", signed(one))
    unsigned, with_sign = (
        joined(_recordings.read(tmp_path / f"{name}{suffix}", written.SENSOR)) for name in ("unsigned", "signed")
    )
    assert as_set(unsigned) == as_set(with_sign)
    assert np.array_equal(unsigned.p, one["p"])


def test_the_file_written_by_hand_is_aedat4_to_its_own_decoder(tmp_path: Path) -> None:
    one = written.recording(4)
    written.save(tmp_path / "one.aedat4", one)
    decoder = aedat.Decoder(tmp_path / "one.aedat4")
    assert decoder.id_to_stream() == {0: {"type": "events", "width": 20, "height": 16}}
    decoded = np.concatenate([packet["events"] for packet in decoder])
    for name, field in zip("txyp", ("t", "x", "y", "on"), strict=True):
        assert np.array_equal(decoded[field], one[name])


COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: lz4.frame.compress,
    2: lambda packet: lz4.frame.compress(packet, compression_level=9),
    3: zstandard.ZstdCompressor().compress,
    4: zstandard.ZstdCompressor(level=19).compress,
}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("end", [None, -1])
def test_compressed_packets_are_what_the_decoder_of_the_format_reads(
    compression: int, end: int | None, tmp_path: Path
) -> None:
    one = written.recording(4)
    content = [COMPRESS[compression](written.packet(one, first)) for first in range(0, 1500, 400)]
    index = b"an index, which is passed over" if end is None else b""
    path = tmp_path / "one.aedat4"
    path.write_bytes(written.aedat4(content, compression, end) + index)
    mine = np.concatenate(list(_aedat4.packets(path)))
    decoded = np.concatenate([packet["events"] for packet in aedat.Decoder(path)])
    for name, field in zip("txyp", ("t", "x", "y", "on"), strict=True):
        assert np.array_equal(mine[name], decoded[field])
    assert len(mine) == 1500


def test_without_a_validation_folder_the_last_tenth_of_train_is_kept(tmp_path: Path) -> None:
    names = [f"r{index:02d}.npz" for index in range(21)]
    for name in reversed(names):
        written.save(tmp_path / "train" / name, written.recording(0, 2))
    written.save(tmp_path / "test" / "t.npy", written.recording(1, 2))
    (tmp_path / "train" / ".hidden").write_text("passed over")
    found = _recordings.listed(tmp_path)
    assert [path.name for path in found["train"]] == names[:19]
    assert [path.name for path in found["validation"]] == names[19:]
    assert [path.name for path in found["test"]] == ["t.npy"]


def test_windows_slide_within_a_recording_and_the_card_says_what_was_read(tmp_path: Path) -> None:
    params = written.build(tmp_path)
    short = written.recording(9, 100, 30_000)
    written.save(tmp_path / "events/train/aa.npy", short)
    frames = recorded(tmp_path)["train"]
    sequences = datasets.open("events", tmp_path / "out", "train")
    assert frames.shape == (38, 2, 8, 8)
    assert sequences.starts.tolist() == [first + k for first in (0, 19) for k in range(0, 15, 2)]
    card = datasets.card("events", tmp_path / "out", params)
    assert not card["synthetic"]
    assert [one["file"] for one in card["read"]] == [
        f"events/{name}" for name in ("train/a.npz", "train/aa.npy", "train/b.h5", "validation/c.npy", "test/d.aedat4")
    ]
    assert card["notes"] == ["1 of 3 recordings of train are shorter than a sequence"]


def test_a_long_recording_is_read_in_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recordings, "ROWS", 2**14)
    count = 2**21
    t = np.arange(count, dtype=np.int64)
    flat = np.zeros(count, np.uint16)
    for suffix in (".npz", ".npy", ".h5"):
        path = tmp_path / f"long{suffix}"
        written.save(path, {"t": t, "x": flat, "y": flat, "p": flat > 0})
        assert path.stat().st_size > 25 * 2**20
        tracemalloc.start()
        frames = sum(len(block) for block in GRID.frames(_recordings.read(path, [20, 16]), 0, count // 10_000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert frames == count // 10_000
        assert peak < 4 * 2**20


def test_folders_that_are_missing_empty_or_too_few_are_named(tmp_path: Path) -> None:
    refused("events.train: missing, wanted a folder of recordings", recorded, tmp_path)
    (tmp_path / "events/train").mkdir(parents=True)
    refused("events.train: empty, wanted recordings", recorded, tmp_path)
    written.save(tmp_path / "events/train/a.npz", written.recording(0))
    refused("events.test: missing", recorded, tmp_path)
    written.save(tmp_path / "events/test/a.npz", written.recording(1))
    refused("events.train: 1 recording found, wanted 2, or a folder validation", recorded, tmp_path)
    written.save(tmp_path / "events/train/b.npz", written.recording(1))
    refused("the same recording as events/train/b.npz", recorded, tmp_path)
    written.save(tmp_path / "events/test/a.npz", written.recording(2))
    assert recorded(tmp_path)["validation"].shape == (19, 2, 8, 8)
    refused("at most 19 frames of 10 ms in a recording of train found, wanted 42", recorded, tmp_path, observed=40)
