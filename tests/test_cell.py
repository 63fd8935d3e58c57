"""The key of a cell: what it depends on, and what not."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Project
from pydantic import BaseModel

from benchmarks import cell as keyed
from benchmarks import settings
from benchmarks.cell import CORE, PARTS, Cell, differing, hashed
from benchmarks.files import ResultsError, read_json, write_json
from benchmarks.settings import (
    CellSettings,
    CostSettings,
    FiringSettings,
    NetworkSettings,
    SamplingSettings,
    StabilitySettings,
    TrainingSettings,
)
from datasets import DatasetError

TRAINED = {"train", "dynamics", "stability"}
NETWORK = {*TRAINED, "measure"}
DEPENDS: dict[str, dict[str, tuple[Any, set[str]]]] = {  # a setting, another value, and whose keys change with it
    "data": {"canvas": (18, {"prepare"})},  # and of the others through data.json, once they are prepared
    "network": {
        "patch": (4, NETWORK),
        "layers": (3, NETWORK),
        "channels": (32, NETWORK),
        "kernel_size": (5, NETWORK),
        "groups": (8, NETWORK),
        "firing": ({"surrogate": "atan"}, NETWORK),
        "precision": ("bfloat16", NETWORK),
        "membrane": ("float32", NETWORK),
        "recompute": (2, NETWORK),
        "channels_last": (True, NETWORK),
        "compile": (True, NETWORK),
    },
    "training": {
        "seeds": (7, set()),
        "steps": (31, TRAINED),
        "batch": (4, NETWORK),
        "learning_rate": (0.1, TRAINED),
        "final_learning_rate": (0.1, TRAINED),
        "warm_up": (0.2, TRAINED),
        "clip": (1.0, TRAINED),
        "sampling": ({"start": 1.0, "end": 0.5, "until": 0.5}, TRAINED),
        "validate_every": (3, TRAINED),
        "device": ("cpu", NETWORK),
        "devices": (2, TRAINED),
        "workers": (3, set()),
        "loaders": (1, set()),
    },
    "cost": {"repeats": (4, {"measure"}), "seconds": (0.3, {"measure"})},
    "stability": {"seeds": (3, {"stability"}), "steps": (6, {"stability"})},
}


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.folder)
    return project


def of(project: Project, neuron: str = "lif") -> Cell:
    """A cell of the project, as params.yaml has it now."""
    project.save()
    return Cell.of(settings.load(), "smoke", "moving_mnist", neuron)


@pytest.fixture
def as_it_is(prepared_project: Project, monkeypatch: pytest.MonkeyPatch) -> Cell:
    """A cell of a project in which nothing may be changed."""
    monkeypatch.chdir(prepared_project.folder)
    return of(prepared_project)


def keys(cell: Cell, kind: str = "key") -> dict[str, str]:
    """The keys, or recipes, of all stages: those of the dataset have no neuron."""
    whole = Cell(cell.profile, cell.dataset, "", {}, cell.settings)
    return {stage: getattr(cell if stage in PARTS else whole, kind)(stage) for stage in CORE}


def changed(one: dict[str, str], other: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != other[name]}


def test_it_is_the_hash_of_inputs_and_nothing_else_counts(inside: Project, tmp_path: Path) -> None:
    cell = of(inside)
    inputs = cell.inputs("train")
    assert cell.stamp("train") == {"key": cell.key("train"), "inputs": inputs}
    assert hashed(dict(reversed(inputs.items()))) == hashed(inputs) == cell.key("train")
    assert re.fullmatch("[0-9a-f]{16}", cell.key("train"))
    before = keys(cell)
    inside.params["neurons"] = {"glif": {}, "lif": {}}  # others beside it, and another order of settings
    inside.cell["training"] = dict(reversed(inside.cell["training"].items()))
    (inside.folder / "neurons/my_own.py").write_text("from neurons import STC\n")
    (inside.folder / "benchmarks/command.py").write_text("")
    assert keys(of(inside)) == before
    assert hashed({}) != hashed({"a": ""})


def test_the_table_has_every_setting() -> None:
    models: list[type[BaseModel]] = [NetworkSettings, TrainingSettings, CostSettings, StabilitySettings]
    for part, model in zip(("network", "training", "cost", "stability"), models, strict=True):
        assert set(DEPENDS[part]) == set(model.model_fields), "say in DEPENDS what depends on the new setting"
    assert set(DEPENDS) == set(CellSettings.model_fields)


@pytest.mark.parametrize(("part", "name"), [(part, name) for part in DEPENDS for name in DEPENDS[part]])
def test_a_setting_changes_the_keys_that_depend_on_it(as_it_is: Cell, part: str, name: str) -> None:
    value, wanted = DEPENDS[part][name]
    before, recipes = keys(as_it_is), keys(as_it_is, "recipe")
    content = as_it_is.settings.model_dump()
    content[part][name] = value
    cell = replace(as_it_is, settings=CellSettings.model_validate(content))
    assert cell.settings != as_it_is.settings
    assert changed(before, keys(cell)) == wanted
    # a recipe is of what is known before anything runs; DVC itself sees the data, and how many seeds are wanted
    of_seeds = {"train"} if (part, name) == ("training", "seeds") else set()
    only_through_training = {"dynamics"} if wanted == TRAINED else set()
    assert changed(recipes, keys(cell, "recipe")) == wanted - only_through_training | of_seeds


def test_a_default_written_out_is_a_default_left_out(inside: Project) -> None:
    before = keys(of(inside))
    inside.cell["network"] |= NetworkSettings(**inside.cell["network"]).model_dump()
    inside.cell["training"]["devices"] = 1
    assert keys(of(inside)) == before
    for name in ("firing", "precision", "membrane", "recompute", "channels_last", "compile"):
        del inside.cell["network"][name]
    assert keys(of(inside)) == before
    inside.cell["network"]["firing"] = {"alpha": 2.0}
    assert of(inside).inputs("train")["network.firing"] == '{"alpha": 2.0}'


def test_defaults_stay_what_they_are() -> None:
    """A setting at its default is no input: with another default results would change, and no key would say so.

    Who changes one raises files.FORMAT, and says in CHANGELOG.md that results are to be made anew.
    """
    models: list[type[BaseModel]] = [FiringSettings, NetworkSettings, SamplingSettings, TrainingSettings]
    models += [CostSettings, CellSettings]
    defaults = {
        model: {name: field.default for name, field in model.model_fields.items() if not field.is_required()}
        for model in models
    }
    assert defaults == {
        FiringSettings: {"surrogate": "sigmoid", "alpha": 4.0, "reset_gradient": "attached"},
        NetworkSettings: {
            "firing": FiringSettings(),
            "precision": "float32",
            "membrane": "current",
            "recompute": None,
            "channels_last": False,
            "compile": False,
        },
        SamplingSettings: {},
        TrainingSettings: {"devices": 1},
        CostSettings: {},
        CellSettings: {"stability": None},
    }


def test_a_neuron_is_its_kind_arguments_and_files_whatever_its_label(inside: Project) -> None:
    inside.params["neurons"] = {"plif": {}, "plif-one": {"gain": "published"}, "plif-two": {"gain": "published"}}
    plain, one, two = (keys(of(inside, name)) for name in inside.params["neurons"])
    assert one == two
    assert changed(plain, one) == set(PARTS)
    inputs = (of(inside, name).inputs("train") for name in ("plif", "plif-one"))
    assert differing(*inputs) == ["neuron.params"]
    (inside.folder / "neurons/_plif.py").write_text("edited = True")
    assert changed(plain, keys(of(inside, "plif"))) == {*PARTS, "stability"}  # of the circuit on it, too


def test_two_neurons_differ_in_nothing_but_their_own_part(inside: Project) -> None:
    inside.params["neurons"] = {"lif": {}, "stc_norse_lif": {}}
    for stage in PARTS:
        names = differing(*(of(inside, neuron).inputs(stage) for neuron in inside.params["neurons"]))
        assert names
        assert all(keyed.is_of_neuron(name) or keyed.is_shared(name) for name in names)
    assert not any(keyed.is_of_neuron(name) for name in of(inside).inputs("measure") if name.startswith("reference "))


def test_a_control_rests_on_its_twin(inside: Project) -> None:
    inside.params |= {"neurons": {"lif": {}, "stc_lif": {}}, "controls": ["lif"]}
    before = {name: keys(of(inside, name)) for name in ("lif", "lif-wide")}
    assert changed(*before.values()) == set(PARTS)
    path = inside.folder / "neurons/stc_lif.py"
    path.write_text(path.read_text() + "\nedited = True\n")
    after = {name: keys(of(inside, name)) for name in before}
    assert changed(before["lif"], after["lif"]) == {"stability"}
    assert changed(before["lif-wide"], after["lif-wide"]) == {*PARTS, "stability"}
    inside.params["neurons"]["stc_lif"] = {"detach": True}
    assert changed(after["lif-wide"], keys(of(inside, "lif-wide"))) == set(PARTS)


def test_measuring_rests_on_the_reference(inside: Project) -> None:
    inside.params["neurons"] = {"convlstm": {}}
    before = keys(of(inside, "convlstm"))
    path = inside.folder / "neurons/lif.py"
    path.write_text(path.read_text() + "\nedited = True\n")
    assert changed(before, keys(of(inside, "convlstm"))) == {"measure", "stability"}


def test_prepared_data_are_inputs_and_absent_ones_are_one_line(inside: Project) -> None:
    before, path = keys(of(inside)), of(inside, "").results / keyed.DATA
    content = read_json(path)
    assert of(inside).inputs("train")["data.test"] == content["test"]
    for name in ("train", "validation", "test", "observed"):
        write_json(path, {**content, name: "another"})
        assert changed(before, keys(of(inside))) == {*PARTS, "stability"}
    path.unlink()
    with pytest.raises(ResultsError, match=r"data\.json: not there yet; run `dvc repro`$"):
        of(inside).key("dynamics")
    assert len(keys(of(inside), "recipe")) == len(CORE)  # what DVC is told needs no data


def test_data_are_prepared_when_they_are_those_that_results_speak_of(inside: Project) -> None:
    whole, cell = of(inside, ""), of(inside)
    assert cell.is_prepared()
    assert whole.is_prepared()
    assert whole.is_current("prepare")
    write_json(whole.results / keyed.DATA, {**read_json(whole.results / keyed.DATA), "train": "another"})
    assert not cell.is_prepared()
    (whole.results / keyed.DATA).unlink()
    assert not whole.is_prepared()
    (cell.data / "card.json").unlink()
    with pytest.raises(DatasetError, match=r"benchmarks\.prepare"):
        cell.card()
