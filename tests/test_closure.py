"""Which files decide a result: the closures, file by file, what lies outside them, and what a digest is of."""

import ast
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import datasets
import neurons
from benchmarks import closure, parity
from benchmarks.cell import CORE, TRIED
from benchmarks.interventions import TRIALS

SEEN = "evaluation loading metrics rounding"  # what turns predictions into scores
RUN = f"device network {SEEN}"
STAGES = {  # stage -> the files of benchmarks/ that decide its result; data are read by datasets/_sequences.py
    "prepare": "metrics rounding samples trivial",
    "train": f"{RUN} distributed progress samples seeds training",
    "dynamics": f"{RUN} behaviour counting energy lags operations spikes",
    "measure": "costs device joules memory network rounding timing",
    "stability": f"{RUN} distributed interventions progress training",
}
CONTRACT = "_firing _neuron"
CIRCUIT = f"{CONTRACT} _fused _integrate _kernels _packed _stc _vectors"
NEURONS = {
    "lif": f"{CONTRACT} _integrate lif",
    "plif": f"{CONTRACT} _integrate _plif plif",
    "stc_lif": f"{CIRCUIT} stc_lif",
    "stc_glif": f"{CIRCUIT} glif",  # no file of its own
    "norse_lif": f"{CONTRACT} _library _norse norse_lif",
    "stc_norse_lif": f"{CIRCUIT} _library _norse norse_lif",
    "convlstm": f"{CONTRACT} convlstm",
}
FORM = "_dataset _params _sequences"
FILES = f"{FORM} _archives _official"
MOVING = f"{FILES} _arrays _moving _moving_files"
DATASETS = {
    "advection": FORM,
    "city_flow": f"{FORM} _city",
    "events": f"{FILES} _aedat4 _arrays _figures _recordings stick_actions",
    "kth": f"{FILES} _kth_clips _kth_files _kth_pixels",
    "moving_fashion_mnist": MOVING,
    "moving_mnist": MOVING,
    "stick_actions": f"{FORM} _figures",
    "taxibj": f"{FILES} _arrays",
    "weatherbench": FILES,
}
# What the closures take from files outside them: no number follows from any of these. `Cell` is settings and paths,
# what REFERENCE and AS_WIDE_AS lead to is an input by its own name, and how errors and files are handled decides none.
TAKEN = {
    "benchmarks.cell": {"Cell", "REFERENCE"},
    "benchmarks.checkpoint": {"Checkpoint"},
    "benchmarks.command": {"", "NOT_THE_NEURON", "ending"},
    "benchmarks.files": {"ResultsError", "read_json", "replacing", "write_json"},
    "benchmarks.settings": {"AS_WIDE_AS", "NetworkSettings", "SettingsError", "StabilitySettings", "TrainingSettings"},
    "benchmarks.weights": {""},
    "benchmarks.workers": {"OnStep", "end_with_parent"},
    "datasets": {"Sequences"},
    "datasets._card": {"SPLITS", "DatasetError", "prepare_command", "read_card"},
    "neurons": {"", "NeuronError", "NotFiniteError", "Neuron", "STC", "UnsupportedError", "check_output"},
}


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def of(package: str, words: str) -> list[str]:
    return sorted(f"{package}/{name}.py" for name in words.split())


@pytest.mark.parametrize("stage", CORE)
def test_of_a_stage(root: None, stage: str) -> None:
    assert list(closure.digests(*CORE[stage])) == [*of("benchmarks", STAGES[stage]), "datasets/_sequences.py"]


@pytest.mark.parametrize("name", NEURONS)
def test_of_a_neuron(root: None, name: str) -> None:
    assert list(closure.of_neuron(name)) == of("neurons", NEURONS[name])


def test_of_every_dataset(root: None) -> None:
    assert sorted(DATASETS) == datasets.available()
    for name, words in DATASETS.items():
        assert list(closure.of_dataset(name)) == of("datasets", f"{words} {name}")


@pytest.mark.parametrize("name", ["", "no_such", "stc_no_such"])
def test_of_an_unknown_name_there_is_none(root: None, name: str) -> None:
    assert closure.of_neuron(name) == closure.of_dataset(name) == {}


def closures() -> set[Path]:
    """Every file that lies in any closure."""
    found = {path for cores in CORE.values() for path in closure.digests(*cores)}
    for of_one, names in ((closure.of_neuron, neurons.available()), (closure.of_dataset, datasets.available())):
        found |= {path for name in names for path in of_one(name)}
    return {Path(path) for path in found}


def test_what_lies_outside_is_there_and_in_no_closure(root: None) -> None:
    assert all(Path(path).exists() for path in closure.OUTSIDE)
    assert not {Path(path) for path in closure.OUTSIDE} & closures()


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports, (module, name in it), wherever in it that stands; a whole module has the name ""."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, path
            for alias in node.names:
                whole = Path(*(node.module or "").split("."), f"{alias.name}.py").exists()
                yield (f"{node.module}.{alias.name}", "") if whole else (node.module or "", alias.name)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


def test_nothing_outside_decides_a_number(root: None) -> None:
    """An import that is added to a core module shows here, and has to be argued for above."""
    inside = closures()
    cores = {Path(path) for files in CORE.values() for path in closure.digests(*files)}
    found: dict[str, set[str]] = {}
    for path in cores:
        for module, name in imports(path):
            own = module.partition(".")[0] in ("benchmarks", "datasets", "neurons")
            if own and Path(*module.split(".")).with_suffix(".py") not in inside:
                found.setdefault(module, set()).add(name)
    assert found == TAKEN


def test_neurons_and_datasets_take_nothing_from_benchmarks(root: None) -> None:
    for path in (*Path("neurons").glob("*.py"), *Path("datasets").glob("*.py")):
        found = {module.partition(".")[0] for module, _ in imports(path)}
        assert found & {"benchmarks", "neurons", "datasets"} <= {path.parent.name}


@pytest.mark.parametrize("name", neurons.available() + neurons.twins())
def test_every_class_that_a_neuron_is_made_of_is_in_its_closure(root: None, name: str) -> None:
    base = neurons.build(neurons.wrapped(name) or name, 16)
    if "v" not in base.initial_state(torch.zeros(1, 16, 1, 1))._fields and neurons.wrapped(name):
        with pytest.raises(neurons.UnsupportedError):  # a circuit upon what has no membrane
            neurons.build(name, 16)
        return
    modules = {kind.__module__ for part in neurons.build(name, 16).modules() for kind in type(part).__mro__}
    used = {f"{module.replace('.', '/')}.py" for module in modules if module.startswith("neurons.")}
    assert used
    assert used <= set(closure.of_neuron(name))


def test_everything_that_a_dataset_has_at_hand_is_in_its_closure(root: None) -> None:
    for name in datasets.available():
        parts = {getattr(part, "__module__", "") for part in vars(import_module(f"datasets.{name}")).values()}
        used = {f"{part.replace('.', '/')}.py" for part in parts if part.startswith("datasets.")}
        assert used <= {*closure.of_dataset(name), *closure.OUTSIDE}


def test_what_is_listed_elsewhere_is_what_is_built(root: None, monkeypatch: pytest.MonkeyPatch) -> None:
    built = set()
    real = neurons.build

    def build(name: str, *arguments: object, **params: object) -> neurons.Neuron:
        built.add(name)
        return real(name, *arguments, **params)  # type: ignore[arg-type]

    monkeypatch.setattr(neurons, "build", build)
    monkeypatch.setattr(parity, "STEPS", 3)
    for compare in (parity.lif, parity.plif, parity.glif, parity.alif):
        compare()
    assert built == set(parity.COMPARED)
    assert {neuron for neuron, _ in TRIALS} == set(TRIED)


REGISTRY = {  # made up
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
    "typed": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from neurons._library import load",
    "other": "import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    from neurons._library import load",
    "turned": "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from neurons._library import load",
    "__init__": "from neurons._stc import STC\nfrom ._library import load",
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "neurons"
    folder.mkdir()
    for name, code in REGISTRY.items():
        (folder / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("adapted", "_adapter _library _ring"),  # from file to file, and a ring of imports ends
        ("plain", ""),  # `from neurons import`: the contract, but neither the registry nor all that it imports
        ("relative", "_library"),
        ("sibling", "_library"),
        ("whole", "_library"),
        ("late", "_library"),  # wherever in the file the import stands
        ("absent", ""),
        ("built", "plain"),
        ("exported", "_stc"),  # what the package hands on comes from a file all the same
        ("typed", ""),
        ("other", "_library"),
        ("turned", "_library"),
        ("stc_adapted", "_adapter _library _ring _stc adapted"),
    ],
)
def test_imports_are_followed_from_file_to_file(registry: Path, name: str, wanted: str) -> None:
    own = "" if name == "stc_adapted" else name
    assert list(closure.of_neuron(name)) == of("neurons", f"{CONTRACT} {own} {wanted}")


def test_a_circuit_with_a_file_rests_on_what_that_imports(registry: Path) -> None:
    (registry / "stc_adapted.py").write_text("from neurons import plain")
    assert list(closure.of_neuron("stc_adapted")) == of("neurons", f"{CONTRACT} stc_adapted plain")


CODE = '''"""A module."""

LEAK = 0.5


class Layer:
    """A layer."""

    leak: float = LEAK

    @staticmethod
    def step(v: float, x: float = 1.0) -> float:
        """One step."""
        return LEAK * v + x
'''
SAME = {
    "a comment": lambda code: code.replace("LEAK = 0.5", "LEAK = 0.5  # of the membrane"),
    "docstrings": lambda code: code.replace("A module", "A").replace("A layer.", "B\n\n    C.").replace("One", "A"),
    "no docstrings": lambda code: "".join(line for line in code.splitlines(keepends=True) if '"""' not in line),
    "blank lines": lambda code: code.replace("\n\n", "\n\n\n"),
    "formatting": lambda code: code.replace("LEAK * v + x", "(\n            LEAK*v + x\n        )").replace(
        "0.5", ".50"
    ),
}
OTHER = {
    "a constant": lambda code: code.replace("0.5", "0.25"),
    "a default": lambda code: code.replace("= 1.0", "= 2.0"),
    "a decorator": lambda code: code.replace("@staticmethod", "@classmethod"),
    "an annotation": lambda code: code.replace("leak: float", "leak: int"),
    "a name": lambda code: code.replace("step", "stride"),
    "a string that is no docstring": lambda code: code + '"""Not one."""\n',
    "a string below the docstring": lambda code: code.replace('"""One step."""', '"""One step."""\n        "more"'),
}


@pytest.fixture
def digest(tmp_path: Path) -> Callable[[str | bytes], str]:
    path, times = tmp_path / "code.py", count(1)

    def of_code(code: str | bytes) -> str:
        path.write_bytes(code.encode() if isinstance(code, str) else code)
        os.utime(path, (0, next(times)))  # digests are kept by the time of change
        return closure.digest(path)

    return of_code


@pytest.mark.parametrize("edit", SAME.values(), ids=SAME)
def test_what_leaves_a_digest_alone(digest: Callable[[str], str], edit: Callable[[str], str]) -> None:
    assert edit(CODE) != CODE
    assert digest(edit(CODE)) == digest(CODE)


@pytest.mark.parametrize("edit", OTHER.values(), ids=OTHER)
def test_what_changes_a_digest(digest: Callable[[str], str], edit: Callable[[str], str]) -> None:
    assert edit(CODE) != CODE
    assert digest(edit(CODE)) != digest(CODE)


@pytest.mark.parametrize("content", [b"def build(:\n", b"\xff\xfe\x00", b"x = 1\x00"])
def test_what_is_no_python_is_digested_by_its_bytes(digest: Callable[[bytes], str], content: bytes) -> None:
    """The cell ends as failed and says why; mending it must run the cell again, and so must a comment in it."""
    assert digest(content) != digest(content + b"# more")
    assert digest(content) == digest(content)


def test_such_a_neuron_rests_on_itself_and_the_contract(registry: Path) -> None:
    (registry / "plain.py").write_bytes(b"def build(:\n")
    assert list(closure.of_neuron("plain")) == of("neurons", f"{CONTRACT} plain")
    assert closure.digest(registry / "gone.py") == "missing"
