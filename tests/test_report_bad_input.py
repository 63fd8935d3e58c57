"""Results that something is wrong with: one line that says what, or, told to keep going, a status in the tables."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from example_results import DATASETS, PROFILE, diverged, edit, names, write

from benchmarks import settings
from benchmarks.files import FORMAT, ResultsError
from benchmarks.report import __main__ as stage
from benchmarks.report.collect import collect
from benchmarks.report.summary import summarise

NEURONS = 3
CELL = Path("results") / PROFILE / DATASETS[0] / "plif"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up results of three neurons on one dataset, to be spoilt."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, neurons=NEURONS, datasets=1, seeds=2)
    return tmp_path


def kept_going() -> pd.DataFrame:
    return collect(settings.load(), PROFILE, keep_going=True)


def remove(name: str) -> Callable[[], None]:
    return lambda: (CELL / name).unlink()


def text(name: str, content: str) -> Callable[[], Any]:
    return lambda: (CELL / name).write_text(content)


def change(name: str, how: Callable[[dict[str, Any]], Any]) -> Callable[[], None]:
    return lambda: edit(CELL / name, how)


def scoring(value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["seeds"][1]["test"]["overall"].update(mse=value)


def column(name: str) -> Callable[[], None]:
    """Takes a column from curves.csv."""
    return lambda: pd.read_csv(CELL / "curves.csv").drop(columns=name).to_csv(CELL / "curves.csv", index=False)


SPOILT: dict[str, tuple[Callable[[], Any], str]] = {
    "no accuracy.json": (remove("accuracy.json"), r"accuracy\.json: not there yet; run `dvc repro`"),
    "no cost.json": (remove("cost.json"), r"cost\.json: not there yet"),
    "no dynamics.json": (remove("dynamics.json"), r"dynamics\.json: not there yet"),
    "no run.json": (remove("run.json"), r"run\.json: not there yet"),
    "no curves.csv": (remove("curves.csv"), r"curves\.csv: no readable curves"),
    "half a file": (text("accuracy.json", '{"format": 2, "seeds": ['), r"accuracy\.json: not JSON"),
    "not text": (lambda: (CELL / "cost.json").write_bytes(b"\xff\xfe\x00"), r"cost\.json: not JSON"),
    "a list": (text("dynamics.json", "[1]"), r"dynamics\.json: results format None found"),
    "another format": (
        change("accuracy.json", lambda content: content.update(format=FORMAT + 1)),
        rf"accuracy\.json: results format {FORMAT + 1} found, {FORMAT} wanted",
    ),
    "nan": (change("accuracy.json", scoring(float("nan"))), r"accuracy\.json: mse nan found, a finite number"),
    "infinity": (change("accuracy.json", scoring(float("inf"))), r"accuracy\.json: mse inf found"),
    "nan as text": (change("accuracy.json", scoring("nan")), r"accuracy\.json: mse nan found"),
    "no number": (change("accuracy.json", scoring("low")), r"accuracy\.json: a part is of another kind"),
    "no seeds": (change("accuracy.json", lambda content: content.pop("seeds")), r"accuracy\.json: 'seeds' missing"),
    "empty seeds": (change("accuracy.json", lambda content: content["seeds"].clear()), r"no seed found"),
    "a nan cost": (
        change("cost.json", lambda content: content["time"]["train_step"].update(median=float("nan"))),
        r"cost\.json: train_step_ms nan found",
    ),
    "no memory": (change("cost.json", lambda content: content.pop("memory")), r"cost\.json: 'memory' missing"),
    "no total": (change("dynamics.json", lambda content: content["operations"].pop("total")), r"'total' missing"),
    "a nan energy": (
        change("dynamics.json", lambda content: content["energy"]["int8"].update(operations_nj=float("nan"))),
        r"dynamics\.json: energy_operations_nj@int8 nan found",
    ),
    "no device": (change("run.json", lambda content: content.pop("device")), r"run\.json: no device, threads"),
    "no column": (column("validation_mse"), r"curves\.csv: column validation_mse missing"),
    "no number in a curve": (
        text("curves.csv", "seed,step,train_loss,gradient_norm,validation_mse\n0,0,nan,nan,low\n"),
        r"curves\.csv: line 2: could not convert string to float: 'low'",
    ),
    "half a line": (
        text("curves.csv", "seed,step,train_loss,gradient_norm,validation_mse\n0,0,nan\n"),
        r"curves\.csv: line 2: .*numbers wanted",
    ),
    "an unknown seed": (
        text("curves.csv", "seed,step,train_loss,gradient_norm,validation_mse\n7,0,nan,nan,1.0\n"),
        r"curves\.csv: seed 7 found, not in accuracy\.json",
    ),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_what_is_wrong_is_said_in_one_line_or_is_a_status(spoilt: str) -> None:
    spoil, says = SPOILT[spoilt]
    spoil()
    with pytest.raises(ResultsError, match=says) as error:
        collect(settings.load(), PROFILE, keep_going=False)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    found = kept_going()
    bad = found[found["status"] != "ok"]
    assert set(bad["neuron"]) == {"plif"}
    assert set(bad["status"]) <= {f"failed ({message})", f"apart ({message})"}
    lines = {line.neuron: line for line in summarise(found, DATASETS[0])}
    assert "mse" in lines["lif"].entries
    assert lines["plif"].status != "ok"


def test_a_neuron_that_is_listed_and_was_never_run() -> None:
    shutil.rmtree(CELL)
    found = kept_going()
    rows = found[found["neuron"] == "plif"]
    assert rows["value"].isna().all()
    assert rows["status"].str.contains("not there yet; run `dvc repro`").all()


def test_diverged_seeds_and_an_exploded_membrane_are_results() -> None:
    """They are what a run may find, and no fault of its files."""
    diverged(CELL, [1])
    edit(CELL / "dynamics.json", lambda content: content["lags"]["trained"][0]["membrane"]["rms"].append("inf"))
    found = collect(settings.load(), PROFILE, keep_going=False)
    rows = found[(found["neuron"] == "plif") & (found["metric"] == "mse")]
    assert list(rows["seed"]) == [0]
    (value,) = found.loc[(found["neuron"] == "plif") & (found["metric"] == "membrane_rms_trained@1"), "value"]
    assert value == np.inf
    diverged(CELL, [0])
    found = collect(settings.load(), PROFILE, keep_going=False)
    assert found.loc[(found["neuron"] == "plif") & (found["metric"] == "mse")].empty


def test_a_perfect_prediction_has_an_infinite_psnr() -> None:
    edit(CELL / "accuracy.json", lambda content: content["seeds"][0]["test"]["overall"].update(mse=0.0, psnr="inf"))
    found = collect(settings.load(), PROFILE, keep_going=False)
    assert np.inf in set(found.loc[(found["neuron"] == "plif") & (found["metric"] == "psnr"), "value"])


def test_a_highlighted_neuron_has_a_page_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report itself stays as it is; an unknown neuron is named with those near it."""
    (Path("results") / PROFILE / DATASETS[0] / "truth.png").unlink()
    for name in names(NEURONS):
        (Path("results") / PROFILE / DATASETS[0] / name / "dynamics.json").unlink()
    Path("reports").mkdir()
    (Path("reports") / "index.html").write_text("as it was")
    monkeypatch.setattr("sys.argv", ["report", "--keep-going", "--highlight", "plif"])
    stage.main()
    view = Path("reports") / "highlight-plif"
    assert {path.name for path in view.iterdir()} == {"index.html", "results.csv"}
    assert "plif" in (view / "index.html").read_text()
    assert (Path("reports") / "index.html").read_text() == "as it was"
    monkeypatch.setattr("sys.argv", ["report", "--highlight", "plff"])
    with pytest.raises(settings.SettingsError, match=r"unknown neuron in params.yaml 'plff'; did you mean plif"):
        stage.main()


def test_a_reason_is_text_and_no_markup() -> None:
    """What a neuron says of its end may hold anything."""
    diverged(CELL, [0, 1], "<script>alert(1)</script> 50 % & ü_x")
    loaded = settings.load()
    (Path("results") / PROFILE / DATASETS[0] / "truth.png").unlink()
    stage.render(Path("made"), loaded, PROFILE, kept_going(), keep_going=True)
    page = Path("made/index.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 50 % &amp; ü_x" in page
    assert json.loads(Path("made/metrics.json").read_text())[DATASETS[0]].keys() >= {"lif"}
