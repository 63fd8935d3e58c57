"""TaxiBJ: sequences and splits against a slow reading of the same arrays, and what bad files get."""

import dataclasses
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray
from official import taxibj as official

import datasets
from datasets import SPLITS, taxibj
from datasets._arrays import Npz

PARAMS: dict[str, Any] = {"observed": 4, "predicted": 4, "validation": 0.25}
FILE = "taxibj/dataset.npz"
Arrays = dict[str, NDArray[Any]]
Save = Callable[..., None]


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taxibj, "ARCHIVE", dataclasses.replace(taxibj.ARCHIVE, urls=()))


def save(root: Path, arrays: Arrays, how: Save = np.savez) -> None:
    (root / FILE).parent.mkdir(parents=True, exist_ok=True)
    how(root / FILE, **arrays)


def prepared(
    tmp_path: Path, arrays: Arrays | None = None, out: str = "out", how: Save = np.savez, **changed: Any
) -> Path:
    """The canonical form of these arrays, by default of the builder's."""
    if arrays is None:
        assert official.build(tmp_path / f"{out}-root") == PARAMS
    else:
        save(tmp_path / f"{out}-root", arrays, how)
    datasets.prepare("taxibj", tmp_path / f"{out}-root", tmp_path / out, **{**PARAMS, **changed})
    return tmp_path / out


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "card.json"}


def dealt(arrays: Arrays, share: float) -> dict[str, list[NDArray[np.float32]]]:
    """The sequences of each split, dealt out one by one."""

    def scaled(part: str) -> list[NDArray[np.float32]]:
        halves = zip(arrays[f"X_{part}"], arrays[f"Y_{part}"], strict=True)
        return [np.array([(frame + 1) / 2 for half in both for frame in half], dtype=np.float32) for both in halves]

    def frames(sequences: list[NDArray[np.float32]]) -> set[bytes]:
        return {frame.tobytes() for sequence in sequences for frame in sequence}

    def without(sequences: list[NDArray[np.float32]], seen: set[bytes]) -> list[NDArray[np.float32]]:
        return [sequence for sequence in sequences if not frames([sequence]) & seen]

    train, test = scaled("train"), scaled("test")
    count = max(1, round(share * len(train)))
    validation = without(train[-count:], frames(test))
    early = without(train[:-count], frames(test) | frames(validation))
    return {"train": early, "validation": validation, "test": test}


def holds(folder: Path, arrays: Arrays, share: float) -> dict[str, int]:
    """Holds what was prepared against the slow reading; returns how many frames each split keeps."""
    kept: dict[str, int] = {}
    seen: set[bytes] = set()
    for split, wanted in dealt(arrays, share).items():
        sequences = datasets.open("taxibj", folder, split)
        assert np.array_equal(sequences.batch(slice(None)), wanted)
        own = {frame.tobytes() for frame in sequences.frames}
        assert not own & seen
        seen |= own
        kept[split] = len(sequences.frames)
    return kept


# --- what is made -----------------------------------------------------------------------------------------------------


def test_sequences_are_those_of_the_file_and_films_are_kept_once(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    kept = holds(folder, official.arrays(), 0.25)
    # of windows 0 to 54, the last 14 are validation's; 48 to 54 reach frame 55, where test begins; 34 to 40 frame 41
    assert kept == {"train": 34 + 7, "validation": 7 + 7, "test": 18 + 7}
    card = datasets.card("taxibj", folder, wanted=PARAMS)
    assert card["value"] is None
    assert card["notes"] == [
        "how many taxis 1 stands for was not published with the file",
        "7 train sequences left out: they have a frame of validation or test",
        "7 validation sequences left out: they have a frame of test",
    ]
    content = (tmp_path / "out-root" / FILE).read_bytes()
    assert card["read"] == [{"file": FILE, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    assert {name: card["files"][name]["dtype"] for name in SPLITS} == dict.fromkeys(SPLITS, "float32")


@pytest.mark.parametrize("share", [0.001, 0.4])
def test_the_share_of_validation(share: float, tmp_path: Path) -> None:
    arrays = official.arrays()
    arrays |= {key: values[10:] for key, values in arrays.items() if key.endswith("test")}  # films that do not touch
    holds(prepared(tmp_path, arrays, validation=share), arrays, share)
    assert len(datasets.open("taxibj", tmp_path / "out", "validation")) == max(1, round(share * 55))


def test_sequences_in_any_order_and_some_twice(tmp_path: Path, random: np.random.Generator) -> None:
    """Nothing slides then, and what validation shares with train costs train more."""
    arrays = official.arrays()
    chosen = {"train": random.integers(0, 55, 12), "test": np.array([17, 3, 3, 9])}
    arrays = {key: values[chosen[key[2:]]] for key, values in arrays.items()}
    kept = holds(prepared(tmp_path, arrays, validation=0.1), arrays, 0.1)
    assert kept["test"] == 4 * 8


@pytest.mark.parametrize("how", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f4"])
def test_forms_of_the_file(how: Save, dtype: str, tmp_path: Path) -> None:
    arrays: Arrays = {key: values.astype(dtype) for key, values in official.arrays().items()}
    if dtype == "<f8":
        arrays = {key: values * 0.9 for key, values in arrays.items()}  # no float32 holds these
    holds(prepared(tmp_path, arrays, how=how), arrays, 0.25)


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepared(tmp_path, out="one")
    monkeypatch.setattr(taxibj, "BLOCK", 4)
    data = Npz(tmp_path / "one-root" / FILE, tuple(official.arrays()))
    assert [len(block) for block in taxibj._blocks(tmp_path, data, "test")] == [4, 4, 4, 4, 2]
    assert contents(one) == contents(prepared(tmp_path, out="two"))


def test_observed_moves_and_the_frames_do_not(tmp_path: Path) -> None:
    four, one = prepared(tmp_path, out="four"), prepared(tmp_path, out="one", observed=1, predicted=7)
    assert contents(four) == contents(one)
    assert datasets.open("taxibj", one, "test").observed == 1


def test_dealing_out_by_numbers(random: np.random.Generator) -> None:
    for count in range(2, 12):
        train, test = random.integers(0, 60, (count, 8)), random.integers(0, 60, (2, 8))
        cut = count - max(1, round(0.3 * count))
        validation = [i for i in range(cut, count) if not {*train[i]} & {*test.flat}]
        seen = {*test.flat, *train[validation].flat}
        choice = taxibj.choose(train, test, 0.3)
        assert choice.validation.tolist() == validation
        assert choice.train.tolist() == [i for i in range(cut) if not {*train[i]} & seen]
        assert choice.left_out == {"train": cut - len(choice.train), "validation": count - cut - len(validation)}


def test_only_a_window_that_slid_by_one_frame_is_kept_short() -> None:
    film = np.arange(20)
    frames = np.stack([film[start : start + 8] for start in (0, 1, 3, 4, 4, 3)])
    assert taxibj.fresh(frames).sum(axis=1).tolist() == [8, 1, 8, 1, 8, 8]
    frames[1, 3] = 99  # one frame of a window is another
    assert taxibj.fresh(frames).sum(axis=1).tolist() == [8, 8, 8, 1, 8, 8]


@pytest.mark.parametrize("inside", ["", "taxibj/"])
def test_the_archive_is_unpacked_once(inside: str, tmp_path: Path) -> None:
    one = prepared(tmp_path, out="one")
    archive = tmp_path / "root/taxibj/taxibj_dataset.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        file.write(tmp_path / "one-root" / FILE, f"{inside}dataset.npz")
        file.writestr("__MACOSX/._dataset.npz", "not wanted")
    for out in ("two", "three"):
        datasets.prepare("taxibj", tmp_path / "root", tmp_path / out, **PARAMS)
        assert contents(tmp_path / out) == contents(one)
        archive.unlink(missing_ok=True)
    assert datasets.card("taxibj", tmp_path / "two")["read"][0]["file"] == FILE


# --- what is wrong with a file ----------------------------------------------------------------------------------------


def spoilt(tmp_path: Path, says: str, **changed: Any) -> None:
    """Expects a refusal that leaves nothing behind."""
    refused(says, datasets.prepare, "taxibj", tmp_path / "root", tmp_path / "out", **{**PARAMS, **changed})
    assert not (tmp_path / "out").exists()


def put(value: float, *place: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A change that puts `value` at `place`."""

    def change(values: NDArray[Any]) -> NDArray[Any]:
        values[place] = value
        return values

    return change


@pytest.mark.parametrize(
    ("key", "change", "says"),
    [
        ("X_train", lambda x: x.swapaxes(1, 2), r"X_train \(55, 2, 4, 32, 32\) found, wanted \(N, 4, 2, 32, 32\)"),
        ("Y_test", lambda x: np.moveaxis(x, 2, -1), r"Y_test \(18, 4, 32, 32, 2\) found"),
        ("X_test", lambda x: np.concatenate([x, x], axis=1), r"X_test \(18, 8, 2, 32, 32\) found"),
        ("X_test", lambda x: x[:, 0], r"X_test \(18, 2, 32, 32\) found"),
        ("X_train", lambda x: x.ravel()[0], "X_train"),
        ("X_test", lambda x: x[:0], "no values"),
        ("X_test", lambda x: x.astype(np.float16), "X_test of float16 found, wanted float32 or float64"),
        ("X_train", lambda x: x.astype(np.int8), "X_train of int8 found"),
        ("Y_train", lambda x: x.astype(np.complex64), "Y_train of complex64 found"),
        ("Y_test", lambda x: x.astype(object), "pickled objects"),
        ("Y_train", lambda x: x[1:], "55 sequences of X_train, 54 of Y_train found"),
        ("Y_train", put(np.nan, 54, 3, 1, 31, 0), r"nan found in Y_train at \(n, t, c, h, w\) \(54, 3, 1, 31, 0\)"),
        ("X_test", put(np.inf, 9, 0, 0, 2, 3), r"inf \(raw counts\?\) found in X_test at .* \(9, 0, 0, 2, 3\)"),
        ("X_test", put(-np.inf, 9, 0, 0, 2, 3), "-inf found in X_test at"),
        ("X_test", put(37, 0, 0, 0, 0, 0), r"37 \(raw counts\?\) found in X_test at"),
        ("X_train", put(-1.5, 0, 0, 0, 0, 0), "-1.5 found in X_train at"),
        ("", lambda x: (x + 1) / 2, "no value below 0 found in train, as if in 0 .. 1 already"),
        ("test", lambda x: (x + 1) / 2, "no value below 0 found in test, as if in 0 .. 1 already"),
    ],
)
def test_wrong_arrays(
    key: str, change: Callable[[NDArray[Any]], Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taxibj, "BLOCK", 8)
    arrays = official.arrays()
    save(tmp_path / "root", {name: change(values) if key in name else values for name, values in arrays.items()})
    spoilt(tmp_path, rf"dataset\.npz: .*{says}")


def test_missing_arrays(tmp_path: Path) -> None:
    arrays = official.arrays()
    save(tmp_path / "root", {"x_train": arrays["X_train"], "X_test": arrays["X_test"]})
    spoilt(tmp_path, "dataset.npz: 'x_train, X_test' found, wanted an npz file with X_train, Y_train, X_test, Y_test")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes found"),
        (b"<!doctype html><html>404</html>", "an HTML page found"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a git-LFS pointer found"),
        (b"\x93NUMPY\x01\x00v\x00{'descr'", "damaged or of another kind"),
        (b"PK\x03\x04 and no more", ""),
    ],
)
@pytest.mark.parametrize("name", ["dataset.npz", "taxibj_dataset.zip"])
def test_what_is_no_archive(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "root/taxibj").mkdir(parents=True)
    (tmp_path / "root/taxibj" / name).write_bytes(content)
    spoilt(tmp_path, f"{name}: {says if name == 'dataset.npz' else ''}")


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("how", [np.savez, np.savez_compressed])
def test_a_truncated_file(how: Save, share: float, tmp_path: Path) -> None:
    save(tmp_path / "root", official.arrays(), how)
    content = (tmp_path / "root" / FILE).read_bytes()
    (tmp_path / "root" / FILE).write_bytes(content[: int(share * len(content))])
    spoilt(tmp_path, "dataset.npz: ")


def test_a_flipped_bit_a_folder_and_nothing(tmp_path: Path) -> None:
    save(tmp_path / "root", official.arrays())
    content = bytearray((tmp_path / "root" / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "root" / FILE).write_bytes(content)
    spoilt(tmp_path, "dataset.npz: ")
    (tmp_path / "root" / FILE).unlink()
    spoilt(tmp_path, "taxibj_dataset.zip: missing.*, or dataset.npz beside it")
    (tmp_path / "root" / FILE).mkdir()
    spoilt(tmp_path, "dataset.npz: a folder found")


def test_splits_that_frames_leave_empty(tmp_path: Path) -> None:
    save(tmp_path / "root", official.arrays())
    spoilt(tmp_path, "no validation sequence left of 55 without a frame of another split", validation=0.1)
    spoilt(tmp_path, "no train sequence left of 55", validation=0.99)


@pytest.mark.parametrize(
    "wrong",
    [
        {"observed": 4, "predicted": 5},
        {"observed": 8, "predicted": 0},
        {"observed": 0, "predicted": 8},
        {"observed": "4"},
        {"observed": 4.0},
        {"validation": 0.0},
        {"validation": 1.0},
        {"validation": float("nan")},
        {"validation": "0.1"},
        {"validation": 1},
    ],
)
def test_a_bad_parameter_is_named(wrong: dict[str, Any], tmp_path: Path) -> None:
    spoilt(tmp_path, "dataset 'taxibj': .*(observed|validation|predicted)", **wrong)
    assert list(tmp_path.iterdir()) == []
