"""Moving MNIST and Moving Fashion-MNIST from files: the official sequences as they are, and what bad files get."""

import gzip
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5, sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray
from official.moving_mnist import write_idx

import datasets
from datasets import SPLITS, moving_mnist
from datasets._moving_files import _obtain
from datasets._official import File

Array = NDArray[Any]
NAMES = {"moving_mnist": "moving_mnist", "moving_fashion_mnist": "moving_fmnist"}
TRAIN, TEST, SEQUENCES = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", "mnist_test_seq.npy"


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def prepared(name: str, root: Path, **changed: Any) -> dict[str, datasets.Sequences]:
    """The splits prepared from the small official files, which are built first where they are missing."""
    built = import_module(f"official.{name}")
    params = built.build(root) if not (root / NAMES[name]).exists() else built.PARAMS
    datasets.prepare(name, root, root / "out", **{**params, **changed})
    return {split: datasets.open(name, root / "out", split) for split in SPLITS}


# --- what is made of them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("observed", "predicted", "count"), [(10, 10, 7), (10, 10, 2), (4, 3, 5)])
def test_official_sequences_stay_as_they_are(
    name: str, observed: int, predicted: int, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets._moving_files.BLOCK", 3)
    sequences = {"train": 2, "validation": 1, "test": count}
    found = prepared(name, tmp_path, observed=observed, predicted=predicted, sequences=sequences)["test"]
    (path,) = (tmp_path / NAMES[name]).glob("*_test_seq.npy")
    published = np.load(path)
    length = observed + predicted
    assert found.shape == (count, length, 1, 64, 64)
    for n in range(count):
        for t in range(length):
            assert np.array_equal(found.frames[found.starts[n] + t, 0], published[t, n])


@pytest.mark.parametrize("source", ["official", "images"])
def test_splits_show_pictures_of_their_own(name: str, source: str, tmp_path: Path) -> None:
    """Picture k of train has the one value k + 1, picture k of test 100 + k, so that a frame tells whom it shows."""
    import_module(f"official.{name}").build(tmp_path)
    folder = tmp_path / NAMES[name]
    write_idx(folder / TRAIN, np.tile(np.arange(1, 41, dtype=np.uint8)[:, None, None], (1, 28, 28)))
    write_idx(folder / TEST, np.tile(np.arange(100, 110, dtype=np.uint8)[:, None, None], (1, 28, 28)))
    many = {"train": 60, "validation": 20, "test": 7}
    splits = prepared(name, tmp_path, source=source, sequences=many)
    shown = {split: set(np.unique(sequences.frames).tolist()) - {0} for split, sequences in splits.items()}
    assert shown["validation"] == {37, 38, 39, 40}
    assert shown["train"] <= set(range(1, 37))
    assert len(shown["train"]) > 20
    if source == "images":
        assert shown["test"] <= set(range(100, 110))


@pytest.mark.parametrize("size", [7, 28])
def test_pictures_can_be_shrunk(size: int, tmp_path: Path) -> None:
    found = prepared("moving_mnist", tmp_path, source="images", canvas=30, digit_size=size)
    assert found["test"].shape == (5, 20, 1, 30, 30)


def test_a_picture_that_another_split_shows_is_left_out_of_train(tmp_path: Path) -> None:
    pictures = np.tile(np.arange(1, 41, dtype=np.uint8)[:, None, None], (1, 28, 28))
    folder = tmp_path / "moving_mnist"
    write_idx(folder / TEST, pictures[3:5])
    write_idx(folder / TRAIN, pictures)
    found = prepared("moving_mnist", tmp_path, source="images", sequences={"train": 60, "validation": 1, "test": 1})
    assert not {4, 5} & set(np.unique(found["train"].frames).tolist())
    assert datasets.card("moving_mnist", tmp_path / "out")["notes"][-1].startswith("2 train pictures left out")
    write_idx(folder / TEST, pictures)
    refused(f"{TRAIN}: only pictures that", prepared, "moving_mnist", tmp_path, source="images")


def test_the_card_says_what_was_read_and_that_it_is_not_the_published_file(name: str, tmp_path: Path) -> None:
    prepared(name, tmp_path)
    card = datasets.card(name, tmp_path / "out")
    for read in card["read"]:
        content = (tmp_path / read["file"]).read_bytes()
        assert read["bytes"] == len(content)
        assert read["sha256"] == sha256(content).hexdigest()
    train = md5((tmp_path / NAMES[name] / TRAIN).read_bytes(), usedforsecurity=False).hexdigest()
    assert any(TRAIN in note and train in note for note in card["notes"])
    assert len(card["read"]) == 2


def test_a_download_must_be_the_published_file_one_s_own_need_not(tmp_path: Path) -> None:
    asked: list[File] = []

    def download(target: Path, *wanted: Any) -> list[str]:
        asked.append(File(target.name, *wanted))
        return ["no answer"]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("datasets._official.download", download)
        wanted = moving_mnist.PUBLISHED.train
        refused(f"{TRAIN}: missing.*no answer.*put the official", _obtain, tmp_path, wanted)
    assert asked == [replace(wanted, path=TRAIN)]
    write_idx(tmp_path / wanted.path, np.ones((2, 28, 28), np.uint8))
    assert _obtain(tmp_path, wanted) == tmp_path / wanted.path


# --- parameters that do not go with them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"canvas": 60},
        {"digits": 1},
        {"digit_size": 14},
        {"observed": 11},
        {"sequences": {"train": 1, "validation": 1, "test": 8}},
    ],
)
def test_the_official_test_sequences_are_of_one_kind(name: str, changed: dict[str, Any], tmp_path: Path) -> None:
    (key,) = changed
    refused(rf"'{name}': .*{key}.*wanted.*change it in params\.yaml", prepared, name, tmp_path, **changed)
    assert not (tmp_path / "out").exists()


def test_clothes_are_not_embedded(tmp_path: Path) -> None:
    refused("source 'embedded'.*official.*images", prepared, "moving_fashion_mnist", tmp_path, source="embedded")


# --- bad files --------------------------------------------------------------------------------------------------------


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def counted(count: int) -> Callable[[Path], Any]:
    """An idx header that promises `count` pictures where there are three."""

    def damage(path: Path) -> None:
        header = b"".join(number.to_bytes(4, "big") for number in (2051, count, 28, 28))
        path.write_bytes(gzip.compress(header + bytes(3 * 28 * 28)))

    return damage


def lie(path: Path) -> None:
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (20, 2**40, 64, 64)}
        np.lib.format.write_array_header_1_0(file, header)


def trap(path: Path) -> None:
    np.save(path, np.array([Trap(path.with_name("executed"))], dtype=object), allow_pickle=True)


ANY: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: path.write_bytes(b""), "no bytes found"),
    (lambda path: path.write_text("<!DOCTYPE html><title>404</title>"), "an HTML page found"),
    (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "git-LFS pointer found",
    ),
    (lambda path: path.write_bytes(pickle.dumps(Trap(path.with_name("executed")))), "an (npy|idx) file"),
    (halve, "an (npy|idx) file"),
    (folder, "a folder found"),
]
IDX: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: write_idx(path, np.ones((3, 28, 28), np.uint8), magic=2049), "2049 found, wanted 2051"),
    (lambda path: write_idx(path, np.ones((3, 28, 27), np.uint8)), "27.* found, wanted"),
    (lambda path: write_idx(path, np.ones((1, 28, 28), np.uint8)), "1 picture found, wanted at least 2"),
    (counted(4), "wanted an idx file"),
    (counted(2), "wanted an idx file"),
    (counted(2**31), "wanted an idx file"),
]
NPY: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: np.save(path, np.load(path).swapaxes(0, 1)), "7.*20.*64.*64.*found, wanted.*20"),
    (lambda path: np.save(path, np.load(path).astype(np.float32)), "float32.*found, wanted.*uint8"),
    (lambda path: np.save(path, np.load(path)[:, :, :32, :32]), "32.*found, wanted.*64"),
    (lambda path: np.save(path, np.load(path)[:, :0]), "no values along an axis"),
    (lie, "wanted an npy file"),
    (trap, "wanted an npy file"),
]


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [(TRAIN, *case) for case in (*ANY, *IDX)] + [(SEQUENCES, *case) for case in (*ANY, *NPY)],
)
def test_a_bad_file_is_named(file: str, damage: Callable[[Path], Any], says: str, tmp_path: Path) -> None:
    import_module("official.moving_mnist").build(tmp_path)
    damage(tmp_path / "moving_mnist" / file)
    refused(rf"{file}: .*{says}", prepared, "moving_mnist", tmp_path)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "moving_mnist" / "executed").exists()


def test_a_bad_file_of_test_pictures_is_named(name: str, tmp_path: Path) -> None:
    import_module(f"official.{name}").build(tmp_path)
    halve(tmp_path / NAMES[name] / TEST)
    refused(f"{TEST}: ", prepared, name, tmp_path, source="images")


def test_a_tar_without_the_sequences_is_named(tmp_path: Path) -> None:
    import_module("official.moving_fashion_mnist").build(tmp_path)
    with tarfile.open(tmp_path / "moving_fmnist" / "fmnist_test_seq.npy.tar", "w") as tar:
        tar.add(tmp_path / "moving_fmnist" / TEST, TEST)
    refused(r"fmnist_test_seq\.npy\.tar: none of the wanted", prepared, "moving_fashion_mnist", tmp_path)
    assert not (tmp_path / "out").exists()
