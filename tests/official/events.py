"""Recordings of an event camera, written by hand in each of the formats that are read."""

import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Recording = dict[str, Any]  # arrays
SENSOR = [20, 16]
PARAMS: dict[str, Any] = {
    "source": "recordings",
    "sensor": SENSOR,
    "side": 8,
    "bin_ms": 10,
    "cap": 3,
    "observed": 3,
    "predicted": 2,
    "stride": 2,
    "simulation": None,
}


def build(root: Path) -> dict[str, Any]:
    """Writes recordings of 0.2 seconds in all formats."""
    for seed, name in enumerate(("train/a.npz", "train/b.h5", "validation/c.npy", "test/d.aedat4")):
        save(root / "events" / name, recording(seed))
    return dict(PARAMS)


def recording(seed: int, count: int = 1500, span: int = 200_000) -> Recording:
    """Events of an upright edge that goes to the right, `count` of them within `span` microseconds."""
    random = np.random.default_rng([7, seed])
    t = np.sort(random.integers(0, span, count))
    return {
        "t": t.astype(np.int64) + 1_700_000_000_000_000,
        "x": ((t * 30 // span + random.integers(0, 3, count)) % SENSOR[0]).astype(np.uint16),
        "y": random.integers(0, SENSOR[1], count).astype(np.uint16),
        "p": random.random(count) < 0.6,
    }


def save(path: Path, events: Recording, **how: Any) -> None:
    """Writes a recording as the ending of its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, **events)
    elif path.suffix == ".npy":
        table = np.empty(len(events["t"]), [(name, values.dtype) for name, values in events.items()])
        for name, values in events.items():
            table[name] = values
        np.save(path, table)
    elif path.suffix == ".aedat4":
        path.write_bytes(aedat4([packet(events, first) for first in range(0, len(events["t"]), 400)], **how))
    else:
        with h5py.File(path, "w") as file:
            group = file.create_group("events") if path.suffix == ".hdf5" else file
            for name, values in events.items():
                group.create_dataset(name, data=values, **how)


def packet(events: Recording, first: int = 0, count: int = 400) -> bytes:
    """A FlatBuffer of `count` events, with its size before it."""
    part = {name: values[first : first + count] for name, values in events.items()}
    table = np.zeros(len(part["t"]), [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1"), ("padding", "u1", 3)])
    for name, values in part.items():
        table[name] = values
    # where the table is, the kind | the table's own list: its size, the table's, where field 0 is | the table | vector
    buffer = struct.pack("<I4s 3H2x iI I", 16, b"EVTS", 6, 8, 4, 8, 4, len(table)) + table.tobytes()
    return struct.pack("<I", len(buffer)) + buffer


def aedat4(packets: list[bytes], compression: int = 0, end: int | None = None, stream: int = 0) -> bytes:
    """A file of packets, compressed already, all of one stream; `end` is where its header says that they end."""
    info = "".join(f'<attr key="{key}">{size}</attr>' for key, size in zip(("sizeX", "sizeY"), SENSOR, strict=True))
    node = f'<attr key="typeIdentifier">EVTS</attr><node name="info">{info}</node>'
    text = f'<dv version="2.0"><node name="outInfo"><node name="{stream}">{node}</node></node></dv>'.encode()
    body = b"".join(struct.pack("<iI", stream, len(content)) + content for content in packets)
    size = 44 + len(text) + 1
    end = 14 + 4 + size + len(body) if end is None else end
    # where the table is, the kind | list: its size, the table's, fields 0 to 2 | table: list, field 0, 2, 1 | string
    header = struct.pack("<I4s 5H2x iiIq I", 20, b"IOHE", 10, 20, 4, 12, 8, 12, compression, 12, end, len(text))
    return b"#!AER-DAT4.0\r\n" + struct.pack("<I", size) + header + text + b"\0" + body
