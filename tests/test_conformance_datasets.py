"""What every dataset keeps, whoever wrote it: found by its file, prepared from its smoke settings and official files.

A dataset that is in the smoke profile is prepared with those settings; one that has a module in tests/official/ is
prepared from the files that this builds; every dataset must have one or the other.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT

import datasets
from benchmarks import settings
from benchmarks.loading import batches
from benchmarks.settings import kind
from datasets import SPLITS, Sequences

LOADED = settings.load(ROOT / "params.yaml")
SMOKE = {name: cell.data for name, cell in LOADED.profiles["smoke"].items()}
BUILDERS = sorted(path.stem for path in (ROOT / "tests" / "official").glob("[a-z]*.py"))
CASES = [*(f"{name} smoke" for name in SMOKE), *(f"{name} official" for name in BUILDERS)]
SAID = ("Real or synthetic", "Source", "Licence", "Split")


@dataclass(frozen=True)
class Case:
    """A dataset, the folder of official files, and the parameters to prepare it with."""

    name: str
    root: Path
    params: dict[str, Any]

    def prepare(self, out: Path) -> Path:
        datasets.prepare(self.name, self.root, out, **self.params)
        return out

    def split(self, folder: Path, split: str) -> Sequences:
        return datasets.open(self.name, folder, split)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, how = request.param.split()
    root = tmp_path_factory.mktemp("official")
    if how == "smoke":
        return Case(kind(name), root, SMOKE[name])
    return Case(name, root, import_module(f"official.{name}").build(root))


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.prepare(tmp_path_factory.mktemp("prepared") / "one")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def unequal_frames(split: Sequences) -> set[bytes]:
    """Every frame that shows something, as bytes; one even value all over is no sign of anything."""
    return {frame.tobytes() for frame in split.frames if (frame != frame.flat[0]).any()}


def test_every_dataset_has_a_case() -> None:
    covered = {kind(case.split()[0]) for case in CASES}
    assert covered == set(datasets.available())


def test_every_listed_dataset_has_settings_in_the_default_profile() -> None:
    for profile in ("smoke", LOADED.profile):
        assert set(LOADED.datasets) <= set(LOADED.profiles[profile])


@pytest.mark.parametrize("name", datasets.available())
def test_the_docstring_is_a_card(name: str) -> None:
    said = datasets.document(name)
    for word in SAID:
        assert re.search(rf"^{word}", said, flags=re.MULTILINE), word


def test_the_card_is_complete_and_says_what_is_synthetic(case: Case, folder: Path) -> None:
    card = datasets.card(case.name, folder, wanted=case.params)
    for word in ("title", "kind", "source", "licence", "split", "interval"):
        assert card[word].strip()
    assert card["synthetic"] == card["title"].endswith("(synthetic)")
    assert card["synthetic"] == (card["kind"].startswith("synthetic"))
    if card["synthetic"]:
        assert card["read"] == []


def test_shapes_and_ranges(case: Case, folder: Path) -> None:
    card = datasets.card(case.name, folder)
    shapes = set()
    for split in SPLITS:
        sequences = case.split(folder, split)
        assert isinstance(sequences.frames, np.memmap)
        assert not sequences.frames.flags.writeable
        assert len(sequences) == card["files"][split]["sequences"]
        assert sequences.length == card["observed"] + card["predicted"]
        assert 1 <= sequences.observed < sequences.length
        batch = sequences.batch(slice(0, 4))
        assert batch.dtype == np.float32
        assert batch.shape == (min(4, len(sequences)), *sequences.shape[1:])
        low, high = (-0.25, 1.25) if card["value"] else (0, 1)  # standardised by train: others may go a little beyond
        assert low <= batch.min() <= batch.max() <= high
        assert batch.std() > 0
        shapes.add(sequences.shape[1:])
    assert len(shapes) == 1


def test_statistics_are_those_of_the_frames(case: Case, folder: Path) -> None:
    for split, said in datasets.card(case.name, folder)["files"].items():
        frames = case.split(folder, split).frames
        values = frames.astype(np.float64) / (255 if frames.dtype == np.uint8 else 1)
        for name, over in (("mean", np.mean), ("std", np.std), ("min", np.min), ("max", np.max)):
            assert np.allclose(said[name], over(values, axis=(0, 2, 3)), rtol=1e-5, atol=1e-6), (split, name)


def test_a_sequence_is_its_frames_whatever_it_is_asked_with(case: Case, folder: Path) -> None:
    for split in SPLITS:
        sequences = case.split(folder, split)
        last = len(sequences) - 1
        scale = np.float32(255 if sequences.frames.dtype == np.uint8 else 1)
        start = int(sequences.starts[last])
        wanted = sequences.frames[start : start + sequences.length] / scale
        for indices in ([last, 0], [last], np.array([last, last])):
            assert np.array_equal(sequences.batch(indices)[0], wanted)
        assert np.array_equal(sequences.batch(slice(last, None))[0], wanted)


def test_no_frame_is_in_two_splits(case: Case, folder: Path) -> None:
    seen = {split: unequal_frames(case.split(folder, split)) for split in SPLITS}
    assert not seen["train"] & seen["validation"]
    assert not seen["train"] & seen["test"]
    assert not seen["validation"] & seen["test"]


def test_prepared_again_it_has_the_same_bytes(
    case: Case, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled_listings(monkeypatch)
    assert contents(case.prepare(tmp_path / "deeper" / "two")) == contents(folder)
    assert [path.name for path in (tmp_path / "deeper").iterdir()] == ["two"]


def shuffled_listings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes folders list their entries in another order than the system's."""
    listdir, scandir = os.listdir, os.scandir

    class Shuffled:
        def __init__(self, path: Any) -> None:
            self.real = scandir(path)
            self.entries = iter(sorted(self.real, key=lambda entry: hash_of(entry.name)))

        def __enter__(self) -> Any:
            return self.entries

        def __exit__(self, *_: Any) -> None:
            self.real.close()

        def __iter__(self) -> Any:
            return self.entries

        def __next__(self) -> Any:
            return next(self.entries)

        def close(self) -> None:
            self.real.close()

    def hash_of(name: Any) -> int:
        return sum(ord(letter) * 31**place for place, letter in enumerate(str(name))) % 1009

    monkeypatch.setattr(os, "listdir", lambda *path: sorted(listdir(*path), key=hash_of))
    monkeypatch.setattr(os, "scandir", lambda path=".": Shuffled(path))


@pytest.mark.parametrize("loaders", [1, 2])
def test_the_same_batches_however_many_processes_read(case: Case, folder: Path, loaders: int) -> None:
    sequences = case.split(folder, "train")
    count = len(sequences)
    order = [np.array([index % count, (3 * index + 1) % count]) for index in range(5)]
    before = torch.get_rng_state()
    read = [batch.numpy() for batch in batches(sequences, iter(order), torch.device("cpu"), loaders)]
    assert torch.equal(torch.get_rng_state(), before)
    assert len(read) == len(order)
    for found, indices in zip(read, order, strict=True):
        assert np.array_equal(found, sequences.batch(indices))


def test_every_test_sequence_has_something_to_predict(case: Case, folder: Path) -> None:
    sequences = case.split(folder, "test")
    frames = sequences.batch(slice(0, 64))
    moved = np.abs(np.diff(frames, axis=1)).max()
    assert moved > 0
    assert math.isfinite(float(frames.sum()))


def test_parameters_of_the_wrong_kind_are_named(case: Case, tmp_path: Path) -> None:
    refused: Callable[..., Any] = pytest.raises
    for name in case.params:
        with refused(datasets.DatasetError, match=name) as said:
            datasets.prepare(case.name, case.root, tmp_path / "out", **{**case.params, name: object()})
        assert len(str(said.value).splitlines()) == 1
        without = {key: value for key, value in case.params.items() if key != name}
        with refused(datasets.DatasetError, match=f"'{name}' is missing"):
            datasets.prepare(case.name, case.root, tmp_path / "out", **without)
    assert list(tmp_path.iterdir()) == []
