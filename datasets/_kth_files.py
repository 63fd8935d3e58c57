"""The official files of KTH: where they lie below the user's folder, and the clips that they hold.

Whatever order a folder is listed in, clips come by action, person and scenario.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets._archives import extract
from datasets._card import DatasetError
from datasets._kth_clips import ACTIONS, NAME, Clip, Run
from datasets._kth_pixels import check_video, count, frame_path, size_of
from datasets._official import File, looked_at, obtain, sniff

FOLDER = "kth"  # below the user's folder
HOST = "http://www.csc.kth.se/cvap/actions"
FRAMES = File(
    f"{FOLDER}/kth_action.zip",
    ("https://github.com/chengtan9907/OpenSTL/releases/download/v0.1.0/kth_action.zip",),
    instead="folders of frames, kth/<action>/person01_<action>_d1_uncomp",
)
VIDEOS = {
    action: File(f"{FOLDER}/{action}.zip", (f"{HOST}/{action}.zip",), instead=f"videos in kth/{action}")
    for action in ACTIONS
}
RANGES = File(f"{FOLDER}/00sequences.txt", (f"{HOST}/00sequences.txt",))
UNPACKED = 8 * 2**30  # bytes of an archive's content; the largest official one has about 1 GB
RANGES_BYTES = 2**20  # the official file has 38 kB
OFFICIAL_CLIPS = 599
FRAME = re.compile(r"image_(?P<number>\d{4})\.jpg")
FOLDER_NAME = re.compile(rf"{NAME.pattern}_uncomp")
VIDEO_NAME = re.compile(rf"{NAME.pattern}_uncomp\.avi")
CLIP_LINE = re.compile(r"person\d\d_\S+")
RANGE = re.compile(r"(\d{1,6})-(\d{1,6})")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp")
LAYOUTS = {"frames": "folders of frames (person01_boxing_d1_uncomp/image_0001.jpg)", "avi": "videos (..._uncomp.avi)"}


@dataclass(frozen=True)
class Found:
    """What was found. clips: in order. size: width and height of every frame. read, notes: as a card says them."""

    clips: tuple[Clip, ...]
    size: tuple[int, int]
    read: list[dict[str, Any]]
    notes: list[str]


def find(root: Path, source: str) -> Found:
    """The clips below the user's folder `root`, downloaded if there are none; source: "frames" or "avi".

    Raises DatasetError for what is not laid out, named or made as the official files are.
    """
    home = _home(root, source)
    listed = {action: _listing(home / action) for action in ACTIONS}
    _check_layout(home, listed, source)
    notes: list[str] = []
    if source == "frames":
        clips, files = _frame_clips(listed, notes)
        read = []
    else:
        ranges = obtain(root, RANGES)
        clips, files = _video_clips(listed, read_ranges(ranges), notes)
        read = [looked_at(root, ranges)]
    size = size_of(clips[0])
    if source == "avi":
        clips = [_clipped(clip, size, notes) for clip in clips]
    if len(clips) != OFFICIAL_CLIPS:
        notes.append(f"{len(clips)} clips found, the official data have {OFFICIAL_CLIPS}")
    read += [_looked_at_all(root, home / action, files[action]) for action in ACTIONS]
    return Found(tuple(clips), size, read, notes)


def _home(root: Path, source: str) -> Path:
    """The folder that holds the six action folders; unpacked from archives where there is none."""
    top = root / FOLDER
    home = _with_actions(top)
    absent = [action for action in ACTIONS if not (home / action).is_dir()]
    archives = [FRAMES] if source == "frames" else [VIDEOS[action] for action in absent]
    if absent and (strays := sorted(top.glob("*.avi"))):
        raise DatasetError(
            f"{strays[0]}: a video found, wanted it in a folder of its action; move it to {FOLDER}/<action>"
        )
    if absent and (len(absent) == len(ACTIONS) or all((root / archive.path).is_file() for archive in archives)):
        paths = [obtain(root, archive) for archive in archives]  # all of them before anything is unpacked
        for path in paths:
            if source == "frames":
                extract(path, top / path.stem, _is_frame, UNPACKED)
            else:
                extract(path, home / path.stem, _is_video, UNPACKED)
        home = _with_actions(top)
        absent = [action for action in ACTIONS if not (home / action).is_dir()]
    if absent:
        raise DatasetError(f"{home / absent[0]}: folder missing, wanted one of each action; put the official one there")
    return home


def _with_actions(top: Path) -> Path:
    """`top`, or the first folder at most two below it, that has an action folder in it."""
    places = (place for depth in ("*/", "*/*/", "*/*/*/") for place in sorted(top.glob(depth)) if place.name in ACTIONS)
    return next((place.parent for place in places), top)


def _is_frame(member: str) -> bool:
    *_, folder, name = ("", *member.split("/"))
    return bool(FOLDER_NAME.fullmatch(folder) and FRAME.fullmatch(name))


def _is_video(member: str) -> bool:
    return bool(VIDEO_NAME.fullmatch(member.rpartition("/")[2]))


def _listing(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, without hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def _check_layout(home: Path, listed: dict[str, list[Path]], source: str) -> None:
    """Refuses the other of the two official layouts; that both are there is fine."""
    paths = [path for action in ACTIONS for path in listed[action]]
    examples = {
        "frames": next((path for path in paths if path.is_dir()), None),
        "avi": next((path for path in paths if path.suffix == ".avi"), None),
    }
    if examples[source] is None:
        other = "avi" if source == "frames" else "frames"
        found = f"{LAYOUTS[other]} found" if examples[other] else "neither videos nor folders of frames found"
        advice = f"set source: {other} in params.yaml" if examples[other] else "put the official files there"
        raise DatasetError(f"{home}: {found}, wanted {LAYOUTS[source]}; {advice}")


def _named(path: Path, pattern: re.Pattern[str], action: str) -> re.Match[str]:
    """The parts of a clip's name; DatasetError unless it is an official one in the right folder."""
    name = pattern.fullmatch(path.name)
    if name is None or name["action"] != action:
        like = f"person01_{action}_d1_uncomp{path.suffix if path.suffix == '.avi' else ''}"
        raise DatasetError(
            f"{path}: not the name of a clip, wanted one like {like} (persons 01 to 25, d1 to d4); rename or remove it"
        )
    return name


def _looked_at_all(root: Path, folder: Path, files: Iterable[Path]) -> dict[str, Any]:
    """What a card says of many files of a folder: all their bytes, and one sha256 over them, one after another."""
    size, sha = 0, hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                while part := file.read(2**20):
                    size += len(part)
                    sha.update(part)
        except OSError:
            sniff(path, "a frame or video")
            raise
    return {"file": folder.relative_to(root).as_posix(), "bytes": size, "sha256": sha.hexdigest()}


# --- folders of frames ------------------------------------------------------------------------------------------------


def _frame_clips(listed: dict[str, list[Path]], notes: list[str]) -> tuple[list[Clip], dict[str, list[Path]]]:
    """The clips, and the frames of each action in order."""
    clips, files = [], {}
    others: list[Path] = []
    for action in ACTIONS:
        own = [path for path in listed[action] if path.is_dir()]
        named = [(path, _named(path, FOLDER_NAME, action)) for path in own]
        made = [Clip.of(path, name, _numbers(path, others)) for path, name in named]
        files[action] = [
            frame_path(clip.path, number)
            for clip in made
            for first, last in clip.runs
            for number in range(first, last + 1)
        ]
        clips += made
    if others:
        notes.append(f"{len(others)} other files among the frames were not read, the first {others[0].name}")
    return clips, files


def _numbers(folder: Path, others: list[Path]) -> list[Run]:
    """Each frame of a folder as a run of its own; what is no image is added to `others`."""
    numbers = []
    for path in _listing(folder):
        if name := FRAME.fullmatch(path.name):
            numbers.append((int(name["number"]),) * 2)
        elif path.name.startswith("image") or path.suffix.lower() in IMAGES:
            raise DatasetError(f"{path}: not the name of a frame, wanted one like image_0001.jpg; rename or remove it")
        else:
            others.append(path)
    if not numbers:
        raise DatasetError(f"{folder}: no frame found, wanted image_0001.jpg and so on; put them there, or remove it")
    return numbers


# --- videos -----------------------------------------------------------------------------------------------------------


def _video_clips(
    listed: dict[str, list[Path]], ranges: dict[str, list[Run]], notes: list[str]
) -> tuple[list[Clip], dict[str, list[Path]]]:
    """The clips as 00sequences.txt has them, and the videos of each action in order."""
    clips, files = [], {}
    for action in ACTIONS:
        files[action] = [path for path in listed[action] if path.suffix.lower() == ".avi"]
        for path in files[action]:
            name = _named(path, VIDEO_NAME, action)
            clip = path.stem.removesuffix("_uncomp")
            if not ranges.get(clip):
                raise DatasetError(f"{path}: no frames of it in {RANGES.path}, wanted a line {clip}; add it")
            check_video(path)
            clips.append(Clip.of(path, name, ranges[clip]))
    there = {clip.path.stem.removesuffix("_uncomp") for clip in clips}
    if absent := sorted(clip for clip, runs in ranges.items() if runs and clip not in there):
        notes.append(f"{len(absent)} clips of 00sequences.txt have no video, the first {absent[0]}")
    return clips, files


def _clipped(clip: Clip, size: tuple[int, int], notes: list[str]) -> Clip:
    """The clip without frames that its video does not have."""
    wanted = clip.runs[-1][1]
    there = count(clip.path, wanted, size)
    if there < wanted:
        notes.append(f"{clip.path.name} ends at frame {there}, 00sequences.txt at {wanted}: the ranges were clipped")
    return replace(clip, runs=tuple((first, min(last, there)) for first, last in clip.runs if first <= there))


def read_ranges(path: Path) -> dict[str, list[Run]]:
    """The ranges of frames (first, last, both included, from 1) of each clip, as 00sequences.txt lists them.

    The file opens with prose; a line that begins like the name of a clip is about a clip. A clip that is marked
    missing has no range. Raises DatasetError for a line that says nothing else.
    """
    sniff(path, "00sequences.txt")
    if path.stat().st_size > RANGES_BYTES:
        raise DatasetError(f"{path}: {path.stat().st_size} bytes found, wanted the official file of about 38 kB")
    ranges: dict[str, list[Run]] = {}
    for number, line in enumerate(path.read_text(encoding="latin-1").splitlines(), 1):
        if not CLIP_LINE.match(line):
            continue
        clip, *said = line.split(maxsplit=2)
        if not NAME.fullmatch(clip) or clip in ranges:
            raise _bad_line(path, number, clip, "a clip that is official and not listed before")
        ranges[clip] = [] if said == ["*missing*"] else _ranges(path, number, said)
    if not ranges:
        raise DatasetError(f"{path}: no line about a clip found, wanted the official 00sequences.txt; put it there")
    return ranges


def _ranges(path: Path, number: int, said: list[str]) -> list[Run]:
    if len(said) != 2 or said[0] != "frames":
        raise _bad_line(path, number, " ".join(said), "'frames' and ranges such as 1-95, 96-185")
    runs = []
    for text in said[1].split(","):
        match = RANGE.fullmatch(text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise _bad_line(path, number, text.strip(), "a range such as 96-185")
        runs.append((int(match[1]), int(match[2])))
    return runs


def _bad_line(path: Path, number: int, found: str, wanted: str) -> DatasetError:
    return DatasetError(f"{path}, line {number}: {found!r} found, wanted {wanted}; put the official file there")
