"""Arrays in files: what NumPy and the idx format wrote comes back; headers that lie, objects and damage are refused."""

import gzip
import io
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, refused
from numpy.typing import NDArray

from datasets import DatasetError
from datasets._arrays import Npz, open_npy, read_idx

VALUES = np.random.default_rng(2).random((7, 4, 2, 3))
IMAGES = np.random.default_rng(3).integers(0, 256, (5, 28, 28), np.uint8)
ANY: tuple[int | None, ...] = (None, 4, 2, 3)


class Bomb:
    """Says so if it is ever unpickled."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os._exit, (77,)


def npy(descr: str, shape: Any, content: bytes = b"", fortran: Any = False) -> bytes:
    """An npy file that says anything."""
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


def raw_npy(header: bytes, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header


def idx(magic: int, *shape: int, content: bytes = b"") -> bytes:
    return struct.pack(f">{len(shape) + 1}I", magic, *shape) + content


# --- npy --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", ">f4", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_are_mapped_as_numpy_reads_them(dtype: str, order: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asarray(VALUES * 9, dtype, order=order))
    array = open_npy(tmp_path / "a.npy", (np.dtype(dtype).name,), ANY)
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, np.load(tmp_path / "a.npy"))


def test_npy_files_with_fields(tmp_path: Path) -> None:
    events = np.zeros(9, [("x", "<u2"), ("t", "<i8")])
    events["t"] = np.arange(9)
    np.save(tmp_path / "a.npy", events)
    np.testing.assert_array_equal(open_npy(tmp_path / "a.npy", ("void",), (None,)), events)
    refused("void80 \\[9\\] found, wanted an npy file of int64", open_npy, tmp_path / "a.npy", ("int64",), (None,))


def test_npy_files_of_old_pythons(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3L, 2L), }"
    (tmp_path / "a.npy").write_bytes(raw_npy(header) + b"123456")
    assert open_npy(tmp_path / "a.npy", ("uint8",), (None, 2)).tobytes() == b"123456"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes found, wanted an npy file of uint8 or float32 \\[\\*, 4\\]"),
        (b"<html>", "an HTML page found"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer"),
        (b"PK\x03\x04" * 9, "no npy header"),
        (b"\x93NUMPY", "no npy header"),
        (npy("|u1", (2, 4), b"1234567"), "truncated, 7 bytes of values where its header promises 8"),
        (npy("|u1", (2, 4), b"123456789"), "more bytes than the 8"),
        (npy("|u1", (2**60, 4), b"12345678"), "truncated, 8 bytes"),
        (npy("|u1", (10**30, 4), b"12345678"), "truncated, 8 bytes"),
        (npy("|u1", (-1, 4), b"12345678"), "no values"),
        (npy("|u1", (-2, -4), b"12345678"), "no values"),
        (npy("|u1", (0, 4)), "no values"),
        (
            npy("|u1", (4, 2), b"12345678"),
            "uint8 \\[4, 2\\] found, wanted an npy file of uint8 or float32 \\[\\*, 4\\]",
        ),
        (npy("|u1", (2, 4, 1), b"12345678"), "uint8 \\[2, 4, 1\\] found"),
        (npy("|u1", (), b"1"), "no values along an axis of uint8 \\[\\]"),
        (npy("<i1", (2, 4), b"12345678"), "int8 \\[2, 4\\] found"),
        (npy("|S8", (1, 1), b"12345678"), "bytes64 \\[1, 1\\] found"),
        (npy("|V0", (1, 4)), "no values"),
        (npy("|O", (1, 4), b"12345678"), "pickled objects"),
        (npy("nonsense", (2, 4), b"12345678"), "no npy header"),
        (npy("|u1", "(2, 4)", b"12345678"), "no npy header"),
        (npy("|u1", (2, 4), b"12345678", fortran="yes"), "no npy header"),
        (raw_npy(b"__import__('os')._exit(77)"), "no npy header"),
        (raw_npy(b"(" * 9000), "no npy header"),
        (raw_npy(b"-" * 9000 + b"1"), "no npy header"),
        (raw_npy(b"{}" + b" " * 20000), "no npy header"),
        (raw_npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (0x" + b"f" * 9000 + b", 4)}"), "damaged"),
        (raw_npy(b"\xff\xff", b"\x02\x00") + b"\xff" * 50, "no npy header"),
        (raw_npy(b"{}", b"\x03\x00"), "no npy header"),
    ],
)
def test_npy_files_that_are_refused(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    refused(f"a.npy: .*{says}", open_npy, tmp_path / "a.npy", ("uint8", "float32"), (None, 4))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    objects: NDArray[Any] = np.array([Bomb()], object)
    fields: NDArray[Any] = np.array([(1, Bomb())], [("x", "i8"), ("y", object)])
    for array in (objects, fields):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        np.savez(tmp_path / "a.npz", x=array)
        refused("a.npy: .*pickled objects", open_npy, tmp_path / "a.npy", ("object", "void"), (None,))
        refused("a.npz: .*pickled objects.*wanted x in an npz", Npz, tmp_path / "a.npz", ("x",))


OPEN = """
import resource, sys, time
from pathlib import Path
from datasets._arrays import open_npy
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
open_npy(Path(sys.argv[1]), ("uint8",), (20, 10000, 64, 64))[0, 0]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.perf_counter() - start)
"""


def test_a_file_of_the_official_size_opens_at_once(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        file.write(head := npy("|u1", (20, 10000, 64, 64)))
        file.truncate(len(head) + 20 * 10000 * 64 * 64)  # takes no room on the disk
    done = subprocess.run([sys.executable, "-c", OPEN, tmp_path / "a.npy"], cwd=ROOT, capture_output=True, check=True)
    kilobytes, seconds = (float(said) for said in done.stdout.split())
    assert kilobytes < 50_000
    assert seconds < 1


# --- idx --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read(packed: bool, tmp_path: Path) -> None:
    content = idx(2051, 5, 28, 28, content=IMAGES.tobytes())
    (tmp_path / "a").write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(read_idx(tmp_path / "a", (None, 28, 28)), IMAGES)
    (tmp_path / "a").write_bytes(idx(2049, 3, content=b"\1\2\3"))
    assert read_idx(tmp_path / "a", (3,)).tolist() == [1, 2, 3]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (idx(2049, 2, content=b"12"), "magic number 2049 found, wanted 2051"),
        (idx(0x0D03, 1, 2, 2, content=bytes(16)), "magic number 3331 found, wanted 2051"),
        (b"\0\0\x08", "magic number 8 found, wanted 2051"),
        (idx(2051, 3, 2), "\\[3, 2, 0\\] found, wanted an idx file of unsigned bytes \\[\\*, 2, 2\\]"),
        (idx(2051, 1, 2, 3, content=bytes(6)), "\\[1, 2, 3\\] found"),
        (idx(2051, 0, 2, 2), "\\[0, 2, 2\\] found"),
        (idx(2051, 2, 2, 2, content=bytes(7)), "truncated, 7 bytes of values where its header promises 8"),
        (idx(2051, 2, 2, 2, content=bytes(9)), "more bytes than the 8"),
        (idx(2051, 2**32 - 1, 2, 2, content=bytes(8)), "its header promises 17179869180 bytes"),
    ],
)
def test_idx_files_that_are_refused(content: bytes, says: str, packed: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(content) if packed else content)
    refused(f"a: .*{says}", read_idx, tmp_path / "a", (None, 2, 2))


def test_damaged_idx_archives(tmp_path: Path) -> None:
    content = gzip.compress(idx(2051, 5, 28, 28, content=IMAGES.tobytes()))
    for size in (2, 9, 12, 100, len(content) - 9, len(content) - 1):
        (tmp_path / "a").write_bytes(content[:size])
        refused("a: ", read_idx, tmp_path / "a", (None, 28, 28))
    (tmp_path / "a").write_bytes(content[:-8] + b"\0\0\0\0" + content[-4:])
    refused("CRC check failed", read_idx, tmp_path / "a", (None, 28, 28))
    bomb = gzip.compress(idx(2051, 2**25, 1, 1, content=bytes(2**25)), 1)  # its header tells the truth
    (tmp_path / "a").write_bytes(bomb)
    refused("its header promises 33554432 bytes", read_idx, tmp_path / "a", (None, 1, 1))


# --- npz --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("rows", [1, 3, 7, 100])
@pytest.mark.parametrize("dtype", ["float32", ">f8", "uint8"])
def test_npz_arrays_come_in_blocks(save: Any, rows: int, dtype: str, tmp_path: Path) -> None:
    values = (VALUES * 9).astype(dtype)
    save(tmp_path / "a.npz", x=values, y=values[::2] + 1, other=np.array([None]))
    archive = Npz(tmp_path / "a.npz", ("x", "y"))
    assert archive.header("x") == (np.dtype(dtype), (7, 4, 2, 3))
    for key, wanted in (("x", values), ("y", values[::2] + 1)):
        blocks = list(archive.blocks(key, rows))
        assert [len(block) for block in blocks[:-1]] == [rows] * (len(blocks) - 1)
        assert all(block.flags.c_contiguous for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), wanted)


def pack(path: Path, how: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", how) as packed:
        for name, content in members.items():
            packed.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no npy header"),
        (npy("<f4", (2, 4), bytes(31)), "truncated, 31 bytes of values where its header promises 32"),
        (npy("<f4", (2, 4), bytes(33)), "more bytes than the 32"),
        (npy("<f4", (2**50, 4), bytes(32)), "truncated, 32 bytes"),
        (npy("<f4", (0, 4)), "no values"),
        (npy("<f4", (), bytes(4)), "no values"),
        (npy("<f4", (2, 4), bytes(32), fortran=True), "its first axis is contiguous"),
    ],
)
def test_npz_members_that_are_refused(content: bytes, says: str, tmp_path: Path) -> None:
    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        archive = pack(tmp_path / "a.npz", how, x=npy("<f4", (1, 4), bytes(16)), y=content)
        refused(f"a.npz: .*{says}.*wanted y in an npz file", Npz, archive, ("x", "y"))


def test_npz_files_that_are_refused(tmp_path: Path) -> None:
    path, good = tmp_path / "a.npz", npy("<f4", (2, 4), bytes(32))
    refused("'x, z' found, wanted an npz file with x, y", Npz, pack(path, x=good, z=good), ("x", "y"))
    refused("method 14", Npz, pack(path, zipfile.ZIP_LZMA, x=good), ("x",))
    path.write_bytes(pack(path, x=good, y=good).read_bytes().replace(b"y.npy", b"x.npy"))
    refused("'x, x' found, wanted", Npz, path, ("x",))
    for content, says in ((b"", "no bytes"), (b"<html>", "HTML"), (good, "not a zip file")):
        path.write_bytes(content)
        refused(says, Npz, path, ("x",))


def test_npz_headers_that_all_lie_the_same(tmp_path: Path) -> None:
    """A directory that promises a terabyte is held to what the packed bytes could hold."""
    rows = 2**29
    content = npy("<f4", (rows, 2**9), bytes(2000))
    path = pack(tmp_path / "a.npz", x=content)
    promised = len(content) - 2000 + rows * 2**11
    forged = path.read_bytes()
    start = forged.index(b"PK\x01\x02")
    extra = struct.pack("<HHQ", 1, 8, promised)
    forged = (
        forged[: start + 24]
        + struct.pack("<IHH", 2**32 - 1, 5, len(extra))
        + forged[start + 32 : start + 51]
        + extra
        + forged[start + 51 : -10]
        + struct.pack("<I", 51 + len(extra))
        + forged[-6:]
    )
    path.write_bytes(forged)
    with zipfile.ZipFile(path) as file:
        assert file.infolist()[0].file_size == promised
    refused("truncated, \\d+ bytes of values where its header promises 1099511627776", Npz, path, ("x",))


def test_npz_damage_is_found_at_the_end_of_an_array(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.npz", zipfile.ZIP_STORED, x=npy("|u1", (200, 500), bytes(100_000)))
    content = bytearray(path.read_bytes())
    content[50_000] = 1
    path.write_bytes(content)
    refused("Bad CRC-32", list, Npz(path, ("x",)).blocks("x", 10))


def test_a_changed_byte_of_an_npz_is_refused_or_does_not_matter(tmp_path: Path, random: np.random.Generator) -> None:
    path, values = tmp_path / "a.npz", random.random((5, 20))
    np.savez_compressed(path, x=values)
    content, same = path.read_bytes(), 0
    for number, place in enumerate(random.integers(0, len(content), 200)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :])
        with suppress(DatasetError):
            blocks = np.concatenate(list(Npz(path, ("x",)).blocks("x", 2)))
            np.testing.assert_array_equal(blocks, values)
            same += 1
    assert same < 50  # dates, versions and the like
