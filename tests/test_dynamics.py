"""The stage `dynamics`: what it writes, that it repeats itself, what it makes of a failed cell, what it refuses."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import CELL, Done, Project, one_line_error

from benchmarks import behaviour, checkpoint, command, seeds, train, weights
from benchmarks.cell import Cell
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
            own = of(neuron)
            stamp = own.stamp("train")
            folder = checkpoint.folder(own, neuron, stamp["key"])
            record = seeds.run_seed(own, folder, 0, lambda step, loss: None)
            train.write_results(own, stamp, folder, [record], 1.0, 1)
    return prepared_project


def of(neuron: str) -> Cell:
    """The cell of the project that this process is in."""
    return command.cell(argparse.Namespace(profile=None, dataset="moving_mnist", neuron=neuron))


@pytest.fixture
def copied(trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of this test's own, in which this process is."""
    copy = trained.copy(tmp_path / "trained")
    monkeypatch.chdir(copy.folder)
    return copy


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
    assert {"key": content["key"], "inputs": content["inputs"]} == of(neuron).stamp("dynamics")
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
    """There are no weights then, and none are asked for."""
    path = results(copied, "lif") / "accuracy.json"
    write_json(path, {**read_json(path), "seeds": [{"seed": 0, "status": "unsupported", "reason": "no luck"}]})
    of("lif").weights().unlink()
    one_line_error(here(copied, "dynamics", *CELL, "lif"), "lif on moving_mnist: unsupported: no luck")
    assert not (results(copied, "lif") / "dynamics.json").exists()
    assert here(copied, "dynamics", *CELL, "lif", "--keep-going").returncode == 0
    names = {"format": FORMAT, "profile": "smoke", "dataset": "moving_mnist", "neuron": "lif"}
    ended = {"status": "unsupported", "reason": "no luck"}
    found = read_json(results(copied, "lif") / "dynamics.json")
    assert found == {**names, **of("lif").stamp("dynamics"), **ended}


def test_what_fails_here_alone_is_this_stages_result(
    copied: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise MemoryError("too\nmuch")

    monkeypatch.setattr(behaviour, "lags", broken)
    says = "lif on moving_mnist: out of memory: MemoryError: too much"
    one_line_error(here(copied, "dynamics", *CELL, "lif"), says)
    done = here(copied, "dynamics", *CELL, "lif", "--keep-going")
    assert (done.returncode, done.stderr) == (0, f"{says}\n")
    content = json.loads((results(copied, "lif") / "dynamics.json").read_text())
    assert (content["status"], content["reason"]) == ("out of memory", "MemoryError: too much")
    assert "lags" not in content


# --- what training left -----------------------------------------------------------------------------------------------


def cut(path: Path, cell: Cell) -> None:
    path.write_bytes(path.read_bytes()[:100])


def flipped(path: Path, cell: Cell) -> None:
    """Flips a bit of the last weight."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def of_another_key(path: Path, cell: Cell) -> None:
    """Sound weights of the same network, of another training."""
    weights.save(path, weights.load(cell), "0123456789abcdef")


def gone(path: Path, cell: Cell) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut, "cannot be read"),
        (flipped, "its bytes are not those that training wrote"),
        (of_another_key, "its bytes are not those that training wrote"),
        (gone, "not here, and git has no weights; `dvc pull` them, or run"),
    ],
)
def test_weights_that_do_not_serve_are_no_result(
    damage: Callable[[Path, Cell], None], says: str, copied: Project, here: Callable[..., Done]
) -> None:
    path = of("lif").weights()
    damage(path, of("lif"))
    done = here(copied, "dynamics", *CELL, "lif", "--keep-going")
    again = "`python -m benchmarks.run --force --profile smoke --dataset moving_mnist --neuron lif`"
    one_line_error(done, f"error: {path}", says, again)
    assert not (results(copied, "lif") / "dynamics.json").exists()


def test_one_set_of_weights_is_kept_of_a_cell(copied: Project) -> None:
    path = of("lif").weights()
    again = copied.folder / weights.FILE
    weights.save(again, weights.load(of("lif")), path.stem)
    path.rename(path.with_name("0123456789abcdef.safetensors"))
    weights.keep(of("lif"), again)
    assert list(path.parent.iterdir()) == [Path("weights/smoke/moving_mnist/lif") / path.name]


def test_training_of_other_settings_or_code_is_refused(copied: Project, here: Callable[..., Done]) -> None:
    """The weights are there, but not those that accuracy.json speaks of."""
    path = Path("results/smoke/moving_mnist/lif/accuracy.json")
    copied.cell["training"]["learning_rate"] *= 2
    copied.save()
    done = here(copied, "dynamics", *CELL, "lif", "--keep-going")
    one_line_error(done, f"{path}: made from another training.learning_rate; run `dvc repro`")
    code = copied.folder / "neurons/lif.py"
    code.write_text(code.read_text() + "\nMORE = 1\n")
    says = f"{path}: made from another neurons/lif.py, training.learning_rate; run"
    one_line_error(here(copied, "dynamics", *CELL, "lif", "--keep-going"), says)
    path.unlink()
    one_line_error(here(copied, "dynamics", *CELL, "lif", "--keep-going"), f"{path}: not there yet")
    assert not (results(copied, "lif") / "dynamics.json").exists()


def test_what_changes_meanwhile_is_no_result(
    copied: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    def edits(*_: Any) -> Any:
        code = copied.folder / "benchmarks/energy.py"
        code.write_text(code.read_text() + "\nMORE = 1\n")
        return []

    monkeypatch.setattr(behaviour, "lags", edits)
    says = "dynamics moving_mnist lif: changed while it ran: benchmarks/energy.py; nothing was written, run it again"
    one_line_error(here(copied, "dynamics", *CELL, "lif", "--keep-going"), says)
    assert not (results(copied, "lif") / "dynamics.json").exists()


@pytest.mark.parametrize(("available", "wanted"), [(80, range(0, 80, 10)), (9, range(8)), (8, range(8)), (3, range(3))])
def test_the_sequences_lie_far_apart(available: int, wanted: range) -> None:
    assert list(behaviour.spread(available)) == list(wanted)
