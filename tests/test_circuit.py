"""The circuit as a wrapper of any neuron, the folder as registry, and the checks that hold outputs to the contract."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from torch import Tensor

import neurons
from neurons._stc import STC

Draw = Callable[..., Tensor]
AddFile = Callable[[str, str], None]
CHANNELS = 16


def one_line(error: pytest.ExceptionInfo[Exception]) -> bool:
    return len(str(error.value).splitlines()) == 1


# --- the circuit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", neurons.available())
def test_silent_pathways_leave_any_neuron_with_a_membrane_as_it_is(name: str, currents: Draw) -> None:
    neuron, drive = neurons.build(name, CHANNELS), currents()
    circuit = STC(neuron, CHANNELS)
    if "v" not in neuron.initial_state(drive[0])._fields:
        with pytest.raises(neurons.UnsupportedError, match="no `v`") as error:
            circuit.initial_state(drive[0])
        assert one_line(error)
        return
    with torch.no_grad():
        for pathway in (circuit.temporal, circuit.spatial):
            norm = pathway[1]
            assert isinstance(norm, torch.nn.GroupNorm)
            norm.weight.zero_()
            norm.bias.zero_()
    wrapped, wrapped_state = circuit.unroll(drive, circuit.initial_state(drive[0]))
    alone, alone_state = neuron.unroll(drive, neuron.initial_state(drive[0]))
    assert torch.equal(wrapped, alone)
    assert all(torch.equal(a, b) for a, b in zip(wrapped_state, alone_state, strict=True))


def test_stc_lif_is_the_circuit_around_a_perfect_integrator(currents: Draw) -> None:
    drive = currents(1, dtype=torch.float64)[0]
    circuit = neurons.build("stc_lif", CHANNELS).double()
    assert isinstance(circuit, STC)
    state = circuit.initial_state(drive)._replace(v=drive.flip(0), s=(drive > 0).double())
    keep, admit = circuit.factors(state.s)
    spikes, after = circuit(drive, state)
    h = state.v * keep + drive * admit
    assert torch.equal(spikes, (h >= 1).double())
    assert torch.allclose(after.v, h - spikes, rtol=0, atol=1e-12)


def test_factors_lie_between_0_and_2(currents: Draw) -> None:
    circuit = neurons.build("stc_lif", CHANNELS).double()
    assert isinstance(circuit, STC)
    spikes = (currents(1, dtype=torch.float64)[0] > 1).double()
    for factor in circuit.factors(spikes):
        assert factor.shape == spikes.shape
        assert ((factor > 0) & (factor < 2)).all()
        assert factor.std() > 0.1


@pytest.mark.parametrize("detach", [False, True])
def test_detach_stops_the_gradient_at_the_spikes(detach: bool, currents: Draw) -> None:
    drive = currents(2)
    circuit = neurons.build("stc_lif", CHANNELS, detach=detach)
    _, state = circuit(drive[0], circuit.initial_state(drive[0]))
    spikes = (drive[0] > 0).float().requires_grad_()
    membrane = drive[0].clone().requires_grad_()
    output, _ = circuit(drive[1], state._replace(v=membrane, s=spikes))
    into_spikes, into_membrane = torch.autograd.grad(output.sum(), (spikes, membrane), allow_unused=True)
    assert into_membrane.abs().sum() > 0
    assert (into_spikes is None) if detach else (into_spikes.abs().sum() > 0)


@pytest.mark.parametrize(
    ("params", "says"),
    [({"groups": 5}, "5 groups do not divide 16 channels"), ({"kernel_size": 4}, "kernel_size is 4")],
)
def test_a_circuit_that_cannot_be_is_refused(params: dict[str, int], says: str) -> None:
    with pytest.raises(neurons.NeuronError, match=says) as error:
        neurons.build("stc_lif", CHANNELS, **params)
    assert one_line(error)


# --- the folder as registry -------------------------------------------------------------------------------------------


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


def test_names_are_sorted_and_public() -> None:
    names = neurons.available()
    assert names == sorted(names)
    assert {"lif", "stc_lif", "convlstm"} <= set(names)
    assert not [name for name in names if name.startswith("_")]


def test_an_added_file_is_a_neuron(add_file: AddFile, currents: Draw) -> None:
    add_file("toy", "from neurons.lif import build\n")
    assert "toy" in neurons.available()
    drive = currents(1)[0]
    neuron = neurons.build("toy", CHANNELS)
    assert neuron(drive, neuron.initial_state(drive))[0].shape == drive.shape


def test_libraries_are_imported_without_warnings_and_only_when_built() -> None:
    program = f"""
import sys, warnings, torch, neurons
neurons.build("lif", {CHANNELS})
assert not {{"snntorch", "norse", "spikingjelly"}} & set(sys.modules)
warnings.simplefilter("error")
for name in neurons.available():
    neurons.build(name, {CHANNELS})
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(neurons.NeuronError, match=r"unknown neuron 'stc_lifs'.*stc_lif") as error:
        neurons.build("stc_lifs", CHANNELS)
    assert one_line(error)


def test_an_unknown_parameter_lists_near_ones() -> None:
    with pytest.raises(neurons.NeuronError, match=r"unknown parameter 'kernelsize'.*kernel_size") as error:
        neurons.build("stc_lif", CHANNELS, kernelsize=3)
    assert one_line(error)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", neurons.NeuronError, r"neurons/toy\.py: no build"),
        ("build = 3\n", neurons.NeuronError, r"neurons/toy\.py: no build"),
        ("def build(channels):\n    return 'me'\n", neurons.NeuronError, r"toy\.py: build returned str.*Neuron"),
        ("def build(channels):\n    return None\n", neurons.NeuronError, r"toy\.py: build returned NoneType"),
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
    with pytest.raises(kind, match=says) as error:
        neurons.build("toy", CHANNELS)
    assert one_line(error)


# --- checks of outputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "says"), [([0.0, float("nan")], "NaN"), ([1.0, float("inf")], "infinite"), ([0.0, 0.5], r"found 0\.5")]
)
def test_a_bad_output_gets_one_line(values: list[float], says: str) -> None:
    with pytest.raises(neurons.NeuronError, match=says) as error:
        neurons.check_output(neurons.build("lif", CHANNELS), torch.tensor(values))
    assert one_line(error)


def test_a_real_valued_neuron_may_give_real_values() -> None:
    neuron = neurons.build("convlstm", CHANNELS)
    neurons.check_output(neuron, torch.tensor([-0.5, 0.25]))
    with pytest.raises(neurons.NeuronError, match="NaN"):
        neurons.check_output(neuron, torch.tensor([float("nan")]))


def test_a_wrong_shape_gets_one_line(currents: Draw) -> None:
    drive = currents(1)[0]
    neurons.check_shape(drive, drive)
    with pytest.raises(neurons.NeuronError, match=r"\[2, 16, 6\].*\[2, 16, 6, 6\]") as error:
        neurons.check_shape(drive[..., 0], drive)
    assert one_line(error)
