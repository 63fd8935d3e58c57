"""The instruments against what can be worked out by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import in_memory
from torch import nn

from benchmarks import costs, samples
from benchmarks.cell import Cell, hashed
from benchmarks.files import FORMAT, ResultsError, read_json, replacing, write_json
from benchmarks.report import collect
from benchmarks.rounding import rounded


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder as the root of a project."""
    monkeypatch.chdir(tmp_path)


def rows_of(cost: dict[str, Any]) -> dict[str, float]:
    settings: Any = None  # a result is read without them
    cell, inputs = Cell("smoke", "moving_mnist", "own", {}, settings), {"neuron": "own", "neuron.params": "{}"}
    write_json(cell.results / "cost.json", {"key": hashed(inputs), "inputs": inputs, **cost})
    return {row["metric"]: row["value"] for row in collect._cost(cell, "own")}


COST: dict[str, Any] = {
    "status": "ok",
    "reason": "",
    "time": {"train_step": {"median": 0.25, "quartiles": [0.2, 0.3], "ratio_to_lif": 2.5, "noisy": True}},
    "throughput": {"train_step": {"sequences_per_second": 32.0, "predicted_frames_per_second": 160.0}},
    "memory": {"saved_for_backward": 2**21, "saved_by_layer": [2**20, 2**19], "saved_by_rest": 2**19},
    "joules": {"source": "RAPL", "train_step": 1.5},
}


@pytest.mark.usefixtures("elsewhere")
def test_every_cost_becomes_a_metric_of_its_own() -> None:
    assert rows_of(COST) == pytest.approx(
        {
            "train_step_ms": 250.0,
            "train_step_iqr_ms": 100.0,
            "train_step_ratio": 2.5,
            "train_step_noisy": 1.0,
            "train_step_sequences_per_second": 32.0,
            "train_step_predicted_frames_per_second": 160.0,
            "train_step_joules": 1.5,
            "saved_for_backward_mib": 2.0,
            "saved_by_layer_mib@1": 1.0,
            "saved_by_layer_mib@2": 0.5,
            "saved_by_rest_mib": 0.5,
        }
    )


@pytest.mark.usefixtures("elsewhere")
def test_what_no_machine_counted_is_absent() -> None:
    without = {name: value for name, value in COST.items() if name != "joules"}
    assert not [name for name in rows_of(without) if "joules" in name]


def test_the_update_is_that_of_the_optimizer_of_the_training(generator: torch.Generator) -> None:
    """Bit for bit, a parameter without a gradient included."""
    start = [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2,))]
    ours, theirs = ([nn.Parameter(value.clone()) for value in start] for _ in range(2))
    own, reference = costs.Adam(ours, 0.1), torch.optim.Adam(theirs, lr=0.1)
    for _ in range(4):
        for mine, other in zip(ours[:2], theirs[:2], strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            other.grad = mine.grad.clone()
        own.step()
        reference.step()
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], start[0])
    assert torch.equal(ours[2], start[2])


def test_rates_are_those_of_the_batch() -> None:
    """A batch of 8 sequences of 10 frames, 4 of them observed, in half a second: 16 sequences, 96 new frames."""
    workload = costs.Workload.__new__(costs.Workload)
    workload.frames, workload.observed = torch.zeros(8, 10, 1, 2, 2), 4
    found = workload.throughput({"train_step": {"median": 1.0}, "inference": {"median": 0.5}})
    assert found["inference"] == {"sequences_per_second": 16.0, "predicted_frames_per_second": 96.0}
    assert found["train_step"]["sequences_per_second"] == 8.0


def test_inference_is_timed_in_evaluation_mode_and_training_in_training_mode() -> None:
    workload = costs.Workload.__new__(costs.Workload)
    workload.network = nn.Dropout()  # type: ignore[assignment]
    modes = []
    for what in (*costs.WHAT, "train_step"):
        workload.call(what)
        modes.append(workload.network.training)
    assert modes == [True, False, False, True]


def test_builds_are_timed_in_turn_after_a_first_call_of_each() -> None:
    called = []
    workloads: list[Any] = [SimpleNamespace(call=lambda what, i=i: lambda: called.append((what, i))) for i in range(3)]
    call = costs.in_rotation(workloads, "inference")
    assert called == [("inference", i) for i in (0, 1, 2)]
    for _ in range(4):
        call()
    assert [i for _, i in called[3:]] == [0, 1, 2, 0]


@pytest.mark.parametrize("shape", [(3, 4, 1, 5, 6), (2, 3, 2, 4, 4), (1, 1, 1, 1, 1)])
def test_samples_come_back_as_they_went(shape: tuple[int, ...], tmp_path: Path, random: np.random.Generator) -> None:
    grey = random.integers(0, 256, shape, dtype=np.uint8)
    samples.write(tmp_path / "a.png", grey / 255)
    assert np.array_equal(samples.read(tmp_path / "a.png", (shape[2], shape[3], shape[4])), grey)
    samples.write(tmp_path / "b.png", grey * 2.0 - 0.5)  # clipped, as the metrics clip
    assert samples.read(tmp_path / "b.png", (shape[2], shape[3], shape[4])).shape == shape


def test_the_shown_sequences_are_the_first_of_independent_ones_and_far_apart_on_a_film() -> None:
    draws = in_memory(np.zeros((7, 4, 1, 2, 2), dtype=np.uint8), 2)
    assert samples.chosen(draws) == [0, 1, 2]
    film = replace(draws, starts=np.arange(25))
    assert samples.chosen(film) == [4, 12, 20]
    assert samples.chosen(replace(film, starts=np.arange(2))) == [0, 1]


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n"])
def test_a_picture_that_is_none_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ResultsError, match=r"a\.png.*dvc repro"):
        samples.read(tmp_path / "a.png", (1, 4, 4))


def test_results_are_read_in_their_own_format_alone(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": rounded([1 / 3, float("inf"), {"y": 123456789.0}])})
    found = read_json(tmp_path / "a.json")
    assert found == {"format": FORMAT, "x": [0.333333, "inf", {"y": 123457000.0}]}
    assert float(found["x"][1]) == float("inf")
    for text, says in (("{", "not JSON"), ("[]", "format None"), ('{"format": 1}', f"format 1 found, {FORMAT} wanted")):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ResultsError, match=says):
            read_json(tmp_path / "a.json")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with replacing(path) as temporary:
        temporary.write_text("old")

    def broken() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"file: cannot be written \(No space left on device\)"):
        broken()
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
