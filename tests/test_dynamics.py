"""The stage `dynamics`: what it writes, that it repeats itself, and what it makes of a cell that failed."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CELL, Done, Project, one_line_error

from benchmarks import command, dynamics, seeds, train
from benchmarks.files import FORMAT, read_json, write_json
from benchmarks.lags import REACH, STEPS

NEURONS = ("lif", "stc_lif", "convlstm")


@pytest.fixture(scope="module")
def trained(prepared_project: Project) -> Project:
    """A project in which three cells are trained, in this process, which saves a pool of workers each."""
    prepared_project.params["neurons"] = {neuron: {} for neuron in NEURONS}
    prepared_project.save()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(prepared_project.folder)
        for neuron in NEURONS:
            cell = command.cell(argparse.Namespace(profile=None, dataset="moving_mnist", neuron=neuron))
            folder = prepared_project.folder / "seeds" / neuron
            folder.mkdir(parents=True)
            record = seeds.run_seed(cell, folder, 0, lambda step, loss: None)
            train.write_results(cell, folder, [record], 1.0, 1)
    return prepared_project


@pytest.fixture
def copied(trained: Project, tmp_path: Path) -> Project:
    return trained.copy(tmp_path / "trained")


def results(project: Project, neuron: str) -> Path:
    return project.folder / "results/smoke/moving_mnist" / neuron


@pytest.mark.parametrize("neuron", NEURONS)
def test_it_writes_what_a_neuron_does_and_the_same_bytes_again(
    trained: Project, here: Callable[..., Done], neuron: str
) -> None:
    path, written = results(trained, neuron) / "dynamics.json", []
    for _ in range(2):
        assert here(trained, "dynamics", *CELL, neuron).returncode == 0
        written.append(path.read_bytes())
        path.unlink()
    assert written[0] == written[1]
    assert len(written[0]) < 40_000
    content = json.loads(written[0])
    assert (content["format"], content["status"], content["neuron"]) == (FORMAT, "ok", neuron)
    accuracy = json.loads((results(trained, neuron) / "accuracy.json").read_text())
    assert content["spiking"] == accuracy["spiking"] == ("spikes" in content) == (neuron != "convlstm")
    if content["spiking"]:
        (seed,), spikes = accuracy["seeds"], content["spikes"]
        assert [layer["rate"] for layer in spikes["layers"]] == seed["firing_rate"]
        assert spikes["sparsity"] == seed["sparsity"]
    assert content["operations"]["total"]["dense"] > 0
    assert content["energy"]
    for when in ("start", "trained"):
        assert [layer["layer"] for layer in content["lags"][when]] == [1, 2]
        for layer in content["lags"][when]:
            assert len(layer["gradient"]["norm"]) == STEPS - 1
            assert len(layer["memory"]) == REACH + 1
            assert layer["membrane"]["field"] == ("c" if neuron == "convlstm" else "v")
            assert ("factors" in layer) == (neuron == "stc_lif")
    assert content["lags"]["start"] != content["lags"]["trained"]


def test_how_training_failed_is_how_this_ends(copied: Project, here: Callable[..., Done]) -> None:
    folder = results(copied, "lif")
    (folder / "weights.safetensors").write_bytes(b"")  # as `train` leaves it where seed 0 failed
    write_json(folder / "accuracy.json", {"seeds": [{"seed": 0, "status": "unsupported", "reason": "no luck"}]})
    one_line_error(here(copied, "dynamics", *CELL, "lif"), "lif on moving_mnist: unsupported: no luck")
    assert not (folder / "dynamics.json").exists()
    assert here(copied, "dynamics", *CELL, "lif", "--keep-going").returncode == 0
    names = {"format": FORMAT, "profile": "smoke", "dataset": "moving_mnist", "neuron": "lif"}
    assert read_json(folder / "dynamics.json") == {**names, "status": "unsupported", "reason": "no luck"}


def test_what_fails_here_alone_is_this_stages_result(
    copied: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError("too\nmuch")

    monkeypatch.setattr(dynamics, "lags", broken)
    says = "lif on moving_mnist: out of memory: MemoryError: too much"
    one_line_error(here(copied, "dynamics", *CELL, "lif"), says)
    done = here(copied, "dynamics", *CELL, "lif", "--keep-going")
    assert (done.returncode, done.stderr) == (0, f"{says}\n")
    content = json.loads((results(copied, "lif") / "dynamics.json").read_text())
    assert (content["status"], content["reason"]) == ("out of memory", "MemoryError: too much")
    assert "lags" not in content


def test_weights_that_are_missing_or_damaged_are_no_result(copied: Project, here: Callable[..., Done]) -> None:
    weights = results(copied, "lif") / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    one_line_error(here(copied, "dynamics", *CELL, "lif", "--keep-going"), "weights.safetensors", "run `dvc repro`")
    weights.unlink()
    one_line_error(here(copied, "dynamics", *CELL, "lif", "--keep-going"), "weights.safetensors", "not there yet")
    assert not (results(copied, "lif") / "dynamics.json").exists()


@pytest.mark.parametrize(("available", "wanted"), [(80, range(0, 80, 10)), (9, range(8)), (8, range(8)), (3, range(3))])
def test_the_sequences_lie_far_apart(available: int, wanted: range) -> None:
    assert list(dynamics.spread(available)) == list(wanted)
