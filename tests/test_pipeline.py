"""The pipeline as DVC sees it: which cells exist, and what a change makes it run again. Nothing is trained here."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

import neurons
from benchmarks import parity, settings, stability, train

ROOT = Path(__file__).parents[1]
DVC = (sys.executable, "-m", "dvc")
FEW = (  # a neuron of each kind: own, label, circuit with a file and without, libraries, not spiking
    "lif",
    "plif-published",
    "stc_lif",
    "stc_norse_lif",
    "norse_lif",
    "norse_lifex",
    "snntorch_leaky",
    "convlstm",
)
OF_A_CELL = (
    "accuracy.json",
    "curves.csv",
    "predictions.png",
    "run.json",
    "weights.safetensors",
    "cost.json",
    "dynamics.json",
)
OF_A_DATASET = ("trivial.json", "truth.png", "stability.json")
SHOWN = {"report", "cards"}  # they follow new numbers, which a dry run does not make
STAGES = {
    name: stage
    for path in ("dvc.yaml", "benchmarks/pipeline.yaml")
    for name, stage in yaml.safe_load((ROOT / path).read_text())["stages"].items()
}


def cells(*neurons: str) -> set[str]:
    return {f"{stage}-{neuron}" for stage in ("train", "measure", "dynamics") for neuron in neurons}


class Clone:
    """A copy of the project in which every stage of the smoke profile counts as done, with empty outputs.

    The sources of the cells are the real ones: what DVC runs again follows from them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("neurons", "datasets", "benchmarks", ".dvc"):
            ignore = shutil.ignore_patterns("__pycache__", "tmp", "cache")
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        for part in ("dvc.yaml", ".dvcignore", ".gitignore", "README.md", "paper_rows.csv"):
            shutil.copy(ROOT / part, folder / part)
        (folder / "neurons/my_neuron.py").unlink(missing_ok=True)  # a reader may have followed the README already
        text = (ROOT / "params.yaml").read_text()
        lines = dict(re.findall(r"^  ([\w-]+): (\{.*\})$", text.split("neurons:\n")[1].split("\n\n")[0], re.MULTILINE))
        assert set(FEW) <= set(lines)
        few = "".join(f"  {name}: {lines[name]}\n" for name in FEW)
        text = re.sub(r"^neurons:\n(  .*\n)+", f"neurons:\n{few}", text, flags=re.MULTILINE)
        text = re.sub(r"^(more_\w+):\n(  .*\n)+", r"\1: {}\n", text, flags=re.MULTILINE)
        text = re.sub(r"^controls: .*$", "controls: []", text, flags=re.MULTILINE)
        text = re.sub(r"^datasets: .*$", "datasets: [moving_mnist]", text, flags=re.MULTILINE)
        self.change("params.yaml", r"^profile: \w+", "profile: smoke", text)
        subprocess.run([sys.executable, "-m", "benchmarks.pipelines"], cwd=folder, check=True)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        assert tuple(params["neurons"]) == FEW
        for dataset in params["datasets"]:
            own = folder / "results/smoke" / dataset
            self.make(*(own / name for name in OF_A_DATASET))
            self.make(*(own / neuron / name for neuron in FEW for name in (*OF_A_CELL, "times.csv")))
            self.make(folder / "data/smoke" / dataset / "train.npy")
        made = (
            "results/parity.json",
            "reports/smoke/index.html",
            "docs/neurons.md",
            "docs/datasets.md",
            "docs/datasets/a.png",
        )
        self.make(*(folder / name for name in made))
        subprocess.run([sys.executable, "-m", "benchmarks.sources"], cwd=folder, check=True)
        self.dvc("commit", "--force", "--quiet", "--recursive", ".")

    def make(self, *paths: Path) -> None:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(path.relative_to(self.folder)))

    def dvc(self, *arguments: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # the stages' `python`
        how: dict[str, Any] = {"cwd": self.folder, "env": {**os.environ, "PATH": path}}
        done = subprocess.run([*DVC, *arguments], capture_output=True, text=True, check=False, **how)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def change(self, name: str, pattern: str, replacement: str, text: str | None = None) -> None:
        text = text if text is not None else (self.folder / name).read_text()
        changed = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert changed != text
        (self.folder / name).write_text(changed)

    def edit(self, name: str) -> None:
        with (self.folder / name).open("a") as source:
            source.write("\n# a comment\n")

    def foresee(self, *neurons: str) -> None:
        """Makes what training new neurons would write: `--dry` stops where an input of a later stage is not there."""
        cell = self.folder / "results/smoke/moving_mnist"
        self.make(*(cell / neuron / name for neuron in neurons for name in ("accuracy.json", "weights.safetensors")))

    def would_run(self) -> set[str]:
        """Names of the stages that `dvc repro` would run, without their profile and dataset.

        `sources` runs: the others depend on what it writes, which `--dry` cannot foresee.
        """
        found = re.findall(r"Running stage '([^']+)'", self.dvc("repro", "sources") + self.dvc("repro", "--dry"))
        found = [name.removeprefix("pipelines/moving_mnist/dvc.yaml:") for name in found]
        return {re.sub("@smoke(-moving_mnist)?-?", "@", name).strip("@").replace("@", "-") for name in found}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("pipeline") / "clone")


@pytest.fixture
def clone(done: Clone, tmp_path: Path) -> Clone:
    shutil.copytree(done.folder, tmp_path / "clone", symlinks=True)
    copy = Clone.__new__(Clone)
    copy.folder = tmp_path / "clone"
    return copy


def test_a_cell_is_a_line_of_neurons_on_a_dataset(clone: Clone) -> None:
    """A labelled line and a circuit without a file of its own are cells like any other."""
    shutil.copy(ROOT / "params.yaml", clone.folder)
    shutil.rmtree(clone.folder / "pipelines")
    shutil.copytree(ROOT / "pipelines", clone.folder / "pipelines")
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    assert {"plif-published", "stc_norse_lif"} <= set(params["neurons"])
    assert not (clone.folder / "neurons/stc_norse_lif.py").exists()
    profile = params["profile"]
    wanted = {"sources", "parity", f"report@{profile}", "cards"}
    wanted |= {f"stability@{profile}-{name}" for name in params["stability"]}
    for dataset in params["datasets"]:
        where = f"pipelines/{dataset}/dvc.yaml"
        wanted |= {
            f"{where}:{stage}@{profile}-{neuron}"
            for stage in ("train", "measure", "dynamics")
            for neuron in settings.load(clone.folder / "params.yaml").neurons
        }
        wanted |= {f"{where}:prepare@{profile}"}
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
    clone.foresee("my_neuron")
    assert clone.would_run() == cells("my_neuron") | {"sources"} | SHOWN


def test_a_line_alone_makes_a_cell_of_a_label_and_of_a_circuit_without_a_file(clone: Clone) -> None:
    lines = "  lif-hard: {reset: hard}\n  stc_snntorch_leaky: {}\n"
    clone.change("params.yaml", r"^neurons:\n", f"neurons:\n{lines}")
    clone.foresee("lif-hard", "stc_snntorch_leaky")
    assert clone.would_run() == cells("lif-hard", "stc_snntorch_leaky") | {"sources"} | SHOWN


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("neurons/stc_lif.py", cells("stc_lif") | {"sources", "stability"}),
        ("neurons/_norse.py", cells("norse_lif", "norse_lifex", "stc_norse_lif") | {"sources", "parity"}),
        ("neurons/_stc.py", cells("stc_lif", "stc_norse_lif") | {"sources", "stability"}),
        ("neurons/__init__.py", {"sources"}),
        ("datasets/_moving.py", {"sources", "prepare", "cards"}),
        ("datasets/taxibj.py", {"sources", "cards"}),
        ("benchmarks/report/figures.py", {"report"}),
        ("benchmarks/command.py", set()),
    ],
)
def test_an_edit_runs_what_depends_on_it_and_nothing_else(clone: Clone, file: str, wanted: set[str]) -> None:
    clone.edit(file)
    found = clone.would_run()
    assert wanted <= found
    assert found - wanted <= (SHOWN if cells("stc_lif", "norse_lif") & wanted else set())


def test_parameters_of_another_neuron_run_nothing_else(clone: Clone) -> None:
    clone.change("params.yaml", r"^  stc_lif: \{\}", "  stc_lif: {detach: true}")
    assert clone.would_run() - SHOWN == cells("stc_lif") | {"sources"}


CELLS = {stage: {f"{stage}-{neuron}" for neuron in FEW} for stage in ("train", "measure", "dynamics")}


@pytest.mark.parametrize(
    ("where", "value", "wanted"),
    [
        (("smoke", "data", "canvas"), 18, {"prepare"}),
        (("smoke", "network", "layers"), 3, cells(*FEW) | {"stability"}),
        (("smoke", "network", "compile"), True, cells(*FEW) | {"stability"}),  # one that has not been there
        (("smoke", "training", "steps"), 31, CELLS["train"] | {"stability"}),
        (("smoke", "training", "workers"), 1, CELLS["train"] | {"stability"}),
        (("smoke", "training", "batch"), 4, cells(*FEW) | {"stability"}),
        (("smoke", "training", "device"), "cpu", cells(*FEW) | {"stability"}),
        (("smoke", "cost", "repeats"), 4, CELLS["measure"]),
        (("smoke", "stability", "steps"), 6, {"stability"}),
        (("paper", "training", "steps"), 1, set()),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_setting_runs_the_stages_that_it_concerns_and_back_again_none(
    clone: Clone, where: tuple[str, str, str], value: Any, wanted: set[str]
) -> None:
    before = (clone.folder / "params.yaml").read_text()
    profile, part, name = where
    params = yaml.safe_load(before)
    params["profiles"][profile]["moving_mnist"][part][name] = value
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(params))
    report = {"report"} if profile == "smoke" else set()
    assert clone.would_run() == wanted | {"sources"} | report
    (clone.folder / "params.yaml").write_text(before)
    assert clone.would_run() == set()


def test_how_params_yaml_is_written_runs_nothing(clone: Clone) -> None:
    params = yaml.safe_load((clone.folder / "params.yaml").read_text())
    (clone.folder / "params.yaml").write_text("# a comment\n" + yaml.safe_dump(params, default_flow_style=True))
    assert clone.would_run() == set()


def test_no_stage_of_many_has_parameters_of_dvc() -> None:
    """DVC reads the whole of params.yaml anew for each stage that has."""
    assert {name for name, stage in STAGES.items() if "params" in stage} == {"sources"} | SHOWN
    assert not any("matrix" in STAGES[name] for name in ("sources", "cards"))
    assert STAGES["report"]["matrix"] == {"profile": ["${profile}"]}  # one stage


def named(stage: str) -> set[str]:
    """The dependencies of a stage that are the same for every cell."""
    return {dep for dep in STAGES[stage]["deps"] if "$" not in dep}


def code(names: Iterable[str]) -> set[str]:
    return {f"benchmarks/{name}" for name in names}


def of_neurons(names: Iterable[str]) -> set[str]:
    return {f"results/sources/neurons/{name}.json" for name in names}


def test_every_file_that_decides_a_result_is_a_dependency() -> None:
    """The checkpoints' list and the pipeline's name the same files; of neurons/ each cell has its own sources."""
    assert named("train") == code(train.SOURCES)
    assert named("stability") == code(stability.SOURCES) | of_neurons({neuron for neuron, _ in stability.TRIALS})
    for stage in ("train", "measure", "dynamics"):
        assert "results/sources/${item.neuron}.json" in STAGES[stage]["deps"]
    assert of_neurons({"lif"}) < named("measure")  # timed in turn with every neuron


def test_parity_depends_on_the_neurons_it_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    built = set()
    real = neurons.build

    def build(name: str, *arguments: Any, **params: Any) -> neurons.Neuron:
        built.add(name)
        return real(name, *arguments, **params)

    monkeypatch.setattr(neurons, "build", build)
    monkeypatch.setattr(parity, "STEPS", 3)
    for compare in (parity.lif, parity.plif, parity.glif, parity.alif):
        compare()
    assert named("parity") == {"benchmarks/parity.py"} | of_neurons(built)
