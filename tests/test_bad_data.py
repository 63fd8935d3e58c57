"""What bad parameters and damaged files of datasets get: one line that says what was found, and nothing executed."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MOVING, refused

import datasets


def prepare(tmp_path: Path, **changed: Any) -> None:
    datasets.prepare("moving_mnist", tmp_path, tmp_path / "out", **{**MOVING, **changed})


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("digit_size", 0),
        ("digit_size", -7),
        ("digit_size", 9),
        ("digit_size", 56),
        ("digit_size", 2),
        ("source", "kaggle"),
        ("canvas", 7),
        ("canvas", 3),
        ("canvas", 1_000_000),
        ("seed", -1),
        ("digits", 0),
        ("step", [0.1]),
        ("step", [0.1, 0.2, 0.3]),
        ("step", [0.0, 0.1]),
        ("step", [0.2, 0.1]),
        ("step", [0.1, 1.0]),
        ("step", [float("nan"), 0.1]),
        ("observed", 0),
        ("predicted", 0),
        ("predicted", -1),
        ("sequences", {"train": 1, "test": 1}),
        ("sequences", {"train": 1, "validation": 1, "test": 0}),
        ("sequences", {"train": 1, "validation": 1, "test": 1, "extra": 1}),
    ],
)
def test_a_bad_parameter_is_named_and_nothing_is_written(name: str, value: Any, tmp_path: Path) -> None:
    refused(f"'moving_mnist': .*{name}.*change it in params.yaml$", prepare, tmp_path, **{name: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("canvas", "64"),
        ("canvas", 20.5),
        ("canvas", None),
        ("digits", True),
        ("step", 0.1),
        ("sequences", 10),
        ("sequences", {"train": 2.5, "validation": 1, "test": 1}),
        ("seed", 1.7),
    ],
)
def test_a_parameter_of_the_wrong_type_is_named(name: str, value: Any, tmp_path: Path) -> None:
    refused(f"'moving_mnist': {name}.*Input should be.*change it in params.yaml$", prepare, tmp_path, **{name: value})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_parameter_lists_near_ones(tmp_path: Path) -> None:
    refused("unknown parameter 'canvass'.*canvas", prepare, tmp_path, canvass=20)


@pytest.mark.parametrize("name", MOVING)
def test_a_missing_parameter_is_named(name: str, tmp_path: Path) -> None:
    params = {key: value for key, value in MOVING.items() if key != name}
    refused(f"'{name}' is missing", datasets.prepare, "moving_mnist", tmp_path, tmp_path / "out", **params)


def test_an_unknown_dataset_lists_near_ones(tmp_path: Path) -> None:
    for name in ("moving_mnits", "_dataset"):
        refused(f"unknown dataset '{name}'.*moving_mnist", datasets.prepare, name, tmp_path, tmp_path / "out")


def test_an_unknown_split_lists_those_there_are(prepared: Path) -> None:
    refused("'val'.*train, validation, test", datasets.open, "moving_mnist", prepared, "val")


def test_a_folder_of_another_dataset_is_not_opened(prepared: Path) -> None:
    card = json.loads((prepared / "card.json").read_text())
    (prepared / "card.json").write_text(json.dumps({**card, "name": "kth"}))
    refused("'kth' found, 'moving_mnist' wanted", datasets.open, "moving_mnist", prepared, "test")


def test_a_dataset_that_cannot_take_its_place_leaves_the_old_one(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in prepared.iterdir()}
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "made":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    refused("cannot be written", datasets.prepare, "moving_mnist", tmp_path, prepared, **{**MOVING, "seed": 9})
    assert {path.name: path.read_bytes() for path in prepared.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]


# --- the card ---------------------------------------------------------------------------------------------------------


def test_a_missing_folder_names_it_and_the_command(tmp_path: Path) -> None:
    for call in (datasets.card, lambda name, folder: datasets.open(name, folder, "test")):
        refused(r"nowhere.*benchmarks\.prepare --dataset moving_mnist", call, "moving_mnist", tmp_path / "nowhere")


@pytest.mark.parametrize(
    "changed", [{"canvas": 24}, {"step": [0.1, 0.2]}, {"sequences": {"train": 13, "validation": 4, "test": 5}}]
)
def test_other_parameters_than_wanted_are_stale(changed: dict[str, Any], prepared: Path) -> None:
    assert datasets.card("moving_mnist", prepared, wanted=MOVING)["params"] == MOVING
    (key,) = changed
    refused(f"stale.*{key}=", datasets.card, "moving_mnist", prepared, wanted={**MOVING, **changed})


def test_a_parameter_that_came_or_went_is_stale(prepared: Path) -> None:
    refused("stale.*speed=None", datasets.card, "moving_mnist", prepared, wanted={**MOVING, "speed": 1})
    without = {key: value for key, value in MOVING.items() if key != "seed"}
    refused("stale.*seed=3", datasets.card, "moving_mnist", prepared, wanted=without)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a JSON object"),
        ("<!DOCTYPE html>", "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
        ('{"format": 999}', "format 999 found"),
        ('{"params": {}}', "format None"),
    ],
)
def test_a_card_of_another_kind_is_refused(text: str, says: str, prepared: Path) -> None:
    (prepared / "card.json").write_text(text)
    refused(f"card.json.*{says}", datasets.card, "moving_mnist", prepared)
    refused(f"card.json.*{says}", datasets.open, "moving_mnist", prepared, "test")


def test_the_card_names_the_bytes_of_its_files(prepared: Path) -> None:
    from hashlib import sha256

    for split, file in json.loads((prepared / "card.json").read_text())["files"].items():
        assert file["sha256"] == sha256((prepared / f"{split}.npy").read_bytes()).hexdigest()


# --- the arrays -------------------------------------------------------------------------------------------------------


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_pickled_objects_are_refused_unopened(prepared: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    np.save(prepared / "test.npy", np.array([Trap(mark)], dtype=object), allow_pickle=True)
    refused(r"test\.npy: not a readable array", datasets.open, "moving_mnist", prepared, "test")
    (prepared / "test.npy").write_bytes(pickle.dumps(Trap(mark)))
    refused(r"test\.npy: not a readable array", datasets.open, "moving_mnist", prepared, "test")
    assert not mark.exists()


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def lie(path: Path) -> None:
    """A header that promises far more than there is."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**40, 5, 1, 20, 20)}
        np.lib.format.write_array_header_1_0(file, header)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (halve, "not a readable array"),
        (cut_the_header, "not a readable array"),
        (lie, "not a readable array"),
        (lambda path: path.write_bytes(b""), "not a readable array"),
        (lambda path: path.write_text("<!DOCTYPE html><title>404</title>"), "not a readable array"),
        (Path.unlink, "missing"),
        (
            lambda path: np.save(path, np.load(path)[:-1]),
            r"\(24, 1, 20, 20\) found, uint8 \(25, 1, 20, 20\) wanted",
        ),
        (lambda path: np.save(path, np.load(path).swapaxes(0, 2)), r"\(20, 1, 25, 20\) found"),
        (lambda path: np.save(path, np.load(path).astype(np.float32)), "float32 .* found, uint8 .* wanted"),
        (lambda path: np.save(path, np.load(path).astype(np.int8)), "int8 .* found, uint8 .* wanted"),
    ],
)
def test_a_damaged_array_is_named(damage: Callable[[Path], Any], says: str, prepared: Path) -> None:
    damage(prepared / "test.npy")
    refused(rf"test\.npy: .*{says}.*benchmarks\.prepare", datasets.open, "moving_mnist", prepared, "test")
    assert len(datasets.open("moving_mnist", prepared, "train")) == 12
