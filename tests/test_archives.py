"""Archives: what is unpacked where, and what is refused with nothing written: names, links, sizes, damage."""

import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from conftest import refused

from datasets import DatasetError, _archives
from datasets._archives import extract

FILES = {"d/e/one": b"1" * 3000, "d/two": bytes(range(256)) * 20, "three": b"", "d/é.txt": b"x"}
KINDS = ("zip", "stored.zip", "tar", "tar.gz", "tar.bz2")
LIMIT = 10_000


def pack(path: Path, files: dict[str, bytes]) -> Path:
    """An archive of the kind that its name says, with a folder as well."""
    if path.suffix == ".zip":
        how = zipfile.ZIP_STORED if "stored" in path.name else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path, "w", how) as packed:
            packed.writestr("d/", b"")
            for name, content in files.items():
                packed.writestr(name, content)
        return path
    with tarfile.open(path, f"w:{path.suffix[1:] if path.suffix != '.tar' else ''}") as packed_tar:  # type: ignore[call-overload]
        folder = tarfile.TarInfo("./d")
        folder.type = tarfile.DIRTYPE
        packed_tar.addfile(folder)
        for name, content in files.items():
            add(packed_tar, name, content)
    return path


def add(
    packed: tarfile.TarFile, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = len(content), kind, link
    packed.addfile(member, io.BytesIO(content))


def everything(name: str) -> bool:
    return True


def found(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuses(says: str, archive: Path, limit: int = LIMIT, keep: Callable[[str], bool] = everything) -> None:
    """Expects a one-line error that names the archive, and nothing beside the archive."""
    before = set(archive.parent.parent.rglob("*"))
    refused(f"{archive.name}: .*{says}", extract, archive, archive.parent / "into", keep, limit)
    assert set(archive.parent.parent.rglob("*")) == before


# --- what is unpacked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_files_come_out_as_they_went_in(kind: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / f"a.{kind}", {f"./{name}": content for name, content in FILES.items()})
    paths = extract(archive, tmp_path / "new" / "into", everything, LIMIT)
    assert paths == sorted(tmp_path / "new" / "into" / name for name in FILES)
    assert found(tmp_path / "new" / "into") == FILES
    assert {path.name for path in tmp_path.rglob("*")} == {
        archive.name,
        "new",
        "into",
        "d",
        "e",
        "one",
        "two",
        "three",
        "é.txt",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_is_wanted_is_unpacked(kind: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / f"a.{kind}", FILES)
    exactly = len(FILES["d/two"])
    assert extract(archive, tmp_path / "into", lambda name: name == "d/two", exactly) == [
        tmp_path / "into" / "d" / "two"
    ]
    assert found(tmp_path / "into") == {"d/two": FILES["d/two"]}
    refuses("none of the wanted members", archive, keep=lambda name: name == "d")


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_with_files_keeps_the_others(kind: str, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "two").write_bytes(b"old")
    (tmp_path / "d" / "own").write_bytes(b"own")
    archive = pack(tmp_path / f"a.{kind}", FILES)  # the archive is in the folder itself
    extract(archive, tmp_path, everything, LIMIT)
    assert found(tmp_path) == {**FILES, "d/own": b"own", archive.name: archive.read_bytes()}


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", FILES)
    left = tmp_path / ".into.a.zip.unpacked"
    (left / "d").mkdir(parents=True)
    (left / "d" / "two").write_bytes(b"half")
    extract(archive, tmp_path / "into", everything, LIMIT)
    assert found(tmp_path / "into") == FILES
    assert not left.exists()


# --- members that are refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["../x", "d/../../x", "/x", "//x", "..", "C:x", "c:\\x", "..\\x", "d\\x", "line\nbreak", "\x1b[2J", "\x7f"]
)
def test_names_that_lead_elsewhere(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / f"a.{kind}", {"good": b"1", name: b"2"})
    refuses("found, wanted plain names inside a folder", archive)
    refuses("found, wanted plain names inside a folder", archive, keep=lambda name: name == "good")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, b"Z"]
)
def test_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as packed:
        add(packed, "good", b"1")
        add(packed, "d", kind=kind, link="/etc")
        add(packed, "d/passwd", b"2")
    refuses("link or device 'd' found", tmp_path / "in" / "a.tar")


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_a_zip(mode: int, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as packed:
        member = zipfile.ZipInfo("d")
        member.external_attr = mode << 16
        packed.writestr(member, "/etc")
    refuses("link or device 'd' found", tmp_path / "in" / "a.zip")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("names", [("a", "./a"), ("a", "A"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "A/B"), ("a", ".")])
def test_names_that_come_twice(names: tuple[str, str], kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    refuses("found twice", pack(tmp_path / "in" / f"a.{kind}", dict.fromkeys(names, b"1")))


def test_members_that_are_encrypted_or_packed_otherwise(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / "a.zip", {"x": b"12"})
    content = archive.read_bytes()
    for signature, between in ((b"PK\x03\x04", 2), (b"PK\x01\x02", 4)):  # the bit of encryption, in both headers
        content = re.sub(signature + b"(.{%d})." % between, signature + b"\\1\x01", content, flags=re.DOTALL)
    archive.write_bytes(content)
    refuses("member 'x' is encrypted", archive)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("x", b"12")
    refuses("member 'x' is packed by method 14", archive)


# --- sizes that lie ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_than_the_limit_is_unpacked(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / f"a.{kind}", {"x": bytes(3000), "y": bytes(3000)})
    refuses("more than 5999 bytes found", archive, 5999)
    assert len(extract(archive, tmp_path / "into", everything, 6000)) == 2


def test_a_zip_that_understates_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / "a.zip", {"x": bytes(100_000)})
    content = archive.read_bytes().replace(struct.pack("<I", 100_000), struct.pack("<I", 10))
    archive.write_bytes(content)
    refuses("Bad CRC-32", archive)


def test_a_tar_whose_other_members_or_headers_are_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.setattr(_archives, "BESIDE", 2**20)
    bomb = pack(tmp_path / "in" / "a.tar.gz", {"x": bytes(2**22), "y": b"1"})
    refuses("more than 1048586 bytes unpacked", bomb, 10, lambda name: name == "y")
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**32
    (tmp_path / "in" / "b.tar").write_bytes(header.tobuf())
    refuses("a header of 4294967296 bytes", tmp_path / "in" / "b.tar")


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes found"),
        (b"<html>", "an HTML page found"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a git-LFS pointer found"),
        (b"PK\x03\x04", "File is not a zip file"),
        (b"\x1f\x8bno gzip at all", "damaged"),
        (b"\x93NUMPY" + bytes(2000), "damaged"),
        (b"text" * 1000, "damaged"),
        (bytes(1024), "none of the wanted members"),
    ],
)
def test_what_is_no_archive(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(content)
    refuses(says, tmp_path / "in" / "a")


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_archive_is_refused_wherever_it_is_cut(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / f"a.{kind}", FILES)
    content = archive.read_bytes()
    end = content.rstrip(b"\0") if kind == "tar" else content  # a tar may end with any number of empty blocks
    for size in np.linspace(1, len(end) - 1, 25).astype(int):
        archive.write_bytes(content[:size])
        refuses("", archive)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_is_refused_or_does_not_matter(kind: str, tmp_path: Path, random: np.random.Generator) -> None:
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / f"a.{kind}", {**FILES, "d/two": random.bytes(3000)})
    content = archive.read_bytes()
    for number, place in enumerate(random.integers(0, len(content), 40)):
        archive.write_bytes(content[:place] + bytes([content[place] ^ 1 << number % 8]) + content[place + 1 :])
        with suppress(DatasetError):
            extract(archive, tmp_path / "into", everything, LIMIT)
        assert {path.name for path in tmp_path.iterdir()} <= {"in", "into"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.zip", FILES)
    (tmp_path / "file").write_bytes(b"1")
    refused("into: cannot be written", extract, archive, tmp_path / "file" / "into", everything, LIMIT)
    refused("file: cannot be written", extract, archive, tmp_path / "file", everything, LIMIT)
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "file"}
