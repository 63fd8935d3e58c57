"""Archives from elsewhere: zip and tar files, unpacked without trusting a name, a size or a link in them."""

import bz2
import gzip
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

from datasets._card import DatasetError
from datasets._download import alone
from datasets._official import sniff

CHUNK = 2**20  # bytes that are unpacked together
BESIDE = 2**29  # bytes that a tar may hold beside what is kept: headers, padding, other members
ARCHIVE = "a zip or tar archive"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others cannot be unpacked in bounded pieces
UNREADABLE: tuple[type[Exception], ...] = (  # what reading raises; the second row for forged headers
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, OSError, EOFError),
    *(ValueError, TypeError, LookupError, ArithmeticError, MemoryError, RuntimeError),
)
Member = tuple[str, Iterable[bytes]]  # its name and its content, piece by piece


def extract(archive: Path, into: Path, keep: Callable[[str], bool], limit: int) -> list[Path]:
    """Unpacks the files of a zip or tar (plain, gz, bz2) whose name `keep` accepts; returns their paths, sorted.

    Names are relative, with slashes; at most `limit` bytes are unpacked. A folder `into` that is not there yet appears
    with all files in it; in one that is there, files of the same names are replaced, each as a whole. Raises
    DatasetError for links and devices, for a name that leads out of the folder or comes twice, for damage, and where
    nothing is kept.
    """
    sniff(archive, ARCHIVE)
    aside = into.with_name(f".{into.name}.{archive.name}.unpacked")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with alone(into.parent):
            shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
            try:
                aside.mkdir()
                names = _write(archive, aside, keep, limit)
                _move(aside, into, names)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise DatasetError(f"{into}: cannot be written ({error.strerror or error}); is the disk full?") from None
    return sorted(into / name for name in names)


def open_zip(path: Path, what: str) -> zipfile.ZipFile:
    """A zip file, opened; DatasetError where it is none."""
    sniff(path, what)
    with refusing(path, what):
        return zipfile.ZipFile(path)


def open_member(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    """The content of a zip's member as a binary stream; ValueError for what is not unpacked here. See `refusing`."""
    if member.flag_bits & 1:
        raise ValueError(f"member {member.filename[:80]!r} is encrypted")
    if member.compress_type not in METHODS:
        raise ValueError(f"member {member.filename[:80]!r} is packed by method {member.compress_type}")
    return file.open(member)


@contextmanager
def refusing(path: Path, what: str) -> Iterator[None]:
    """Makes DatasetError of what the libraries raise as they read damaged or forged content."""
    try:
        yield
    except DatasetError:
        raise
    except UNREADABLE as error:
        reason = error
    else:
        return
    said = " ".join(str(reason).split()) or type(reason).__name__
    raise DatasetError(f"{path}: damaged or of another kind ({said[:200]}), wanted {what}; get it anew") from None


def _write(archive: Path, folder: Path, keep: Callable[[str], bool], limit: int) -> list[str]:
    """Writes the files that are kept to `folder`; returns their names."""
    with archive.open("rb") as file:
        zipped = file.read(2) == b"PK"
    members = _zip_members(archive, keep) if zipped else _tar_members(archive, keep, limit + BESIDE)
    names, left = [], limit
    files, folders = set[PurePosixPath](), {PurePosixPath()}
    for name, content in members:
        path = PurePosixPath(name.casefold())  # some systems take names that differ only in case for the same
        if path in folders or not files.isdisjoint((path, *path.parents)):
            raise DatasetError(f"{archive}: member {name[:80]!r} found twice, wanted once; get it anew")
        files.add(path)
        folders.update(path.parents)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as out:
            for piece in content:
                left -= len(piece)
                if left < 0:
                    raise DatasetError(f"{archive}: more than {limit} bytes found as it is unpacked; get it anew")
                out.write(piece)
        names.append(name)
    if not names:
        raise DatasetError(f"{archive}: none of the wanted members found; get it anew")
    return names


def _move(aside: Path, into: Path, names: list[str]) -> None:
    if not into.exists():
        aside.replace(into)
        return
    for name in names:
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).replace(into / name)


def _zip_members(archive: Path, keep: Callable[[str], bool]) -> Iterator[Member]:
    with open_zip(archive, ARCHIVE) as file:
        members = {member: _name(archive, member.filename) for member in file.infolist()}
        for member, name in members.items():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unwanted(archive, name)
        for member, name in members.items():
            if not member.is_dir() and keep(name):
                with refusing(archive, ARCHIVE):
                    content = open_member(file, member)
                with content:
                    yield name, _pieces(archive, content)


def _tar_members(archive: Path, keep: Callable[[str], bool], limit: int) -> Iterator[Member]:
    with archive.open("rb") as file:
        magic = file.read(2)
        file.seek(0)
        openers: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}
        opener = openers.get(magic, nullcontext)  # not xz: it takes as much memory as its header says
        with opener(file) as unpacked:
            yield from _tar_stream(archive, keep, _Forward(unpacked, limit))


def _tar_stream(archive: Path, keep: Callable[[str], bool], stream: "_Forward") -> Iterator[Member]:
    with refusing(archive, ARCHIVE):
        tar = tarfile.TarFile(mode="r", fileobj=stream)  # type: ignore[arg-type]
    while True:
        with refusing(archive, ARCHIVE):
            member = tar.next()
        if member is None:
            break
        tar.members.clear()  # type: ignore[attr-defined]  # or it keeps a list of all
        name = _name(archive, member.name)
        if not (member.isreg() or member.isdir()):
            raise _unwanted(archive, name)
        if member.isreg() and keep(name):
            with refusing(archive, ARCHIVE):
                content = tar.extractfile(member)
            yield name, _pieces(archive, content)
    with refusing(archive, ARCHIVE):
        if stream.last != bytes(tarfile.BLOCKSIZE):  # tarfile takes a cut or damaged header for the end
            raise EOFError("it ends too early")
        while stream.read(CHUNK):  # to the checksum at the end of what is packed
            pass


def _pieces(archive: Path, content: Any) -> Iterator[bytes]:
    while True:
        with refusing(archive, ARCHIVE):
            piece = content.read(CHUNK)
        if not piece:
            return
        yield piece


class _Forward:
    """An unpacked tar as tarfile wants it, read forwards in bounded pieces, and at most `limit` bytes of it."""

    def __init__(self, unpacked: Any, limit: int) -> None:
        self.unpacked, self.limit, self.position, self.last = unpacked, limit, 0, b""

    def tell(self) -> int:
        return self.position

    def read(self, size: int) -> bytes:
        if size > CHUNK:
            raise ValueError(f"a header of {size} bytes")  # of a name; content comes in smaller pieces
        self.last = self.unpacked.read(size)
        self.position += len(self.last)
        if self.position > self.limit:
            raise ValueError(f"more than {self.limit} bytes unpacked")
        return self.last

    def seek(self, position: int) -> None:
        if position < self.position:
            raise ValueError("a member that starts before the end of the last one")
        while self.position < position and self.read(min(CHUNK, position - self.position)):
            pass


def _name(archive: Path, name: str) -> str:
    """A member's name below the folder it is unpacked to; DatasetError for one that could lead elsewhere."""
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name)
    if outside or "\\" in name or not name.isprintable():
        raise DatasetError(f"{archive}: member {name[:80]!r} found, wanted plain names inside a folder; get it anew")
    return path.as_posix()


def _unwanted(archive: Path, name: str) -> DatasetError:
    return DatasetError(f"{archive}: link or device {name[:80]!r} found, wanted files and folders; get it anew")
