"""pipelines/<dataset>/dvc.yaml: one file a dataset of params.yaml, made from one text."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT

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
