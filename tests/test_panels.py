"""What stands beside the tables of a report: the neurons' notes, parity, stability; what is said where one lacks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import example_page
import pytest
from conftest import Done, Project, one_line_error

from benchmarks import settings
from benchmarks.files import ResultsError, write_json
from benchmarks.report import page, panels
from benchmarks.report.collect import described
from benchmarks.report.panels import Panel
from benchmarks.report.tables import environment

PAIR: dict[str, Any] = {
    "neuron": "LIF",
    "one": "lif",
    "other": "norse_lif",
    "policy": "attached",
    "status": "ok",
    "spikes": 184320,
    "fired": 15978,
    "differ": 0,
    "gradient": 1e-6,
}
LACKING = {**PAIR, "status": "unsupported (norse is not installed)"} | dict.fromkeys(
    ("spikes", "fired", "differ", "gradient")
)
TRIAL: dict[str, Any] = {
    "neuron": "stc_lif",
    "means": "as released",
    "seed": 0,
    "status": "ok",
    "reason": "",
    "mse": 14.236,
    "gradient_norm": 51234.5,
    "membrane_rms": 6.0,
    "firing_rate": 0.2,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def parity_rows(*pairs: dict[str, Any]) -> list[list[str]]:
    write_json(Path("results/parity.json"), {"pairs": pairs, "tolerance": 1e-6})
    (panel,) = panels.parity(keep_going=False)
    assert all(len(row) == len(panel.headings) for row in panel.rows)
    return panel.rows


def stability_rows(folder: Path, *trials: dict[str, Any]) -> list[list[str]]:
    write_json(folder / "stability.json", {"steps": 300, "trials": trials})
    (panel,) = panels.stability(folder, keep_going=False)
    assert all(len(row) == len(panel.headings) for row in panel.rows)
    assert panel.notes[0].startswith("300 training steps each")
    return panel.rows


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, "equal"),  # at the tolerance, and no spike
        ({"gradient": 1.1e-6}, "different"),
        ({"differ": 1}, "different"),
        ({"gradient": 0.0}, "equal"),
    ],
)
def test_equal_is_no_spike_and_at_most_the_tolerance(folder: Path, changed: dict[str, Any], verdict: str) -> None:
    (row,) = parity_rows({**PAIR, **changed})
    assert row[:3] == ["LIF", "lif and norse_lif", "attached"]
    assert row[-1] == verdict


def test_a_pair_shows_how_much_was_compared(folder: Path) -> None:
    (row,) = parity_rows({**PAIR, "differ": 12, "gradient": 0.0347})
    assert row[3:] == ["12 of 184,320 (15,978 fired)", "3.5e-02", "different"]


def test_a_pair_that_could_not_be_compared_says_why(folder: Path) -> None:
    assert parity_rows(PAIR, LACKING)[1][3:] == ["–", "–", "unsupported (norse is not installed)"]


def test_the_trials_of_a_means_are_one_row(folder: Path) -> None:
    """Each seed's error, the greatest norm, the mean of the rest."""
    second = {**TRIAL, "seed": 1, "mse": 15.0, "gradient_norm": 0.5, "membrane_rms": 8.0, "firing_rate": 0.3}
    other = {**TRIAL, "neuron": "lif", "mse": 3.0}
    rows = stability_rows(folder, TRIAL, second, other)
    assert rows[0] == ["stc_lif", "as released", "14.24 / 15.00", "5.12e+04", "7", "0.250", "ok"]
    assert rows[1][:3] == ["lif", "as released", "3.00"]


def test_trials_that_ended_badly_are_counted(folder: Path) -> None:
    """What is not finite stands in the file as the word for it; a trial that failed has no numbers at all."""
    diverged = {**TRIAL, "seed": 1, "status": "diverged", "reason": "loss nan", "gradient_norm": "inf"}
    failed = {"neuron": "stc_plif", "means": "bound: 4", "seed": 0, "status": "out of memory", "reason": "x"}
    rows = stability_rows(folder, TRIAL, diverged, failed)
    assert rows[0][-1] == "1 of 2 diverged"
    assert rows[0][3] == "inf"
    assert rows[1] == ["stc_plif", "bound: 4", "nan", "nan", "nan", "nan", "1 of 1 out of memory"]
    assert stability_rows(folder, failed)[0][-1] == "1 of 1 out of memory"  # nor has any other


def test_missing_results_are_an_error_or_left_out(folder: Path) -> None:
    with pytest.raises(ResultsError, match=r"parity\.json: not there yet; run `dvc repro`"):
        panels.parity(keep_going=False)
    with pytest.raises(ResultsError, match=r"stability\.json: not there yet; run `dvc repro`"):
        panels.stability(folder, keep_going=False)
    assert panels.parity(keep_going=True) == panels.stability(folder, keep_going=True) == []


def rendered(template: str, panel: Panel) -> str:
    section: dict[str, Any] = dict.fromkeys(("name", "title", "budget", "folder"), "d")
    section |= {"banner": [], "findings": [], "tables": [], "figures": [], "panels": [panel]}
    section["dynamics"] = {"panels": [], "figures": []}
    shown = {"profile": "p", "verdicts": [], "overview": [], "panels": [panel], "lift": None, "environment": None}
    return environment().get_template(template).render(shown | {"sections": [section]})


def test_a_panel_in_markdown_is_a_table_with_its_notes() -> None:
    panel = Panel("Title", ["one", "two"], [["a", "b"], ["c", "d"]], ["first note", "second note"])
    table = "Title\n\n| one | two |\n| --- | --- |\n| a | b |\n| c | d |\n\n- first note\n- second note\n"
    text = rendered("table.md", panel)
    assert f"\n\n### {table}" in text  # of a dataset
    assert f"\n\n## {table}" in text  # of the whole report


def test_a_panel_on_the_page_is_escaped() -> None:
    panel = Panel("A < B", ["<i>"], [["<script>alert(1)</script>"], ["x & y"]], ["<b>note</b>"])
    text = page.render(example_page.shown(panels=[panel]))
    assert "<script>alert(1)" not in text
    for words in (
        "A &lt; B",
        "&lt;i&gt;",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "x &amp; y",
        "&lt;b&gt;note&lt;/b&gt;",
    ):
        assert words in text


def test_notes_are_those_of_every_line_with_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label changes what a neuron has to say of itself."""
    monkeypatch.chdir(project.folder)
    project.params["neurons"] = {"lif": {}, "plif": {}, "plif-published": {"gain": "published"}, "glif": {}}
    project.save()
    root = project.folder / "results/smoke/moving_mnist"
    for name, note in (("lif", ""), ("plif", "as released"), ("plif-published", "as published")):
        write_json(root / name / "accuracy.json", {"note": note})
    loaded = settings.load()
    assert described(loaded, "smoke", "moving_mnist")["notes"] == {
        "plif": "as released",
        "plif-published": "as published",
    }


def test_a_report_without_parity_or_stability(project: Project, here: Callable[..., Done]) -> None:
    """An error that names what is missing; told to keep going, a report without that panel."""
    one_line_error(here(project, "report"), "dvc repro")
    assert here(project, "report", "--keep-going").returncode == 0
    text = (project.folder / "reports/smoke/index.html").read_text()
    assert "Parity: one neuron" not in text
    assert "What stabilises" not in text
    write_json(project.folder / "results/parity.json", {"pairs": [PAIR], "tolerance": 1e-6})
    write_json(project.folder / "results/smoke/moving_mnist/stability.json", {"steps": 300, "trials": [TRIAL]})
    assert here(project, "report", "--keep-going").returncode == 0
    for name in ("index.html", "table.md"):
        text = (project.folder / "reports/smoke" / name).read_text()
        assert "Parity: one neuron, several implementations" in text
        assert "What stabilises the circuit" in text
        assert "0 of 184,320 (15,978 fired)" in text
        assert "5.12e+04" in text
