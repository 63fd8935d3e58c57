"""Which files of neurons/ a cell rests on: those it imports and theirs, never the registry."""

import hashlib
import json
from collections.abc import Callable
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT, Done, Project

import datasets
import neurons
from benchmarks import settings, sources

CONTRACT = {"_neuron", "_firing"}
FILES = {  # a registry made up for these tests
    "_neuron": "from neurons._firing import Firing",
    "_firing": "import torch",
    "_stc": "from neurons._neuron import Neuron",
    "_library": "",
    "_adapter": "from neurons._library import load\nfrom neurons._ring import a",
    "_ring": "from neurons._adapter import b",
    "plain": "from neurons import MembraneState, Neuron",
    "adapted": "from neurons._adapter import Adapter",
    "relative": "from ._library import load",
    "sibling": "from . import _library",
    "whole": "import neurons._library",
    "late": "def build(channels):\n    from neurons._library import load",
    "absent": "from neurons._gone import nothing\nimport neuronsuite._library\nfrom norse import _adapter",
    "built": "from neurons import plain",
    "exported": "from neurons import STC",
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "neurons"
    folder.mkdir()
    for name, code in FILES.items():
        (folder / f"{name}.py").write_text(code)
    (folder / "__init__.py").write_text("from neurons._stc import STC\nfrom neurons._library import load")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(neurons, "__path__", [str(folder)])
    return folder


def of(name: str) -> set[str]:
    found = sources.of(name)
    assert found == sorted(found)
    assert all(path.parent == Path("neurons") and path.suffix == ".py" for path in found)
    return {path.stem for path in found}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("adapted", {"_adapter", "_library", "_ring"}),  # from file to file, and a ring of imports ends
        ("plain", set()),  # `from neurons import`: the contract, but neither the registry nor what it imports
        ("relative", {"_library"}),
        ("sibling", {"_library"}),
        ("whole", {"_library"}),
        ("late", {"_library"}),  # wherever in the file the import stands
        ("absent", set()),
        ("built", {"plain"}),
        ("exported", {"_stc"}),  # what the package hands on comes from a file all the same
    ],
)
def test_imports_are_followed_from_file_to_file(registry: Path, name: str, wanted: set[str]) -> None:
    assert of(name) == {name} | wanted | CONTRACT


@pytest.mark.parametrize("content", [b"def build(:\n", b"\xff\xfe\x00", b"x = 1\x00"])
def test_a_file_that_python_cannot_read_is_its_own_source(registry: Path, content: bytes) -> None:
    """Its cell ends as failed and says why; mending it must run the cell again."""
    (registry / "plain.py").write_bytes(content)
    assert of("plain") == {"plain"} | CONTRACT


@pytest.mark.parametrize("name", ["", "no_such", "stc_no_such"])
def test_an_unknown_neuron_rests_on_nothing(registry: Path, name: str) -> None:
    assert of(name) == set()


def test_a_circuit_without_a_file_rests_on_the_circuit_and_on_what_it_is_put_upon(registry: Path) -> None:
    assert of("stc_adapted") == of("adapted") | {"_stc"}
    (registry / "stc_adapted.py").write_text("from neurons import plain")  # now it has a file
    assert of("stc_adapted") == {"stc_adapted", "plain"} | CONTRACT


@pytest.mark.parametrize("name", neurons.available() + neurons.twins())
def test_every_class_that_a_neuron_is_made_of_is_in_its_sources(name: str) -> None:
    base = neurons.build(neurons.wrapped(name) or name, 16)
    if "v" not in base.initial_state(torch.zeros(1, 16, 1, 1))._fields and neurons.wrapped(name):
        with pytest.raises(neurons.UnsupportedError):  # a circuit upon what has no membrane
            neurons.build(name, 16)
        return
    built = neurons.build(name, 16)
    classes = {kind.__module__ for part in built.modules() for kind in type(part).__mro__}
    used = {module.removeprefix("neurons.") for module in classes if module.startswith("neurons.")}
    assert used <= of(name)
    assert len(used) >= 1


def test_what_every_committed_result_rests_on_is_committed_with_it() -> None:
    results = {path.parent.name for path in ROOT.glob("results/*/*/*/accuracy.json")}
    assert len(results) > 80
    assert not results - {path.stem for path in ROOT.glob("results/sources/*.json")}


def test_the_stage_hashes_the_sources_of_every_line_and_every_neuron(
    project: Project, here: Callable[..., Done]
) -> None:
    project.params["neurons"] = {"lif": {}, "plif-published": {"gain": "published"}, "stc_norse_lif": {}, "lff": {}}
    project.params["more_neurons"] = {"quick": {"stc_glif": {}}, "paper": {"stc_glif": {}, "tclif": {}}}
    project.save()
    folder = project.folder / "results/sources"
    folder.mkdir(parents=True)
    (folder / "gone.json").write_text("of a neuron that is no more")
    assert here(project, "sources").returncode == 0
    written = {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.json")}
    of_datasets = {f"datasets/{name}" for name in datasets.available()}
    of_neurons = {f"neurons/{name}" for name in neurons.available()}
    of_profiles = {name for name in written if name.startswith("profiles/")}
    lines = {*project.params["neurons"], "stc_glif", "tclif"}  # of whatever profile: changing it makes nothing stale
    assert set(written) - of_profiles == lines | of_neurons | of_datasets
    for name in set(written) - of_profiles:
        path = written[name]
        found = json.loads(path.read_text())
        assert found["of"] == settings.kind(path.stem)
        of = sources.of_dataset if name in of_datasets else sources.of
        assert set(found["files"]) == {str(file) for file in of(found["of"])}
        for file, digest in found["files"].items():
            assert digest == hashlib.sha256((project.folder / file).read_bytes()).hexdigest()
    labelled, plain = (json.loads((folder / f"{name}.json").read_text()) for name in ("plif-published", "neurons/plif"))
    assert labelled == {**plain, "params": {"gain": "published"}}
    assert not json.loads((folder / "lff.json").read_text())["files"]  # its cell will say that it is unknown


def parts(project: Project) -> dict[str, Any]:
    """What the stage wrote of the profiles, by profile/dataset/part."""
    folder = project.folder / "results/sources/profiles"
    found = {str(path.relative_to(folder).with_suffix("")): json.loads(path.read_text()) for path in folder.rglob("*")
             if path.is_file()}  # fmt: skip
    return {name: content[name.rpartition("/")[2]] for name, content in found.items()}


def test_every_dataset_of_every_profile_has_its_parts_and_none_that_vanished(
    project: Project, here: Callable[..., Done]
) -> None:
    assert here(project, "sources").returncode == 0
    wanted = {
        f"{profile}/{dataset}/{part}"
        for profile, cells in project.params["profiles"].items()
        for dataset, cell in cells.items()
        for part in {*cell, "seeds", "batch"}
    }
    assert "paper/kth-40/data" in wanted  # listed or not
    assert set(parts(project)) == wanted
    training, cell = project.cell["training"], parts(project)
    split = {**cell["smoke/moving_mnist/training"], **cell["smoke/moving_mnist/seeds"]}
    assert split == training
    assert cell["smoke/moving_mnist/seeds"] == {key: training[key] for key in ("loaders", "seeds", "workers")}
    assert cell["smoke/moving_mnist/batch"] == {key: training[key] for key in ("batch", "device")}
    for part in ("data", "network", "cost", "stability"):
        assert cell[f"smoke/moving_mnist/{part}"] == project.cell[part]
    del project.cell["stability"], project.params["profiles"]["quick"]
    project.save()
    assert here(project, "sources").returncode == 0
    gone = {name for name in wanted if name.startswith("quick/")} | {"smoke/moving_mnist/stability"}
    assert set(parts(project)) == wanted - gone


def test_only_values_count_neither_their_order_nor_how_they_are_written(
    project: Project, here: Callable[..., Done]
) -> None:
    """And settings that do not stand there do not: a later version may add some."""
    project.cell["network"].pop("compile", None)
    project.cell["data"]["odd"] = {"day": date(2010, 1, 2), "most": float("inf"), 7: [True, None]}
    project.save()
    assert here(project, "sources").returncode == 0
    before = parts(project)
    assert "compile" not in before["smoke/moving_mnist/network"]
    odd = {"day": "date 2010-01-02", "most": "float inf", "int 7": [True, None]}
    assert before["smoke/moving_mnist/data"]["odd"] == odd
    texts = {path: path.read_bytes() for path in (project.folder / "results/sources").rglob("*.json")}
    training = project.cell["training"]
    training["sampling"] = dict(reversed(training["sampling"].items())) | {"start": int(training["sampling"]["start"])}
    project.cell["training"] = dict(reversed(training.items()))
    project.cell["data"] = dict(reversed(project.cell["data"].items()))
    text = "# another comment\n" + yaml.safe_dump(project.params, sort_keys=False, default_flow_style=True)
    (project.folder / "params.yaml").write_text(text)
    assert here(project, "sources").returncode == 0
    assert {path: path.read_bytes() for path in (project.folder / "results/sources").rglob("*.json")} == texts


def test_the_stage_repeats_itself_byte_for_byte(project: Project, here: Callable[..., Done]) -> None:
    seen = []
    for _ in range(2):
        assert here(project, "sources").returncode == 0
        seen.append({path: path.read_bytes() for path in (project.folder / "results/sources").rglob("*.json")})
    assert seen[0] == seen[1]
    assert {path.name for path in (project.folder / "results").iterdir()} == {"sources", "smoke"}


def test_a_dataset_rests_on_the_form_and_on_what_it_imports() -> None:
    for name in datasets.available():
        found = {path.name for path in sources.of_dataset(name)}
        assert {f"{name}.py", "_dataset.py", "_card.py"} <= found
        module = import_module(f"datasets.{name}")
        parts = {getattr(part, "__module__", "") for part in vars(module).values()}
        of_package = {f"{part.removeprefix('datasets.')}.py" for part in parts if part.startswith("datasets.")}
        assert of_package <= found
    assert sources.of_dataset("no_such") == []
