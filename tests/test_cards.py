"""The stage `cards`: docs/neurons.md has every neuron, with what can be looked up of it and what was measured."""

import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Done, Project

import neurons
from benchmarks import cards
from benchmarks.files import write_json
from benchmarks.report.summary import GROUPS
from neurons._library import load

MACHINERY = {"GradedSpikes", "LIF", "SpikingNeuron"}  # classes of snnTorch that are no neuron
COST: dict[str, Any] = {
    "status": "ok",
    "time": {"train_step": {"ratio_to_lif": 4.231}, "inference": {"ratio_to_lif": 2.0}},
    "memory": {"saved_for_backward": 3 * 2**20 + 2**19},
}


@pytest.fixture(scope="module")
def page(prepared_project: Project) -> str:
    """The page of a project without results."""
    done = prepared_project.run("cards")
    assert done.returncode == 0, done.stderr
    return (prepared_project.folder / "docs/neurons.md").read_text()


def sections(page: str) -> dict[str, tuple[str, str]]:
    """Each neuron's group and section."""
    found = {}
    for group in page.split("\n## Not in the tables")[0].split("\n## Group: ")[1:]:
        title, *parts = group.split("\n### ")
        for part in parts:
            name, text = part.split("\n", 1)
            found[name.strip("`")] = title.strip(), text
    return found


def facts(section: str) -> dict[str, str]:
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert rows[:2] == ["| | |", "| --- | --- |"]
    assert all(row.count("|") == 3 for row in rows)  # no fact breaks its table
    return dict(row.strip("| ").split(" | ", 1) for row in rows[2:])


def test_every_neuron_has_one_section(page: str) -> None:
    headings = re.findall(r"^### `(.*)`$", page, flags=re.MULTILINE)
    assert sorted(headings) == neurons.available()
    assert sorted(sections(page)) == neurons.available()


@pytest.mark.parametrize("name", neurons.available())
def test_a_section_has_the_card_and_what_can_be_looked_up(page: str, name: str) -> None:
    group, section = sections(page)[name]
    assert neurons.card(name).strip() in section
    assert "Source: " in section
    neuron, found = neurons.build(name, 32), facts(section)
    assert group == GROUPS[neuron.group]
    count = sum(parameter.numel() for parameter in neuron.parameters())
    assert found["learnable"].startswith(f"{count:,} at 32 channels")
    state = neuron.initial_state(torch.zeros(1, 32, 1, 1))._fields
    assert found["state"] == ", ".join(f"`{field}`" for field in state)
    library = name.partition("_")[0]
    if library in cards.PACKAGES:
        assert found["library"].endswith(f" {version(library)}")
    else:
        assert found["library"] == "this suite"
    for parameter in neurons.parameters(name):
        assert f"`{parameter}" in found["parameters of build"]
    assert found["torch.compile, full graph"] == ("yes" if neuron.compiles else "no")
    assert found.get("note", "") == neuron.note
    assert found["cost"] == "not measured"


def test_a_circuit_is_offered_where_there_is_a_membrane(page: str) -> None:
    offered = {name: facts(section).get("with the circuit") for name, (_, section) in sections(page).items()}
    assert offered["lif"] == "`stc_lif`"  # it has a file of its own
    assert offered["norse_lif"] == "`stc_norse_lif`"
    assert offered["convlstm"] is None
    assert offered["stc_lif"] is None
    for name in filter(None, offered.values()):
        neurons.build(name.strip("`"), 16)
    assert (inspect.getdoc(neurons.STC) or "").strip() in page


def test_what_is_not_in_the_tables_is_listed_with_its_reason(page: str) -> None:
    unsuited = page.split("\n## Not in the tables")[1]
    rows = [row.strip("| ").split(" | ") for row in unsuited.splitlines() if row.startswith("| ")][2:]
    assert dict(rows) == cards.UNSUITED
    assert all(len(row) == 2 and all(row) for row in rows)


def test_every_neuron_of_snntorch_is_there_or_listed(page: str) -> None:
    names = {name for name, kind in vars(load("snntorch")).items() if inspect.isclass(kind)} - MACHINERY
    shown, unsuited = page.split("\n## Not in the tables")
    there = {name for name in names if re.search(rf"class {name}\b", shown)}
    listed = {name for name in names if re.search(rf"\b{name}\b", unsuited)}
    assert there
    assert there | listed == names
    assert not there & listed


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (COST, "training step 4.23 × LIF, inference 2.00 × LIF, 3.5 MiB saved for backward"),
        ({"status": "unsupported", "reason": "x"}, "not measured"),
        (None, "not measured"),
    ],
)
def test_the_cost_is_that_of_the_profile(
    content: dict[str, Any] | None, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content:
        write_json(Path("results/quick/moving_mnist/stc_lif/cost.json"), content)
    assert cards.cost("stc_lif", "quick", "moving_mnist") == wanted
    assert cards.cost("stc_lif", "smoke", "moving_mnist") == "not measured"


def test_a_cost_shows_in_the_neurons_section_and_the_page_repeats_itself(
    project: Project, here: Callable[..., Done]
) -> None:
    write_json(project.folder / "results/smoke/moving_mnist/lif/cost.json", COST)
    seen = []
    for _ in range(2):
        assert here(project, "cards").returncode == 0
        seen.append((project.folder / "docs/neurons.md").read_text())
    assert seen[0] == seen[1]
    measured = {name for name, (_, text) in sections(seen[0]).items() if facts(text)["cost"] != "not measured"}
    assert measured == {"lif"}
    assert "Costs are of the `smoke` profile on moving_mnist" in seen[0]


def test_a_neuron_whose_library_is_missing_keeps_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise neurons.UnsupportedError("norse is not installed")

    monkeypatch.setattr(neurons, "build", refused)
    found = cards.card("norse_lif", "smoke", "moving_mnist")
    assert found["text"] == neurons.card("norse_lif")
    assert found["facts"] == [("not available here", "norse is not installed")]
