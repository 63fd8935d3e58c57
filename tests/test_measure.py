"""The instruments against what can be worked out by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import in_memory
from torch import nn

import neurons
from benchmarks import measure, samples
from benchmarks.files import FORMAT, ResultsError, read_json, replacing, rounded, write_json


def test_saved_bytes_counts_each_storage_once_and_no_parameters() -> None:
    """Square keeps its input, mul both factors: x (4 x 6 floats) twice, y = x w (4 x 6) once, w (6) is a parameter."""
    x = torch.ones(4, 6, requires_grad=True)
    layer = nn.ParameterList([nn.Parameter(torch.ones(6))])

    def loss() -> torch.Tensor:
        return ((x * layer[0]).square() + x.square()).sum()

    assert measure.saved_bytes(loss, layer) == 2 * x.numel() * 4


def test_saved_bytes_of_a_view_are_those_of_its_storage() -> None:
    x = torch.ones(10, 8, requires_grad=True) * 1.0
    assert measure.saved_bytes(lambda: x[:, :2].square().sum(), nn.Module()) == 10 * 8 * 4


def test_saved_bytes_leave_out_what_a_dropped_branch_saved() -> None:
    """Of 50 detached squares nothing stays, whatever addresses they were given; of the last one its input does."""
    x = torch.ones(100, requires_grad=True)

    def loss() -> torch.Tensor:
        total = x * 1.0
        for _ in range(50):
            total = total + (x * 2.0).square().detach()
        return total.square().sum()

    assert measure.saved_bytes(loss, nn.Module()) == 100 * 4


@pytest.mark.parametrize("name", neurons.available())
def test_saved_bytes_are_the_same_every_time(name: str, currents: Any) -> None:
    neuron, drive = neurons.build(name, 16), currents().requires_grad_()
    counts = {
        measure.saved_bytes(lambda: neuron.unroll(drive, neuron.initial_state(drive[0]))[0].sum(), neuron)
        for _ in range(3)
    }
    assert len(counts) == 1


def test_the_ratio_is_the_median_of_the_pairs_and_outlives_a_slow_stretch() -> None:
    """Own takes 3 times as long in every pair, while the machine's speed drifts by 10: the ratio is 3 all the same."""
    drift = np.array([1.0, 1.0, 5.0, 10.0, 10.0])
    rows = {"what": "train_step", "repeat": range(5), "own": 3 * drift, "reference": drift}
    found = measure.time_summary(pd.DataFrame(rows))["train_step"]
    assert found == {"median": 15.0, "quartiles": [3.0, 30.0], "ratio_to_lif": 3.0}


def test_every_repeat_times_both_and_they_take_turns_at_going_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recorded:
        def __init__(self, name: str) -> None:
            self.name = name

        def train_step(self) -> None:
            calls.append(self.name)

        inference = train_step

    calls: list[str] = []
    own: Any = Recorded("own")
    lif: Any = Recorded("lif")
    times = measure.interleaved(own, lif, 4, torch.device("cpu"), "title")
    assert list(times.columns) == ["what", "repeat", "own", "reference"]
    assert len(times) == 2 * 4
    pairs = [tuple(calls[i : i + 2]) for i in range(0, len(calls), 2)]
    assert all(set(pair) == {"own", "lif"} for pair in pairs)
    timed = pairs[measure.WARM_UP : measure.WARM_UP + 4]
    assert timed == [("own", "lif"), ("lif", "own")] * 2


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
