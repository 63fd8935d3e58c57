"""Files of results: written whole or not at all, read only in the format that this version writes."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PARITY = Path("results") / "parity.json"  # of all datasets and profiles
FORMAT = 3  # of the files under results/; raise it when their meaning changes, and say so in CHANGELOG.md


class ResultsError(ValueError):
    """A file of results that cannot be used, in one line."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes what the system says of a failed write (a full disk, no permission) name the file it was for."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write `path` under; it takes its place when all went well and vanishes when not.

    What a killed writer of `path` left under its own temporary name goes.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for left in path.parent.glob(f".{path.name}.*"):
                left.unlink(missing_ok=True)
            yield temporary
            _to_disk(temporary)
            temporary.replace(path)
            with suppress(OSError):  # not every file system can do it for a folder
                _to_disk(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Waits until the system has written a file, or the names in a folder: else a power cut may leave it empty."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes `content` with the format's number; floats are expected to be rounded already."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"format": FORMAT, **content}, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a file of results; ResultsError where it is missing, damaged or of another format."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise ResultsError(f"{path}: not there yet; run `dvc repro`") from None
    except ValueError:
        raise ResultsError(f"{path}: not JSON; remove it and run `dvc repro`") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ResultsError(f"{path}: results format {found!r} found, {FORMAT} wanted; run `dvc repro --force`")
    return dict(content)
