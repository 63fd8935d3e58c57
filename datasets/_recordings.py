"""Recordings of event cameras in a user's folder, read block by block in whichever of four formats they are.

    .npz            arrays x, y, t, p
    .npy            one structured array with these fields
    .h5  .hdf5      data sets x, y, t, p, at the root or in the group `events`
    .aedat4         as DV writes them

x, y: whole numbers, the pixel. t: whole microseconds, never falling. p: the polarity, 1 for brighter, 0 or -1 for
darker.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets._aedat4 import packets
from datasets._arrays import Npz, open_npy
from datasets._card import DatasetError
from datasets._official import sniff

FIELDS = ("t", "x", "y", "p")
ROWS = 2**18  # events read at a time
CHUNK = 64 * 2**20  # bytes of an HDF5 chunk, which its library decompresses as a whole
Raw = dict[str, NDArray[Any]]


class Events(NamedTuple):
    """Events in the order of their times: microseconds, pixel, and whether it got brighter; all [N]."""

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    p: NDArray[np.bool_]


def listed(folder: Path) -> dict[str, list[Path]]:
    """The recordings of each split: the files in train, validation and test below `folder`, sorted by name.

    Without a folder validation the last tenth of train's recordings, at least one, is taken for it.
    """
    splits = {split: _files(folder / split) for split in ("train", "test")}
    if (folder / "validation").exists():
        return splits | {"validation": _files(folder / "validation")}
    train = splits["train"]
    if len(train) < 2:
        raise DatasetError(
            f"{folder / 'train'}: 1 recording found, wanted 2, or a folder validation beside it; add one"
        )
    kept = max(1, len(train) // 10)
    return splits | {"train": train[:-kept], "validation": train[-kept:]}


def _files(folder: Path) -> list[Path]:
    wanted = f"recordings ({', '.join(READERS)})"
    if not folder.is_dir():
        raise DatasetError(f"{folder}: missing, wanted a folder of {wanted}; put them there")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in files:
        if path.suffix.lower() not in READERS:
            raise DatasetError(f"{path}: not one of the {wanted}; remove it")
    if not files:
        raise DatasetError(f"{folder}: empty, wanted {wanted}; put them there")
    return files


def read(path: Path, sensor: list[int]) -> Iterator[Events]:
    """The events of a recording, at most `ROWS` at a time, each held against what this module's text says.

    sensor: width and height in pixels. Raises DatasetError, which says where, for what does not hold.
    """
    sniff(path, "a recording of events")
    done, last = 0, None
    polarities: set[int] = set()
    for raw in READERS[path.suffix.lower()](path):
        if not len(raw["t"]):
            continue
        for name, limit in zip("xy", sensor, strict=True):
            outside = (raw[name] < 0) | (raw[name] >= limit)
            _hold(path, ~outside, raw[name], done, f"{name} from 0 to {limit - 1}; change sensor in params.yaml")
        polarities |= set(np.unique(raw["p"]).tolist())
        if not (polarities <= {0, 1} or polarities <= {-1, 1}):
            found = sorted(polarities)[:4]
            raise DatasetError(f"{path}: polarities {found} found, wanted 0 and 1, or -1 and 1; export it anew")
        t = raw["t"]
        _hold(path, t <= np.iinfo(np.int64).max, t, done, "times that fit 63 bits; export it anew")
        t = t.astype(np.int64)
        before = np.concatenate([t[:1] if last is None else [last], t[:-1]])
        _hold(path, t >= before, t, done, "times that never fall; sort the events by time")
        done, last = done + len(t), t[-1]
        yield Events(t, raw["x"].astype(np.int64), raw["y"].astype(np.int64), raw["p"] == 1)
    if not done:
        raise DatasetError(f"{path}: no event found, wanted at least one; remove the recording")


def _hold(path: Path, holds: NDArray[np.bool_], values: NDArray[Any], done: int, wanted: str) -> None:
    if not holds.all():
        at = int(np.argmin(holds))
        raise DatasetError(f"{path}: {values[at]} found in event {done + at}, wanted {wanted}")


def _same(path: Path, headers: dict[str, tuple[Any, tuple[int, ...]]]) -> int:
    """How many events there are, by the dtypes and shapes of the fields, which must agree."""
    for name, (dtype, shape) in headers.items():
        if dtype.kind not in ("iub" if name == "p" else "iu"):
            unit = ", in microseconds" if name == "t" else ""
            raise DatasetError(f"{path}: {name} is {dtype}, wanted whole numbers{unit}; export it anew")
        if len(shape) != 1:
            raise DatasetError(f"{path}: {name} has shape {shape}, wanted one number an event; export it anew")
    counts = {name: shape[0] for name, (_, shape) in headers.items()}
    if len(set(counts.values())) > 1:
        raise DatasetError(f"{path}: lengths {counts} found, wanted the same of all; export it anew")
    return counts["t"]


def _npz(path: Path) -> Iterator[Raw]:
    archive = Npz(path, FIELDS)
    _same(path, {name: archive.header(name) for name in FIELDS})
    for parts in zip(*(archive.blocks(name, ROWS) for name in FIELDS), strict=True):
        yield dict(zip(FIELDS, parts, strict=True))


def _npy(path: Path) -> Iterator[Raw]:
    events = open_npy(path, ("void",), (None,))
    named = events.dtype.names or ()
    for name in FIELDS:
        if name not in named:
            raise DatasetError(f"{path}: fields {', '.join(named)} found, wanted {', '.join(FIELDS)}; export it anew")
    for first in range(0, _same(path, {name: (events.dtype[name], events.shape) for name in FIELDS}), ROWS):
        block = events[first : first + ROWS]
        yield {name: block[name] for name in FIELDS}


def _hdf5(path: Path) -> Iterator[Raw]:
    try:
        with h5py.File(path, "r") as file:
            group = file if "t" in file else _member(path, file, "events", h5py.Group)
            fields = {name: _field(path, group, name) for name in FIELDS}
            for first in range(0, _same(path, {k: (f.dtype, f.shape) for k, f in fields.items()}), ROWS):
                yield {name: field[first : first + ROWS] for name, field in fields.items()}
    except DatasetError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise DatasetError(f"{path}: not readable as HDF5 ({' '.join(str(error).split())}); export it anew") from None


def _member(path: Path, group: Any, name: str, kind: type) -> Any:
    """A member of an HDF5 group that is in the file itself: a link may lead to any file of this machine."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink) or group.get(name, getclass=True) is not kind:
        wanted = "data sets x, y, t, p, or these in a group events"
        raise DatasetError(f"{path}: no {kind.__name__.lower()} {name!r} found, wanted {wanted}; export it anew")
    return group[name]


def _field(path: Path, group: Any, name: str) -> Any:
    """A data set all of which is in the file, in chunks of a size that can be held."""
    field = _member(path, group, name, h5py.Dataset)
    if field.is_virtual or field.external:
        raise DatasetError(f"{path}: {name} is kept in another file, wanted it in this one; export it anew")
    if field.shape is None or field.ndim != 1:
        raise DatasetError(f"{path}: {name} has shape {field.shape}, wanted one number an event; export it anew")
    if field.chunks:
        size, stored = field.chunks[0] * field.dtype.itemsize, field.id.get_num_chunks() * field.chunks[0]
    else:
        size, stored = 0, field.id.get_storage_size() // field.dtype.itemsize
    if size > CHUNK:
        raise DatasetError(f"{path}: chunks of {size} bytes found in {name}, wanted at most {CHUNK}; export it anew")
    if stored < field.size:
        raise DatasetError(f"{path}: {name} has room for {field.size} events, holds {stored}; export it anew")
    return field


def _packets(path: Path) -> Iterator[Raw]:
    for events in packets(path):
        for first in range(0, len(events), ROWS):
            yield {name: events[name][first : first + ROWS] for name in FIELDS}


READERS: dict[str, Callable[[Path], Iterator[Raw]]] = {
    ".npz": _npz,
    ".npy": _npy,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
    ".aedat4": _packets,
}
