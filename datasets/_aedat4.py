"""Events of an AEDAT4 file, the format of iniVation's DV (https://docs.inivation.com, "AEDAT 4.0").

All numbers are little-endian. A line "#!AER-DAT4.0" (with carriage return) is followed by a size (uint32) and a header,
a FlatBuffer "IOHE" whose field 0 is the compression (int32) and field 1 where packets end and their index starts
(int64). A packet is the number of its stream (int32), a size (uint32), and a FlatBuffer with its own size before it,
compressed. Field 0 of one of events, "EVTS", is a vector of 16 bytes each: `EVENT`.

The package `aedat` decodes this too, but trusts the offsets in the header, and lets a packet of 100 kB fill gigabytes
when it is decompressed. Here every offset is held against the bytes that are there, and no packet gets beyond `PACKET`.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
import numpy as np
import zstandard
from numpy.typing import NDArray

from datasets._card import DatasetError

MAGIC = b"#!AER-DAT4.0\r\n"
PACKET = 64 * 2**20  # bytes; 4 million events, where DV writes some thousands at a time
EVENT = np.dtype(
    {"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)
NONE, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)
BROKEN = (struct.error, ValueError, RuntimeError, zstandard.ZstdError)  # what the decoders say of broken bytes


def packets(path: Path) -> Iterator[NDArray[Any]]:
    """The events of each packet, as structured arrays with the fields of `EVENT`; those of other kinds are passed over.

    Raises DatasetError for what is not such a file, is broken, ends early, or has several streams of events.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise DatasetError(f"{path}: does not start with '#!AER-DAT4.0', wanted an AEDAT4 file; record it anew")
        compression, end = _header(path, file)
        stream = None
        while file.tell() < end:
            at = file.tell()
            number, size = struct.unpack("<iI", _take(path, file, 8, end))
            try:
                content = _expanded(_take(path, file, size, end), compression)
                found = _events(content)
            except DatasetError:
                raise
            except BROKEN as error:
                said = " ".join(str(error).split())
                raise DatasetError(f"{path}: broken packet at byte {at} ({said}); record or export it anew") from None
            if found is None:
                continue
            if stream not in (None, number):
                raise DatasetError(f"{path}: event streams {stream} and {number} found, wanted one; export one of them")
            stream = number
            yield found


def _header(path: Path, file: BinaryIO) -> tuple[int, int]:
    """How packets are compressed, and where they end: where the index starts, or the file ends if it has none."""
    size = file.seek(0, 2)
    file.seek(len(MAGIC))
    data = _take(path, file, _unpack("<I", _take(path, file, 4, size), 0), size)
    try:
        root = _unpack("<I", data, 0)
        compression = _field("<i", data, root, 0, NONE)
        end = _field("<q", data, root, 1, -1)
    except BROKEN as error:
        raise DatasetError(f"{path}: broken header ({error}); record or export it anew") from None
    if compression not in range(5):
        raise DatasetError(f"{path}: compression {compression} found, wanted none, LZ4 or Zstandard; export it anew")
    if end > size:
        raise DatasetError(f"{path}: truncated, {size} bytes found, wanted more than {end}; copy it anew")
    return compression, size if end < 0 else end


def _take(path: Path, file: BinaryIO, size: int, end: int) -> bytes:
    """The next `size` bytes, which lie before `end`."""
    left = end - file.tell()
    if size > left:
        raise DatasetError(f"{path}: truncated, {left} bytes found at byte {file.tell()}, wanted {size}; copy it anew")
    if size > PACKET:
        raise DatasetError(f"{path}: packet of {size} bytes found, wanted at most {PACKET}; export smaller ones")
    return file.read(size)


def _expanded(data: bytes, compression: int) -> bytes:
    """A packet without its compression. One that would get too large, or is cut off, is refused by its size."""
    if compression == NONE:
        content = data
    elif compression in (LZ4, LZ4_HIGH):
        content = lz4.frame.LZ4FrameDecompressor().decompress(data, max_length=PACKET)
    else:
        content = zstandard.ZstdDecompressor(max_window_size=PACKET).stream_reader(data).read(PACKET)
    size = _unpack("<I", content, 0)
    if size + 4 != len(content):
        raise ValueError(f"{len(content)} bytes found, wanted {size + 4}")
    return content


def _events(content: bytes) -> NDArray[Any] | None:
    """The events of a packet [N], None for one of another kind."""
    if content[8:12] != b"EVTS":
        return None
    vector = _place(content, 4 + _unpack("<I", content, 4), 0)
    if vector is None:
        return np.empty(0, EVENT)
    vector += _unpack("<I", content, vector)
    count = _unpack("<I", content, vector)
    return np.frombuffer(content, EVENT, count, vector + 4) if count else np.empty(0, EVENT)


def _place(data: bytes, table: int, index: int) -> int | None:
    """Where field `index` of a FlatBuffer table is; None where it has its default."""
    listed = table - _unpack("<i", data, table)
    entry = 4 + 2 * index
    offset = _unpack("<H", data, listed + entry) if entry < _unpack("<H", data, listed) else 0
    return table + offset if offset else None


def _field(kind: str, data: bytes, table: int, index: int, default: int) -> int:
    place = _place(data, table, index)
    return default if place is None else _unpack(kind, data, place)


def _unpack(kind: str, data: bytes, place: int) -> int:
    if place < 0:  # which `struct` would count from the end
        raise ValueError(f"offset {place}")
    return int(struct.unpack_from(kind, data, place)[0])
