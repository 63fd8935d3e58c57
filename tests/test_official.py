"""Official files in the user's folder: taken as they are, or refused with what was found and what to put there."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused

from datasets import _official
from datasets._official import File, looked_at, obtain, sniff

CONTENT = np.random.default_rng(3).bytes(1000)
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
PAGE = b"<!DOCTYPE html>\n<html><title>Not found</title></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


def test_the_users_own_file_is_taken_without_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_official, "download", None)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(CONTENT)
    for digest in (None, MD5, SHA256):
        assert obtain(tmp_path, File("a/b.bin", ("http://h/b",), digest, 1000)) == tmp_path / "a" / "b.bin"
    read = {"file": "a/b.bin", "bytes": 1000, "sha256": SHA256.removeprefix("sha256:")}
    assert looked_at(tmp_path, tmp_path / "a" / "b.bin") == read


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:-1], "truncated, 999 bytes found, wanted 1000"),
        (CONTENT + b"x", "1001 bytes found, wanted 1000"),
        (b"x" + CONTENT[1:], f"md5:[0-9a-f]{{32}} found, wanted {MD5}.*remove it.*http://h/b"),
        (b"", "no bytes found"),
        (PAGE, "an HTML page found"),
        (POINTER, "a git-LFS pointer found"),
    ],
)
def test_another_file_than_the_official_one_is_refused_and_kept(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(content)
    refused(f"{tmp_path}/b: {says}", obtain, tmp_path, File("b", ("http://h/b",), MD5, 1000))
    assert (tmp_path / "b").read_bytes() == content


def test_a_missing_file_that_nobody_offers(tmp_path: Path) -> None:
    refused(f"{tmp_path}/a/b.npy: missing; put the official b.npy there", obtain, tmp_path, File("a/b.npy"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", [PAGE, b"\xef\xbb\xbf\n <HTML>", b"<?xml version='1.0'?><html x='y'>", b"<head>"])
def test_html_pages_are_known_by_their_start(page: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(page)
    refused("a: an HTML page found, wanted frames; put", sniff, tmp_path / "a", "frames")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    refused("a device or pipe found", sniff, tmp_path / "pipe", "frames")
    refused("a folder found", sniff, tmp_path, "frames")
    refused("missing, wanted frames", sniff, tmp_path / "link", "frames")
    refused("cannot be read \\(Not a directory\\)", sniff, tmp_path / "pipe" / "a", "frames")
    (tmp_path / "good").write_bytes(b"<xml but no page")
    sniff(tmp_path / "good", "frames")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"no folder")
    file = File("a/b", ("http://h/b",))
    refused("a/b: missing, and cannot be written \\(.*put the official b there \\(http://h/b", obtain, tmp_path, file)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_official, "download", full)
    refused("b: missing, and cannot be written \\(No space left", obtain, tmp_path, File("b", ("http://h/b",)))
