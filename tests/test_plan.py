"""The plan of a profile: which cells are stale, what it says, bad input."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from planned_project import COUNTS, DATA, PARAMS, begin, cost, known, of_profile, save
from test_pipeline import Clone

from benchmarks import settings
from benchmarks.command import Cell
from benchmarks.plan import __main__ as command
from benchmarks.plan import cells, counts, evidence, printed
from benchmarks.plan.cells import Due, Stage
from benchmarks.plan.extents import Extent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    begin(tmp_path, monkeypatch)
    return tmp_path


def planned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["plan", *options])
    command.main()
    return capsys.readouterr().out


def refusal(monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["plan", *options])
    with pytest.raises(settings.SettingsError) as error:
        command.main()
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


# --- which cells are to be run ----------------------------------------------------------------------------------------


def touched(*paths: str) -> None:
    for path in paths:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def test_of_another_profile_what_has_no_results_is_to_be_run(project: Path) -> None:
    loaded = settings.load()
    wanted = cells.stages(loaded, "other")
    assert len(wanted) == 1 + 3 * 3
    nothing = cells.missing("other", wanted)
    assert nothing.stale == nothing.run == set(wanted)
    own = "results/other/moving_mnist"
    touched("data/other/moving_mnist/card.json", f"{own}/trivial.json", f"{own}/truth.png")
    of_train = ("accuracy.json", "curves.csv", "predictions.png", "run.json", "weights.safetensors")
    touched(*(f"{own}/{neuron}/{name}" for neuron in ("lif", "plif") for name in of_train))
    touched(*(f"{own}/{neuron}/{name}" for neuron in ("lif", "plif") for name in ("dynamics.json", "cost.json")))
    touched(*(f"{own}/{neuron}/times.csv" for neuron in ("lif", "plif")))
    Path(f"{own}/plif/weights.safetensors").unlink()
    found = cells.missing("other", wanted)
    stc = {Stage(kind, "moving_mnist", "stc_lif") for kind in cells.OF_NEURON}
    train, dynamics = (Stage(kind, "moving_mnist", "plif") for kind in ("train", "dynamics"))
    assert found.stale == {*stc, train}
    assert found.run == {*stc, train, dynamics}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    """The project in which every stage counts as done."""
    before = Path.cwd()
    made = Clone(tmp_path_factory.mktemp("plan") / "clone")
    os.chdir(made.folder)
    yield made
    os.chdir(before)


def test_of_the_profile_of_params_dvc_says_what_is_stale(clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    """An edit shows in what the stage `sources` has yet to write; what DVC itself would run then is the truth."""

    def stale() -> set[str]:
        found = cells.due(settings.load()).stale
        return {f"{stage.kind}-{stage.neuron}" for stage in found if stage.neuron}

    assert not cells.due(settings.load()).run
    clone.edit("neurons/norse_lif.py")
    foreseen = stale()
    assert foreseen == {f"{kind}-{n}" for kind in cells.OF_NEURON for n in ("norse_lif", "stc_norse_lif")}
    assert foreseen == {name for name in clone.would_run() if name.partition("-")[0] in cells.OF_NEURON}
    (clone.folder / "data/smoke/moving_mnist/train.npy").write_text("other")
    after = cells.due(settings.load())
    assert Stage("prepare", "moving_mnist") in after.stale
    assert {stage.kind for stage in after.run} >= {"train", "dynamics", "measure", "stability"}
    plan = printed.Plan("smoke", cells.stages(settings.load(), "smoke"), after)
    assert sum(stage in after.run for stage in plan.stages) == len(plan.stages)
    held = subprocess.Popen(
        [sys.executable, "-c", "import sys, dvc.repo as r; l = r.Repo('.'); l.lock.lock(); print(1, flush=1); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert held.stdout is not None
    held.stdout.readline()
    with pytest.raises(settings.SettingsError, match="another launch or DVC command is at work"):
        cells.due(settings.load())
    held.communicate(b"\n")


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_plan_without_any_result_says_that_it_guesses(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = planned(monkeypatch, capsys, "--profile", "large", "--cores", "3", "--price", "0.5")
    assert "3 neurons on 2 datasets, as if params.yaml named it" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["advection", "train", "3", "3", "3"] in [row[:5] for row in rows]
    assert [row[:2] for row in rows if row and row[0] in ("1", "3", "8", "64")] == [
        *(["1", "1"], ["3", "1"], ["8", "3"], ["64", "22"]),
    ]
    assert "6 by counted operations alone" in said
    assert "nothing measured was found: guessed from counted operations at 4.0 GMAC/s" in said


def test_a_plan_for_gpus_rests_on_the_rate_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost("large", "moving_mnist", "lif", 100.0)
    said = planned(monkeypatch, capsys, "--profile", "large", "--gpus", "8", "--rate", "10")
    assert "a device is assumed to sustain 10 TFLOP/s: nothing was measured on one" in said
    assert "6 by counted operations alone" in said
    found = known(device_rate=5e12)
    cell = found.cell("large", "moving_mnist", "lif")
    work, speed = found.work(cell), found.speed(cell)
    assert work
    assert speed
    assert speed.step == 8 * 2 * work.training / 10e12


def test_datasets_that_cannot_be_made_yet_are_planned_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = of_profile("moving_mnist")["moving_mnist"]
    official = {**DATA["moving_mnist"], "source": "official", "sequences": {**COUNTS, "test": 20}}
    taxi = {"observed": 4, "predicted": 4, "validation": 0.1}
    own: dict[str, Any] = {"anything": 1}
    datas = {"moving_mnist": official, "taxibj": taxi, "my_data": own}
    save(
        {**PARAMS, "profiles": {**PARAMS["profiles"], "big": {name: {**cell, "data": d} for name, d in datas.items()}}}
    )
    said = planned(monkeypatch, capsys, "--profile", "big")
    assert "it has no advection: planned are all that it has" in said
    assert f"needed: moving_mnist: no file found in {Path('official/moving_mnist')}" in said
    assert "needed: taxibj: no file found" in said
    assert "not counted: my_data, of unknown size before `python -m benchmarks.prepare`" in said
    assert [line.split()[-2:] for line in said.splitlines() if line.startswith("my_data")] == [["?", "?"]] * 4
    touched("official/taxibj/dataset.npz")
    assert "needed: taxibj" not in planned(monkeypatch, capsys, "--profile", "big")


def test_bad_input_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, "--profile", "smal") == "unknown profile 'smal'; did you mean small?"
    assert "give the TFLOP/s that one GPU sustains" in refusal(monkeypatch, "--gpus", "8")
    assert "no --gpus found" in refusal(monkeypatch, "--rate", "8")
    assert "run `python -m benchmarks.pipelines`" in refusal(monkeypatch)
    params = yaml.safe_load(Path("params.yaml").read_text())
    del params["profiles"]["other"]["moving_mnist"]["data"]["canvas"]
    save(params)
    said = refusal(monkeypatch, "--profile", "other")
    assert said.startswith("profiles.other.moving_mnist.data: its size cannot be told (KeyError 'canvas')")
    params["profiles"]["other"]["moving_mnist"]["data"]["canvas"] = 17
    save(params)
    assert refusal(monkeypatch, "--profile", "other") == "network.patch 2 does not divide frames of 17 x 17"
    for wrong in (["--gpus", "0"], ["--price", "-1"], ["--cores", "2", "--gpus", "1"], ["--rate", "inf"]):
        monkeypatch.setattr(sys, "argv", ["plan", *wrong])
        with pytest.raises(SystemExit):
            command.main()


def test_a_neuron_that_cannot_be_counted_counts_as_lif(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(cell: Cell, size: Extent) -> counts.Work:
        if cell.neuron == "plif":
            raise RuntimeError("no such\nthing on meta")
        return real(cell, size)

    real = counts.count
    monkeypatch.setattr(evidence, "count", count)
    found = known()
    plif, lif = (found.work(found.cell("small", "advection", neuron)) for neuron in ("plif", "lif"))
    assert plif == lif
    assert found.odd == {"plif": "no such thing on meta"}
    plan = printed.Plan("small", [], Due(frozenset(), frozenset()))
    said = list(printed.lines(plan, printed.Workers(1, 1, None, "core"), found, []))
    assert "plif: counted as LIF (no such thing on meta)" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "?"), (48.4, "48 s"), (720, "12 min"), (12240, "3.4 h"), (3.6e6, "1,000.0 h")],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert printed.duration(seconds) == said


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (999, "999 B"), (1.5e6, "1.5 MB"), (2e12, "2 TB")])
def test_sizes(count: float, said: str) -> None:
    assert printed.size(count) == said
