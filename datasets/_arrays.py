"""Arrays from elsewhere: .npy, .npz and idx files, read without unpickling and without trusting a header."""

import gzip
import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from datasets._archives import open_member, open_zip, refusing
from datasets._card import DatasetError
from datasets._official import sniff

HEAD = 2**14  # bytes that hold any npy header that NumPy reads
CHUNK = 2**20  # bytes that are unpacked together
DEFLATE = 1032  # bytes that one packed byte can stand for at the very most, by deflate's codes
IDX_RATIO, IDX_SMALL = 100, 2**24  # an idx.gz may unpack to so many times its size (MNIST's: 5), or so many bytes


class _Header(NamedTuple):
    """What an npy header says of the array that follows it `offset` bytes from the start."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    columns_first: bool
    offset: int

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name} {_axes(self.shape)}"


def open_npy(path: Path, dtype: tuple[str, ...], shape: tuple[int | None, ...]) -> np.memmap[Any, Any]:
    """A .npy file as a read-only memory map, whichever axis is contiguous.

    dtype: names of the types that are taken, as NumPy gives them ("uint8"); "void" stands for all types with fields.
    shape: the length of each axis, None for any but zero. Raises DatasetError for other arrays and damaged files.
    """
    what = f"an npy file of {' or '.join(dtype)} {_axes(shape)}"
    sniff(path, what)
    with refusing(path, what):
        with path.open("rb") as file:
            found = _header(file.read(HEAD))
        typed = found.dtype.name in dtype or (found.dtype.names is not None and "void" in dtype)
        if not typed or not _fits(found.shape, shape):
            raise DatasetError(f"{path}: {found} found, wanted {what}; put the right file there")
        _same_size(path.stat().st_size - found.offset, found.bytes)
        return np.memmap(path, found.dtype, "r", found.offset, found.shape, "F" if found.columns_first else "C")


def read_idx(path: Path, shape: tuple[int | None, ...]) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes (the format of MNIST), gzipped or not, as an array that owns its memory.

    shape: the length of each axis, None for any but zero. Raises DatasetError for other arrays and damaged files.
    """
    what = f"an idx file of unsigned bytes {_axes(shape)}"
    sniff(path, what)
    size = path.stat().st_size
    with refusing(path, what), path.open("rb") as raw:
        gzipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file: Any = gzip.GzipFile(fileobj=raw) if gzipped else raw
        magic, wanted = int.from_bytes(file.read(4), "big"), 2048 + len(shape)  # 0, 0, 8 for unsigned bytes, axes
        if magic != wanted:
            raise DatasetError(f"{path}: magic number {magic} found, wanted {wanted} of {what}; get it anew")
        found = tuple(int.from_bytes(file.read(4), "big") for _ in shape)
        if not _fits(found, shape):
            raise DatasetError(f"{path}: {_axes(found)} found, wanted {what}; put the right file there")
        promised = math.prod(found)
        if promised > (max(IDX_SMALL, IDX_RATIO * size) if gzipped else size):
            raise ValueError(f"its header promises {promised} bytes")
        content = bytearray(file.read(promised + 1))  # one more, to come to the checksum and to what is too much
        _same_size(len(content), promised)
    return np.frombuffer(content, np.uint8).reshape(found)


class Npz:
    """Arrays of an .npz file, unpacked block by block.

    Raises DatasetError, as its methods do, where one of `keys` is missing or has no values, for pickled objects, for
    arrays whose first axis is contiguous, and for damaged files.
    """

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        self._path, self._what = path, f"an npz file with {', '.join(keys)}"
        with open_zip(path, self._what) as file:
            names = [member.filename for member in file.infolist()]
            if any(names.count(f"{key}.npy") != 1 for key in keys):
                found = ", ".join(name.removesuffix(".npy") for name in names)
                raise DatasetError(f"{path}: {found[:200]!r} found, wanted {self._what}; put the right file there")
            self._headers = {key: self._look(file, key) for key in keys}

    def header(self, key: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """The type and shape of an array."""
        return self._headers[key].dtype, self._headers[key].shape

    def blocks(self, key: str, rows: int) -> Iterator[NDArray[Any]]:
        """An array in blocks of at most `rows` along its first axis, C-contiguous, the checksum checked at the end."""
        header = self._headers[key]
        with open_zip(self._path, self._what) as file:
            with refusing(self._path, self._what):
                content = open_member(file, file.getinfo(f"{key}.npy"))
                content.read(header.offset)
            with content:
                for start in range(0, header.shape[0], rows):
                    block = np.empty((min(rows, header.shape[0] - start), *header.shape[1:]), header.dtype)
                    with refusing(self._path, self._what):
                        _fill(block, content)
                    yield block

    def _look(self, file: zipfile.ZipFile, key: str) -> _Header:
        member = file.getinfo(f"{key}.npy")
        with refusing(self._path, f"{key} in {self._what}"):
            with open_member(file, member) as content:
                header = _header(content.read(HEAD))
            packed = min(member.compress_size, self._path.stat().st_size)
            _same_size(min(member.file_size, DEFLATE * packed) - header.offset, header.bytes)
            if header.columns_first and sum(axis > 1 for axis in header.shape) > 1:
                raise ValueError("its first axis is contiguous, save it with the last one contiguous")
        return header


def _header(head: bytes) -> _Header:
    """Reads the header at the start of an npy file; ValueError where there is none, or no array of plain values."""
    stream = io.BytesIO(head)
    try:
        with warnings.catch_warnings(action="ignore"):  # NumPy says of old headers that they are old
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(stream)]
            shape, columns_first, dtype = read(stream)
    except Exception as error:  # whatever Python's own parser may raise
        raise ValueError(f"no npy header, {error}") from None
    if dtype.hasobject:
        raise ValueError("pickled objects")
    header = _Header(dtype, shape, columns_first, stream.tell())
    if header.bytes <= 0 or min(shape, default=0) < 1:
        raise ValueError(f"no values along an axis of {header}")
    return header


def _fill(block: NDArray[Any], content: Any) -> None:
    """Fills a block from a stream, in pieces."""
    view, done = block.reshape(-1).view(np.uint8), 0
    while done < len(view):
        piece = content.read(min(CHUNK, len(view) - done))
        if not piece:
            raise EOFError("it ends too early")
        view[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(w in (None, f) and f for f, w in zip(found, wanted, strict=True))


def _same_size(found: int, promised: int) -> None:
    if found < promised:
        raise ValueError(f"truncated, {found} bytes of values where its header promises {promised}")
    if found > promised:
        raise ValueError(f"more bytes than the {promised} that its header promises")


def _axes(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('*' if axis is None else str(axis) for axis in shape)[:100]}]"
