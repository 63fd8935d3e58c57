"""The tidy table and what beside it says where the numbers were made, from made-up results whose truth is known."""

import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
from example_results import DATASETS, GPU, PROFILE, diverged, edit, elsewhere, lock, names, write

from benchmarks import settings
from benchmarks.report import __main__ as stage
from benchmarks.report import lift, panels, provenance, series
from benchmarks.report.collect import COLUMNS, ROOT, collect
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


def relock(neurons: int, **changed: str) -> None:
    lock(Path(), DATASETS[0], names(neurons), {name.replace("__", ":"): content for name, content in changed.items()})


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
    relock(5)
    found = table()
    groups = found.drop_duplicates("neuron").set_index("neuron")["group"]
    assert groups["lif"] == groups["stc_lif"] == "weighted"
    lines = {line.neuron: line for line in summarise(found, DATASETS[0])}
    assert not lines["stc_lif"].ranked
    assert lines["stc_lif"].lift is not None  # what it adds is looked at all the same
    assert [one.twin for one in lift.lifts(found)].count("stc_lif") == 1


def test_cells_of_another_device_stand_apart(folder: Path) -> None:
    write(folder, neurons=5, datasets=1, seeds=3)
    elsewhere(MNIST / "plif")
    relock(5)
    found = table()
    why = f"trained on another device: {GPU['device']}; with torch 2.13.0+cu130, the others with 2.13.0+cpu"
    assert statuses(found, "plif") == {f"apart ({why})"}
    assert statuses(found, "plif", "mac") == {f"apart ({why})"}  # of the weights that were trained there
    assert statuses(found, "plif", "train_step_ms") == {"ok"}  # it was measured where the others were
    assert statuses(found, "lif") == {"ok"}
    lines = {line.neuron: line for line in summarise(found, DATASETS[0])}
    assert "mse" not in lines["plif"].entries
    assert lines["plif"].difference is None
    assert not lines["plif"].trained
    assert lines["plif"].status == f"apart ({why})"
    numbers = found[(found["neuron"] == "plif") & (found["metric"] == "mse")]
    assert len(numbers) == 3  # they are in the table all the same
    assert set(numbers["group"]) == {"paper"}
    (panel,) = provenance.elsewhere(found)
    ((neuron, reason, shown, n),) = panel.rows
    assert (neuron, reason, n) == ("plif", why, "3")
    assert shown.startswith(f"MSE {numbers['value'].mean():.4g} ± {numbers['value'].std(ddof=1):.2g}; MAE ")


def test_costs_of_another_device_stand_apart_alone(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    elsewhere(MNIST / "plif", files=["cost.json"], device="NVIDIA Made-up")
    relock(4)
    found = table()
    assert statuses(found, "plif") == {"ok"}
    assert statuses(found, "plif", "train_step_ms") == {"apart (measured on another device: NVIDIA Made-up)"}


def test_the_larger_half_is_the_table_and_of_equal_halves_that_of_lif(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    for neuron in names(4)[2:]:
        elsewhere(MNIST / neuron, threads=4)
    relock(4)
    found = table()
    assert [statuses(found, name) == {"ok"} for name in names(4)] == [True, True, False, False]
    elsewhere(MNIST / "stc_lif", threads=4)
    relock(4)
    found = table()
    assert [statuses(found, name) == {"ok"} for name in names(4)] == [False, True, True, True]
    assert statuses(found, "lif") == {"apart (trained with 1 threads, the others with 4)"}


def test_the_code_is_that_of_the_lock_file_whatever_the_revision(folder: Path) -> None:
    """DVC keeps a cell whose dependencies did not change, and its run.json the revision that it ran at."""
    write(folder, neurons=4, datasets=1, seeds=2)
    edit(MNIST / "plif" / "run.json", lambda content: content.update(revision="abcdef0123+"))
    relock(4)
    assert set(table()["status"]) == {"ok"}
    relock(4, **{"plif__benchmarks/training.py": "changed"})
    assert statuses(table(), "plif") == {"apart (trained by other code: benchmarks/training.py)"}
    relock(4, **{f"plif__data/{PROFILE}/{DATASETS[0]}": "changed", "plif__network": "changed"})
    found = table()
    assert statuses(found, "plif") == {"apart (trained on other data; with other settings)"}
    assert statuses(found, "plif", "inference_ms") == {"apart (measured on other data; with other settings)"}
    relock(4, plif__seeds="changed")  # how many, how many at once: what each gives is the same
    assert set(table()["status"]) == {"ok"}


def test_without_a_lock_file_the_revision_is_the_code(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=2, locks=False)
    assert set(table()["status"]) == {"ok"}
    edit(MNIST / "plif" / "run.json", lambda content: content.update(revision="abcdef0123"))
    assert statuses(table(), "plif") == {"apart (trained at revision abcdef0123)"}


def test_a_cell_that_the_lock_file_does_not_know(folder: Path) -> None:
    """At the revision of a cell that the file knows its code is that one's; a changed tree proves nothing."""
    write(folder, neurons=4, datasets=1, seeds=2)
    relock(3)
    assert set(table()["status"]) == {"ok"}
    for neuron in names(4):
        edit(MNIST / neuron / "run.json", lambda content: content.update(revision="0123456789+"))
    relock(3)
    assert statuses(table(), names(4)[3]) == {"apart (trained at revision 0123456789+)"}
    edit(MNIST / "plif" / "accuracy.json", lambda content: content["seeds"][0].update(best_step=300))
    assert statuses(table(), "plif") == {"apart (trained at revision 0123456789+)"}  # another result than the file saw


def test_one_table_a_dataset(folder: Path) -> None:
    """Each dataset's cells are compared with one another only."""
    write(folder, neurons=3, datasets=2, seeds=2, locks=False)
    for neuron in names(3):
        elsewhere(ROOT / PROFILE / DATASETS[1] / neuron, files=["run.json", "cost.json"])
    assert set(table()["status"]) == {"ok"}


def test_the_environment_panel_counts_cells(folder: Path) -> None:
    write(folder, neurons=4, datasets=2, seeds=1)
    elsewhere(MNIST / "plif")
    edit(MNIST / "lif" / "run.json", lambda content: content.update(revision="abcdef0123"))
    shutil.copytree(MNIST / "lif", MNIST / "gone_neuron")
    for dataset in DATASETS[:2]:
        lock(Path(), dataset, names(4))
    panel = provenance.environment(settings.load(), PROFILE, ROOT, table())
    rows = [dict(zip(panel.headings, row, strict=True)) for row in panel.rows]
    assert [row["Device"] for row in rows] == ["CPU (made up)", GPU["device"]]
    assert [row["Cells trained"] for row in rows] == ["7: abcdef0123 (1), 0123456789 (6)", "1 at 0123456789 (1)"]
    assert [row["Cells measured"] for row in rows] == ["8 at 0123456789 (8)", "0"]
    assert rows[0]["Versions"] == "torch 2.13.0+cpu, numpy 2.4.6, dvc 3.67.1"
    notes = " ".join(panel.notes)
    assert f"plif on {DATASETS[0]}: apart (trained on another device" in notes
    assert f"Left out, for params.yaml does not list them: {DATASETS[0]}/gone_neuron." in notes
    assert "gone_neuron" not in set(table()["neuron"])


def test_the_environment_panel_is_not_split_by_lock_files(folder: Path) -> None:
    """Files of 0.5 say nothing of memory and switches; a lock file moves on from cell to cell."""
    write(folder, neurons=4, datasets=1, seeds=1)
    switches = {"deterministic_algorithms": True, "cudnn_benchmark": False, "PYTHONHASHSEED": None}
    gpu = {"driver": "575.1", "cuda": "13.0", "cudnn": 91002, "gpu_memory_gib": 80}
    newer = {"memory_gib": 24, "release": "6.1.0", "gpu": gpu}
    newer["determinism"] = {**switches, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    for count, neuron in enumerate(names(4)[1:]):
        for name in ("run.json", "cost.json"):
            elsewhere(MNIST / neuron, [name], **newer, locks=f"{count}")
    panel = provenance.environment(settings.load(), PROFILE, ROOT, table())
    rows = [dict(zip(panel.headings, row, strict=True)) for row in panel.rows]
    shown = ("Memory", "System", "GPU software", "Determinism", "Cells trained")
    assert [tuple(row[what] for what in shown) for row in rows] == [
        ("not said", "Linux", "–", "not said", "1 at 0123456789 (1)"),
        (
            "24 GiB",
            "Linux 6.1.0",
            "driver 575.1, CUDA 13.0, cuDNN 91002",
            "deterministic algorithms, CUBLAS_WORKSPACE_CONFIG=:4096:8",
            "3 at 0123456789 (3)",
        ),
    ]
    assert "pipelines/*/dvc.lock): 3 states" in panel.notes[-1]
    for neuron in names(4)[1:]:
        elsewhere(MNIST / neuron, ["run.json", "cost.json"], locks="abc", determinism=switches | {"cudnn": False})
    panel = provenance.environment(settings.load(), PROFILE, ROOT, table())
    assert panel.notes[-1].endswith("dvc.lock): abc.")


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
    curves = series.curves(found, DATASETS[0])[f"learning-{DATASETS[0]}.csv"].splitlines()
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
    assert {"index.html", "results.csv", "metrics.json", f"plots/frames-{DATASETS[0]}.csv"} <= set(seen[0])
    assert seen[0] == seen[1]
