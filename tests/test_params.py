"""params.yaml as it is written: no key twice, defaults of a profile, and which controls a list of them makes."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

from benchmarks import params, settings
from benchmarks.settings import SettingsError

BASE: dict[str, Any] = {"neurons": {"lif": {}, "lif-hard": {"reset": "hard"}, "stc_lif": {}, "glif": {}}}


def listing(**given: Any) -> dict[str, Any]:
    """A params.yaml with other entries."""
    raw: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return {**raw, "controls": [], "more_neurons": {}, "more_controls": {}, **BASE, **given}


def load(folder: Path, raw: dict[str, Any], profile: str | None = None) -> settings.Settings:
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return settings.load(folder / "params.yaml", profile)


def refused(folder: Path, raw: dict[str, Any], says: str) -> None:
    """In one line that begins so."""
    with pytest.raises(SettingsError) as error:
        load(folder, raw)
    assert str(error.value).startswith(f"{folder}/params.yaml: {says}")
    assert len(str(error.value).splitlines()) == 1


# --- defaults of a profile --------------------------------------------------------------------------------------------


DATA = {"side": 16}
NETWORK = {"patch": 2, "layers": 2, "channels": 16, "kernel_size": 3, "groups": 16, "firing": {"alpha": 2.0}}
TRAINING = {
    "seeds": 1, "steps": 10, "batch": 8, "learning_rate": 5e-3, "final_learning_rate": 0.0, "warm_up": 0.05,
    "clip": None, "sampling": {"start": 1.0, "end": 0.0, "until": 0.5}, "validate_every": 10, "device": "auto",
    "workers": 1, "loaders": 0,
}  # fmt: skip
COST = {"repeats": 2, "seconds": 0.1}
DEFAULTS: dict[str, Any] = {"network": NETWORK, "training": TRAINING, "cost": COST}


def profiles(defaults: Any, **blocks: Any) -> dict[str, Any]:
    """A params.yaml with one profile, `small`."""
    given = {"profile": "small", "profiles": {"small": {"defaults": defaults, **blocks}}, "datasets": [*blocks]}
    return listing(**given, stability=[])


def test_a_dataset_needs_only_its_data_and_has_the_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path, profiles(DEFAULTS, city_flow={"data": DATA}, advection={"data": DATA}))
    assert set(loaded.profiles["small"]) == {"city_flow", "advection"}
    for dataset in loaded.datasets:
        cell = loaded.cell("small", dataset).model_dump(exclude_unset=True)
        assert cell == {"data": DATA, **DEFAULTS}


def test_mappings_are_merged_key_by_key_and_the_datasets_value_wins(tmp_path: Path) -> None:
    own = {
        "data": DATA,
        "network": {"patch": 4, "firing": {"surrogate": "atan"}},
        "training": {"clip": 1.0, "sampling": {"end": 0.2}},
        "stability": {"seeds": 1, "steps": 5},
    }
    loaded = load(tmp_path, profiles(DEFAULTS, city_flow=own, advection={"data": DATA}))
    assert loaded.cell("small", "city_flow").model_dump(exclude_unset=True) == {
        "data": DATA,
        "network": {**NETWORK, "patch": 4, "firing": {"alpha": 2.0, "surrogate": "atan"}},
        "training": {**TRAINING, "clip": 1.0, "sampling": {"start": 1.0, "end": 0.2, "until": 0.5}},
        "cost": COST,
        "stability": {"seeds": 1, "steps": 5},
    }
    assert loaded.cell("small", "advection").model_dump(exclude_unset=True) == {"data": DATA, **DEFAULTS}


def test_a_profile_needs_no_defaults_and_defaults_are_no_dataset(tmp_path: Path) -> None:
    raw = profiles(DEFAULTS, city_flow={"data": DATA})
    raw["profiles"]["plain"] = {"city_flow": {"data": DATA, **DEFAULTS}}
    loaded = load(tmp_path, raw)
    assert loaded.cell("plain", "city_flow") == loaded.cell("small", "city_flow")
    raw["datasets"] = ["defaults"]
    with pytest.raises(SettingsError, match="unknown dataset in profile small: 'defaults'; did you mean city_flow"):
        load(tmp_path, raw)


def test_no_two_datasets_share_a_mapping() -> None:
    raw = profiles(DEFAULTS, city_flow={"data": DATA}, advection={"data": DATA})
    blocks = params.whole(raw)["profiles"]["small"]
    blocks["city_flow"]["training"]["sampling"]["end"] = 9
    assert (
        blocks["advection"]["training"]["sampling"] == TRAINING["sampling"] == {"start": 1.0, "end": 0.0, "until": 0.5}
    )
    assert raw["profiles"]["small"]["defaults"] is DEFAULTS  # as it was


HERE, THERE = "profiles.small.defaults", "profiles.small.city_flow"


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (
            lambda shared, own: shared["network"].update(layrs=2),
            f"{HERE}.network.layrs: unknown parameter; did you mean",
        ),
        (
            lambda shared, own: own.update(network={"layrs": 2}),
            f"{THERE}.network.layrs: unknown parameter; did you mean",
        ),
        (
            lambda shared, own: shared["training"].update(steps="x"),
            f"{HERE}.training.steps: Input should be a valid int",
        ),
        (lambda shared, own: own.update(training={"steps": 0}), f"{THERE}.training.steps: Input should be greater"),
        (
            lambda shared, own: shared["training"]["sampling"].update(until=2),
            f"{HERE}.training.sampling.until: Input should be less than or equal to 1, found 2",
        ),
        (
            lambda shared, own: own.update(training={"sampling": {"until": 2}}),
            f"{THERE}.training.sampling.until: Input should be less than or equal to 1, found 2",
        ),
        (lambda shared, own: shared["network"].update(groups=5), f"{HERE}.network: groups 5 do not divide channels 16"),
        (lambda shared, own: own.update(network={"groups": 5}), f"{THERE}.network: groups 5 do not divide channels 16"),
        (
            lambda shared, own: shared["network"].update(firing={"alpha": 0}),
            f"{HERE}.network.firing.alpha: Input should be greater than 0, found 0",
        ),
        (lambda shared, own: own.update(cost=None), f"{THERE}.cost: Input should be a valid dictionary"),
        (lambda shared, own: own.pop("data"), f"{THERE}.data: required; add it"),
        (lambda shared, own: shared.pop("cost"), f"{THERE}.cost: required; add it, or to {HERE}"),
        (
            lambda shared, own: shared["training"].pop("steps"),
            f"{THERE}.training.steps: required; add it, or to {HERE}",
        ),
        (
            lambda shared, own: shared.update(data=DATA),
            f"{HERE}.data: unknown parameter; wanted network, training or cost",
        ),
        (
            lambda shared, own: shared.update(netwrk={}),
            f"{HERE}.netwrk: unknown parameter; wanted network, training or",
        ),
        (lambda shared, own: shared.update(cost=None), f"{HERE}.cost: None found, wanted its settings"),
        (lambda shared, own: own.update(stabilty={}), f"{THERE}.stabilty: unknown parameter; did you mean stability?"),
    ],
)
def test_an_error_names_the_block_in_which_the_value_stands(
    tmp_path: Path, edit: Callable[[dict[str, Any], dict[str, Any]], Any], says: str
) -> None:
    shared, own = deepcopy(DEFAULTS), {"data": DATA}
    edit(shared, own)
    refused(tmp_path, profiles(shared, city_flow=own), says)


@pytest.mark.parametrize("defaults", [None, 3, [NETWORK]])
def test_defaults_that_are_no_mapping_are_refused(tmp_path: Path, defaults: Any) -> None:
    refused(tmp_path, profiles(defaults, city_flow={"data": DATA, **DEFAULTS}), f"{HERE}: {defaults!r} found, wanted")


@pytest.mark.parametrize("block", [None, [], "x"])
def test_a_block_that_is_no_mapping_is_refused(tmp_path: Path, block: Any) -> None:
    refused(tmp_path, profiles(DEFAULTS, city_flow=block), f"{THERE}: Input should be a valid dictionary")


# --- the file itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("neurons:\n  lif: {}\n  plif: {}\n  lif: {reset: hard}\n", "line 4: 'lif' stands twice"),
        ("neurons: {}\nneurons: {}\n", "line 2: 'neurons' stands twice"),
        ("a:\n  b: {c: 1, d: 2, 'c': 3}\n", "line 2: 'c' stands twice"),
        ("a: [{b: 1},\n    {b: 1, b: 1}]\n", "line 2: 'b' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError) as error:
        settings.load(tmp_path / "params.yaml")
    assert str(error.value).startswith(f"{tmp_path}/params.yaml: {says} in one mapping, first in line ")
    assert str(error.value).endswith("; remove one, or give it another name or label")
    assert len(str(error.value).splitlines()) == 1


def test_the_same_key_in_two_mappings_an_anchor_and_a_merge_are_read_as_ever(tmp_path: Path) -> None:
    text = "a: &one {x: 1, y: [2, {x: 3}]}\nb: {<<: *one, x: 4}\nc: *one\n1: {1.5: null}\n'1': true\n"
    (tmp_path / "any.yaml").write_text(text)
    assert params.read(tmp_path / "any.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize("text", ["a: [1\n", "a: !!python/object:os.system {}\n", "{[]: 1}\n", "\ta: 1\n"])
def test_what_is_no_yaml_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"params.yaml: not YAML \(") as error:
        settings.load(tmp_path / "params.yaml")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["", "3\n", "[]\n", "profiles: 3\n", "profiles: [1]\n", "profiles: {small: 3}\n"])
def test_a_file_of_another_shape_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SettingsError, match=r"params.yaml: ") as error:
        settings.load(tmp_path / "params.yaml")
    assert len(str(error.value).splitlines()) == 1


# --- controls ---------------------------------------------------------------------------------------------------------


def test_entries_come_before_their_controls_and_those_of_all_before_those_of_a_profile(tmp_path: Path) -> None:
    raw = listing(
        neurons={"lif": {}, "plif-hard": {"gain": "published"}, "stc_plif": {}, "stc_lif": {"groups": 4}},
        controls=["plif-hard", "lif"],
        more_neurons={"smoke": {"glif": {}, "stc_glif": {}}, "quick": {"tclif": {}, "stc_tclif": {"groups": 8}}},
        more_controls={"smoke": ["glif"], "quick": ["tclif"]},
    )
    everywhere = ["lif", "plif-hard", "stc_plif", "stc_lif", "plif-wide", "lif-wide"]
    smoke, quick = (load(tmp_path, raw, profile) for profile in ("smoke", "quick"))
    assert list(smoke.neurons) == [*everywhere, "glif", "stc_glif", "glif-wide"]
    assert list(quick.neurons) == [*everywhere, "tclif", "stc_tclif", "tclif-wide"]
    assert list(load(tmp_path, raw, "paper").neurons) == everywhere
    assert list(quick.of("smoke").neurons) == list(smoke.neurons)  # whichever profile was meant before
    every = [*everywhere, "glif", "stc_glif", "glif-wide", "tclif", "stc_tclif", "tclif-wide"]
    assert sorted(smoke.of_all().neurons) == sorted(every)
    assert quick.neuron("tclif-wide") == {"as_wide_as": {"neuron": "stc_tclif", "params": {"groups": 8}}}
    wide = {"gain": "published", "as_wide_as": {"neuron": "stc_plif", "params": {}}}
    assert smoke.neuron("plif-wide") == smoke.of_all().neuron("plif-wide") == wide


STC_GLIF: dict[str, Any] = {"smoke": {"stc_glif": {}}}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"controls": ["lff"]}, "controls: params.yaml lists no neuron 'lff'; did you mean lif?"),
        ({"controls": ["lif-wide"]}, "controls: lif-wide is a control, wanted the neuron; write lif"),
        ({"controls": ["stc_lif"]}, "controls: stc_lif is a circuit, wanted the neuron; write lif"),
        ({"controls": ["stc_lif-none"]}, "controls: stc_lif-none is a circuit, wanted the neuron; write lif"),
        (
            {"controls": ["lif", "glif"]},
            "controls: glif wants an entry stc_glif, to whose size it is widened; add it, or drop glif",
        ),
        ({"controls": ["glif"], "more_neurons": STC_GLIF}, "controls: glif wants an entry stc_glif"),
        ({"more_controls": {"quick": ["glif"]}, "more_neurons": STC_GLIF}, "more_controls.quick: glif wants an entry"),
        ({"controls": ["lif", "lif"]}, "controls: lif-wide is made of lif already; drop lif"),
        ({"controls": ["lif", "lif-hard"]}, "controls: lif-wide is made of lif already; drop lif-hard"),
        (
            {"controls": ["lif"], "more_controls": {"quick": ["lif"]}},
            "more_controls.quick: lif-wide is made of lif already; drop lif",
        ),
        (
            {"more_controls": {"quick": ["lif"], "smoke": ["lif-hard"]}},
            "more_controls.smoke: lif-wide is made of lif-hard, elsewhere of lif; keep one",
        ),
        ({"more_controls": {"quik": ["lif"]}}, "more_controls.quik: unknown profile; did you mean quick?"),
        (
            {"neurons": {"lif": {}, "stc_lif": {}, "lif-wide": {}}},
            "neurons.lif-wide: a control is not an entry; list lif under `controls`",
        ),
        (
            {"neurons": {"lif": {}, "stc_lif": {}, "lif-large": {"as_wide_as": "stc_lif"}}},
            "neurons.lif-large: a control is not an entry; list lif under `controls`",
        ),
        (
            {"more_neurons": {"quick": {"lif-wide": {"reset": "hard"}}}},
            "more_neurons.quick.lif-wide: a control is not an entry; list lif under `more_controls.quick`",
        ),
        ({"controls": "lif"}, "controls: Input should be a valid list, found 'lif'"),
        ({"controls": {"lif": {}}}, "controls: Input should be a valid list, found {'lif': {}}"),
        ({"controls": [3]}, "controls.0: Input should be a valid string, found 3"),
        ({"more_controls": {"quick": None}}, "more_controls.quick: Input should be a valid list, found None"),
    ],
)
def test_a_bad_control_is_refused_in_one_line(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    refused(tmp_path, listing(**given), says)


@pytest.mark.parametrize("lines", [None, [], "lif", {"lif": None}, {"lif": "wide"}])
def test_lines_that_are_none_are_still_refused_in_one_line(tmp_path: Path, lines: Any) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**raw, "neurons": lines}))
    with pytest.raises(SettingsError, match=r"params.yaml: neurons") as error:
        settings.load(tmp_path / "params.yaml")
    assert len(str(error.value).splitlines()) == 1
