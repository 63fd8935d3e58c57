"""The plan of a profile: sizes, counted operations, which figures it goes by, times, stale cells, bad input."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from test_pipeline import Clone

import datasets
from benchmarks import operations, settings
from benchmarks.command import Cell
from benchmarks.files import write_json
from benchmarks.network import Predictor
from benchmarks.plan import __main__ as command
from benchmarks.plan import cells, counts, evidence, extents, model, printed
from benchmarks.plan.cells import Due, Stage
from benchmarks.plan.evidence import Evidence, Speed
from benchmarks.plan.extents import Extent
from benchmarks.plan.schedule import Wave, enough, makespan

NETWORK = {"patch": 2, "layers": 2, "channels": 16, "kernel_size": 3, "groups": 4}
TRAINING = {
    "seeds": 3,
    "steps": 10,
    "batch": 4,
    "learning_rate": 0.01,
    "final_learning_rate": 0.0,
    "warm_up": 0.1,
    "clip": None,
    "sampling": {"start": 1.0, "fall": 0.1, "stop": 5},
    "validate_every": 4,
    "device": "cpu",
    "workers": 2,
    "loaders": 0,
}
COUNTS = {"train": 12, "validation": 6, "test": 9}
WIND: dict[str, Any] = {"wind": [0.4, 1.2], "diffusivity": [0.005, 0.03], "relaxation": 0.03, "seed": 0}
FIGURES: dict[str, Any] = {"clips": 1, "clip_length": 9, "validation_persons": [15, 16], "seed": 0}
DATA: dict[str, dict[str, Any]] = {
    "moving_mnist": {
        "source": "embedded",
        "canvas": 16,
        "digits": 1,
        "digit_size": 7,
        "step": [0.1, 0.2],
        "observed": 3,
        "predicted": 3,
        "sequences": COUNTS,
        "seed": 0,
    },
    "advection": {"side": 16, "observed": 3, "predicted": 4, "sequences": COUNTS, **WIND},
    "city_flow": {
        "side": 8,
        "agents": 200,
        "weeks": {"train": 2, "validation": 1, "test": 1},
        "observed": 4,
        "predicted": 3,
        "stride": {"train": 5, "validation": 8, "test": 7},
        "seed": 0,
    },
    "stick_actions": {"side": 16, "observed": 3, "predicted": 3, "stride": 2, **FIGURES},
    "events": {
        "source": "embedded",
        "sensor": [32, 32],
        "side": 16,
        "bin_ms": 40,
        "cap": 5,
        "observed": 3,
        "predicted": 3,
        "stride": 1,
        "simulation": {**FIGURES, "threshold": 0.3},
    },
}
CPU = {"device": "CPU (of a test)"}


def of_profile(*names: str, **changes: Any) -> dict[str, Any]:
    one = {"network": NETWORK, "training": {**TRAINING, **changes}, "cost": {"repeats": 3, "seconds": 2.0}}
    return {name: {"data": DATA[name], **one} for name in names}


PARAMS: dict[str, Any] = {
    "profile": "small",
    "neurons": {"lif": {}, "stc_lif": {}, "plif": {}},
    "datasets": ["moving_mnist", "advection"],
    "stability": [],
    "profiles": {
        "small": of_profile("moving_mnist", "advection"),
        "large": of_profile("moving_mnist", "advection", batch=8),
        "other": of_profile("moving_mnist"),
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing but a made-up params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evidence, "convolution_rate", lambda: 8e9)
    save(PARAMS)
    return tmp_path


def save(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))


def known(**how: Any) -> Evidence:
    return Evidence(settings.load(), **how)


def cost(profile: str, dataset: str, neuron: str, step: float, device: dict[str, str] = CPU) -> None:
    """A made-up cost.json: 7 timed pairs and 1 of warm-up of each kind, LIF half as slow."""
    one = {"pairs": 7, "warm_up": 1, "ratio_to_lif": 2.0}
    times = {"train_step": step, "inference": step / 4, "latency": step / 8}
    content = {what: {**one, "median": median} for what, median in times.items()}
    path = Path("results") / profile / dataset / neuron / "cost.json"
    write_json(path, {"status": "ok", "time": content, "machine": device})


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


# --- how large a dataset is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA)
def test_the_size_of_a_dataset_is_that_of_its_card(name: str, project: Path) -> None:
    rule = extents.RULES[name](DATA[name])
    assert rule is not None
    datasets.prepare(name, project / "official", project / f"data/small/{name}", **DATA[name])
    made = settings.CellSettings.model_validate({**of_profile("advection")["advection"], "data": DATA[name]})
    card = extents.extent(Cell("small", name, "", {}, made))
    assert card is not None
    assert card.origin == "its card"
    assert (rule.frame, rule.observed, rule.length, rule.frames, rule.itemsize) == (
        *(card.frame, card.observed, card.length, card.frames, card.itemsize),
    )
    if name in ("stick_actions", "events"):  # a figure may be out of sight
        assert all(card.sequences[split] <= rule.sequences[split] for split in datasets.SPLITS)
    else:
        assert rule.sequences == card.sequences
    files = sum(path.stat().st_size for path in (project / f"data/small/{name}").glob("*.npy"))
    assert card.bytes == files - 6 * 128  # headers of the six arrays


def test_official_sizes_follow_from_the_years_and_shares() -> None:
    years = {"train": [2010, 2015], "validation": [2016, 2016], "test": [2017, 2018], "stride": 1}
    weather = extents.RULES["weatherbench"]({**years, "observed": 12, "predicted": 12})
    assert weather is not None
    assert weather.sequences["validation"] == 366 * 24 - 23 - 24  # 2016 had a day more than a rule of 8760 hours knows
    taxi = extents.RULES["taxibj"]({"observed": 4, "predicted": 4, "validation": 0.1})
    assert taxi is not None
    assert (taxi.sequences["train"], taxi.sequences["validation"], taxi.sequences["test"]) == (18415, 2046, 500)


def test_a_card_of_the_results_serves_where_the_data_are_not(project: Path) -> None:
    datasets.prepare("advection", project, project / "made", **DATA["advection"])
    card = json.loads((project / "made/card.json").read_text())
    write_json(project / "results/small/advection/trivial.json", {"card": card})
    cell = known().cell("small", "advection", "")
    found = extents.extent(cell)
    assert found is not None
    assert found.origin == "its card"
    other = cell.settings.model_copy(update={"data": {**cell.settings.data, "side": 32}})
    changed = extents.extent(replace(cell, settings=other))
    assert changed is not None
    assert (changed.origin, changed.frame) == ("params.yaml", (1, 32, 32))


# --- how much a network computes --------------------------------------------------------------------------------------


def counted(neuron: str, **network: Any) -> tuple[Cell, Extent, counts.Work]:
    made = {**of_profile("moving_mnist")["moving_mnist"], "network": {**NETWORK, **network}}
    cell = Cell("small", "moving_mnist", neuron, {}, settings.CellSettings.model_validate(made))
    size = extents.RULES["moving_mnist"](cell.settings.data)
    assert size is not None
    return cell, size, counts.count(cell, size)


@pytest.mark.parametrize("neuron", ["lif", "snntorch_leaky", "norse_lsnn"])
def test_the_count_is_that_of_a_real_prediction(neuron: str) -> None:
    """benchmarks.operations counts a run on real tensors, and leaves out the products with the zeros around a map."""
    cell, size, work = counted(neuron)
    network = Predictor(neuron, {}, size.frame, cell.settings.network, seed=0)
    frames = torch.rand(2, size.length, *size.frame)
    real = operations.count(network, frames, size.observed)
    inner = (3 * 8 - 2) / (3 * 8)  # of the products along an axis of a map of 8, with a kernel of 3
    by_hand = real["readout"]["dense"] + sum(layer["input"]["dense"] for layer in real["layers"]) / inner**2
    assert work.inference == round(by_hand)
    assert work.parameters == sum(parameter.numel() for parameter in network.parameters())
    one, one_size, pointwise = counted("lif", kernel_size=1)
    alone = Predictor("lif", {}, one_size.frame, one.settings.network, seed=0)
    assert pointwise.inference == operations.count(alone, frames, size.observed)["total"]["dense"]


@pytest.mark.parametrize("neuron", ["lif", "stc_lif", "convlstm"])
def test_training_takes_the_gradients_of_weights_and_inputs(neuron: str) -> None:
    """A dense layer takes three times its prediction, less the input gradient that the first layer need not have."""
    cell, _, work = counted(neuron)
    assert 2 < work.training / work.inference <= 3
    channels, patches = cell.settings.network.channels, 4
    first = 64 * patches * channels * 9  # of one step
    if neuron == "lif":
        assert work.training == 3 * work.inference - first  # only the first step reads a frame that has no gradient


def test_the_count_of_small_maps_is_that_of_the_whole() -> None:
    cell, size, work = counted("stc_lif")
    network = Predictor("stc_lif", {"step": "plain"}, size.frame, cell.settings.network, seed=0).to("meta")
    assert counts._counted(network, size.length, size.frame) == (work.inference, work.training)


# --- which figures it goes by -----------------------------------------------------------------------------------------


def test_the_best_figures_that_there_are_are_taken(project: Path) -> None:
    def speed() -> Speed:
        found = known()
        speed = found.speed(found.cell("small", "moving_mnist", "stc_lif"))
        assert speed is not None
        return speed

    cell, other = (known().cell("small", name, "stc_lif") for name in ("moving_mnist", "advection"))
    work, others, twice = (known().work(one) for one in (cell, other, replace(cell, profile="large")))
    lif = known().work(replace(cell, neuron="lif"))
    assert work
    assert others
    assert lif
    assert twice
    assert speed() == Speed(4 * work.training / 4e9, 4 * work.inference / 4e9, "rate")  # half of the convolution's
    cost("small", "advection", "lif", 0.1)
    lif_there = known().work(replace(other, neuron="lif"))
    assert lif_there
    assert speed().source == "LIF"
    assert speed().step == pytest.approx(0.1 * work.training / lif_there.training)
    cost("large", "moving_mnist", "stc_lif", 0.5)
    assert speed().source == "same neuron"
    assert speed().step == pytest.approx(0.5 / 2)  # half of the batch
    assert speed().inference == pytest.approx(0.5 / 4 / 2)
    cost("small", "moving_mnist", "stc_lif", 0.3, device={"device": "NVIDIA of a test"})
    assert speed().source == "same neuron"
    cost("small", "moving_mnist", "stc_lif", 0.2)
    assert speed() == Speed(0.2, 0.05, "own")
    Path("results/small/moving_mnist/stc_lif/cost.json").write_text("{")
    assert speed().source == "same neuron"


def test_the_rate_is_the_median_of_what_was_measured(project: Path) -> None:
    works = []
    for dataset, step in (("moving_mnist", 0.1), ("advection", 0.2)):
        cost("small", dataset, "lif", step)
        found = known()
        works.append(found.work(found.cell("small", dataset, "lif")))
    cost("large", "advection", "plif", 0.3)
    found = known()
    plif = found.work(found.cell("large", "advection", "plif"))
    assert works[0]
    assert works[1]
    assert plif
    rates = sorted([4 * works[0].training / 0.1, 4 * works[1].training / 0.2, 8 * plif.training / 0.3])
    assert (found.rate.median, found.rate.cells) == (rates[1], 3)
    assert found.rate.low < rates[1] < found.rate.high


def test_training_goes_by_its_own_run_where_that_was_the_same(project: Path) -> None:
    cell = known().cell("small", "advection", "lif")

    def ran(seeds: int, steps: int, **run: Any) -> float | None:
        write_json(cell.results / "run.json", {**CPU, "seconds": 30.0, **run})
        write_json(cell.results / "accuracy.json", {"seeds": [{"seed": i, "status": "ok"} for i in range(seeds)]})
        rows = [f"{seed},{step}" for seed in range(seeds) for step in (0, steps)]
        (cell.results / "curves.csv").write_text("\n".join(["seed,step", *rows]))
        return evidence.trained(cell)

    assert ran(3, 10, workers=1) == 30
    assert ran(3, 10, workers=2) == 45  # two rounds of 15 s, three seeds
    assert ran(3, 10, workers=9) == 90
    assert ran(2, 10, workers=1) is None
    assert ran(3, 20, workers=1) is None
    assert ran(3, 10) is None  # written before it was known how many ran at once
    assert ran(3, 10, workers=1, device="NVIDIA of a test") is None
    (cell.results / "run.json").unlink()
    assert evidence.trained(cell) is None


# --- time and disk ----------------------------------------------------------------------------------------------------


def test_the_time_of_a_cell_by_hand(project: Path) -> None:
    found = known()
    cell = found.cell("small", "moving_mnist", "lif")
    size, speed = found.extent(cell), Speed(0.5, 0.125, "LIF")
    assert size is not None
    # validation in 2 batches after steps 0, 4, 8 and 10, test in 3; 9 test sequences of 3 predicted frames
    scoring = 9 * 3 * (model.METRICS + model.METRICS_VALUE * 256)
    seed = model.SEED + 10 * 0.5 + (4 * 2 + 3) * 0.125 + scoring
    assert model.train(cell, size, speed) == pytest.approx(model.START + 3 * seed)
    # 7 pairs with LIF of 2 s, then two whose time is less than their share of 2 s
    lif = Speed(1.5, 0.01, "own")
    fixed = model.START + model.NETWORKS
    assert model.measure(cell, speed, lif) == pytest.approx(fixed + 7 * 2.0 + 7 * 0.135 + 7 * 0.135)
    cost("small", "moving_mnist", "lif", 0.8)
    own = known().speed(cell)
    assert own is not None
    assert model.measure(cell, own, own) == pytest.approx(fixed + 8 * 1.5 * (0.8 + 0.2 + 0.1))


def test_the_disk_of_a_cell(project: Path) -> None:
    found = known()
    cell = found.cell("small", "moving_mnist", "lif")
    work = found.work(cell)
    assert work is not None
    left = model.disk(cell, found.extent(cell), work)
    network = Predictor("lif", {}, (1, 16, 16), cell.settings.network, seed=0)
    weights = 4 * sum(parameter.numel() for parameter in network.parameters())
    assert (left.weights, left.checkpoint) == (weights, 8 * weights)
    both = left + model.disk(replace(cell, neuron=""), found.extent(cell), None)
    assert both.data == 27 * 6 * 256 + 8 * 27
    assert both.checkpoint == left.checkpoint


def test_workers_take_the_longest_first() -> None:
    wave = Wave([3, 3, 2, 2, 2])
    assert wave.makespan(2, 2) == 7  # 3 + 2 + 2 beside 3 + 2
    best = min(
        max(sum(s for s, on in zip(wave.seconds, where, strict=True) if on == w) for w in range(2))
        for where in itertools.product(range(2), repeat=5)
    )
    assert best <= wave.makespan(2, 2) <= best * 7 / 6  # Graham's bound for two workers
    assert wave.makespan(1, 1) == 12
    assert wave.makespan(64, 8) == 3
    assert Wave([1] * 8, alone=True).makespan(8, 4) == 4  # one a node
    assert Wave([1, 1], begin=2).makespan(2, 2) == 3
    assert Wave([]).makespan(2, 2) == 0
    assert Wave([60, 60], record=5).makespan(1, 1) == 125  # once, at the end
    assert Wave([60, 60], record=6, every=60).makespan(2, 2) == 60 + 6 / 2 + 6  # and once within, from both workers
    waves = [Wave([1] * 8), Wave([4])]
    assert [makespan(waves, count, count) for count in (1, 2, 8, 64)] == [12, 8, 5, 5]
    assert enough(waves, 1) == 8
    assert enough([], 8) == 1


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


def test_the_convolution_that_is_timed_takes_as_long_as_asked() -> None:
    assert evidence.convolution_rate(0.05) > 1e8
