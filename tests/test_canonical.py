"""The canonical form: what is written is what is read, whole or not at all, and what does not fit is refused."""

import errno
import json
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, in_memory, refused
from numpy.typing import NDArray

from datasets import _dataset
from datasets._dataset import Split, write
from datasets._sequences import open_split

Array = NDArray[Any]
CARD: dict[str, Any] = {
    "name": "made",
    "title": "Made",
    "synthetic": False,
    "kind": "noise",
    "source": "a test",
    "licence": "none",
    "split": "none",
    "interval": "1 s",
    "observed": 2,
    "predicted": 1,
    "params": {},
}
SPLITS = ("train", "validation", "test")


def splits(random: np.random.Generator, **changed: Any) -> dict[str, Split]:
    made = {name: Split.of(random.integers(0, 256, (4, 3, 2, 5, 6), dtype=np.uint8)) for name in SPLITS}
    return {**made, **changed}


def film(frames: Array, starts: list[int], **how: Any) -> Split:
    return Split(frames.shape, frames.dtype.type, [frames], np.array(starts), **how)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_sequences_come_back_as_they_went(dtype: Any, tmp_path: Path, random: np.random.Generator) -> None:
    values = random.integers(0, 256, (10, 2, 5, 6), dtype=np.uint8)
    frames = values if dtype == np.uint8 else (values / np.float32(255)).astype(np.float32)
    write(tmp_path / "made", splits(random, test=film(frames, [7, 0, 1])), CARD)
    found = open_split(tmp_path / "made", "made", "test")
    assert found.shape == (3, 3, 2, 5, 6)
    wanted = np.stack([values[start : start + 3] for start in (7, 0, 1)]) / 255
    assert np.allclose(found.batch(slice(None)), wanted, rtol=0, atol=1e-7)
    assert np.allclose(found.batch([2, 2, 0]), wanted[[2, 2, 0]], rtol=0, atol=1e-7)
    assert [found.batch(part).shape[0] for part in found.slices(2)] == [2, 1]


def test_blocks_of_any_size_give_the_same_file(
    tmp_path: Path, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = random.random((20, 1, 4, 4), dtype=np.float32)
    write(tmp_path / "one", splits(random, test=film(frames, [0])), CARD)
    blocks = Split(frames.shape, np.float32, iter([frames[:1], frames[1:13], frames[13:]]), np.array([0]))
    monkeypatch.setattr(_dataset, "BLOCK", 5 * frames[0].nbytes)
    write(tmp_path / "other", splits(random, test=blocks), CARD)
    assert (tmp_path / "one/test.npy").read_bytes() == (tmp_path / "other/test.npy").read_bytes()
    cards = [json.loads((tmp_path / name / "card.json").read_text())["files"]["test"] for name in ("one", "other")]
    assert cards[0] == cards[1]


def test_the_card_names_the_bytes_of_its_files(tmp_path: Path, random: np.random.Generator) -> None:
    write(tmp_path / "made", splits(random), CARD)
    for split, said in json.loads((tmp_path / "made/card.json").read_text())["files"].items():
        for key, name in (("sha256", f"{split}.npy"), ("starts_sha256", f"{split}-starts.npy")):
            assert said[key] == sha256((tmp_path / "made" / name).read_bytes()).hexdigest()


def test_another_process_opens_the_files_itself(tmp_path: Path, random: np.random.Generator) -> None:
    write(tmp_path / "made", splits(random), CARD)
    split = open_split(tmp_path / "made", "made", "test")
    sent = pickle.dumps(split)
    assert len(sent) < 500
    assert np.array_equal(pickle.loads(sent).batch([0]), split.batch([0]))  # noqa: S301 - our own bytes
    assert in_memory(np.zeros((2, 3, 1, 4, 4), dtype=np.uint8), 1).shape == (2, 3, 1, 4, 4)


@pytest.mark.parametrize(
    ("split", "says"),
    [
        (film(np.full((5, 1, 4, 4), 1.25, np.float32), [0]), "made, test: values from 1.25 to 1.25 found"),
        (film(np.full((5, 1, 4, 4), -0.5, np.float32), [0]), "made, test: values from -0.5"),
        (film(np.zeros((5, 1, 4, 4), np.uint8), []), "no sequence"),
        (film(np.zeros((5, 1, 4, 4), np.uint8), [3]), "leaves the 5 frames"),
        (film(np.zeros((5, 1, 4, 4), np.uint8), [-1]), "leaves the 5 frames"),
        (Split((6, 1, 4, 4), np.uint8, [np.zeros((5, 1, 4, 4), np.uint8)], np.array([0])), "5 frames found, 6 wanted"),
        (Split((4, 1, 4, 4), np.uint8, [np.zeros((5, 1, 4, 4), np.uint8)], np.array([0])), "more than 4 frames"),
    ],
)
def test_what_does_not_fit_is_refused(split: Split, says: str, tmp_path: Path, random: np.random.Generator) -> None:
    refused(says, write, tmp_path / "made", splits(random, test=split), CARD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_placed(value: float, tmp_path: Path, random: np.random.Generator) -> None:
    frames = np.zeros((9, 2, 4, 5), dtype=np.float32)
    frames[7, 1, 2, 3] = value
    for unit_range in (True, False):
        made = splits(random, train=film(frames, [0], unit_range=unit_range))
        refused(
            r"made, train: -?(nan|inf) found in frame 7 at \(c, h, w\) \(1, 2, 3\)", write, tmp_path / "x", made, CARD
        )


def test_standardised_data_may_leave_the_unit_range(tmp_path: Path, random: np.random.Generator) -> None:
    frames = np.linspace(-0.1, 1.1, 80, dtype=np.float32).reshape(5, 1, 4, 4)
    write(tmp_path / "made", splits(random, test=film(frames, [0, 2], unit_range=False)), CARD)
    assert np.array_equal(open_split(tmp_path / "made", "made", "test").batch([1])[0], frames[2:])


# --- whole or not at all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("call", ["_allocated", "digest"])
def test_a_failing_write_leaves_what_was_there(
    before: bool, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random: np.random.Generator
) -> None:
    home = tmp_path / "home"
    if before:
        write(home / "made", splits(random), CARD)
    old = {path.name: contents(path) for path in home.glob("*")}
    real, calls = getattr(_dataset, call), []

    def full_disk(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(_dataset, call, full_disk)
    refused("made: .*No space left", write, home / "made", splits(random), CARD)
    assert {path.name: contents(path) for path in home.glob("*")} == old


def test_a_new_form_replaces_the_old_one_whole(tmp_path: Path, random: np.random.Generator) -> None:
    write(tmp_path / "made", splits(random), CARD)
    (tmp_path / "made/left over").touch()
    write(tmp_path / "made", splits(random), {**CARD, "title": "Newer"})
    wanted = {"card.json", *(f"{split}{end}.npy" for split in SPLITS for end in ("", "-starts"))}
    assert set(contents(tmp_path / "made")) == wanted
    assert json.loads((tmp_path / "made/card.json").read_text())["title"] == "Newer"


SLOW = """
import sys, time
import numpy as np
from pathlib import Path
from datasets._dataset import Split, write
def blocks():
    for n in range(40):
        yield np.full((1, 1, 64, 64), n, np.uint8)
        time.sleep(float(sys.argv[2]))
split = lambda: Split((40, 1, 64, 64), np.uint8, blocks(), np.array([0]))
card = {json}
print("started", flush=True)
write(Path(sys.argv[1]), {{"train": split(), "validation": split(), "test": split()}}, card)
"""


def started(out: Path, pause: float) -> Any:
    code = SLOW.format(json=repr(CARD))
    command = [sys.executable, "-c", code, str(out), str(pause)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.parametrize("after", [0.05, 0.3, 0.7])
def test_killed_at_any_moment_the_next_run_completes_with_the_same_bytes(after: float, tmp_path: Path) -> None:
    assert started(tmp_path / "whole", 0).wait(60) == 0
    with started(tmp_path / "made", 0.02) as running:
        assert running.stdout.readline() == b"started\n"
        time.sleep(after)
        running.send_signal(signal.SIGKILL)
    assert not (tmp_path / "made").exists()
    assert started(tmp_path / "made", 0).wait(60) == 0
    assert contents(tmp_path / "made") == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "whole"]  # what the killed run left is gone


def damaged(folder: Path) -> Iterator[tuple[str, Any]]:
    starts = folder / "test-starts.npy"
    yield r"test-starts.npy: sequences that leave", lambda: np.save(starts, np.full(4, 11))
    yield r"test-starts.npy: sequences that leave", lambda: np.save(starts, np.full(4, -1))
    yield r"test-starts.npy: float64 \(4,\) found, int64 \(4,\) wanted", lambda: np.save(starts, np.zeros(4))
    yield r"test-starts.npy: int64 \(3,\) found", lambda: np.save(starts, np.zeros(3, np.int64))
    yield r"test-starts.npy: missing", starts.unlink
    yield r"test-starts.npy: not a readable array", lambda: starts.write_bytes(b"\x93NUMPY")


def test_damaged_starts_are_named(tmp_path: Path, random: np.random.Generator) -> None:
    write(tmp_path / "made", splits(random), CARD)
    for says, damage in damaged(tmp_path / "made"):
        damage()
        refused(says + ".*benchmarks.prepare --dataset made", open_split, tmp_path / "made", "made", "test")
