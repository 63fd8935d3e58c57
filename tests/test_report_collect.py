"""The tidy table, what it says of cells that lack something or that nothing vouches for, and what is made of it."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from example_results import DATASETS, PROFILE, diverged, edit, elsewhere, names, params, remade, write

from benchmarks import settings
from benchmarks.files import ResultsError
from benchmarks.report import __main__ as stage
from benchmarks.report import lift, panels, series
from benchmarks.report.collect import COLUMNS, collect
from benchmarks.report.summary import summarise

MNIST = Path("results") / PROFILE / DATASETS[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to write made-up results into, as the root of a project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table() -> pd.DataFrame:
    return collect(settings.load(), PROFILE, keep_going=False)


def statuses(found: pd.DataFrame, neuron: str, metric: str = "mse") -> set[str]:
    rows = found[(found["neuron"] == neuron) & (found["metric"] == metric)]
    assert len(rows)
    return set(rows["status"])


def test_every_number_of_the_files_is_in_the_table(folder: Path) -> None:
    """Counted by hand: 4 frames, 5 metrics, 2 layers, 5 looks at the validation split."""
    write(folder, neurons=2, datasets=1, seeds=3)
    found = table()
    assert list(found.columns) == COLUMNS
    of_a_seed = 5 + 5 * 4 + 1 + 2 + 2 + 2 + 5 + 2 * 4  # test, frames, best step, parameters, rates, sparsity, curves
    rows = found[(found["neuron"] == "stc_lif") & found["metric"].notna()]
    trained = rows[
        rows["seed"].notna() & ~rows["metric"].str.contains("energy|mac|_start|_trained|dead|saturated|@.*[.]")
    ]
    looked = ("ac", "dense", "neuron_operations", "normalisation")
    trained = trained[~trained["metric"].isin(looked)]
    assert trained.groupby("seed").size().to_dict() == dict.fromkeys(range(3), of_a_seed)
    said = json.loads((MNIST / "stc_lif" / "accuracy.json").read_text())["seeds"][2]["test"]["frames"]["ssim"][3]
    (value,) = rows.loc[(rows["metric"] == "ssim@4") & (rows["seed"] == 2), "value"]
    assert value == said
    assert set(found["status"]) == {"ok"}


def test_the_circuit_on_a_neuron_with_own_weights_is_no_more_ranked_than_it(folder: Path) -> None:
    write(folder, neurons=5, datasets=1, seeds=3)
    edit(MNIST / "lif" / "accuracy.json", lambda content: content.update(group="weighted"))
    found = table()
    groups = found.drop_duplicates("neuron").set_index("neuron")["group"]
    assert groups["lif"] == groups["stc_lif"] == "weighted"
    lines = {line.neuron: line for line in summarise(found, DATASETS[0])}
    assert not lines["stc_lif"].ranked
    assert lines["stc_lif"].lift is not None  # what it adds is looked at all the same
    assert [one.twin for one in lift.lifts(found)].count("stc_lif") == 1


# --- cells that lack something ----------------------------------------------------------------------------------------


def lacking(neuron: str, seeds: list[int]) -> None:
    """Takes seeds from a cell, as where training.seeds has grown since."""
    edit(
        MNIST / neuron / "accuracy.json",
        lambda content: content.update(seeds=[one for one in content["seeds"] if one["seed"] not in seeds]),
    )
    path = MNIST / neuron / "curves.csv"
    curves = pd.read_csv(path)
    curves[~curves["seed"].isin(seeds)].to_csv(path, index=False, na_rep="nan")


def test_the_numbers_of_a_cell_that_lacks_seeds_say_so(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=3)
    lacking("plif", [1, 2])
    found = table()
    assert statuses(found, "plif") == statuses(found, "plif", "validation_mse@400") == {"incomplete (1 of 3 seeds)"}
    assert statuses(found, "plif", "train_step_ms") == statuses(found, "plif", "mac") == {"ok"}
    assert statuses(found, "lif") == {"ok"}
    line = {line.neuron: line for line in summarise(found, DATASETS[0])}["plif"]
    assert not line.ranked
    assert line.entries["mse"].n == 1


def test_more_seeds_than_are_wanted_are_all_shown(folder: Path) -> None:
    write(folder, neurons=3, datasets=1, seeds=3)
    params(folder, names(3), DATASETS[:1], seeds=2)
    found = table()
    assert set(found["status"]) == {"ok"}
    assert found.loc[found["metric"] == "mse", "seed"].nunique() == 3


def test_seeds_of_two_keys_say_so(folder: Path) -> None:
    write(folder, neurons=3, datasets=1, seeds=3)
    edit(MNIST / "plif" / "accuracy.json", lambda content: content["seeds"][0].update(key="0123456789abcdef"))
    found = table()
    assert statuses(found, "plif") == {"incomplete (seeds of two keys)"}
    assert not {line.neuron: line for line in summarise(found, DATASETS[0])}["plif"].ranked


def test_a_cell_that_is_incomplete_and_from_elsewhere_is_from_elsewhere(folder: Path) -> None:
    """What cannot be compared at all goes before what is not all there."""
    write(folder, neurons=4, datasets=1, seeds=3)
    lacking("plif", [2])
    elsewhere(MNIST / "plif", threads=4)
    assert statuses(table(), "plif") == {"apart (trained with 4 threads, the others with 1)"}


def test_a_seed_that_diverged_in_an_incomplete_cell_stays_diverged(folder: Path) -> None:
    write(folder, neurons=3, datasets=1, seeds=3)
    diverged(MNIST / "plif", [0], "loss inf at step 3")
    lacking("plif", [2])
    own = table().query("neuron == 'plif' and metric not in ['mac']")
    assert set(own[own["seed"] == 0].query("metric.isna()")["status"]) == {"diverged (loss inf at step 3)"}
    assert set(own[own["seed"] == 1]["status"]) == {"incomplete (2 of 3 seeds)"}


# --- results that nothing vouches for ---------------------------------------------------------------------------------

UNKEYED = "no key found in it, so nothing says what made it; remove it and run `dvc repro`"


def change(name: str, how: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    return lambda: edit(MNIST / "plif" / name, how)


def retrained() -> None:
    """Training was run again with other settings, the look at the trained network was not."""
    remade(MNIST / "plif", {"training.steps": "800"}, ["train"])


def copied() -> None:
    """The results of another neuron, sound in themselves."""
    shutil.copyfile(MNIST / "lif" / "accuracy.json", MNIST / "plif" / "accuracy.json")


def with_other_arguments() -> None:
    remade(MNIST / "plif", {"neuron.params": '{"reset": "soft"}'})


FAULTS: dict[str, tuple[Callable[[], Any], str, str]] = {  # what is done, the file that is named, what is said of it
    "no key": (change("accuracy.json", lambda content: content.pop("key")), "accuracy.json", UNKEYED),
    "no inputs": (change("cost.json", lambda content: content.pop("inputs")), "cost.json", UNKEYED),
    "a key of another kind": (change("dynamics.json", lambda content: content.update(key=7)), "dynamics.json", UNKEYED),
    "inputs that do not make the key": (
        change("accuracy.json", lambda content: content["inputs"].update({"training.steps": "800"})),
        "accuracy.json",
        "its inputs make ",
    ),
    "a seed without a key": (
        change("accuracy.json", lambda content: content["seeds"][1].pop("key")),
        "accuracy.json",
        "'key' missing",
    ),
    "another training": (retrained, "dynamics.json", "of another training than accuracy.json; run `dvc repro`"),
    "another neuron": (copied, "accuracy.json", "of lif {}, wanted plif {}; remove it and run `dvc repro`"),
    "other arguments": (with_other_arguments, "accuracy.json", 'of plif {"reset": "soft"}, wanted plif {}; remove it'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_result_that_nothing_vouches_for_is_an_error_or_a_row(folder: Path, fault: str) -> None:
    write(folder, neurons=3, datasets=1, seeds=2)
    spoil, name, says = FAULTS[fault]
    spoil()
    with pytest.raises(ResultsError) as error:
        table()
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"{MNIST / 'plif' / name}: ")
    assert says in line
    found = collect(settings.load(), PROFILE, keep_going=True)
    assert f"failed ({line})" in set(found.loc[found["neuron"] == "plif", "status"])
    assert set(found.loc[found["neuron"] != "plif", "status"]) == {"ok"}
    numbers = {"accuracy.json": "mse", "cost.json": "train_step_ms", "dynamics.json": "mac"}[name]
    assert not len(found[(found["neuron"] == "plif") & (found["metric"] == numbers)])


# --- what is made of the table ----------------------------------------------------------------------------------------


def scored(folder: Path, errors: dict[str, list[float]]) -> pd.DataFrame:
    """The tidy table of neurons with these MSEs, seed by seed."""
    write(folder, neurons=list(errors), datasets=1, seeds=3)
    for neuron, values in errors.items():

        def change(
            content: dict[str, list[dict[str, dict[str, dict[str, float]]]]], values: list[float] = values
        ) -> None:
            for record, value in zip(content["seeds"], values, strict=True):
                record["test"]["overall"]["mse"] = value

        edit(MNIST / neuron / "accuracy.json", change)
    return table()


def test_how_one_neuron_stands_against_all_others(folder: Path) -> None:
    """Worked out by hand: own_1 is second of four; convlstm is another kind of thing and no rival."""
    errors = {
        "lif": [10.0, 12.0, 11.0],
        "stc_lif": [8.0, 9.0, 10.0],
        "own_1": [9.0, 9.0, 12.0],  # to LIF -1, -3, +1; to STC-LIF +1, 0, +2
        "own_2": [20.0, 20.0, 23.0],  # -11 in every seed
        "convlstm": [1.0, 1.0, 1.0],
    }
    found = scored(folder, errors)
    lines = {DATASETS[0]: summarise(found, DATASETS[0])}
    panel = panels.against_all(lines, "own_1", found)
    (row,) = (dict(zip(panel.headings, row, strict=True)) for row in panel.rows)
    assert row["test MSE"] == "10 ± 1.7 (n 3)"
    assert row["rank"] == "2 of 4"
    assert row["best other"] == "stc_lif"
    assert row["ΔMSE to LIF"].startswith("−1 [−3, +")
    assert row["ΔMSE to STC-LIF"] == row["ΔMSE to it"]
    assert row["ΔMSE to it"].startswith("+1 [+0, +2]")
    assert row["against each"] == "beats 1, loses to 0, 2 undecided"
    (cells,) = panels.against_all(lines, "convlstm", found).rows
    assert cells[2] == "not ranked"
    own = panels.against_all(lines, "lif", found)
    assert "ΔMSE to LIF" not in own.headings  # no column for the difference to itself
    assert [len(row) for row in own.rows] == [len(own.headings)]
    diverged(MNIST / "own_1", [0, 1, 2])
    found = table()
    (cells,) = panels.against_all({DATASETS[0]: summarise(found, DATASETS[0])}, "own_1", found).rows
    assert cells[1].startswith("diverged (loss inf")


def test_metrics_and_curves_are_means_over_seeds(folder: Path) -> None:
    found = scored(folder, {"lif": [10.0, 12.0, 11.0], "plif": [1.0, 2.0, 3.0]})
    assert json.loads(series.metrics(found))[DATASETS[0]]["lif"]["mse"] == 11.0
    infinite = pd.concat([found, found[found["metric"] == "psnr"].assign(value=math.inf)])
    assert "psnr" not in json.loads(series.metrics(infinite))[DATASETS[0]]["plif"]  # JSON has no number for it
    curves = series.curves(found, DATASETS[0])["learning"].splitlines()
    assert curves[0] == "step,lif,plif"
    assert [line.split(",")[0] for line in curves[1:]] == ["100", "200", "300", "400"]
    files = pd.concat(pd.read_csv(MNIST / name / "curves.csv").assign(neuron=name) for name in ("lif", "plif"))
    wanted = files[files["step"] == 200].groupby("neuron")["validation_mse"].mean()
    assert [float(value) for value in curves[2].split(",")[1:]] == pytest.approx(list(wanted), rel=1e-5)


def test_two_reports_are_the_same_bytes(folder: Path) -> None:
    write(folder, neurons=1, datasets=1, seeds=3)
    (MNIST / "truth.png").unlink()  # few figures, all drawn by this process
    seen = []
    for name in ("one", "two"):
        loaded = settings.load()
        stage.render(folder / name, loaded, PROFILE, table(), keep_going=False)
        files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
        seen.append({str(path.relative_to(folder / name)): path.read_bytes() for path in files})
    assert len(seen[0]) > 12
    assert {"index.html", "results.csv", "metrics.json", f"plots/frames/{DATASETS[0]}.csv"} <= set(seen[0])
    assert seen[0] == seen[1]
