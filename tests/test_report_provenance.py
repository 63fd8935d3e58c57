"""Where and from what cells were made: those made otherwise than most stand apart, and the page says what differs."""

import shutil
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from example_results import DATASETS, GPU, PROFILE, edit, elsewhere, names, remade, write

from benchmarks import settings
from benchmarks.files import ResultsError
from benchmarks.report import provenance
from benchmarks.report.collect import ROOT, collect
from benchmarks.report.summary import summarise

MNIST = Path("results") / PROFILE / DATASETS[0]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to write made-up results into, as the root of a project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(keep_going: bool = False) -> pd.DataFrame:
    return collect(settings.load(), PROFILE, keep_going=keep_going)


def statuses(found: pd.DataFrame, neuron: str, metric: str = "mse") -> set[str]:
    rows = found[(found["neuron"] == neuron) & (found["metric"] == metric)]
    assert len(rows)
    return set(rows["status"])


# --- of other machines ------------------------------------------------------------------------------------------------


def test_cells_of_another_device_stand_apart(folder: Path) -> None:
    write(folder, neurons=5, datasets=1, seeds=3)
    elsewhere(MNIST / "plif")
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
    found = table()
    assert statuses(found, "plif") == {"ok"}
    assert statuses(found, "plif", "train_step_ms") == {"apart (measured on another device: NVIDIA Made-up)"}


def test_the_larger_half_is_the_table_and_of_equal_halves_that_of_lif(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    for neuron in names(4)[2:]:
        elsewhere(MNIST / neuron, threads=4)
    found = table()
    assert [statuses(found, name) == {"ok"} for name in names(4)] == [True, True, False, False]
    elsewhere(MNIST / "stc_lif", threads=4)
    found = table()
    assert [statuses(found, name) == {"ok"} for name in names(4)] == [False, True, True, True]
    assert statuses(found, "lif") == {"apart (trained with 1 threads, the others with 4)"}


# --- from other inputs ------------------------------------------------------------------------------------------------


def test_the_revision_is_no_part_of_what_cells_are_compared_by(folder: Path) -> None:
    """A cell that is current stays as it is, and its run.json keeps the revision that it ran at."""
    write(folder, neurons=4, datasets=1, seeds=2)
    edit(MNIST / "plif" / "run.json", lambda content: content.update(revision="abcdef0123+"))
    assert set(table()["status"]) == {"ok"}


TRAINING, NETWORK, TIMING = (f"benchmarks/{name}.py" for name in ("training", "network", "timing"))


@pytest.mark.parametrize(
    ("changed", "trained", "measured"),
    [
        ({TRAINING: "new"}, f"by other code: {TRAINING}", ""),
        ({TIMING: "new"}, "", f"by other code: {TIMING}"),
        ({TRAINING: "new", NETWORK: "new"}, f"by other code: {NETWORK}, {TRAINING}", f"by other code: {NETWORK}"),
        ({"training.steps": "800"}, "with training.steps 800, the others 400", ""),
        (
            {"training.batch": "4", "network.layers": "3"},
            "with network.layers 3, the others 2; with training.batch 4, the others 8",
            "with network.layers 3, the others 2; with training.batch 4, the others 8",
        ),
        ({"data.test": "new"}, "on other data", "on other data"),
        (
            {TRAINING: "new", "data.test": "new", "training.steps": "800"},
            f"by other code: {TRAINING}; on other data; with training.steps 800, the others 400",
            "on other data",
        ),
        ({"neurons/plif.py": "new"}, "", ""),  # the neuron's own, as all of them differ in it
    ],
)
def test_cells_of_other_inputs_stand_apart_and_say_what_differs(
    folder: Path, changed: dict[str, str], trained: str, measured: str
) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    remade(MNIST / "plif", changed)
    for keep_going in (False, True):
        found = table(keep_going)
        assert statuses(found, "plif") == {f"apart (trained {trained})" if trained else "ok"}
        assert statuses(found, "plif", "train_step_ms") == {f"apart (measured {measured})" if measured else "ok"}
        assert set(found.loc[found["neuron"] != "plif", "status"]) == {"ok"}
    line = {line.neuron: line for line in summarise(found, DATASETS[0])}["plif"]
    assert ("mse" in line.entries) == line.ranked == (not trained)
    assert ("train_step_ms" in line.entries) == (not measured)


def test_a_setting_that_only_some_have_is_unset_in_the_others(folder: Path) -> None:
    """A setting at its default is no input."""
    write(folder, neurons=4, datasets=1, seeds=2)
    for neuron in names(4)[:3]:
        edit(MNIST / neuron / "accuracy.json", lambda content: content["inputs"].update({"network.compile": "true"}))
        remade(MNIST / neuron, {})
    assert statuses(table(), names(4)[3]) == {"apart (trained with network.compile unset, the others true)"}


def test_a_module_that_neurons_share_is_the_same_in_those_that_have_it(folder: Path) -> None:
    """One neuron has none of it; of the others one was made from another."""
    write(folder, neurons=5, datasets=1, seeds=2)
    shared, of = "neurons/_firing.py", names(5)
    for neuron, digest in {of[0]: "one", of[1]: "one", of[3]: "other", of[4]: "one"}.items():
        having = {shared: digest}
        edit(MNIST / neuron / "accuracy.json", partial(lambda more, content: content["inputs"].update(more), having))
        remade(MNIST / neuron, {})
    found = table()
    assert statuses(found, of[3]) == {f"apart (trained by other code: {shared})"}
    assert set(found.loc[(found["neuron"] != of[3]) & (found["metric"] == "mse"), "status"]) == {"ok"}


def test_the_look_at_a_network_stands_apart_by_itself(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    remade(MNIST / "plif", {"benchmarks/behaviour.py": "new"})
    found = table()
    assert statuses(found, "plif") == statuses(found, "plif", "train_step_ms") == {"ok"}
    assert statuses(found, "plif", "mac") == {"apart (looked at by other code: benchmarks/behaviour.py)"}


def test_machine_and_inputs_are_said_together(folder: Path) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    elsewhere(MNIST / "plif", device="NVIDIA Made-up", threads=4)
    remade(MNIST / "plif", {"training.steps": "800"})
    why = (
        "on another device: NVIDIA Made-up; with 4 threads, the others with 1; with training.steps 800, the others 400"
    )
    assert statuses(table(), "plif") == {f"apart (trained {why})"}


@pytest.mark.parametrize(("metric", "name"), [("mse", "run.json"), ("train_step_ms", "cost.json")])
def test_numbers_that_do_not_say_where_they_are_from(folder: Path, metric: str, name: str) -> None:
    write(folder, neurons=4, datasets=1, seeds=2)
    edit(MNIST / "plif" / name, lambda content: content.get("machine", content).pop("threads"))
    says = f"{MNIST / 'plif' / name}: no device, threads, versions and revision found in it; run `dvc repro --force`"
    with pytest.raises(ResultsError) as error:
        table()
    assert str(error.value) == says
    assert statuses(table(keep_going=True), "plif", metric) == {f"apart ({says})"}


def test_one_table_a_dataset(folder: Path) -> None:
    """Each dataset's cells are compared with one another only."""
    write(folder, neurons=3, datasets=2, seeds=2)
    for neuron in names(3):
        elsewhere(ROOT / PROFILE / DATASETS[1] / neuron, files=["run.json", "cost.json"])
        remade(ROOT / PROFILE / DATASETS[1] / neuron, {"training.steps": "800"})
    assert set(table()["status"]) == {"ok"}


# --- what the page says of them ---------------------------------------------------------------------------------------


def test_the_environment_panel_counts_cells(folder: Path) -> None:
    write(folder, neurons=4, datasets=2, seeds=1)
    elsewhere(MNIST / "plif")
    edit(MNIST / "lif" / "run.json", lambda content: content.update(revision="abcdef0123"))
    shutil.copytree(MNIST / "lif", MNIST / "gone_neuron")
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


def test_the_environment_panel_says_what_a_file_of_0_5_does_not(folder: Path) -> None:
    """Such a file has neither memory nor switches."""
    write(folder, neurons=4, datasets=1, seeds=1)
    switches = {"deterministic_algorithms": True, "cudnn_benchmark": False, "PYTHONHASHSEED": None}
    gpu = {"driver": "575.1", "cuda": "13.0", "cudnn": 91002, "gpu_memory_gib": 80}
    newer = {"memory_gib": 24, "release": "6.1.0", "gpu": gpu}
    newer["determinism"] = {**switches, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    for neuron in names(4)[1:]:
        elsewhere(MNIST / neuron, ["run.json", "cost.json"], **newer)
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
