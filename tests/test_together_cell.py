"""A cell whose seeds are trained together: its records are the same, and nothing that befalls one seed is lost."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CELL, Done, Project, one_line_error
from test_training import go_on

from benchmarks import command, evaluation, seeds, train
from benchmarks.together import Stack
from neurons import NotFiniteError

MakeCell = Callable[..., command.Cell]


@pytest.fixture
def cell(project: Project, monkeypatch: pytest.MonkeyPatch) -> MakeCell:
    """The cell of a neuron in a project whose training is changed."""

    def made(neuron: str, **training: Any) -> command.Cell:
        project.params["neurons"] = {neuron: {}}
        project.cell["training"] |= training
        project.save()
        monkeypatch.chdir(project.folder)
        return command.cell(argparse.Namespace(profile=None, dataset="moving_mnist", neuron=neuron))

    return made


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def written(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_killed_at_any_moment_it_ends_in_the_same_bytes(
    cell: MakeCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = cell("stc_lif", together=2)
    whole, killed = folder(tmp_path / "whole"), folder(tmp_path / "killed")
    records = seeds.run_seeds(of, whole, (0, 1), go_on)
    assert sorted(written(whole)) == ["predictions.png", "seed0.json", "seed1.json", "weights.safetensors"]

    def in_a_step(step: int, loss: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seeds.run_seeds(of, killed, (0, 1), in_a_step)
    assert sorted(written(killed)) == ["seed0.0000002.safetensors", "seed1.0000002.safetensors"]
    real, tested = evaluation.evaluate, []

    def in_the_second_test(*arguments: Any) -> Any:
        tested.append(1)
        if len(tested) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(seeds, "evaluate", in_the_second_test)
    with pytest.raises(KeyboardInterrupt):
        seeds.run_seeds(of, killed, (0, 1), go_on)
    assert "seed0.json" in written(killed)
    assert "seed1.json" not in written(killed)
    assert seeds.run_seeds(of, killed, (0, 1), go_on) == records
    assert written(killed) == written(whole)


def test_what_cannot_be_stacked_is_trained_one_after_another(
    cell: MakeCell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of = cell("spikingjelly_mpbn", together=2)
    steps: list[int] = []
    found = seeds.run_seeds(of, tmp_path, (0, 1), lambda step, loss: steps.append(step))
    said = "seeds one after another, not together: it changes its buffers in training"
    assert capsys.readouterr().out.splitlines() == [f"spikingjelly_mpbn on moving_mnist: {said}"]
    assert steps == [0, 1, 1, 2, 2, 3, 3, 4]  # each step of one of the two is half a step of both
    apart = folder(tmp_path / "apart")
    for seed in (0, 1):
        assert found["records"][seed] == seeds.run_seed(of, apart, seed, go_on)
        assert found["records"][seed]["together"] == 1


def test_a_seed_that_fails_its_test_fails_alone(
    cell: MakeCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, real, tested = cell("lif", together=2), evaluation.evaluate, []

    def evaluate(*arguments: Any) -> Any:
        tested.append(1)
        if len(tested) == 1:
            raise NotFiniteError("output has NaN")
        return real(*arguments)

    monkeypatch.setattr(seeds, "evaluate", evaluate)
    failed, other = seeds.run_seeds(of, tmp_path, (0, 1), go_on)["records"]
    assert failed == {"seed": 0, "status": "failed", "reason": "output has NaN"}
    assert "NotFiniteError" in (tmp_path / "seed0.log").read_text()
    assert (other["status"], other["together"]) == ("ok", 2)
    steps: list[int] = []  # the next run takes no step again
    again, same = seeds.run_seeds(of, tmp_path, (0, 1), lambda step, loss: steps.append(step))["records"]
    assert (steps, again["status"]) == ([], "ok")
    assert same == other


def test_what_ends_the_stack_ends_the_seeds_in_it(
    cell: MakeCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = cell("lif", together=2)
    monkeypatch.setattr(seeds, "refusal", lambda *arguments: "")

    def starve(*arguments: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Stack, "backward", starve)
    for seed, record in enumerate(seeds.run_seeds(of, tmp_path, (0, 1), go_on)["records"]):
        reason = "OutOfMemoryError: CUDA out of memory. (2 seeds together)"
        assert record == {"seed": seed, "status": "out of memory", "reason": reason}


def test_a_stage_trains_its_seeds_in_stacks(
    project: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def in_this_process(job: Any, tasks: Any, workers: int, *rest: Any) -> list[Any]:
        given.append(([list(task) for task in tasks], workers))
        return [job(task, go_on) for task in tasks]

    monkeypatch.setattr(train, "side_by_side", in_this_process)
    project.cell["training"] |= {"seeds": 3, "together": 2, "workers": 2}
    project.save()
    done = here(project, "train", *CELL, "lif")
    assert done.returncode == 0, done.stderr
    assert given == [([[0, 1], [2]], 2)]
    results = project.folder / "results/smoke/moving_mnist/lif"
    records = json.loads((results / "accuracy.json").read_text())["seeds"]
    assert [(record["seed"], record["status"]) for record in records] == [(0, "ok"), (1, "ok"), (2, "ok")]
    assert not any("together" in record for record in records)
    assert json.loads((results / "run.json").read_text())["together"] == 2
    assert not list((project.folder / ".checkpoints").rglob("*.*"))


def test_the_fingerprint_knows_the_size_of_the_stacks(cell: MakeCell) -> None:
    def of(**training: Any) -> str:
        return train.fingerprint(cell("lif", **training))

    assert of(together=1, seeds=3) == of(together=1, seeds=4)
    assert len({of(together=size, seeds=count) for size, count in ((1, 3), (2, 3), (3, 3), (2, 4))}) == 4


def test_several_devices_and_seeds_together_exclude_each_other(project: Project, here: Callable[..., Done]) -> None:
    project.cell["training"] |= {"devices": 2, "together": 2}
    project.save()
    one_line_error(here(project, "train", *CELL, "lif"), "devices 2 and together 2 exclude each other; set one to 1")
