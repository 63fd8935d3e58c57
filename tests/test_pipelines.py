"""pipelines/: a folder an entry of params.yaml, made from one text, and the profile whose cells are meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT
from dvc.repo import Repo as DvcRepo

import neurons
from benchmarks import pipelines, settings
from benchmarks.settings import Settings, SettingsError

Said = Callable[..., list[str]]
OF_ALL = ("glif", "lif", "lif-wide", "stc_lif")
OF_STANDARD = ("glif-wide", "stc_glif")


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Few entries, two of them of one profile alone; in the current folder once `save` has written them."""
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    found |= {"profile": "quick", "datasets": ["moving_mnist", "advection"]}
    found |= {"neurons": {"lif": {}, "stc_lif": {}, "glif": {}}, "controls": ["lif"]}
    found |= {"more_neurons": {"standard": {"stc_glif": {}}}, "more_controls": {"standard": ["glif"]}}
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Brings pipelines/ in line with the parameters it gets; the lines it says."""

    def said(params: dict[str, Any], *options: str) -> list[str]:
        save(params)
        monkeypatch.setattr("sys.argv", ["pipelines", *options])
        capsys.readouterr()
        pipelines.main()
        return capsys.readouterr().out.splitlines()

    return said


def save(params: dict[str, Any]) -> Settings:
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return settings.load()


def texts() -> dict[str, str]:
    return {str(path): path.read_text() for path in Path("pipelines").rglob("*") if path.is_file()}


def cells() -> set[str]:
    """The cells that DVC makes of pipelines/."""
    stages = DvcRepo.init(no_scm=True, force=True).index.stages
    found = [stage.addressing for stage in stages]
    assert len(found) == len(set(found))
    return set(found)


def stages(profile: str, datasets: list[str], *entries: str) -> set[str]:
    return {f"pipelines/{entry}/dvc.yaml:cell@{profile}-{dataset}" for entry in entries for dataset in datasets}


def test_what_is_committed_is_what_params_yaml_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert pipelines.stale(settings.load()) == []


def test_a_folder_for_each_entry_with_a_stage_for_each_of_its_cells(params: dict[str, Any], run: Said) -> None:
    said = run(params)
    files = {"pipelines/profile.yaml", *(f"pipelines/{entry}/dvc.yaml" for entry in (*OF_ALL, *OF_STANDARD))}
    assert set(texts()) == files
    assert set(said) == {f"{path}: written" for path in files}
    for path in files - {"pipelines/profile.yaml"}:
        content = yaml.safe_load(Path(path).read_text())
        assert content["vars"] == ["../profile.yaml"]
        (stage,) = content["stages"].values()
        assert stage["wdir"] == "../.."
        folder = f"results/${{item.profile}}/${{item.dataset}}/{path.split('/')[1]}"
        assert stage["outs"] == [{folder: {"cache": False, "persist": True}}]
    assert not run(params)
    assert not run(params, "--check")


def test_entries_of_one_profile_alone_have_no_stages_in_others(params: dict[str, Any], run: Said) -> None:
    run(params)
    before = texts()
    assert cells() == stages("quick", params["datasets"], *OF_ALL)
    assert run({**params, "profile": "standard"}) == ["pipelines/profile.yaml: written"]
    assert {path for path, text in texts().items() if before.get(path) != text} == {"pipelines/profile.yaml"}
    assert cells() == stages("standard", params["datasets"], *OF_ALL, *OF_STANDARD)
    run(params)
    assert texts() == before


def test_another_dataset_changes_one_file(params: dict[str, Any], run: Said) -> None:
    run(params)
    fewer = {**params, "datasets": ["moving_mnist"], "stability": []}
    assert run(fewer) == ["pipelines/profile.yaml: written"]
    assert cells() == stages("quick", ["moving_mnist"], *OF_ALL)


def test_an_entry_of_two_profiles_and_not_of_a_third(params: dict[str, Any], run: Said) -> None:
    params["more_neurons"]["paper"] = {"stc_glif": {}}
    params["more_controls"] = {}
    for profile in params["profiles"]:
        datasets = ["moving_mnist"]
        run({**params, "profile": profile, "datasets": datasets})
        own = ("stc_glif",) if profile in ("standard", "paper") else ()
        assert cells() == stages(profile, datasets, *OF_ALL, *own)


def test_an_entry_that_went_leaves_its_results_and_says_so(params: dict[str, Any], run: Said) -> None:
    run(params)
    before = texts()
    lock, result = Path("pipelines/glif/dvc.lock"), Path("results/quick/advection/glif/accuracy.json")
    lock.touch()
    result.parent.mkdir(parents=True)
    result.touch()
    fewer = {**params, "neurons": {"lif": {}, "stc_lif": {}}, "more_neurons": {}, "more_controls": {}}
    said = run(fewer)
    gone = "removed, params.yaml does not list it; results/*/*/{0} stay, and no report shows them"
    assert [line for line in said if "written" not in line] == [
        f"pipelines/{entry}: {gone.format(entry)}" for entry in ("glif", "glif-wide", "stc_glif")
    ]
    assert not lock.parent.exists()
    assert result.exists()
    assert cells() == stages("quick", params["datasets"], "lif", "lif-wide", "stc_lif")
    run(params)
    assert texts() == before


def test_a_dataset_that_the_profile_does_not_have_is_named(params: dict[str, Any], run: Said) -> None:
    params["datasets"].append("kth-40")
    for options in ((), ("--check",)):
        with pytest.raises(SettingsError, match="unknown dataset in profile quick: 'kth-40'"):
            run(params, *options)
    assert not Path("pipelines").exists()


@pytest.mark.parametrize("path", ["pipelines/lif/dvc.yaml", "pipelines/profile.yaml"])
@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_stale_file_is_named_and_written_anew(params: dict[str, Any], run: Said, path: str, how: str) -> None:
    run(params)
    before, lock = texts(), Path("pipelines/lif/dvc.lock")
    lock.write_text("kept")
    if how == "gone":
        Path(path).unlink()
    else:
        Path(path).write_text(before[path] + "\n")
    spoilt = texts()
    with pytest.raises(SettingsError, match=f"{path}: not as params.yaml says; run `python -m benchmarks.pipelines`"):
        run(params, "--check")
    assert texts() == spoilt
    assert run(params) == [f"{path}: written"]
    assert texts() == {**before, str(lock): "kept"}


def test_a_folder_of_an_entry_that_is_not_listed_is_stale(params: dict[str, Any], run: Said) -> None:
    run(params)
    old = Path("pipelines/gone/dvc.yaml")
    old.parent.mkdir()
    old.touch()
    with pytest.raises(SettingsError, match=r"pipelines/gone/dvc\.yaml: not as params.yaml says"):
        pipelines.check(save(params))


def test_standard_has_the_circuit_on_every_neuron_with_a_membrane() -> None:
    loaded = settings.load(ROOT / "params.yaml", profile="standard")
    plain = {settings.kind(entry) for entry in loaded.neurons if not entry.startswith("stc_")}
    states = {name: neurons.build(name, 16).initial_state(torch.zeros(1, 16, 1, 1))._fields for name in plain}
    able = {f"stc_{name}" for name, fields in states.items() if "v" in fields}
    assert able == {settings.kind(entry) for entry in loaded.neurons if entry.startswith("stc_")}


def test_an_entry_of_another_profile_is_unknown(params: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="unknown neuron"):
        save(params).neuron("stc_glif")
