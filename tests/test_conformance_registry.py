"""The folder as registry: what it holds, when it imports, and what it says to a mistake."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conformance import CHANNELS, CIRCUITS, NAMES, REFUSED, draw, every_neuron, layer
from conftest import ROOT

import neurons

AddFile = Callable[[str, str], None]
LIBRARIES = ("snntorch", "norse", "spikingjelly")


def refused(says: str, name: str, params: Any = None, kind: type[Exception] = neurons.NeuronError) -> None:
    with pytest.raises(kind, match=says) as error:
        neurons.build(name, CHANNELS, **(params or {}))
    assert len(str(error.value).splitlines()) == 1


def runs(program: str) -> None:
    """Runs it in a Python that has imported nothing yet."""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""


@pytest.fixture
def add_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AddFile]:
    """Adds a neuron file to the registry for the length of a test."""
    added = []
    monkeypatch.setattr(neurons, "__path__", [*neurons.__path__, str(tmp_path)])

    def add(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        added.append(name)

    yield add
    for name in added:
        sys.modules.pop(f"neurons.{name}", None)
        if hasattr(neurons, name):
            delattr(neurons, name)


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_are_sorted_and_public() -> None:
    names = neurons.available()
    assert names == sorted(names)
    assert {"lif", "stc_lif", "convlstm", "snntorch_leaky", "norse_lif", "spikingjelly_plif"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_every_neuron_has_exactly_one_circuit_and_no_circuit_has_one() -> None:
    files = neurons.available()
    circuits = sorted([name for name in files if name.startswith("stc_")] + neurons.twins())
    assert circuits == sorted(f"stc_{name}" for name in files if not name.startswith("stc_"))
    assert {*CIRCUITS, *REFUSED} == {*circuits}
    assert [neurons.wrapped(name) for name in neurons.twins()] == [
        name.removeprefix("stc_") for name in neurons.twins()
    ]
    assert not any(neurons.wrapped(name) for name in files)


def test_an_added_file_is_a_neuron_and_has_a_circuit(add_file: AddFile) -> None:
    add_file("toy", "from neurons.lif import build\n")
    assert "toy" in neurons.available()
    assert "stc_toy" in neurons.twins()
    drive = draw("cpu", 1)[0]
    for name in ("toy", "stc_toy"):
        neuron = layer(name, "cpu")
        assert neuron(drive, neuron.initial_state(drive))[0].shape == drive.shape


@every_neuron
def test_every_part_fires_as_the_table_says(name: str, device: str) -> None:
    firing = neurons.Firing(surrogate="atan", alpha=2.0, reset_gradient="detached")
    parts = [part for part in layer(name, device, firing=firing).modules() if isinstance(part, neurons.Neuron)]
    assert len(parts) == 1 + name.startswith("stc_")
    assert all(part.firing == firing for part in parts)


def test_parameters_of_a_twin_are_the_neuron_s_and_the_circuit_s() -> None:
    circuit = set(neurons.parameters("stc_lif"))
    assert circuit == {"pathways", "kernel_size", "groups", "detach", "bound", "step"}
    for twin in neurons.twins():
        assert set(neurons.parameters(twin)) == set(neurons.parameters(neurons.wrapped(twin))) | circuit


def test_a_twin_s_parameters_reach_the_neuron_and_the_circuit() -> None:
    twin = layer("stc_norse_lif", "cpu", tau_mem_inv=0.25, pathways="spatial", groups=4, kernel_size=3)
    assert torch.equal(twin.neuron.learnt["tau_mem_inv"], torch.full((CHANNELS, 1, 1), 0.25))
    assert twin.temporal is None
    assert twin.spatial[0].groups == 4
    assert twin.spatial[0].kernel_size == (3, 3)


# --- libraries --------------------------------------------------------------------------------------------------------


def test_libraries_are_imported_without_warnings_and_only_when_built() -> None:
    runs(f"""
import sys, warnings, torch, neurons
libraries = lambda: {{*{LIBRARIES}}} & {{*sys.modules}}
neurons.twins(), [neurons.card(name) for name in neurons.available()], [neurons.parameters(name) for name in {NAMES}]
neurons.build("lif", {CHANNELS}), neurons.build("stc_glif", {CHANNELS})
assert not libraries(), libraries()
warnings.simplefilter("error")
current = torch.zeros(1, {CHANNELS}, 3, 3)
for library in {LIBRARIES}:
    before = libraries()
    for name in {NAMES}:
        if library in name:
            neuron = neurons.build(name, {CHANNELS})
            neuron(current, neuron.initial_state(current))
    assert libraries() == before | {{library}}, (library, libraries())
for name in {NAMES}:
    neuron = neurons.build(name, {CHANNELS})
    neuron(current, neuron.initial_state(current))
""")


def test_a_library_that_is_not_installed_is_missed_by_its_own_neurons_alone() -> None:
    runs(f"""
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("norse", "snntorch"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import neurons
assert neurons.available() == {neurons.available()}
for name in {NAMES}:
    library = name.removeprefix("stc_").partition("_")[0]
    try:
        neurons.build(name, {CHANNELS})
    except neurons.UnsupportedError as error:
        assert library in ("norse", "snntorch"), (name, error)
        assert str(error) == f"{{library}} is not installed", error
    else:
        assert library not in ("norse", "snntorch"), name
""")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_refused(name: str) -> None:
    refused(f"{name}.*unknown parameter 'no_such_thing'", name, {"no_such_thing": 1})


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("stc_lifs", "stc_lif"),
        ("stc_nors_lif", "stc_norse_lif"),
        ("snntorch_leeky", "snntorch_leaky"),
        ("stc_stc_lif", "stc_lif"),
    ],
)
def test_an_unknown_name_lists_near_ones(name: str, near: str) -> None:
    refused(f"unknown neuron '{name}'; did you mean .*{near}", name)


@pytest.mark.parametrize(
    ("name", "param", "near"),
    [
        ("stc_lif", "kernelsize", "kernel_size"),
        ("stc_norse_lif", "grops", "groups"),
        ("stc_norse_lif", "tau_mem_in", "tau_mem_inv"),
        ("norse_lif", "tau_mem_in", "tau_mem_inv"),
        ("stc_lmh", "modulaton", "modulation"),
    ],
)
def test_an_unknown_parameter_lists_near_ones(name: str, param: str, near: str) -> None:
    refused(f"{name}.*unknown parameter '{param}'; did you mean {near}", name, {param: 1})


@pytest.mark.parametrize(
    ("name", "params", "says"),
    [
        ("norse_lif", {"tau_mem_inv": "fast"}, "tau_mem_inv: Input should be a valid number, found 'fast'"),
        ("stc_norse_lif", {"tau_mem_inv": "fast"}, "tau_mem_inv: Input should be a valid number, found 'fast'"),
        ("lif", {"reset": "medium"}, "reset: Input should be 'soft' or 'hard', found 'medium'"),
        ("convlstm", {"kernel_size": 2}, "kernel_size is 2; an odd one"),
        ("spikingjelly_glif", {"steps": 0}, "steps is 0, wanted at least 1"),
        ("spikingjelly_slidingpsn", {"k": 0}, "k is 0, wanted at least 1"),
        ("spikingjelly_plif", {"init_tau": 0.5}, "spikingjelly_plif.*init_tau"),
    ],
)
def test_a_value_that_cannot_be_is_refused(name: str, params: dict[str, Any], says: str) -> None:
    refused(says, name, params)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", neurons.NeuronError, r"neurons/toy\.py: no build"),
        ("build = 3\n", neurons.NeuronError, r"neurons/toy\.py: no build"),
        ("def build(channels):\n    return 'me'\n", neurons.NeuronError, r"toy\.py: build returned str.*Neuron"),
        ("def build(channels):\n    return None\n", neurons.NeuronError, r"toy\.py: build returned NoneType"),
        ("def build(channels):\n    return 1 / 0\n", neurons.NeuronError, r"toy.*ZeroDivisionError: division by zero"),
        ("import no_such_library\n", neurons.UnsupportedError, r"toy\.py.*no_such_library.*install"),
        ("def build(:\n", neurons.NeuronError, r"toy\.py cannot be imported: SyntaxError"),
        (
            "def build(channels):\n    import no_such_library\n",
            neurons.UnsupportedError,
            "toy.*no_such_library.*install",
        ),
    ],
)
def test_a_faulty_file_gets_one_line(add_file: AddFile, text: str, kind: type[Exception], says: str) -> None:
    add_file("toy", text)
    for name in ("toy", "stc_toy"):
        refused(says, name, kind=kind)
