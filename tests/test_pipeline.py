"""The pipeline as DVC sees it: which cells exist, and what a change makes it run again. Nothing is trained here."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DVC = (sys.executable, "-m", "dvc")


class Clone:
    """A copy of the project in which every stage of the smoke profile counts as done, with empty outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("neurons", "datasets", "benchmarks", ".dvc"):
            ignore = shutil.ignore_patterns("__pycache__", "tmp", "cache")
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        for part in ("dvc.yaml", ".dvcignore", ".gitignore", "README.md"):
            shutil.copy(ROOT / part, folder / part)
        (folder / "neurons/my_neuron.py").unlink(missing_ok=True)  # a reader may have followed the README already
        params_text = re.sub(r"^  my_neuron:.*\n", "", (ROOT / "params.yaml").read_text(), flags=re.MULTILINE)
        self.change("params.yaml", r"^profile: \w+", "profile: smoke", params_text)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        for dataset in params["datasets"]:
            for neuron in ("", *params["neurons"]):
                base = folder / "results/smoke" / dataset / neuron
                base.mkdir(parents=True)
                names = ("accuracy.json", "curves.csv", "predictions.png", "run.json", "cost.json", "times.csv")
                for name in (*names, "weights.safetensors") if neuron else ("trivial.json", "truth.png"):
                    (base / name).write_text(f"{neuron} {name}")
            (folder / "data/smoke" / dataset).mkdir(parents=True)
            (folder / "data/smoke" / dataset / "train.npy").write_text("data")
        (folder / "reports").mkdir()
        (folder / "reports/index.html").write_text("page")
        self.dvc("commit", "--force", "--quiet")

    def dvc(self, *arguments: str) -> str:
        done = subprocess.run([*DVC, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def change(self, name: str, pattern: str, replacement: str, text: str | None = None) -> None:
        text = text if text is not None else (self.folder / name).read_text()
        changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert changed != text
        (self.folder / name).write_text(changed)

    def would_run(self) -> set[str]:
        """Names of the stages that `dvc repro` would run, without their profile and dataset."""
        found = re.findall(r"Running stage '([^']+)'", self.dvc("repro", "--dry"))
        return {name.replace("@smoke-moving_mnist", "") for name in found}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("pipeline") / "clone")


@pytest.fixture
def clone(done: Clone, tmp_path: Path) -> Clone:
    shutil.copytree(done.folder, tmp_path / "clone", symlinks=True)
    copy = Clone.__new__(Clone)
    copy.folder = tmp_path / "clone"
    return copy


def test_a_cell_is_a_neuron_on_a_dataset(clone: Clone) -> None:
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    cells = [f"smoke-{dataset}-{neuron}" for dataset in params["datasets"] for neuron in params["neurons"]]
    wanted = {f"{stage}@{cell}" for stage in ("train", "measure") for cell in cells}
    wanted |= {f"prepare@smoke-{dataset}" for dataset in params["datasets"]} | {"report"}
    assert set(clone.dvc("stage", "list", "--all", "--name-only").split()) == wanted


def test_nothing_runs_when_nothing_changed(clone: Clone) -> None:
    assert clone.would_run() == set()


def test_a_new_neuron_as_the_readme_has_it_runs_only_its_cells(clone: Clone) -> None:
    section = (clone.folder / "README.md").read_text().split("## Add your neuron")[1].split("\n## ")[0]
    (path,) = re.findall(r"Write `(neurons/\w+\.py)`", section)
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (line,) = re.findall(r"Add the line `(.*?)` under `neurons:`", section)
    assert len([row for row in code.splitlines() if row.strip()]) < 15
    (clone.folder / path).write_text(code)
    clone.change("params.yaml", r"^neurons:\n", f"neurons:\n{line}\n")
    assert clone.would_run() == {"train-my_neuron", "measure-my_neuron", "report"}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("neurons/stc_lif.py", {"train-stc_lif", "measure-stc_lif"}),
        ("benchmarks/report/figures.py", {"report"}),
        ("benchmarks/command.py", set()),
        ("benchmarks/machine.py", set()),
    ],
)
def test_an_edit_runs_what_depends_on_it(clone: Clone, file: str, wanted: set[str]) -> None:
    with (clone.folder / file).open("a") as source:
        source.write("\n# a comment\n")
    stages = clone.would_run()
    assert wanted <= stages
    assert stages - wanted <= {"report"}


def test_parameters_of_another_profile_or_neuron_run_nothing_else(clone: Clone) -> None:
    clone.change("params.yaml", r"^  stc_lif: \{\}", "  stc_lif: {detach: true}")
    assert clone.would_run() == {"train-stc_lif", "measure-stc_lif", "report"}


def test_every_file_that_decides_a_result_is_a_dependency() -> None:
    """The checkpoints' list and the pipeline's name the same files, and every machinery file of neurons/."""
    from benchmarks.train import SOURCES

    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["deps"]
    named = {dep for dep in deps if "$" not in dep}
    machinery = {f"neurons/{p.name}" for p in (ROOT / "neurons").glob("_[!_]*.py")}
    assert named == {f"benchmarks/{name}" for name in SOURCES} | machinery
