"""The plan of a profile: what is due, the seconds it takes by what was recorded, what is unknown, disk, bad input."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import datasets
from benchmarks import command, plan, settings
from benchmarks.cell import BESIDE, FILES, PARTS, Cell, cells, digests_of
from benchmarks.files import write_json
from benchmarks.plan import Row
from benchmarks.settings import Settings

ROOT = Path(__file__).parent.parent
BYTES = 9 * 5 * 64 * 4  # of the sequences of a dataset below: 5 frames of 8 x 8 floats
OLD: dict[str, Any] = {"key": "another", "inputs": {}}  # the stamp of a result that is not current
PARAMS = """
profile: small
neurons: {lif: {}, plif: {}, glif: {}}
more_neurons: {}
datasets: [advection, advection-windy]
stability: []
profiles:
  small: &small
    advection: &one
      data: {side: 8, observed: 2, predicted: 3, sequences: {train: 4, validation: 2, test: 3}, wind: [0.4, 1.2],
        diffusivity: [0.005, 0.03], relaxation: 0.03, seed: 0}
      network: {patch: 2, layers: 1, channels: 8, kernel_size: 3, groups: 4}
      training: &training {seeds: 3, steps: 10, batch: 4, learning_rate: 0.01, final_learning_rate: 0.0, warm_up: 0.1,
        clip: null, sampling: {start: 1, end: 0, until: 0.5}, validate_every: 5, device: cpu, workers: 2, loaders: 0}
      cost: {repeats: 3, seconds: 0.1}
    advection-windy: *one
  long: {advection: {<<: *one, training: {<<: *training, seeds: 2, steps: 40}}, advection-windy: *one}
  broad: {advection: {<<: *one, training: {<<: *training, batch: 8}}}
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A project with nothing but its params.yaml, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    return settings.load()


def prepared(loaded: Settings, dataset: str = "advection") -> None:
    """Prepares a dataset of the profile `small`."""
    cell = Cell.of(loaded, "small", dataset)
    datasets.prepare("advection", Path(), cell.data, **cell.settings.data)
    write_json(cell.results / "data.json", digests_of(cell.card()))
    write_json(cell.results / FILES["prepare"], {**cell.stamp("prepare"), "card": cell.card()})


def of(loaded: Settings, neuron: str = "", profile: str = "small") -> Cell:
    """A cell of `advection`."""
    return Cell.of(loaded, profile, "advection", neuron)


def result(cell: Cell, part: str, status: str = "ok", **stamp: Any) -> None:
    """The file of a cell's part that says what came out, with the key and inputs of now, or with `stamp`."""
    said = stamp or cell.stamp(part)
    seeds = [{"seed": i, "status": status, "key": said["key"]} for i in range(cell.settings.training.seeds)]
    more = {"parameters": {"network": 1000}, "seeds": seeds} if part == "train" else {"status": status}
    write_json(cell.results / FILES[part], {**said, **more})
    for name in BESIDE.get(part, ()):
        (cell.results / name).touch()


def record(cell: Cell, part: str, status: str = "ok", **content: Any) -> None:
    """What a part of a cell recorded of its time, beside a result that is no longer current."""
    result(cell, part, status, **OLD)
    write_json(cell.results / plan.RECORDS[part], {"status": status, **content})


def found(loaded: Settings, profile: str = "small") -> dict[tuple[str, str], Row]:
    return {(row.dataset, row.part): row for row in plan.rows(loaded, profile)}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """What a plan with some options says, on a machine of two cores: its lines, spaces between words single."""
    monkeypatch.setattr("benchmarks.machine.cores", lambda: 2)

    def printed(*options: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["plan", *options])
        plan.main()
        return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]

    return printed


def test_without_results_all_is_due(loaded: Settings) -> None:
    counts = [(row.part, row.cells, len(row.due)) for row in found(loaded).values()]
    assert counts == 2 * [("prepare", 1, 1), *((part, 3, 3) for part in PARTS)]


def test_due_is_what_is_missing_or_of_another_key(loaded: Settings) -> None:
    prepared(loaded)
    for neuron, parts in {"lif": PARTS, "plif": PARTS, "glif": ("train",)}.items():
        for part in parts:
            result(of(loaded, neuron), part)
    result(of(loaded, "plif"), "measure", **OLD)
    rows = found(loaded)
    due = {part: set(rows["advection", part].due) for part in ("prepare", *PARTS)}
    # dynamics looks at weights, which training has to leave anew
    assert due == {"prepare": set(), "train": {"glif"}, "dynamics": {"glif"}, "measure": {"plif", "glif"}}
    assert [len(rows["advection-windy", part].due) for part in ("prepare", *PARTS)] == [1, 3, 3, 3]
    (of(loaded).data / "card.json").unlink()
    rows = found(loaded)
    assert rows["advection", "prepare"].due == {"": None}
    assert set(rows["advection", "measure"].due) == {"plif", "glif"}


def test_a_cell_takes_what_it_took_or_the_median_of_its_dataset(loaded: Settings) -> None:
    record(of(loaded, "lif"), "train", seconds=30.0, workers=2, seeds=3)  # two rounds: 15 s a seed
    record(of(loaded, "plif"), "train", seconds=14.0, workers=4, seeds=2)  # one round
    for neuron, seconds in {"lif": 2.0, "plif": 4.0, "glif": 9.0}.items():
        record(of(loaded, neuron), "dynamics", seconds=seconds)
    rows = found(loaded)
    assert rows["advection", "train"].due == pytest.approx({"lif": 45, "plif": 42, "glif": 43.5})
    assert rows["advection", "train"].median == pytest.approx(43.5)
    assert rows["advection", "dynamics"].due == {"lif": 2, "plif": 4, "glif": 9}
    assert rows["advection", "dynamics"].median == 4


def test_what_a_record_says(loaded: Settings) -> None:
    cell = of(loaded, "lif")
    record(cell, "train", seconds=30.0, workers=1)  # of all three seeds, ten steps each
    assert plan.seconds_of(cell, "train") == pytest.approx(1.0)
    result(cell, "train", key="another", inputs={"training.steps": "20"})
    assert plan.seconds_of(cell, "train") == pytest.approx(0.5)
    timed = {"pairs": 7, "warm_up": 1, "median": 0.1, "ratio_to_lif": 2.0}
    # what came out and what it took are one file of measure
    write_json(cell.results / "cost.json", {"status": "ok", "time": {"train_step": timed, "latency": timed}})
    assert plan.seconds_of(cell, "measure") == pytest.approx(plan.START + 2 * 8 * (0.1 + 0.05))
    write_json(cell.results / "cost.json", {"status": "ok", "time": {"train_step": timed}, "seconds": 3.5})
    assert plan.seconds_of(cell, "measure") == 3.5


def test_what_failed_or_is_damaged_says_nothing(loaded: Settings) -> None:
    """A cell may have failed because it was stopped."""
    cell = of(loaded, "lif")
    for part, status in (("train", "failed"), ("dynamics", "unsupported")):
        record(cell, part, status, seconds=0.1, workers=1, seeds=3)
        assert plan.seconds_of(cell, part) is None
    for content in ({"seconds": 9.0}, {"seconds": 9.0, "workers": 1, "seeds": 0}, {"seconds": "9", "workers": 1}):
        record(cell, "train", "diverged", **content)
        assert plan.seconds_of(cell, "train") is None
    (cell.results / "run.json").write_text("{")
    assert plan.seconds_of(cell, "train") is None


def test_another_profile_lends_what_the_same_work_took(loaded: Settings, planned: Callable[..., list[str]]) -> None:
    record(of(loaded, "lif", "long"), "train", seconds=80.0, workers=1, seeds=2)
    record(of(loaded, "plif", "long"), "train", seconds=240.0, workers=1, seeds=2)
    record(of(loaded, "lif", "long"), "dynamics", seconds=5.0)
    train = found(loaded)["advection", "train"]
    assert train.due == pytest.approx({"lif": 30, "plif": 90, "glif": 60})
    said = planned()
    assert "advection train 3 3 60 s 3 min long, scaled by steps" in said
    assert "advection dynamics 3 3 5.0 s 15 s long" in said
    said = planned("--profile", "broad")  # other batches: other work
    assert "broad has no advection-windy: planned is all it has; list that under `datasets:` to run it" in said
    assert "advection train 3 3 ? ? never" in said


def test_time_on_workers() -> None:
    rows = [
        Row("a", "prepare", 1, {"": None}),
        Row("a", "train", 3, {"lif": 60.0, "plif": 30.0}),
        Row("b", "train", 3, {"lif": 10.0, "plif": None}),
        Row("a", "dynamics", 3, {"lif": 4.0, "plif": 6.0}),
        Row("a", "measure", 3, {"lif": 2.0, "plif": 3.0}),
    ]
    assert plan.elapsed(rows, 1) == 100 + 10 + 5
    assert plan.elapsed(rows, 2) == 60 + 6 + 5  # the longest cells
    assert plan.elapsed([], 2) == 0


def test_the_table_and_what_it_does_not_know(loaded: Settings, planned: Callable[..., list[str]]) -> None:
    record(of(loaded, "lif"), "train", seconds=120.0, workers=1, seeds=3)
    record(of(loaded, "lif"), "measure", seconds=2.5)
    said = planned("--workers", "6")
    assert said[0] == "profile small: 6 cells"
    assert "advection train 3 3 2 min 6 min small" in said
    assert "advection measure 3 3 2.5 s 7.5 s small" in said
    assert "advection-windy dynamics 3 3 ? ? never" in said
    assert "all 20 20 6 min" in said
    assert any(line.startswith("at least 6 min on 1, 3 min on 2, 2 min on 6 cores") for line in said)
    assert "the longest: train of plif on advection, 2 min" in said


def test_what_is_due_leaves_this_on_the_disk(loaded: Settings, planned: Callable[..., list[str]]) -> None:
    prepared(loaded)
    for neuron, size in {"lif": 1_000_000, "plif": 500_000}.items():
        folder = of(loaded, neuron).results
        result(of(loaded, neuron), "train")
        (folder / "curves.csv").write_bytes(b" " * (size - (folder / FILES["train"]).stat().st_size))
    sizes = plan.bytes_of([of(loaded, neuron) for neuron in loaded.neurons])
    assert sizes == {"data": BYTES, "results": 750_000, "weights": 4000}
    said = planned("--workers", "1000")
    assert "disk: data 0.0 MB, results 2.2 MB, weights 0.0 MB; checkpoints 32.0 MB while 1000 train" in said
    assert "of unknown size, in no sum: data, results, weights of advection-windy" in said


def test_when_nothing_is_due(loaded: Settings, planned: Callable[..., list[str]]) -> None:
    for dataset in loaded.datasets:
        prepared(loaded, dataset)
    for cell in cells(loaded, "small"):
        for part in PARTS:
            result(cell, part)
    said = planned()
    assert "all 20 0 0.0 s" in said
    assert said[-1].startswith("disk: data 0.0 MB, results 0.0 MB, weights 0.0 MB; checkpoints 0.0 MB")
    assert not any(line.startswith("at least") for line in said)


def test_bad_input_is_one_line(
    loaded: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["plan", "--profile", "smal"])
    with pytest.raises(SystemExit, match=r"^error: unknown profile 'smal'; did you mean small\?$"):
        command.run(plan.main)
    for wrong in ("--workers 0", "--workers two", "--gpus 8", "--per-node 2", "--cores 2"):
        monkeypatch.setattr(sys, "argv", ["plan", *wrong.split()])
        with pytest.raises(SystemExit):
            plan.main()
        assert ": error: " in capsys.readouterr().err.splitlines()[-1]


def test_it_needs_nothing_that_trains() -> None:
    """Nor DVC or Ray: it is asked before anything else."""
    heavy = ["benchmarks.training", "benchmarks.network", "benchmarks.launch", "dvc", "ray", "snntorch"]
    code = f"import sys, benchmarks.plan; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
