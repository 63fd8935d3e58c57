"""What bad files of KTH get, in both official layouts, and how archives of them are unpacked."""

import io
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray
from official import kth as official
from PIL import Image

import datasets

Spoil = Callable[[Path], object]  # makes good files below the user's folder bad


def prepare(root: Path, **changed: Any) -> dict[str, NDArray[np.float32]]:
    """All sequences of each split, prepared afresh."""
    datasets.prepare("kth", root, root / "out", **{**official.PARAMS, **changed})
    return {split: datasets.open("kth", root / "out", split).batch(slice(None)) for split in official.SPLITS}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("kth")
    official.build(root)
    return root


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    official.build_videos(root)
    return root


@pytest.fixture
def frames(built: Path, tmp_path: Path) -> Path:
    """A copy of the folders of frames, to be spoiled."""
    shutil.copytree(built / "kth", tmp_path / "kth")
    return tmp_path


@pytest.fixture
def videos(filmed: Path, tmp_path: Path) -> Path:
    shutil.copytree(filmed / "kth", tmp_path / "kth")
    return tmp_path


# --- bad folders of frames --------------------------------------------------------------------------------------------

CLIP = "kth/boxing/person01_boxing_d1_uncomp"
FRAME = f"{CLIP}/image_0003.jpg"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def jpeg(width: int, height: int) -> bytes:
    """A grey JPEG whose header announces this size, whatever its content."""
    made = io.BytesIO()
    Image.new("L", (40, 30), 77).save(made, "JPEG")
    data = made.getvalue()
    return data.replace(b"\x00\x1e\x00\x28", height.to_bytes(2, "big") + width.to_bytes(2, "big"), 1)


def spoil(path: str, content: bytes | None) -> Spoil:
    def spoiling(root: Path) -> None:
        (root / path).unlink(missing_ok=True)
        if content is not None:
            (root / path).write_bytes(content)

    return spoiling


def rename(path: str, name: str) -> Spoil:
    return lambda root: (root / path).rename((root / path).with_name(name))


def remove(pattern: str) -> Spoil:
    return lambda root: list(map(shutil.rmtree, root.glob(pattern)))


def empty(root: Path) -> None:
    for path in (root / CLIP).iterdir():
        path.unlink()


def truncate(path: str, share: float) -> Spoil:
    def truncating(root: Path) -> None:
        os.truncate(root / path, int((root / path).stat().st_size * share))

    return truncating


BAD_FRAMES: dict[str, tuple[Spoil, str]] = {
    "bad frame name": (rename(FRAME, "image_x.jpg"), r"image_x\.jpg: not the name of a frame, wanted .*image_0001"),
    "other images": (rename(FRAME, "frame_0003.jpg"), r"frame_0003\.jpg: not the name of a frame"),
    "mixed sizes": (spoil(FRAME, jpeg(30, 40)), r"image_0003\.jpg: 30x40 pixels found, wanted 40x30"),
    "a bomb": (spoil(FRAME, jpeg(60000, 60000)), r"image_0003\.jpg: not readable as a JPEG"),
    "a large image": (spoil(FRAME, jpeg(12000, 12000)), r"image_0003\.jpg: not readable as a JPEG"),
    "a large dataset": (spoil(f"{CLIP}/image_0001.jpg", jpeg(4000, 3000)), "4000x3000 pixels found, wanted 160x120"),
    "truncated": (truncate(FRAME, 0.6), r"image_0003\.jpg: not readable as a JPEG image .*[Tt]runcated"),
    "no bytes": (spoil(FRAME, b""), r"image_0003\.jpg: no bytes found, wanted a JPEG image"),
    "a page": (spoil(FRAME, b"<!DOCTYPE html><html>"), r"image_0003\.jpg: an HTML page found"),
    "a pointer": (spoil(FRAME, POINTER), r"image_0003\.jpg: a git-LFS pointer found"),
    "another format": (spoil(FRAME, b"\x89PNG\r\n\x1a\n" + bytes(50)), r"image_0003\.jpg: not readable as a JPEG"),
    "no action": (remove("kth/running"), r"kth/running: folder missing"),
    "an empty clip": (empty, r"d1_uncomp: no frame found"),
    "a bad folder": (
        rename(CLIP, "someone_boxing"),
        r"someone_boxing: not the name of a clip, wanted .*person01_boxing",
    ),
    "person 26": (rename(CLIP, "person26_boxing_d1_uncomp"), "person26_boxing_d1_uncomp: not the name of a clip"),
    "a wrong action": (
        rename(CLIP, "person03_running_d1_uncomp"),
        "person03_running_d1_uncomp: not the name of a clip",
    ),
    "no test": (remove("kth/*/person[12][75]_*"), "kth, validation: no clip of person 15 found"),
    "nobody": (remove("kth/*/person??_*"), "neither videos nor folders of frames found"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_folders_of_frames(case: str, frames: Path) -> None:
    spoiling, says = BAD_FRAMES[case]
    spoiling(frames)
    refused(says, prepare, frames)
    assert [path.name for path in frames.iterdir()] == ["kth"]


def test_a_split_without_a_person_is_named(frames: Path) -> None:
    remove("kth/*/person17_*")(frames)
    assert len(prepare(frames)["test"])
    remove("kth/*/person25_*")(frames)
    refused("kth, test: no clip of person 17, 18.* found", prepare, frames)
    refused("kth, validation: no clip of person 16 found", prepare, frames, validation_persons=[1, 16])


def test_a_sequence_that_no_clip_can_serve_says_how_long_the_longest_is(built: Path) -> None:
    refused("kth, train: no run of 13 frames found, the longest has 12", prepare, built, predicted=10)
    assert len(prepare(built, predicted=9)["train"]) == 4


def test_gaps_split_runs_and_other_files_are_noted(frames: Path) -> None:
    before = len(prepare(frames)["train"])
    (frames / FRAME).unlink()
    (frames / CLIP / "Thumbs.db").write_bytes(b"x")
    (frames / CLIP / ".hidden.jpg").write_bytes(b"x")
    assert len(prepare(frames)["train"]) == before - 1
    notes = datasets.card("kth", frames / "out")["notes"]
    assert "1 other files among the frames were not read, the first Thumbs.db" in notes


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"source": "mp4"}, "source 'mp4'.*'frames' or 'avi'"),
        ({"side": 6}, "side 6"),
        ({"observed": 0}, "observed 0"),
        ({"validation_persons": []}, "validation_persons"),
        ({"validation_persons": [17]}, "17.*less than 17"),
        ({"validation_persons": [3, 3]}, r"validation_persons \[3, 3\]"),
        ({"validation_persons": list(range(1, 17))}, "validation_persons.*not all"),
    ],
)
def test_a_bad_parameter_is_named(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    refused(says, prepare, tmp_path, **changed)
    assert list(tmp_path.iterdir()) == []


# --- bad videos -------------------------------------------------------------------------------------------------------

VIDEO = f"{CLIP}.avi"
TEXT = "kth/00sequences.txt"


def say(clip: str, said: str) -> Spoil:
    """Changes what 00sequences.txt says behind the name of a clip."""

    def saying(root: Path) -> None:
        text = re.sub(rf"^({clip}).*$", rf"\1\t{said}", (root / TEXT).read_text(), flags=re.MULTILINE)
        (root / TEXT).write_text(text)

    return saying


def replace(path: str, old: bytes, new: bytes) -> Spoil:
    return lambda root: (root / path).write_bytes((root / path).read_bytes().replace(old, new))


def add(line: str) -> Spoil:
    return lambda root: (root / TEXT).write_text(f"{(root / TEXT).read_text()}{line}\n")


def heap(root: Path) -> None:
    """Unpacks all archives into one folder, so to say."""
    for path in (root / "kth").glob("*/*.avi"):
        path.rename(root / "kth" / path.name)
    remove("kth/*/")(root)


BOXING = "person01_boxing_d1"
BAD_VIDEOS: dict[str, tuple[Spoil, str]] = {
    "truncated": (truncate(VIDEO, 0.9), r"d1_uncomp\.avi: truncated, \d+ bytes found, \d+ wanted"),
    "no bytes": (spoil(VIDEO, b""), r"d1_uncomp\.avi: no bytes found, wanted an AVI video"),
    "a page": (spoil(VIDEO, b"<html>404</html>"), r"d1_uncomp\.avi: an HTML page found"),
    "a pointer": (spoil(VIDEO, POINTER), r"d1_uncomp\.avi: a git-LFS pointer found"),
    "a playlist": (spoil(VIDEO, b"#EXTM3U\n#EXTINF:1,\nother.avi\n"), r"d1_uncomp\.avi: b'#EXT' found, wanted an AVI"),
    "an empty shell": (
        spoil(VIDEO, b"RIFF\x04\0\0\0AVI "),
        r"d1_uncomp\.avi: (cannot be decoded|no video of a known kind)",
    ),
    "an unknown codec": (replace(VIDEO, b"FFV1", b"QQQQ"), r"d1_uncomp\.avi: no video of a known kind"),
    "a bad name": (rename(VIDEO, "person01_boxing.avi"), r"person01_boxing\.avi: not the name of a clip"),
    "no line": (
        say(BOXING, "*missing*"),
        f"d1_uncomp.avi: no frames of it in .*00sequences.txt, wanted a line {BOXING}",
    ),
    "no ranges": (say(BOXING, "frames"), r"00sequences.txt, line 4: 'frames' found"),
    "not a range": (say(BOXING, "frames 1-9, x-20"), r"line 4: 'x-20' found, wanted a range such as 96-185"),
    "an end before its start": (say(BOXING, "frames 9-1"), r"line 4: '9-1' found"),
    "a comma too many": (say(BOXING, "frames 1-9,"), r"line 4: '' found"),
    "frame 0": (say(BOXING, "frames 0-9"), r"line 4: '0-9' found"),
    "a huge number": (say(BOXING, "frames 1-99999999999"), r"line 4: '1-99999999999' found"),
    "a clip listed twice": (
        add(f"{BOXING} frames 1-9"),
        rf"line 40: '{BOXING}' found, wanted a clip that is official and not listed before",
    ),
    "an unknown clip": (
        add("person01_flying_d1 frames 1-9"),
        "line 40: 'person01_flying_d1' found",
    ),
    "no lines": (spoil(TEXT, b"nothing\n"), "00sequences.txt: no line about a clip found"),
    "a large text": (spoil(TEXT, b"x" * 2_000_000), "00sequences.txt: 2000000 bytes found"),
    "a text that is a page": (spoil(TEXT, b"<html>"), "00sequences.txt: an HTML page found"),
    "videos beside the folders": (
        heap,
        r"kth/person01_boxing_d1_uncomp\.avi: a video found, .* move it to kth/<action>",
    ),
}


@pytest.mark.parametrize("case", BAD_VIDEOS)
def test_bad_videos(case: str, videos: Path) -> None:
    spoiling, says = BAD_VIDEOS[case]
    spoiling(videos)
    refused(says, prepare, videos, source="avi")
    assert [path.name for path in videos.iterdir()] == ["kth"]


def test_videos_of_another_size_are_refused(videos: Path) -> None:
    picture = np.zeros((40, 30), dtype=np.uint8)
    official.write_video(videos / "kth", "boxing", 17, [picture] * 25)
    refused(r"person17_boxing_d1_uncomp\.avi, frame 1: 30x40 pixels found", prepare, videos, source="avi")


def test_metadata_in_any_encoding_is_fine(videos: Path) -> None:
    wanted = prepare(videos, source="avi")["train"]
    replace(VIDEO, b"Lavf", b"L\xe5vf")(videos)
    assert np.array_equal(prepare(videos, source="avi")["train"], wanted)


def test_ranges_beyond_the_end_of_a_video_are_clipped_and_noted(videos: Path) -> None:
    """The header still announces what was asked for; only what can be decoded counts."""
    picture = official.flat("boxing", 15)
    official.write_video(videos / "kth", "boxing", 15, [picture(n) for n in range(1, 16)])
    sequences = prepare(videos, source="avi")["validation"]
    wanted = [[official.coded("boxing", 15, first + step) for step in range(5)] for first in (3, 11)]
    assert np.array_equal(np.rint(sequences[:2, :, 0, 0, 0] * 255), wanted)
    note = "person15_boxing_d1_uncomp.avi ends at frame 15, 00sequences.txt at 16: the ranges were clipped"
    assert note in datasets.card("kth", videos / "out")["notes"]


def test_the_one_video_that_is_distributed_cut_short_is_clipped(videos: Path) -> None:
    picture, name = official.flat("boxing", 1), "person01_boxing_d4_uncomp.avi"
    whole = official.write_video(videos / "kth", "boxing", 1, [picture(n) for n in range(1, 17)])
    path = whole.rename(whole.with_name(name))
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"00dc", 0, data.rindex(b"idx1")) + 12])  # within the last frame
    add("person01_boxing_d4 frames 1-7, 11-16")(videos)
    prepare(videos, source="avi")
    notes = datasets.card("kth", videos / "out")["notes"]
    assert f"{name} ends at frame 15, 00sequences.txt at 16: the ranges were clipped" in notes
    assert "1 clips of 00sequences.txt have no video, the first person01_boxing_d1" in notes


# --- layouts ---------------------------------------------------------------------------------------------------------


def test_the_other_layout_is_named(built: Path, filmed: Path) -> None:
    for root, source, other in ((built, "avi", "frames"), (filmed, "frames", "avi")):
        refused(f"found, wanted .*; set source: {other} in params.yaml", prepare, root, source=source)
