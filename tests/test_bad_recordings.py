"""Bad recordings of events: each file gets one line that names it, and nothing is made."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lz4.frame
import numpy as np
import pytest
import zstandard
from conftest import refused
from official import events as written
from test_events import joined, recorded

from datasets import _recordings

FORMATS = (".npz", ".npy", ".h5", ".hdf5", ".aedat4")


class Later:
    """A recording that is read when it is gone through."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Any:
        return _recordings.read(self.path, written.SENSOR)


def good(**change: Any) -> written.Recording:
    return {**written.recording(0), **change}


def at(name: str, place: int, value: Any) -> written.Recording:
    """A good recording but for one value."""
    values = written.recording(0)[name].astype(np.int64)
    values[place] = value
    return good(**{name: values})


BAD: dict[str, tuple[written.Recording, str]] = {
    "times that fall": (at("t", 700, 5), "5 found in event 700, wanted times that never fall"),
    "times that fall between blocks": (at("t", 500, 6), "6 found in event 500, wanted times that never fall"),
    "x beyond the sensor": (at("x", 701, 20), "20 found in event 701, wanted x from 0 to 19; change sensor"),
    "y below zero": (at("y", 3, -1), "-1 found in event 3, wanted y from 0 to 15"),
    "a polarity of 2": (at("p", 3, 2), r"polarities \[0, 1, 2\] found, wanted 0 and 1, or -1 and 1"),
    "both kinds of polarity": (at("p", 3, -1), r"polarities \[-1, 0, 1\] found"),
    "times in seconds": (good(t=written.recording(0)["t"] / 1e6), "t is float64, wanted whole numbers, in microsec"),
    "nan": (good(x=np.full(1500, np.nan)), "x is float64, wanted whole numbers"),
    "times beyond 63 bits": (good(t=np.full(1500, 2**63, np.uint64)), "wanted times that fit 63 bits"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".h5"])
def test_bad_values_are_named_with_their_place(
    what: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_recordings, "ROWS", 500)
    written.build(tmp_path)
    recording, says = BAD[what]
    written.save(tmp_path / f"events/test/bad{suffix}", recording)
    refused(f"test/bad{suffix}: .*{says}", recorded, tmp_path)
    assert not (tmp_path / "out").exists()


def test_bad_values_of_aedat4_are_named_too(tmp_path: Path) -> None:
    for name in ("times that fall", "x beyond the sensor", "y below zero", "a polarity of 2"):
        written.save(tmp_path / "bad.aedat4", BAD[name][0])
        refused(BAD[name][1], joined, Later(tmp_path / "bad.aedat4"))


def spans(span: int) -> written.Recording:
    return good(t=np.linspace(0, span, 1500).astype(np.int64))


def hdf5(change: Callable[[h5py.File], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        written.save(path, good())
        with h5py.File(path, "a") as file:
            change(file)

    return write


def replaced(name: str, **how: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **how)

    return change


def linked(name: str, link: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return change


def virtual(file: h5py.File) -> None:
    del file["x"]
    layout = h5py.VirtualLayout((1500,), "u2")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (1500,), "u2")
    file.create_virtual_dataset("x", layout)


def save(recording: written.Recording) -> Callable[[Path], None]:
    return lambda path: written.save(path, recording)


def text(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def packets(content: list[bytes], compression: int = 0, **how: Any) -> Callable[[Path], None]:
    return text(written.aedat4(content, compression, **how))


def broken(place: int, value: int, kind: str = "<I") -> Callable[[Path], None]:
    """A good AEDAT4 file but for one number, at a place counted from its first packet's content if it is negative."""
    data = bytearray(written.aedat4([written.packet(good())]))
    if place < 0:
        place = len(data) + place
    struct.pack_into(kind, data, place, value)
    return text(bytes(data))


ZSTD = zstandard.ZstdCompressor().compress
PACKET = written.packet(good())
OBJECTS = np.array([{}, None], dtype=object)
FILES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "absurd span": ("a.npz", save(spans(10**13)), "1e.07 seconds, 1000000000 bins, found, wanted at most 1048576"),
    "empty file": ("a.h5", text(b""), "no bytes found, wanted a recording of events"),
    "folder": ("folder.npz", Path.mkdir, "a folder found, wanted a recording of events"),
    "web page": ("a.npz", text(b"<!DOCTYPE html><html></html>"), "an HTML page found"),
    "lfs pointer": ("a.npy", text(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "git-LFS"),
    "no recording": ("notes.txt", text(b"hello"), "not one of the recordings"),
    "no events npz": ("a.npz", save({k: v[:0] for k, v in good().items()}), "no values"),
    "no events h5": ("a.h5", save({k: v[:0] for k, v in good().items()}), "no event found, wanted at least one"),
    "no events aedat4": ("a.aedat4", packets([]), "no event found, wanted at least one"),
    "unequal npz": ("a.npz", save(good(x=np.zeros(7, int))), "lengths .*'x': 7.* found, wanted the same"),
    "unequal h5": ("a.h5", save(good(x=np.zeros(7, int))), "lengths .*'x': 7.* found, wanted the same"),
    "two axes npz": ("a.npz", save(good(x=np.zeros((1500, 2), int))), r"x has shape \(1500, 2\)"),
    "two axes h5": ("a.h5", save(good(x=np.zeros((1500, 2), int))), r"x has shape \(1500, 2\)"),
    "objects npz": ("a.npz", save(good(x=OBJECTS)), "pickled objects"),
    "objects npy": ("a.npy", lambda path: np.save(path, OBJECTS), "pickled objects"),
    "plain npy": (
        "a.npy",
        lambda path: np.save(path, np.zeros((9, 4), int)),
        "int64 .* found, wanted an npy file of void",
    ),
    "fields npy": ("a.npy", lambda path: np.save(path, np.zeros(9, "i4,i4")), "fields f0, f1 found, wanted t, x, y, p"),
    "missing npz": ("a.npz", lambda path: np.savez(path, x=[1], y=[1], t=[1]), "wanted an npz file with t, x, y, p"),
    "missing h5": ("a.h5", hdf5(lambda file: file.__delitem__("p")), "no dataset 'p' found"),
    "missing group": ("a.h5", hdf5(lambda file: file.__delitem__("t")), "no group 'events' found"),
    "not hdf5": ("a.hdf5", text(b"hello, this is no HDF5 file" * 99), "not readable as HDF5"),
    "text h5": ("a.h5", hdf5(replaced("x", data=["a"] * 1500)), "x is object, wanted whole numbers"),
    "nothing h5": ("a.h5", hdf5(replaced("x", data=h5py.Empty("i4"))), "x has shape None"),
    "group h5": ("a.h5", hdf5(lambda file: file.move("x", "z") or file.create_group("x")), "no dataset 'x' found"),
    "room h5": ("a.h5", hdf5(replaced("x", shape=(10**12,), dtype="u2")), "room for 1000000000000 events, holds 0"),
    "chunks h5": (
        "a.h5",
        hdf5(replaced("x", data=np.zeros(2**25, "u4"), chunks=(2**25,), compression="gzip", compression_opts=1)),
        "chunks of 134217728 bytes found in x",
    ),
    "soft link": ("a.h5", hdf5(linked("x", h5py.SoftLink("/y"))), "no dataset 'x' found"),
    "external link": ("a.h5", hdf5(linked("x", h5py.ExternalLink("b.h5", "/x"))), "no dataset 'x' found"),
    "external data": (
        "a.h5",
        hdf5(replaced("x", shape=(1500,), dtype="u2", external=[("/etc/hostname", 0, 3000)])),
        "x is kept in another file",
    ),
    "virtual data": ("a.h5", hdf5(virtual), "x is kept in another file"),
    "magic": ("a.aedat4", text(b"#!AER-DAT3.1\r\n" + bytes(99)), "does not start with '#!AER-DAT4.0'"),
    "huge header": ("a.aedat4", broken(14, 2**31), "truncated, .* wanted 2147483648"),
    "header offset": ("a.aedat4", broken(18, 2**31 - 1), "broken header"),
    "header list": ("a.aedat4", broken(38, 2**31 - 1, "<i"), "broken header"),
    "compression": ("a.aedat4", broken(42, 9), "compression 9 found"),
    "end": ("a.aedat4", packets([PACKET], end=10**9), "truncated, .* bytes found, wanted more than 1000000000"),
    "packet size": ("a.aedat4", broken(-len(PACKET) - 4, 2**31), "truncated, .* wanted 2147483648"),
    "packet offset": ("a.aedat4", broken(-len(PACKET) + 4, 2**32 - 1), "broken packet"),
    "packet list": ("a.aedat4", broken(-len(PACKET) + 20, 60, "<i"), "broken packet .*offset -40"),
    "packet count": ("a.aedat4", broken(-len(PACKET) + 28, 2**31), "broken packet"),
    "short packet": ("a.aedat4", packets([PACKET[:-9]]), "broken packet .* found, wanted"),
    "cut lz4": ("a.aedat4", packets([lz4.frame.compress(PACKET)[:-50]], 1), "broken packet"),
    "no lz4": ("a.aedat4", packets([PACKET], 1), "broken packet"),
    "cut zstd": ("a.aedat4", packets([ZSTD(PACKET)[:-50]], 3), "broken packet"),
    "no zstd": ("a.aedat4", packets([PACKET], 3), "broken packet"),
    "lz4 bomb": ("a.aedat4", packets([lz4.frame.compress(bytes(2**27))], 1), "67108864 bytes found, wanted 4"),
    "zstd bomb": ("a.aedat4", packets([ZSTD(bytes(2**27))], 3), "67108864 bytes found, wanted 4"),
    "two streams": (
        "a.aedat4",
        text(written.aedat4([PACKET], end=-1) + struct.pack("<iI", 1, len(PACKET)) + PACKET),
        "event streams 0 and 1 found, wanted one",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_bad_files_get_one_line_that_names_them(what: str, tmp_path: Path) -> None:
    name, make, says = FILES[what]
    written.build(tmp_path)
    make(tmp_path / "events" / "train" / name)
    refused(f"train/{name}: .*{says}", recorded, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_recording_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"one{suffix}"
    written.save(path, written.recording(0))
    content = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        refused(f"one{suffix}", joined, Later(path))
