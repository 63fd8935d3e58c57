"""KTH in small: 40x30 instead of 160x120, five persons, one scene each, a bar that sways or runs before a shaded wall.

`build` makes folders of frames. What else is here is for the tests of KTH: frames that are one grey value, which tells
what they are frames of, and the other layout, videos.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets._kth_clips import ACTIONS, FAST

WIDTH, HEIGHT = 40, 30
SPLITS = {"train": (1, 2), "validation": (15,), "test": (17, 25)}
PERSONS = tuple(person for persons in SPLITS.values() for person in persons)
RUNS = ((1, 7), (11, 16))  # two runs of frames, as two ranges of 00sequences.txt leave them
FAST_RUNS = ((1, 12), (20, 23))  # the second is too short for a sequence of 5
PARAMS: dict[str, Any] = {
    "source": "frames",
    "side": 16,
    "observed": 3,
    "predicted": 2,
    "validation_persons": [15],
}
Grey = NDArray[np.uint8]
Picture = Callable[[int], Grey]  # the frame of a number


def build(root: Path) -> dict[str, Any]:
    """Folders of frames of all actions and persons."""
    for action in ACTIONS:
        for person in PERSONS:
            write_clip(root / "kth", action, person, runs_of(action), swaying(action, person))
    return {**PARAMS, "validation_persons": list(PARAMS["validation_persons"])}


def swaying(action: str, person: int) -> Picture:
    """A bar whose place is a sine of time, or time itself where people run through it; each person has a wall."""

    def picture(number: int) -> Grey:
        wall = np.linspace(40, 120, WIDTH)[None] + np.linspace(0, 60, HEIGHT)[:, None] - person
        if action in FAST:
            middle = ((2.0 + ACTIONS.index(action)) * number + person) % WIDTH
        else:
            middle = WIDTH / 2 + 8 * np.sin(0.5 * number + person + ACTIONS.index(action))
        bar = np.exp(-(((np.arange(WIDTH) - middle) / 3) ** 2))[None] * (np.arange(HEIGHT) > 6)[:, None]
        return np.rint(wall + 70 * bar).astype(np.uint8)

    return picture


def runs_of(action: str) -> tuple[tuple[int, int], ...]:
    """The runs of frames of every clip of an action."""
    return FAST_RUNS if action in FAST else RUNS


def name_of(action: str, person: int, scene: int = 1) -> str:
    """The name of a clip as 00sequences.txt has it."""
    return f"person{person:02d}_{action}_d{scene}"


def write_clip(home: Path, action: str, person: int, runs: Iterable[tuple[int, int]], picture: Picture) -> Path:
    """The folder of a clip with the frames of these runs."""
    folder = home / action / f"{name_of(action, person)}_uncomp"
    folder.mkdir(parents=True, exist_ok=True)
    for first, last in runs:
        for number in range(first, last + 1):
            Image.fromarray(picture(number)).convert("RGB").save(folder / f"image_{number:04d}.jpg", quality=95)
    return folder


def write_video(home: Path, action: str, person: int, frames: Sequence[Grey], codec: str = "ffv1") -> Path:
    """A video of grey frames, the first one number 1; without loss unless another codec is asked for."""
    import av

    path = home / action / f"{name_of(action, person)}_uncomp.avi"
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="avi") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt = "gray" if codec == "ffv1" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))
    return path


def coded(action: str, person: int, number: int) -> int:
    """A grey value that tells which frame it is of, all but for a few frames of different persons."""
    return 40 * ACTIONS.index(action) + (number + 7 * person) % 40


def flat(action: str, person: int) -> Picture:
    """Frames that are their code all over."""
    return lambda number: np.full((HEIGHT, WIDTH), coded(action, person, number), dtype=np.uint8)


def build_flat(root: Path) -> None:
    """As `build`, with flat frames."""
    for action in ACTIONS:
        for person in PERSONS:
            write_clip(root / "kth", action, person, runs_of(action), flat(action, person))


def build_videos(root: Path, slow: str = "1-7, 11-16", fast: str = "1-12, 20-23") -> None:
    """The flat frames as videos, and 00sequences.txt, which says these ranges of slow and fast actions."""
    lines = ["Some prose about 25 persons.", "Training:   person11, 12", ""]
    for person in PERSONS:
        for action in ACTIONS:
            write_video(root / "kth", action, person, [flat(action, person)(number) for number in range(1, 26)])
            lines.append(f"{name_of(action, person)}    \t\tframes\t{fast if action in FAST else slow}")
        lines.append("")
    lines.append("person13_handclapping_d3\t*missing*")
    (root / "kth" / "00sequences.txt").write_text("\n".join(lines) + "\n")
