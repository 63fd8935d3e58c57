"""The stage `stability`: each means changes what it names, every trial is kept, and the numbers are what they say."""

import argparse
import json
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Done, Project, one_line_error

import datasets
from benchmarks import command, interventions, stability
from benchmarks.cell import Cell, hashed
from benchmarks.files import write_json
from benchmarks.network import Predictor
from benchmarks.report import panels
from benchmarks.settings import SettingsError

NUMBERS = ("mse", "gradient_norm", "membrane_rms", "firing_rate")
CHANGES: dict[str, dict[str, Any]] = {  # by the name that the report shows: all that is to differ from "as released"
    "as released": {},
    "training.clip: 1": {"training.clip": 1.0},
    "detach: true": {"detach": True},
    "bound: 4": {"bound": 4.0},
    "network.precision: bfloat16": {"network.precision": "bfloat16"},
    "network.precision: bfloat16, network.membrane: float32": {
        "network.precision": "bfloat16",
        "network.membrane": "float32",
    },
}


@pytest.fixture(scope="module")
def done(prepared_project: Project) -> Project:
    """A project in which the stage has run."""
    ended = prepared_project.run("stability", "--dataset", "moving_mnist")
    assert ended.returncode == 0, ended.stderr
    return prepared_project


@pytest.fixture
def cell(project: Project, monkeypatch: pytest.MonkeyPatch) -> Cell:
    monkeypatch.chdir(project.folder)
    return command.cell(argparse.Namespace(profile=None, dataset="moving_mnist"))


def written(project: Project) -> Path:
    return project.folder / "results/smoke/moving_mnist/stability.json"


def flat(cell: Cell) -> dict[str, Any]:
    values = cell.settings.model_dump()
    found = {f"{part}.{key}": value for part, own in values.items() for key, value in own.items()}
    return {**found, **cell.params}


@pytest.mark.parametrize("neuron", ["stc_lif", "stc_plif"])
@pytest.mark.parametrize("means", CHANGES)
def test_a_means_changes_what_it_names_and_nothing_else(cell: Cell, neuron: str, means: str) -> None:
    before, after = (flat(interventions.changed(cell, neuron, what)) for what in ("as released", means))
    assert {key: value for key, value in after.items() if before.get(key) != value} == CHANGES[means]
    assert set(before) <= set(after)


def test_as_released_is_the_cell_of_the_tables_but_for_its_length(cell: Cell) -> None:
    cell = in_steps(cell, 7)
    found, wanted = flat(interventions.changed(cell, "stc_lif", "as released")), flat(cell)
    of_stage = interventions.budget(cell)
    fewer = {"steps": of_stage.steps, "validate_every": of_stage.steps, "seeds": of_stage.seeds}
    assert fewer["steps"] == 7 != cell.settings.training.validate_every
    assert found == {**wanted, **{f"training.{key}": value for key, value in fewer.items()}}


def test_every_neuron_meets_every_means(cell: Cell) -> None:
    """And LIF, without a circuit, for scale."""
    circuit = {(neuron, means) for neuron in ("stc_lif", "stc_plif") for means in CHANGES}
    assert len(interventions.TRIALS) == len(set(interventions.TRIALS))
    assert set(interventions.TRIALS) == circuit | {("lif", "as released")}
    for neuron, means in interventions.TRIALS:
        params = interventions.changed(cell, neuron, means).params
        built = Predictor(neuron, params, (1, 16, 16), cell.settings.network, 0)
        for layer in built.neurons_by_layer() if neuron != "lif" else ():
            assert layer.bound == CHANGES[means].get("bound")
            assert layer.detach == CHANGES[means].get("detach", False)


def test_the_stage_writes_every_trial_with_its_numbers(done: Project) -> None:
    content = json.loads(written(done).read_text())
    assert (content["profile"], content["dataset"], content["steps"]) == ("smoke", "moving_mnist", 2)
    assert content["key"] == hashed(content["inputs"])
    assert content["inputs"].keys() >= {"neurons/stc_plif.py", "neurons/_stc.py", "stability.steps", "data.test"}
    names = [(trial["neuron"], trial["means"], trial["seed"]) for trial in content["trials"]]
    assert names == [(neuron, means, 0) for neuron, means in interventions.TRIALS]
    for trial in content["trials"]:
        assert trial["status"] == "ok", trial
        assert all(trial[number] > 0 for number in NUMBERS), trial
        assert trial["firing_rate"] < 1
        if trial["means"] == "bound: 4":
            assert trial["membrane_rms"] <= 4
    released, detached, bounded = (
        next(trial for trial in content["trials"] if (trial["neuron"], trial["means"]) == ("stc_lif", means))
        for means in ("as released", "detach: true", "bound: 4")
    )
    assert detached["gradient_norm"] != released["gradient_norm"]
    assert bounded["membrane_rms"] < released["membrane_rms"]


def test_it_runs_again_from_finished_records_and_tries_the_others_anew(done: Project) -> None:
    before = json.loads(written(done).read_text())["trials"]
    (folder,) = (done.folder / ".checkpoints/smoke/moving_mnist/stability").iterdir()
    records = sorted(folder.iterdir())
    assert len(records) == len(interventions.TRIALS)
    kept, damaged, gone = (folder / f"{place}-0.json" for place in (0, 1, 2))
    original = kept.read_text()
    kept.write_text(original.replace('"mse": ', '"mse": 1000'))  # a mark that only the record can bring
    damaged.write_text("{")
    gone.unlink()
    assert done.run("stability", "--dataset", "moving_mnist").returncode == 0
    after = json.loads(written(done).read_text())["trials"]
    assert str(after[0]["mse"]) == f"1000{before[0]['mse']}"
    assert after[1:] == before[1:]  # the same numbers from a new training
    assert sorted(folder.iterdir()) == records
    kept.write_text(original)


def test_what_is_clipped_is_recorded_as_it_was(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step from the same weights: the gradient is the same however much of it the step is allowed to use."""
    monkeypatch.setitem(interventions.MEANS, "training.clip: 1", {"training": {"clip": 1e-6}})
    cell = in_steps(cell, 1)
    norms = [one_trial(cell, tmp_path, means)["gradient_norm"] for means in ("as released", "training.clip: 1")]
    assert norms[0] == norms[1] > 1e-6


def test_a_training_that_diverges_is_a_result(cell: Cell, tmp_path: Path) -> None:
    training = cell.settings.training.model_copy(update={"learning_rate": 1e30, "warm_up": 0.0})
    settings = cell.settings.model_copy(update={"training": training})
    cell = in_steps(Cell(cell.profile, cell.dataset, "", {}, settings), 4)
    record = one_trial(cell, tmp_path, "as released")
    assert record["status"] == "diverged"
    assert "at step" in record["reason"]
    write_json(tmp_path / "results/stability.json", {"steps": 4, "trials": [record]})
    (panel,) = panels.stability(tmp_path / "results", keep_going=False)
    assert panel.rows[0][-1] == "1 of 1 diverged"


def test_a_trial_that_fails_is_a_record_and_is_tried_again(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no\nluck")

    with monkeypatch.context() as patch:
        patch.setattr(interventions, "Predictor", broken)
        record = one_trial(cell, tmp_path, "bound: 4")
    wanted = {"neuron": "stc_lif", "means": "bound: 4", "seed": 0, "status": "failed"}
    assert record == {**wanted, "reason": "RuntimeError: no luck"}
    assert one_trial(in_steps(cell, 1), tmp_path, "bound: 4")["status"] == "ok"
    unfit = cell.settings.network.model_copy(update={"patch": 5})
    settings = cell.settings.model_copy(update={"network": unfit})
    with pytest.raises(SettingsError):  # what is wrong with the settings is no trial's fault
        one_trial(Cell(cell.profile, cell.dataset, "", {}, settings), tmp_path, "detach: true")


def test_a_killed_worker_is_one_line(project: Project, here: Callable[..., Done], monkeypatch: Any) -> None:
    def killed(*_: Any) -> Any:
        raise BrokenProcessPool("a process in the process pool was terminated abruptly")

    monkeypatch.setattr(stability, "side_by_side", killed)
    one_line_error(here(project, "stability", "--dataset", "moving_mnist"), "its process was killed")


def test_the_membrane_is_the_last_layers_after_the_last_step(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Predictor] = []

    def predictor(*arguments: Any) -> Predictor:
        built.append(Predictor(*arguments))
        return built[-1]

    monkeypatch.setattr(interventions, "Predictor", predictor)
    found = one_trial(in_steps(cell, 1), tmp_path, "as released")
    states: list[Any] = []
    built[0].layers[-1].register_forward_hook(lambda _, inputs, made: states.append(made[1]))
    test = datasets.open(cell.dataset, cell.data, "test")
    with torch.no_grad():
        built[0](torch.from_numpy(test.batch(slice(None))), test.observed)
    assert len(states) == 1 + cell.settings.data["predicted"] - 1  # the observed frames at once, then one by one
    assert found["membrane_rms"] == pytest.approx(states[-1].v.square().mean().sqrt().item(), rel=1e-4)


def in_steps(cell: Cell, steps: int) -> Cell:
    of_stage = interventions.budget(cell).model_copy(update={"steps": steps})
    settings = cell.settings.model_copy(update={"stability": of_stage})
    return Cell(cell.profile, cell.dataset, cell.neuron, cell.params, settings)


def one_trial(cell: Cell, folder: Path, means: str) -> dict[str, Any]:
    """A trial of STC-LIF in this process."""
    return interventions.trial(cell, folder, ("stc_lif", means, 0), lambda step, loss: None)


def test_a_dataset_without_a_budget_is_refused(cell: Cell) -> None:
    settings = cell.settings.model_copy(update={"stability": None})
    without = Cell(cell.profile, cell.dataset, cell.neuron, cell.params, settings)
    with pytest.raises(SettingsError, match=r"profiles\.smoke\.moving_mnist\.stability: not found"):
        interventions.budget(without)
