"""Downloads that break and go on, hosts that send something else, and what is said of it."""

import hashlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, refused

from datasets import _download
from datasets._official import File, obtain

CONTENT = np.random.default_rng(3).bytes(400_000)
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
PAGE = b"<!DOCTYPE html>\n<html><title>Not found</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
ETAG = '"one"'


class Handler(BaseHTTPRequestHandler):
    """Answers each path as its server was told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))  # type: ignore[attr-defined]
        self.server.answers[self.path](self)  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def reply(self, status: int, body: bytes, length: int | None = -1, **headers: str) -> None:
        """Sends a status and a body; its own length is announced, or another one, or none."""
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length == -1 else length))
        self.end_headers()
        self.wfile.write(body)

    def wanted(self) -> int:
        """The byte that the Range of the request starts at, if the remote file is still the same; else 0."""
        said = self.headers.get("Range", "") if self.headers.get("If-Range") == ETAG else ""
        return int(said.removeprefix("bytes=").removesuffix("-") or 0)


def whole(handler: Handler, until: int | None = None, etag: str = ETAG) -> None:
    """A server as it should be, but that its connection may break at the byte `until`."""
    start = handler.wanted() if etag == ETAG else 0
    headers = {"Content_Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"} if start else {}
    handler.reply(206 if start else 200, CONTENT[start:until], len(CONTENT) - start, ETag=etag, **headers)


def answer(*reply: Any, **headers: Any) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(*reply, **headers)


def in_chunks(handler: Handler, content: bytes = CONTENT) -> None:
    parts = [content[start : start + 50_000] for start in range(0, len(content), 50_000)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])
    handler.reply(200, body, None, Transfer_Encoding="chunked")


def in_turn(*answers: Callable[[Handler], None]) -> Callable[[Handler], None]:
    """Another answer to each request; the last one to all that follow."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def breaking(until: int) -> Callable[[Handler], None]:
    return lambda handler: whole(handler, until)


class Server(ThreadingHTTPServer):
    """Hosts on this machine, one a path; remembers the headers of each request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, str]] = []
        self.answers: dict[str, Callable[[Handler], None]] = {}

    def url(self, path: str, serve: Callable[[Handler], None] = whole) -> str:
        self.answers[path] = serve
        return f"http://127.0.0.1:{self.server_port}{path}"

    def ranges(self) -> list[str | None]:
        """The Range of each request so far."""
        return [headers.get("Range") for headers in self.asked]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_download, "BACKOFF", 0.01)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def in_folder(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


# --- connections that hold, and that break ----------------------------------------------------------------------------


def test_a_missing_file_is_downloaded_as_it_is(tmp_path: Path, server: Server) -> None:
    packed = answer(200, CONTENT, Content_Encoding="gzip")  # as some servers say of any .gz; nothing is unpacked
    for name, serve in (("plain", whole), ("packed", packed), ("chunked", in_chunks)):
        url = server.url(f"/{name}", serve)
        assert obtain(tmp_path, File(f"a/{name}", (url,), MD5, len(CONTENT))).read_bytes() == CONTENT
    assert obtain(tmp_path, File("a/unknown", (server.url("/unknown"),))).read_bytes() == CONTENT
    assert in_folder(tmp_path) == {"a", "a/plain", "a/packed", "a/chunked", "a/unknown"}
    assert {headers["Accept-Encoding"] for headers in server.asked} == {"identity"}


def test_a_broken_connection_goes_on_where_it_broke(tmp_path: Path, server: Server) -> None:
    url = server.url("/b", in_turn(breaking(150_000), breaking(300_000), whole))
    assert obtain(tmp_path, File("b", (url,), MD5)).read_bytes() == CONTENT
    first, *rest = server.ranges()
    starts = [int(str(said).removeprefix("bytes=").removesuffix("-")) for said in rest]
    assert first is None
    assert 150_000 - _download.CHUNK < starts[0] <= 150_000
    assert 300_000 - _download.CHUNK < starts[1] <= 300_000
    assert in_folder(tmp_path) == {"b"}


def test_a_part_of_an_earlier_run_is_completed(tmp_path: Path, server: Server) -> None:
    file = File("b", (server.url("/b", breaking(200_000)),))  # without a digest, only the server vouches for the part
    refused("127.0.0.1: the connection broke after \\d+", obtain, tmp_path, file)
    have = (tmp_path / "b.part").stat().st_size
    server.asked.clear()
    server.url("/b")
    assert obtain(tmp_path, file).read_bytes() == CONTENT
    assert server.ranges() == [f"bytes={have}-"]


@pytest.mark.parametrize(
    ("second", "requests"),
    [
        (answer(200, CONTENT), 1),  # it ignores the Range
        (lambda handler: whole(handler, etag='"two"'), 1),  # its file is another one by now
        (in_turn(answer(416, b""), whole), 2),
        (in_turn(answer(206, CONTENT[9:], Content_Range="bytes 9-399999/400000"), whole), 2),
        (in_turn(answer(206, CONTENT[9:], Content_Range="bytes nonsense"), whole), 2),
    ],
)
def test_what_does_not_fit_the_part_starts_again(
    second: Callable[[Handler], None], requests: int, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = File("b", (server.url("/b", breaking(200_000)),), SHA256)
    with monkeypatch.context() as once:
        once.setattr(_download, "TRIES", 1)
        refused("broke", obtain, tmp_path, file)
    server.asked.clear()
    server.url("/b", second)
    assert obtain(tmp_path, file).read_bytes() == CONTENT
    assert [said is not None for said in server.ranges()] == [True, False][:requests]


@pytest.mark.parametrize("known", [None, b"", b"{", b"[]", b'{"url": 3, "validator": "x", "length": 7}'])
def test_a_part_of_unknown_origin_starts_again(known: bytes | None, tmp_path: Path, server: Server) -> None:
    (tmp_path / "b.part").write_bytes(b"x" * 1000)
    if known is not None:
        (tmp_path / "b.part.json").write_bytes(known)
    assert obtain(tmp_path, File("b", (server.url("/b"),))).read_bytes() == CONTENT
    assert in_folder(tmp_path) == {"b"}


def begun(root: Path, url: str, content: bytes) -> None:
    """Leaves a part as a killed run does."""
    (root / "b.part").write_bytes(content)
    (root / "b.part.json").write_text(f'{{"url": "{url}", "validator": "\\"one\\"", "length": {len(CONTENT)}}}')


def test_a_damaged_part_starts_again(tmp_path: Path, server: Server) -> None:
    url = server.url("/b")
    begun(tmp_path, url, b"x" * 1000)
    assert obtain(tmp_path, File("b", (url,), MD5)).read_bytes() == CONTENT
    assert server.ranges() == ["bytes=1000-", None]


def test_a_run_killed_at_the_check_asks_for_nothing_again(tmp_path: Path, server: Server) -> None:
    url = server.url("/b")
    begun(tmp_path, url, CONTENT)
    (tmp_path / ".b.checked").mkdir()
    (tmp_path / "b.part").replace(tmp_path / ".b.checked" / "tmp3")
    assert obtain(tmp_path, File("b", (url,), MD5)).read_bytes() == CONTENT
    assert server.asked == []
    assert in_folder(tmp_path) == {"b"}


RUN = """
import sys
from pathlib import Path
from datasets._official import File, obtain
obtain(Path(sys.argv[1]), File("b", (sys.argv[2],)))
"""


def test_a_killed_run_is_taken_up_where_it_was(tmp_path: Path, server: Server) -> None:
    killed = threading.Event()

    def slow(handler: Handler) -> None:
        handler.reply(200, CONTENT[:250_000], len(CONTENT), ETag=ETAG)
        killed.wait(20)

    file = File("b", (server.url("/b", slow),))
    process = subprocess.Popen([sys.executable, "-c", RUN, tmp_path, *file.urls], cwd=ROOT)
    part, deadline = tmp_path / "b.part", time.monotonic() + 20
    while not (part.exists() and part.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    killed.set()
    have = part.stat().st_size
    assert 100_000 < have <= 250_000
    server.asked.clear()
    server.url("/b")
    assert obtain(tmp_path, file).read_bytes() == CONTENT
    assert server.ranges() == [f"bytes={have}-"]  # of which `whole` sends what is missing
    assert in_folder(tmp_path) == {"b"}


def test_two_at_once_download_once(tmp_path: Path, server: Server) -> None:
    file = File("b", (server.url("/b"),), MD5)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: obtain(tmp_path, file), range(3)))
    assert len(server.asked) == 1
    assert (tmp_path / "b").read_bytes() == CONTENT


# --- hosts that have something else -----------------------------------------------------------------------------------


def test_the_next_mirror_is_tried(tmp_path: Path, server: Server) -> None:
    replies = (404, b""), (200, bytes(len(CONTENT))), (200, PAGE)
    bad = tuple(server.url(f"/{number}", answer(*reply)) for number, reply in enumerate(replies))
    assert obtain(tmp_path, File("b", (*bad, server.url("/good")), MD5)).read_bytes() == CONTENT
    assert in_folder(tmp_path) == {"b"}
    (tmp_path / "b").unlink()
    refused("404.*not have md5.*HTML page.*put the official b there", obtain, tmp_path, File("b", bad, MD5))
    assert in_folder(tmp_path) == set()


@pytest.mark.parametrize(
    ("serve", "requests", "says"),
    [
        (answer(404, b"no"), 1, "HTTP 404"),
        (answer(200, b""), 1, "no bytes"),
        (answer(204, b""), 1, "HTTP 204"),
        (answer(503, b"", Retry_After="3600"), 3, "HTTP 503"),
        (answer(200, b"any", Content_Type="text/html; charset=utf-8"), 1, "an HTML page"),
        (answer(200, PAGE), 1, "an HTML page"),
        (answer(200, POINTER), 1, "a git-LFS pointer"),
        (answer(200, CONTENT[1:]), 1, "399999 bytes announced, wanted 400000"),
        (lambda handler: in_chunks(handler, CONTENT + b"x"), 1, "more than the wanted 400000 bytes"),
        (lambda handler: in_chunks(handler, CONTENT[1:]), 5, "broke after 399999 of 400000 bytes"),
        (answer(302, b"", Location="file:///etc/passwd"), 1, "no answer \\(InvalidSchema\\)"),
        (answer(200, b"z\r\n", None, Transfer_Encoding="chunked"), 5, "the connection broke after 0"),
    ],
)
def test_what_a_host_sends_instead_is_said(
    serve: Callable[[Handler], None], requests: int, says: str, tmp_path: Path, server: Server
) -> None:
    size = None if says in {"no bytes", "an HTML page", "a git-LFS pointer"} else len(CONTENT)
    where = f"put the official b there \\(http://127.0.0.1:{server.server_port}/b\\)"
    refused(f"b: missing.*{says}.*{where}", obtain, tmp_path, File("b", (server.url("/b", serve),), None, size))
    assert len(server.asked) == requests
    assert in_folder(tmp_path) <= {"b.part", "b.part.json"}


def test_a_size_is_bounded(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "MOST", 300_000)
    refused("more than the wanted 300000 bytes", obtain, tmp_path, File("b", (server.url("/b", in_chunks),)))
    refused("400000 bytes announced, wanted at most 300000", obtain, tmp_path, File("b", (server.url("/b"),)))
    assert in_folder(tmp_path) == set()


def test_a_host_that_is_silent_or_not_there(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_download, "TIMEOUT", (0.1, 0.1))
    silent, nowhere = server.url("/b", lambda _: time.sleep(0.3)), "http://127.0.0.1:9/b"
    refused("127.0.0.1: no answer.*; 127.0.0.1: no answer", obtain, tmp_path, File("a/b", (silent, nowhere)))
    assert in_folder(tmp_path) == {"a"}
