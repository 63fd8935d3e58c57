"""Datasets, neurons and metrics are found by their names: titles and headings are words that two may share."""

import re
from pathlib import Path
from typing import Any

import pytest
from example_page import shown
from example_results import PROFILE, edit, write
from test_lift import results
from test_page import Reader

from benchmarks import settings
from benchmarks.report import __main__ as stage
from benchmarks.report import lift, page
from benchmarks.report.collect import collect
from benchmarks.report.columns import COLUMNS
from benchmarks.report.findings import findings
from benchmarks.report.panels import Panel
from benchmarks.report.paper import paper_tables, wide_tables
from benchmarks.report.ranks import wide
from benchmarks.report.summary import HEADLINE, summarise
from benchmarks.report.tables import Heading, tables, titles

DATASETS = ("kth", "kth-40", "kth-figures")
ERRORS = {"lif": [10.0, 11.0, 12.0], "stc_lif": [9.0, 9.0, 9.0], "40": [8.0, 8.0, 8.0]}


@pytest.mark.parametrize(
    ("cards", "wanted"),
    [
        ({"moving_mnist": "Moving MNIST", "moving_mnist-b": "Moving MNIST"}, ["Moving MNIST", "Moving MNIST (b)"]),
        ({"kth": "KTH", "kth-40": "KTH"}, ["KTH", "KTH (40)"]),
        ({"kth-40": "KTH"}, ["KTH (40)"]),
        ({"kth-40": None, "kth": "KTH"}, ["kth-40", "KTH"]),  # its card is not there
        ({"one": "Flow", "other": "Flow"}, ["Flow [one]", "Flow [other]"]),  # two kinds whose cards say the same
        ({"a": "KTH (b)", "kth-b": "KTH", "c": "KTH"}, ["KTH (b) [a]", "KTH (b) [kth-b]", "KTH"]),
        ({"a": "X", "b": "X", "c": "X [a]"}, ["X [a] [a]", "X [b]", "X [a] [c]"]),
        ({}, []),
    ],
)
def test_no_two_datasets_are_called_alike(cards: dict[str, str | None], wanted: list[str]) -> None:
    found = titles({name: {"title": title} if title else None for name, title in cards.items()})
    assert list(found) == list(cards)
    assert list(found.values()) == wanted


def sections(called: dict[str, str]) -> list[dict[str, Any]]:
    """What the page is given of datasets with these titles."""
    table = results(dict.fromkeys(called, ERRORS))
    made = []
    for name, title in called.items():
        lines = summarise(table, name)
        section = {**shown()["sections"][0], "name": name, "title": title, "tables": tables(lines, {})}
        made.append({**section, "findings": findings(lines), "folder": f"figures/{name}-strip-*.png"})
    return made


ALIKE = dict.fromkeys(DATASETS, "KTH")  # as unkind as titles can be


def rendered(called: dict[str, str], **more: Any) -> Reader:
    return Reader(page.render({"profile": "p", "overview": [], "panels": [], "sections": sections(called), **more}))


def test_the_table_over_datasets_finds_its_columns_by_name_whatever_the_titles() -> None:
    table = results(dict.fromkeys(DATASETS, ERRORS))
    by_dataset = {name: summarise(table, name) for name in DATASETS}
    over = wide(by_dataset, ALIKE)
    assert [(own.text, own.name, own.dataset) for own in over.columns[:3]] == [
        ("KTH", "mse", name) for name in DATASETS
    ]
    headings = [own for own in rendered(ALIKE, wide=over).of("th") if "data-dataset" in own and "scope" in own]
    assert [own["data-dataset"] for own in headings] == list(DATASETS)
    columns = wide_tables(by_dataset, ALIKE, "p")["across_datasets.csv"].splitlines()[0].split(",")
    assert len(columns) == len(set(columns))


def test_every_section_row_and_anchor_is_that_of_its_own_dataset() -> None:
    reader = rendered(ALIKE)
    ids = [own["id"] for _, own in reader.elements if "id" in own]
    assert len(ids) == len(set(ids))  # kth's figures and the dataset kth-figures among them
    own = [attributes for attributes in reader.of("section") if "data-dataset" in attributes]
    assert [section["data-dataset"] for section in own] == list(DATASETS)
    links = {attributes["href"] for attributes in reader.of("a")}
    assert {f"#{section['id']}" for section in own} <= links
    keys = [attributes["data-key"] for attributes in reader.of("table") if "data-key" in attributes]
    assert len(keys) == len(set(keys))
    assert [box["value"] for box in reader.of("input") if box.get("value") in DATASETS] == list(DATASETS)


def test_a_panels_rows_are_about_what_their_columns_name() -> None:
    """A label, a count or a title that reads like a neuron's or a dataset's name is none."""
    panel = Panel(
        "P", ["a", "b", "c"], [["lif", "40", "kth-40"], ["KTH", "kth", "stc_lif"]], [], ("neuron", "", "dataset")
    )
    rows = [own for own in rendered(ALIKE, panels=[panel]).of("tr") if "data-neuron" in own or "data-dataset" in own]
    assert rows[-1] == {"data-neuron": "lif", "data-group": "paper", "data-dataset": "kth-40"}
    assert sum(own.get("data-neuron") == "lif" and "data-dataset" in own for own in rows) == 1
    each, _ = lift.panels(lift.lifts(results(dict.fromkeys(DATASETS, ERRORS))), [])
    told = [own for own in rendered(ALIKE, panels=[each]).of("tr") if own.get("data-neuron") == "lif stc_lif"]
    assert [own["data-dataset"] for own in told] == list(DATASETS)


def test_a_metric_is_found_by_its_name_whatever_its_heading() -> None:
    """Two columns with one heading keep what they say on hover, and their places in a neuron's own table."""
    made = sections({"kth": "KTH"})
    (accuracy, *rest) = made[0]["tables"]
    assert accuracy.columns[0].name == HEADLINE
    alike = type(accuracy)(accuracy.title, [Heading("same", own.name) for own in accuracy.columns], *_of(accuracy))
    text = page.render(
        {"profile": "p", "overview": [], "panels": [], "sections": [{**made[0], "tables": [alike, *rest]}]}
    )
    reader = Reader(text)
    assert "mean 11; sd 1; n 3" in {own.get("title") for own in reader.of("td")}
    row = next(row for row in reader.rows if row[0] == "KTH")
    assert row[2:] == ["11.00 ± 1.00", "–", "–", "3"]
    assert len({column.metric for column in COLUMNS}) == len(COLUMNS)


def _of(table: Any) -> tuple[Any, Any]:
    return table.rows, table.notes


def test_a_labelled_neuron_is_highlighted_alone_and_a_kind_with_all_its_labels() -> None:
    table = results({"kth": {"lif": [1.0], "plif": [2.0], "plif-published": [3.0]}})
    section = {**sections({"kth": "KTH"})[0], "tables": tables(summarise(table, "kth"), {})}
    for highlight, wanted in (("plif-published", {"plif-published"}), ("plif", {"plif", "plif-published"})):
        content = {"profile": "p", "overview": [], "panels": [], "sections": [section], "highlight": highlight}
        reader = Reader(page.render(content))
        assert {own["data-neuron"] for own in reader.of("tr") if "data-marked" in own} == wanted
        first = next(own for own in reader.of("details") if own.get("class") == "neuron")
        assert first["data-neuron"] in wanted


def test_a_neuron_keeps_its_group_where_its_last_cell_is_missing() -> None:
    table = results({"kth": ERRORS, "kth-40": ERRORS})
    gone = (table["dataset"] == "kth-40") & (table["neuron"] == "stc_lif")
    table.loc[gone, ["group", "status", "metric", "value"]] = ["", "failed (not there yet)", None, float("nan")]
    made = [
        {**own, "tables": tables(summarise(table, own["name"]), {})} for own in sections({"kth": "K", "kth-40": "L"})
    ]
    reader = Reader(page.render({"profile": "p", "overview": [], "panels": [], "sections": made}))
    assert {own["data-group"] for own in reader.of("tr") if own.get("data-neuron") == "stc_lif"} == {"stc"}


def test_labels_of_latex_tables_are_told_apart() -> None:
    table = results(dict.fromkeys(("my_kth", "my-kth", "für", "fur"), ERRORS))
    made = [paper_tables(name, "D", "p", summarise(table, name))[f"{name}.tex"] for name in table["dataset"].unique()]
    labels = [re.findall(r"\\label{(.*?)}", text) for text in made]
    assert labels == [["tab:my_kth"], ["tab:my-kth"], ["tab:f.fcr"], ["tab:fur"]]


def test_a_report_of_two_entries_of_one_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of it names the two by one title each; files and figures go by their names."""
    monkeypatch.chdir(tmp_path)
    names = ("moving_mnist", "moving_mnist-b")
    write(tmp_path, neurons=2, datasets=names, seeds=3)
    for name in names:
        folder = tmp_path / "results" / PROFILE / name
        edit(folder / "trivial.json", lambda content: content["card"].update(title="Moving MNIST"))
        (folder / "truth.png").unlink()
    loaded = settings.load()
    made = tmp_path / "made"
    stage.render(made, loaded, PROFILE, collect(loaded, PROFILE, keep_going=False), keep_going=False)
    reader = Reader((made / "index.html").read_text())
    over = [own.get("data-dataset") for own in reader.of("th") if "data-dataset" in own and "scope" in own]
    assert over == list(names)
    (heading,) = [row for row in reader.rows if row[:2] == ["neuron", "group"] and "average rank ↓" in row]
    assert heading[2:] == ["Moving MNIST", "Moving MNIST (b)", "average rank ↓"]
    assert {"tables/moving_mnist.md", "tables/moving_mnist-b.md"} <= {
        str(path.relative_to(made)) for path in (made / "tables").iterdir()
    }
    for name, title in zip(names, ("Moving MNIST", "Moving MNIST (b)"), strict=True):
        assert (made / "tables" / f"{name}.md").read_text().startswith(f"# {title}: neurons")
        assert f"\n## {title}\n" in (made / "table.md").read_text()
        assert f"{title}: error against cost" in (made / "figures" / f"{name}-pareto.svg").read_text()
    captions = re.findall(r"\\caption{(.*?): accuracy", (made / "table.tex").read_text())
    assert captions == ["Moving MNIST", "Moving MNIST (b)"]
