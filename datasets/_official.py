"""Official files: the user's own folder first, then a download, then a message that says which file to put where."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets._card import DatasetError
from datasets._dataset import digest as sha256
from datasets._download import download, masquerade


@dataclass(frozen=True)
class File:
    """An official file.

    path: below the user's folder. urls: where it can be downloaded, tried in order. digest: "md5:..." or "sha256:..."
    as published, None where none is. bytes: its size, where known. instead: what may be put there in its place.
    """

    path: str
    urls: tuple[str, ...] = ()
    digest: str | None = None
    bytes: int | None = None
    instead: str = ""


def obtain(root: Path, file: File) -> Path:
    """The path of an official file in the user's folder `root`, downloaded if it is not there.

    Raises DatasetError for a file that is not the official one, and for one that is missing and cannot be downloaded:
    it says which file to put where.
    """
    target = root / file.path
    if not os.path.lexists(target):
        _bring(target, file)
    sniff(target, "the official file")
    _check(target, file)
    return target


def looked_at(root: Path, path: Path) -> dict[str, Any]:
    """What a card says of a file that was read: its name below the user's folder, its size, its sha256."""
    return {"file": path.relative_to(root).as_posix(), "bytes": path.stat().st_size, "sha256": sha256(path)}


def sniff(path: Path, what: str) -> None:
    """Raises DatasetError for what is found in place of data: a folder, no bytes, an HTML page, a git-LFS pointer."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # reading a pipe would wait for ever
            found = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        else:
            with path.open("rb") as file:
                found = masquerade(file.read(1024))
    except FileNotFoundError:
        raise DatasetError(f"{path}: missing, wanted {what}; put it there") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}), wanted {what}; check its permissions") from None
    if found:
        raise DatasetError(f"{path}: {found} found, wanted {what}; put the right file there")


def _bring(target: Path, file: File) -> None:
    """Downloads a file that is missing; raises DatasetError where no host has it."""
    instead = f", or {file.instead}" if file.instead else ""
    where = f"put the official {target.name} there{_from(file)}{instead}"
    try:
        why = download(target, file.urls, file.digest, file.bytes)
    except OSError as error:
        raise DatasetError(f"{target}: missing, and cannot be written ({error.strerror or error}); {where}") from None
    if not os.path.lexists(target):
        tried = f", and not downloaded ({'; '.join(why)})" if why else ""
        raise DatasetError(f"{target}: missing{tried}; {where}")


def _check(path: Path, file: File) -> None:
    """Holds a file to the size and digest of the official one: with another file, numbers would not be comparable."""
    found, size = "", path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        found = f"{'truncated, ' if size < file.bytes else ''}{size} bytes found, wanted {file.bytes}"
    elif file.digest is not None:
        kind = file.digest.partition(":")[0]
        with path.open("rb") as content:
            digest = f"{kind}:{hashlib.file_digest(content, kind).hexdigest()}"
        if digest != file.digest:
            found = f"{digest} found, wanted {file.digest}"
    if found:
        raise DatasetError(f"{path}: {found}, as the official file has; remove it, or put that there{_from(file)}")


def _from(file: File) -> str:
    return f" ({file.urls[0]})" if file.urls else ""
