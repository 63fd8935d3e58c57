"""Downloads that go on where they broke off.

A download grows in `<file>.part`, and `<file>.part.json` says which remote file the part belongs to. A part is
continued only if the server says that its file is still the same (RFC 9110, If-Range); it becomes `<file>` when its
size and digest are right.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from tqdm import tqdm

TIMEOUT = (10.0, 30.0)  # seconds to connect, and to wait for the next bytes
RETRIES = 2  # further tries of a request that a server answers with an error of its own
TRIES = 5  # connections to one host that a file may take
BACKOFF = 0.5  # seconds before a further try, doubled for each one after it
CHUNK = 2**16  # bytes that are fetched together, and the most that a killed run loses
MOST = 16 * 2**30  # bytes of a file


@dataclass(frozen=True)
class _Remote:
    """The remote file that a part belongs to."""

    url: str
    validator: str | None  # a strong ETag or a date, for If-Range
    length: int | None


class _Refused(Exception):  # noqa: N818 - the reason becomes a part of a message
    """A host has no file for us, and why."""


class _Broken(Exception):  # noqa: N818 - as above
    """A connection ended too early; another one may go on."""


def download(target: Path, urls: tuple[str, ...], digest: str | None, size: int | None) -> list[str]:
    """Downloads `target` from the first of `urls` that has it, checked by digest ("md5:..." or "sha256:...") and size.

    Returns why no host had it, host by host; the list is empty where one had. What came before a connection broke is
    kept for the next run. Raises OSError where `target` cannot be written.
    """
    if not urls:
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    with alone(target.parent):
        if os.path.lexists(target):  # another process was faster
            return []
        begun, why = _remote(_part(target)), []
        for url in sorted(urls, key=lambda url: begun is None or url != begun.url):  # first where the part came from
            try:
                _fetch(url, target, digest, size)
            except _Refused as reason:
                why.append(f"{urlsplit(url).hostname}: {reason}")
            else:
                return []
    return why


def masquerade(head: bytes) -> str:
    """What the first bytes of a file say that it is instead of data ("an HTML page"), or nothing."""
    if not head:
        return "no bytes"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")) or (text[:1] == b"<" and b"<html" in text):
        return "an HTML page"
    return "a git-LFS pointer" if text.startswith(b"version https://git-lfs") else ""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Lets one process at a time work in `folder`; a process that is killed lets go."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):  # some systems and network drives cannot lock a folder
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _known(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _remote(part: Path) -> _Remote | None:
    """The remote file of a part; None where nothing is known, or nothing that can be trusted."""
    try:
        return TypeAdapter(_Remote).validate_json(_known(part).read_bytes(), strict=True)
    except (OSError, ValueError):
        return None


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _known(part).unlink(missing_ok=True)


def _fetch(url: str, target: Path, digest: str | None, size: int | None) -> None:
    """Gets one host's file. Pooch holds it to its digest in a folder aside, and then it takes its place."""
    import pooch  # here and below: slow to import, and seldom needed

    pooch.get_logger().setLevel("WARNING")
    part, aside = _part(target), target.with_name(f".{target.name}.checked")
    if aside.is_dir() and not part.exists():
        for left in aside.iterdir():  # by a run that was killed at the check
            left.replace(part)
    shutil.rmtree(aside, ignore_errors=True)
    continued = part.exists()
    try:
        pooch.retrieve(url, digest, target.name, aside, downloader=partial(_complete, part, size))
        (aside / target.name).replace(target)
        _discard(part)
    except ValueError:
        _discard(part)
        if not continued:
            raise _Refused(f"its file does not have {digest}") from None
        _fetch(url, target, digest, size)  # what an earlier run left may have been damaged
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _complete(part: Path, size: int | None, url: str, output: str, _: Any) -> None:
    """Completes a part over as many connections as it may take and moves it to `output`: a downloader for pooch."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3 import Retry

    again = Retry(
        RETRIES,
        connect=1,
        read=1,
        backoff_factor=BACKOFF,
        status_forcelist=(429, 500, 502, 503, 504),
        respect_retry_after_header=False,  # a server could have us wait for hours
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=again))
        session.mount("https://", HTTPAdapter(max_retries=again))
        for broken in range(1, TRIES + 1):
            try:
                _go_on(session, url, part, size)
                break
            except _Broken as reason:
                if broken == TRIES:
                    raise _Refused(str(reason)) from None
                time.sleep(BACKOFF * 2 ** (broken - 1))
            except (requests.RequestException, ValueError) as error:
                raise _Refused(f"no answer ({type(error).__name__})") from None
    part.replace(output)


def _go_on(session: Any, url: str, part: Path, size: int | None) -> None:
    """Adds to a part what one connection brings; returns when it is complete."""
    begun = _remote(part)
    have = part.stat().st_size if part.exists() else 0
    if begun is None or begun.url != url or begun.validator is None or have > (begun.length or MOST):
        _discard(part)
        begun, have = None, 0
    headers = {"Accept-Encoding": "identity"}
    if begun and have:
        if have == begun.length:
            return
        headers |= {"Range": f"bytes={have}-", "If-Range": str(begun.validator)}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code == 200:
            etag, length = answer.headers.get("ETag", ""), answer.headers.get("Content-Length", "")
            validator = etag if etag.startswith('"') else answer.headers.get("Last-Modified")
            _take(answer, part, 0, _Remote(url, validator, int(length) if length.isdecimal() else None), size)
        elif answer.status_code == 206 and begun and _range(answer) == (have, begun.length):
            _take(answer, part, have, begun, size)
        elif answer.status_code in (206, 416):
            _discard(part)
            raise _Broken("it has no such part of the file as was asked for")
        else:
            raise _Refused(f"HTTP {answer.status_code}")


def _range(answer: Any) -> tuple[int, int] | None:
    """Where an answer's bytes start and how many the whole file has, by its Content-Range."""
    said = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", answer.headers.get("Content-Range", ""))
    return (int(said[1]), int(said[2])) if said else None


def _take(answer: Any, part: Path, start: int, remote: _Remote, size: int | None) -> None:
    """Writes the bytes of an answer to a part from `start` on, never more than are wanted."""
    from urllib3.exceptions import HTTPError

    wanted = remote.length if size is None else size
    if "html" in answer.headers.get("Content-Type", ""):
        raise _Refused("an HTML page")
    if remote.length not in (None, wanted) or (wanted or 0) > MOST:
        raise _Refused(f"{remote.length} bytes announced, wanted {size or f'at most {MOST}'}")
    if not start:
        _discard(part)
        _known(part).write_bytes(TypeAdapter(_Remote).dump_json(remote))
    bar = tqdm(desc=part.stem, total=wanted, initial=start, unit="B", unit_scale=True, disable=None)
    with bar, part.open("ab") as out:
        done = start
        try:
            for chunk in answer.raw.stream(CHUNK, decode_content=False):
                done += len(chunk)
                found = masquerade(chunk[:1024]) if done == len(chunk) else ""
                if found or done > (wanted or MOST):
                    _discard(part)
                    raise _Refused(found or f"more than the wanted {wanted or MOST} bytes")
                out.write(chunk)
                bar.update(len(chunk))
        except HTTPError as error:
            raise _Broken(f"the connection broke after {done} bytes ({type(error).__name__})") from None
    if wanted is not None and done != wanted:
        raise _Broken(f"the connection broke after {done} of {wanted} bytes")
    if not done:
        _discard(part)
        raise _Refused(masquerade(b""))
