"""pipelines/<dataset>/dvc.yaml: one file a dataset of params.yaml, made from one text."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from dvc.repo import Repo as DvcRepo

import neurons
from benchmarks import pipelines, settings
from benchmarks.settings import Settings, SettingsError


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    found = settings.load(ROOT / "params.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.setattr("sys.argv", ["pipelines"])
    return found


def test_what_is_committed_is_what_params_yaml_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert pipelines.stale(settings.load()) == []


def test_a_file_for_each_dataset_and_none_for_others(loaded: Settings) -> None:
    old = Path("pipelines/gone/dvc.yaml")
    old.parent.mkdir(parents=True)
    old.touch()
    old.with_name("dvc.lock").touch()
    pipelines.main()
    assert sorted(path.name for path in Path("pipelines").iterdir()) == sorted(loaded.datasets)
    for dataset in loaded.datasets:
        content = yaml.safe_load(Path(f"pipelines/{dataset}/dvc.yaml").read_text())
        assert {"dataset": dataset} in content["vars"]
        assert set(content["stages"]) == {"prepare", "train", "measure", "dynamics"}
    assert pipelines.stale(loaded) == []


def test_lines_of_one_profile_stand_beside_those_of_all(loaded: Settings) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params |= {"datasets": ["moving_mnist"], "neurons": {"lif": {}, "stc_lif": {}, "glif": {}}, "controls": ["lif"]}
    params |= {"more_neurons": {"standard": {"stc_glif": {}}}, "more_controls": {"standard": ["glif"]}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    cells = {}
    for profile in ("quick", "standard"):
        Path("params.yaml").write_text(yaml.safe_dump({**params, "profile": profile}))
        pipelines.main()
        stages = DvcRepo.init(no_scm=True, force=True).index.stages
        cells[profile] = {stage.name.partition("@")[2] for stage in stages if stage.name.startswith("train@")}
        assert cells[profile] == {f"{profile}-{line}" for line in settings.load().neurons}
    everywhere = ("lif", "stc_lif", "glif", "lif-wide")
    assert cells["quick"] == {f"quick-{entry}" for entry in everywhere}
    assert cells["standard"] == {f"standard-{entry}" for entry in (*everywhere, "stc_glif", "glif-wide")}
    with pytest.raises(SettingsError, match="unknown neuron"):
        settings.load(profile="quick").neuron("stc_glif")


def test_standard_has_the_circuit_on_every_neuron_with_a_membrane() -> None:
    loaded = settings.load(ROOT / "params.yaml", profile="standard")
    plain = {settings.kind(line) for line in loaded.neurons if not line.startswith("stc_")}
    states = {name: neurons.build(name, 16).initial_state(torch.zeros(1, 16, 1, 1))._fields for name in plain}
    able = {f"stc_{name}" for name, fields in states.items() if "v" in fields}
    assert able == {settings.kind(line) for line in loaded.neurons if line.startswith("stc_")}


def test_a_dataset_that_the_profile_does_not_have_is_named(loaded: Settings) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("\ndatasets: [", "\ndatasets: [moving_mnist, kth-40, "))
    with pytest.raises(SettingsError, match="unknown dataset in profile quick: 'kth-40'"):
        pipelines.main()
    assert not Path("pipelines").exists()


def test_a_stale_file_is_named_and_written_anew(loaded: Settings) -> None:
    pipelines.main()
    path = Path(f"pipelines/{loaded.datasets[0]}/dvc.yaml")
    path.with_name("dvc.lock").write_text("kept")
    path.write_text(path.read_text() + "\n")
    with pytest.raises(SettingsError, match=f"{path}: .*run `python -m benchmarks.pipelines`"):
        pipelines.check(loaded)
    pipelines.main()
    pipelines.check(loaded)
    assert path.with_name("dvc.lock").read_text() == "kept"
