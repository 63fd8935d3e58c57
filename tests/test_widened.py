"""Capacity controls: how wide a neuron's network is made to be as large as its circuit variant's."""

import json
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import CELL, ROOT, Done, Project, one_line_error
from safetensors.torch import load_file
from torch import Tensor, nn

import neurons
from benchmarks import behaviour, command, costs, memory, seeds, settings
from benchmarks.cell import Cell
from benchmarks.network import Predictor
from benchmarks.settings import NetworkSettings

LOADED = settings.load(ROOT / "params.yaml")
TWIN = {"as_wide_as": {"neuron": "stc_lif", "params": {}}}


def of_lif(channels: int, shape: dict[str, int], frame: tuple[int, int, int]) -> int:
    """Parameters of LIF's network, by hand: convolutions, GroupNorms with weight and bias, readout; LIF has none."""
    inputs, area = frame[0] * shape["patch"] ** 2, shape["kernel_size"] ** 2
    layers = [inputs, *[channels] * (shape["layers"] - 1)]
    return sum(of * channels * area + 2 * channels for of in layers) + channels * inputs


def of_circuit(shape: dict[str, int], groups: int = 16, pathways: int = 2) -> int:
    """Parameters that the circuit adds: a layer and pathway, a grouped 5 x 5 convolution and a GroupNorm."""
    channels = shape["channels"]
    return shape["layers"] * pathways * (channels * (channels // groups) * 25 + 2 * channels)


def nearest(wanted: int, shape: dict[str, int], frame: tuple[int, int, int]) -> int:
    """The width, in steps of channels a group and not below the usual, whose count is nearest; the least of several."""
    step = shape["channels"] // shape["groups"]
    widths = range(shape["channels"], 20 * shape["channels"], step)
    return min(widths, key=lambda width: (abs(of_lif(width, shape, frame) - wanted), width))


def size(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def width(network: Predictor) -> tuple[int, int]:
    layers: Any = network.layers
    assert len({(layer.conv.out_channels, layer.norm.num_groups) for layer in layers}) == 1
    return layers[0].conv.out_channels, layers[0].norm.num_groups


@pytest.mark.parametrize(
    ("shape", "frame", "circuit"),
    [
        ({"patch": 4, "layers": 2, "channels": 32, "kernel_size": 5, "groups": 16}, (1, 32, 32), {}),
        ({"patch": 4, "layers": 2, "channels": 32, "kernel_size": 3, "groups": 16}, (2, 16, 16), {}),
        ({"patch": 2, "layers": 1, "channels": 16, "kernel_size": 3, "groups": 16}, (1, 8, 8), {}),
        ({"patch": 2, "layers": 3, "channels": 16, "kernel_size": 3, "groups": 2}, (1, 8, 8), {"groups": 1}),
        ({"patch": 2, "layers": 2, "channels": 48, "kernel_size": 5, "groups": 16}, (1, 8, 8), {"pathways": "spatial"}),
        ({"patch": 2, "layers": 2, "channels": 16, "kernel_size": 3, "groups": 8}, (1, 8, 8), {"pathways": "none"}),
    ],
)
def test_the_width_is_the_one_whose_count_is_nearest(
    shape: dict[str, int], frame: tuple[int, int, int], circuit: dict[str, Any]
) -> None:
    pathways = {"spatial": 1, "none": 0}.get(circuit.get("pathways", ""), 2)
    wanted = of_lif(shape["channels"], shape, frame) + of_circuit(shape, circuit.get("groups", 16), pathways)
    twin = {"as_wide_as": {"neuron": "stc_lif", "params": circuit}}
    network = Predictor("lif", twin, frame, NetworkSettings.model_validate(shape), seed=0)
    channels, groups = width(network)
    assert channels == nearest(wanted, shape, frame)
    assert channels / groups == shape["channels"] / shape["groups"]
    assert size(network) == of_lif(channels, shape, frame)
    assert size(Predictor("stc_lif", circuit, frame, NetworkSettings.model_validate(shape), seed=0)) == wanted


class Weighty(neurons.Neuron):
    """A neuron of so many parameters."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.zeros(count))

    def forward(self, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        return current, state


@pytest.mark.parametrize(("more", "channels"), [(-1, 4), (0, 4), (1, 6)])
def test_a_tie_goes_to_the_narrower_network(monkeypatch: pytest.MonkeyPatch, more: int, channels: int) -> None:
    shape, frame = {"patch": 1, "layers": 1, "channels": 4, "kernel_size": 1, "groups": 2}, (1, 4, 4)
    assert (of_lif(4, shape, frame), of_lif(6, shape, frame)) == (16, 24)  # C + 2 C + C
    real = neurons.build

    def build(name: str, *arguments: Any, **params: Any) -> neurons.Neuron:
        return Weighty(4 + more) if name == "stc_lif" else real(name, *arguments, **params)

    monkeypatch.setattr(neurons, "build", build)
    network = Predictor("lif", TWIN, frame, NetworkSettings.model_validate(shape), seed=0)
    assert width(network) == (channels, channels // 2)


SMALL = NetworkSettings(patch=2, layers=2, channels=16, kernel_size=3, groups=16)


def test_a_widened_network_is_drawn_from_its_seed_and_from_nothing_else() -> None:
    torch.manual_seed(5)
    first = Predictor("lif", TWIN, (1, 8, 8), SMALL, seed=3).state_dict()
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)  # the draws of others are as they were
    channels, _ = width(Predictor("lif", TWIN, (1, 8, 8), SMALL, seed=3))
    plain = Predictor("lif", {}, (1, 8, 8), SMALL.model_copy(update={"channels": channels, "groups": channels}), seed=3)
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in first.items())


def test_it_says_how_wide_it_is_beside_what_the_neuron_says() -> None:
    noted = [
        Predictor(name, {**params, "as_wide_as": {"neuron": f"stc_{name}", "params": {}}}, (1, 8, 8), SMALL, seed=0)
        for name, params in (("lif", {}), ("plif", {"gain": "published"}))
    ]
    notes = [network.neurons_by_layer()[0].note for network in noted]
    channels = width(noted[0])[0]
    assert notes[0] == f"{channels} channels in place of 16, to the size of stc_lif's network"
    assert notes[1].startswith(neurons.build("plif", 16, gain="published").note + "; ")
    assert not neurons.build("lif", 16).note


def test_a_twin_that_cannot_be_built_is_a_result_of_the_cell() -> None:
    with pytest.raises(neurons.UnsupportedError, match="no `v` among"):
        Predictor("convlstm", {"as_wide_as": {"neuron": "stc_convlstm", "params": {}}}, (1, 8, 8), SMALL, seed=0)


def test_a_control_is_an_entry_with_the_arguments_of_the_one_it_is_of() -> None:
    controls = {name: LOADED.twin(name) for name in LOADED.neurons if LOADED.twin(name)}
    assert (
        controls.items() >= {"lif-wide": "stc_lif", "plif-wide": "stc_plif", "norse_lif-wide": "stc_norse_lif"}.items()
    )
    assert set(controls) == {name for name in LOADED.neurons if settings.is_control(name)}
    assert not any("as_wide_as" in params for params in LOADED.neurons.values())
    assert LOADED.neuron("lif-wide") == TWIN
    assert LOADED.neuron("plif-wide") == {
        "gain": "published",
        "as_wide_as": {"neuron": "stc_plif", "params": LOADED.neurons["stc_plif"]},
    }
    assert "as_wide_as" not in LOADED.neuron("stc_lif")


def test_every_twin_of_standard_has_a_control_unless_the_next_width_is_farther_off_than_its_own() -> None:
    standard = settings.load(ROOT / "params.yaml", profile="standard")
    twins = {settings.kind(name).removeprefix("stc_") for name in standard.neurons if name.startswith("stc_")}
    controls = {settings.kind(name) for name in standard.neurons if settings.is_control(name)}
    assert controls <= twins
    for dataset in standard.datasets:
        shape = standard.cell("standard", dataset).network
        for name in sorted(twins - controls):
            twin = {"as_wide_as": {"neuron": f"stc_{name}", "params": standard.neuron(f"stc_{name}")}}
            assert width(Predictor(name, twin, (1, 32, 32), shape, seed=0))[0] == shape.channels, name
    assert twins - controls == {"snntorch_sconv2dlstm"}


def test_every_ablation_can_be_built_in_every_profile() -> None:
    """Groups have to divide the channels of all of them."""
    ablations = [name for name in LOADED.neurons if settings.is_ablation(name)]
    assert len(ablations) >= 4
    widths = {cell.network.channels for profile in LOADED.profiles.values() for cell in profile.values()}
    for channels in widths:
        for name in ablations:
            neurons.build(settings.kind(name), channels, **LOADED.neurons[name])


@pytest.mark.parametrize(
    ("name", "control", "ablation"),
    [
        ("lif", False, False),
        ("lif-wide", True, False),
        ("plif-published", False, False),
        ("stc_lif-temporal", False, True),
        ("stc_norse_lif-groups4", False, True),
        ("stc_lmh-published", False, False),
        ("lif-none", False, False),
        ("wide", False, False),
    ],
)
def test_a_label_says_what_a_line_is_for(name: str, control: bool, ablation: bool) -> None:
    assert (settings.is_control(name), settings.is_ablation(name)) == (control, ablation)


def test_a_control_depends_on_its_circuit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names = ("norse_lif-wide", "stc_norse_lif", "norse_lif")
    own, twin, base = (Cell.of(LOADED, "quick", "moving_mnist", name)._given("train") for name in names)
    files = [{name: digest for name, digest in of.items() if name.startswith("neurons/")} for of in (own, twin, base)]
    assert files[0] == {**files[2], **files[1]} != files[2]
    assert json.loads(own["neuron.params"]) == {"as_wide_as": {"neuron": "stc_norse_lif", "params": {}}}
    assert {name for name in own if own[name] != base.get(name)} == {
        "neuron.params",
        *(files[1].keys() - files[2].keys()),
    }


def test_a_control_is_trained_wide_and_measured_beside_lif_of_the_usual_width(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.params |= {"neurons": {"lif": {}, "stc_lif": {"groups": 4}}, "controls": ["lif"]}
    project.save()
    monkeypatch.chdir(project.folder)
    cell = command.cell(Namespace(profile="smoke", dataset="moving_mnist", neuron="lif-wide"))
    shape = {key: project.cell["network"][key] for key in ("patch", "layers", "channels", "kernel_size", "groups")}
    frame = (1, project.cell["data"]["canvas"], project.cell["data"]["canvas"])
    wanted = nearest(of_lif(16, shape, frame) + of_circuit(shape, groups=4), shape, frame)
    assert wanted > 16

    record = seeds.run_seed(cell, project.folder, 0, lambda *_: None)
    assert record["status"] == "ok"
    assert record["parameters"] == {"network": of_lif(wanted, shape, frame), "neurons": 0}
    assert record["note"].startswith(f"{wanted} channels in place of 16")
    weights = load_file(project.folder / "weights.safetensors")
    assert behaviour.behaviour(cell, weights)["operations"]["total"]["ac"] > 0

    widths = []
    real = costs.Workload.__init__

    def spied(self: costs.Workload, *arguments: Any) -> None:
        real(self, *arguments)
        widths.append(width(self.network)[0])

    monkeypatch.setattr(costs.Workload, "__init__", spied)
    monkeypatch.setattr(memory, "peak", lambda *_: {})
    found, _ = costs.measure(cell)
    builds = project.cell["cost"]["repeats"]
    assert widths == [wanted] * builds + [16] * builds
    assert found["time"]["train_step"]["ratio_to_lif"] > 0


def test_a_stage_refuses_a_bad_control_in_one_line(project: Project, here: Callable[..., Done]) -> None:
    project.params["controls"] = ["lif"]
    project.save()
    one_line_error(here(project, "train", *CELL, "lif"), "controls: lif wants an entry stc_lif")
