"""What the plan of a profile rests on: sizes, counted operations, which figures it goes by, times."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from planned_project import CPU, DATA, NETWORK, begin, cost, known, of_profile

import datasets
from benchmarks import operations, settings
from benchmarks.command import Cell
from benchmarks.files import write_json
from benchmarks.network import Predictor
from benchmarks.plan import counts, evidence, extents, model
from benchmarks.plan.evidence import Speed
from benchmarks.plan.extents import Extent
from benchmarks.plan.schedule import Wave, enough, makespan


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    begin(tmp_path, monkeypatch)
    return tmp_path


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
    fixed = model.START + 2 * 3 * model.NETWORK  # three of either kind take turns
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


def test_the_convolution_that_is_timed_takes_as_long_as_asked() -> None:
    assert evidence.convolution_rate(0.05) > 1e8
