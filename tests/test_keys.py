"""results/keys/: what DVC is told of each stage before anything runs, and what of it changes with an edit."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Done, Project, one_line_error

from benchmarks import keys, pipelines, settings
from benchmarks.cell import PARTS, Cell
from benchmarks.files import write_json

EVERYWHERE = ("lif", "plif", "norse_lifex", "stc_norse_lifex", "stc_lif", "lif-wide")  # the last is a control
STANDARD = ("glif", "stc_glif", "glif-wide")  # entries of one profile alone
SHOWN = {"report", "cards"}
Found = dict[tuple[str, ...], str]  # (file, place in it ...) -> digest


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("keys") / "project")
    project.params["neurons"] = {name: {} for name in EVERYWHERE[:-1]}
    project.params |= {"datasets": ["moving_mnist", "advection"], "controls": ["lif"]}
    project.params |= {
        "more_neurons": {"standard": {"glif": {}, "stc_glif": {}}},
        "more_controls": {"standard": ["glif"]},
    }
    kept = ("defaults", *project.params["datasets"])
    for profile in ("smoke", "quick", "standard"):
        found = project.params["profiles"][profile]
        project.params["profiles"][profile] = {name: found[name] for name in kept}
    del project.params["profiles"]["paper"]
    project.save()
    return project


@pytest.fixture
def inside(original: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("sys.argv", ["keys"])
    project = original.copy(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    return project


def written() -> Found:
    """All digests that the stage writes in the current folder, pipelines/ being as params.yaml says."""
    pipelines.update(settings.load())
    keys.main()
    found: Found = {}
    for path in Path("results/keys").rglob("*.json"):
        gather(found, (str(path.relative_to("results/keys").with_suffix("")),), json.loads(path.read_text()))
    return found


def gather(found: Found, place: tuple[str, ...], content: Any) -> None:
    for name, value in content.items():
        if isinstance(value, dict):
            gather(found, (*place, name), value)
        elif (*place[1:], name) != ("format",):
            found[*place, name] = value


def changed(before: Found) -> set[tuple[str, ...]]:
    """Places whose digest is another one now, or that are new or gone."""
    now = written()
    return {place for place in before.keys() | now.keys() if before.get(place) != now.get(place)}


def files(before: Found) -> set[str]:
    return {place[0] for place in changed(before)}


def of(*entries: str) -> set[str]:
    return {f"neurons/{entry}" for entry in entries}


def edit(name: str, pattern: str = "", replacement: str = "", more: str = "\nedited = True\n") -> None:
    path = Path(name)
    text = path.read_text()
    edited = re.sub(pattern, replacement, text, count=1) if pattern else text + more
    assert edited != text
    path.write_text(edited)


def test_a_file_for_each_entry_and_in_it_every_cell_of_it(inside: Project) -> None:
    found = written()
    assert {place[0] for place in found} == of(*EVERYWHERE, *STANDARD) | {"datasets", "parity", *SHOWN}
    loaded = settings.load()
    for profile, cells in loaded.profiles.items():
        own = loaded.of(profile)
        assert own.neurons.keys() >= set(EVERYWHERE)
        for dataset, said in cells.items():  # listed or not
            for entry in own.neurons:
                cell = Cell.of(own, profile, dataset, entry)
                for part in PARTS:
                    assert found[f"neurons/{entry}", profile, dataset, part] == cell.recipe(part)
            for stage in ("prepare", "stability"):
                wanted = Cell.of(own, profile, dataset).recipe(stage) if stage == "prepare" or said.stability else None
                assert found.get(("datasets", profile, dataset, stage)) == wanted
        assert {("report", profile, "neurons", entry) for entry in own.neurons} <= found.keys()
        assert {(shown, profile, "code") for shown in SHOWN} <= found.keys()
        assert (f"neurons/{STANDARD[0]}", profile, "moving_mnist", "train") in found or profile != "standard"
    assert ("neurons/glif", "quick", "moving_mnist", "train") not in found
    assert all(re.fullmatch("[0-9a-f]{12,16}", digest) for digest in found.values())
    assert not changed(found)  # again, in place of those that are there


@pytest.mark.parametrize(
    ("file", "entries", "others"),
    [
        ("neurons/norse_lifex.py", {"norse_lifex", "stc_norse_lifex"}, set()),
        ("neurons/plif.py", {"plif"}, {"parity"}),
        ("neurons/glif.py", STANDARD, {"parity"}),
        ("neurons/stc_lif.py", {"stc_lif", "lif-wide"}, {"datasets"}),  # of the stage `stability`
        ("neurons/lif.py", {*EVERYWHERE, *STANDARD}, {"datasets", "parity"}),  # timed beside all
        ("neurons/tclif.py", set(), set()),  # in no entry
        ("neurons/__init__.py", set(), set()),
        ("datasets/_moving.py", set(), {"datasets"}),
        ("benchmarks/trivial.py", set(), {"datasets"}),
        ("benchmarks/command.py", set(), set()),
        ("benchmarks/settings.py", set(), SHOWN),  # names what tables show
        ("benchmarks/report/page.py", set(), {"report"}),
        ("benchmarks/cards.py", set(), {"cards"}),
        ("benchmarks/parity.py", set(), {"parity"}),
        ("benchmarks/energy.py", {*EVERYWHERE, *STANDARD}, set()),
    ],
)
def test_an_edit_changes_the_digests_that_rest_on_it(
    inside: Project, file: str, entries: set[str], others: set[str]
) -> None:
    before = written()
    edit(file)
    assert files(before) == of(*entries) | others


def test_an_edit_changes_no_other_part_of_a_cell(inside: Project) -> None:
    before = written()
    edit("benchmarks/energy.py")
    assert {place[-1] for place in changed(before)} == {"dynamics"}
    before = written()
    edit("neurons/lif.py")
    assert {place[-1] for place in changed(before) if place[0] == "neurons/plif"} == {"measure"}


def test_the_order_of_entries_concerns_the_report_alone(inside: Project) -> None:
    """Tables follow it. Once the report changed 42 files for it, of which `dvc status` knew nothing."""
    before = written()
    order = list(settings.load().neurons)
    inside.params["neurons"] = dict(reversed(inside.params["neurons"].items()))
    text = yaml.safe_dump(inside.params, sort_keys=False)
    Path("params.yaml").write_text(text)
    assert list(settings.load().neurons) != order
    found = changed(before)
    assert {place[0] for place in found} == {"report"}
    assert {place[1] for place in found} == set(settings.load().profiles)


def test_an_entry_that_is_added_changes_two_lines_of_the_report(inside: Project) -> None:
    """Its own and that of the entry behind it: two branches that add two entries merge."""
    before = written()
    inside.params["neurons"] = {"tclif": {}, **inside.params["neurons"]}
    behind = next(iter(settings.load().neurons))
    Path("params.yaml").write_text(yaml.safe_dump(inside.params, sort_keys=False))
    found = changed(before)
    assert {place[0] for place in found} == {"neurons/tclif", "report"}
    assert {place[3] for place in found if place[0] == "report"} == {"tclif", behind}


def test_how_params_yaml_is_written_changes_nothing(inside: Project) -> None:
    before = written()
    text = yaml.safe_dump(inside.params, sort_keys=False, default_flow_style=True, width=100)
    Path("params.yaml").write_text(f"# a comment\n{text}")
    assert not changed(before)


def test_settings_of_a_profile_concern_that_profile_alone(inside: Project) -> None:
    before = written()
    inside.params["profiles"]["quick"]["advection"]["training"] = {"steps": 7}
    inside.save()
    of_cells = {(f"neurons/{entry}", "quick", "advection", "train") for entry in EVERYWHERE}
    assert changed(before) == {("report", "quick", "settings")} | of_cells
    before = written()
    inside.params["profiles"]["quick"]["advection"]["data"]["wind"] = [0.5, 2.0]
    inside.save()
    assert changed(before) == {("report", "quick", "settings"), ("datasets", "quick", "advection", "prepare")}


def test_the_profile_that_is_meant_changes_nothing(inside: Project) -> None:
    before = written()
    inside.params["profile"] = "standard"
    inside.save()
    assert not changed(before)


def test_an_entry_of_one_profile_more_or_less_leaves_the_others_alone(inside: Project) -> None:
    before = written()
    inside.params["more_neurons"]["standard"]["tclif"] = {}
    inside.save()
    assert files(before) == of("tclif") | {"report"}
    del inside.params["more_neurons"]["standard"]["tclif"]
    inside.save()
    assert not changed(before)  # and its file is gone


@pytest.mark.parametrize(
    ("file", "pattern", "wanted"),
    [
        ("neurons/plif.py", '^"""', SHOWN),  # the page shows a card's first sentence and equations
        ("neurons/_stc.py", r'class STC\b.*:\n    """', SHOWN),  # the circuit's card
        ("datasets/advection.py", '^"""', {"cards"}),
        ("neurons/_neuron.py", r'def unroll\(.*\n        """', set()),
        ("benchmarks/network.py", '^"""', set()),
        ("benchmarks/report/page.py", '^"""', set()),
    ],
)
def test_a_docstring_concerns_what_shows_it(inside: Project, file: str, pattern: str, wanted: set[str]) -> None:
    before = written()
    edit(file, pattern, r"\g<0>Edited. ")
    assert files(before) == wanted


def test_a_template_concerns_the_report(inside: Project) -> None:
    before = written()
    edit("benchmarks/report/templates/page/index.html", more="<!-- edited -->\n")
    assert files(before) == SHOWN


def test_it_refuses_where_pipelines_are_others_and_leaves_what_is_there(
    inside: Project, here: Callable[..., Done]
) -> None:
    before = written()
    inside.params["neurons"]["tclif"] = {}
    inside.save()
    kept = {path: path.read_bytes() for path in Path("results").rglob("*.json")}
    done = here(inside, "keys")
    one_line_error(done, "pipelines/tclif/dvc.yaml: not as params.yaml says; run `python -m benchmarks.pipelines`")
    assert {path: path.read_bytes() for path in Path("results").rglob("*.json")} == kept
    assert files(before) == of("tclif") | {"report"}


def test_whole_or_not_at_all(inside: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    before, count = written(), 0

    def fail(path: Path, content: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        if count > 3:
            raise OSError(28, "No space left on device")
        write_json(path, content)

    edit("neurons/plif.py")
    monkeypatch.setattr(keys, "write_json", fail)
    one_line_error(here(inside, "keys"), "results/keys: cannot be written (No space left on device)")
    assert [path.name for path in Path("results").iterdir()] == ["keys"]
    Path("results/.keys.killed/keys").mkdir(parents=True)
    monkeypatch.undo()
    monkeypatch.chdir(inside.folder)
    monkeypatch.setattr("sys.argv", ["keys"])
    assert files(before) == of("plif") | {"parity"}
    assert [path.name for path in Path("results").iterdir()] == ["keys"]
