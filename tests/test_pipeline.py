"""The pipeline as DVC sees it: which cells exist, and what a change makes it run again. Nothing is trained here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from done_project import FEW, Clone, make, working_in
from dvc.repo import Repo

from benchmarks import settings
from benchmarks.cell import DATA, cells

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
SHOWN = {"report", "cards"}
ALL = {*FEW, "stability"}  # what trains a network


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("pipeline") / "clone")


@pytest.fixture
def clone(done: Clone, tmp_path: Path) -> Clone:
    return done.copy(tmp_path / "clone")


def test_a_cell_is_an_entry_on_a_dataset(clone: Clone) -> None:
    """A labelled entry and a circuit without a file of its own are cells like any other."""
    clone.params((ROOT / "params.yaml").read_text())
    with working_in(clone.folder):
        loaded = settings.load()
        with Repo(".") as repo:
            found = [stage.addressing for stage in repo.index.stages]
    assert {"plif-published", "stc_norse_lif", "lif-wide"} <= set(loaded.neurons)
    assert not (clone.folder / "neurons/stc_norse_lif.py").exists()
    wanted = {"keys", "parity", f"report@{loaded.profile}", "cards"}
    wanted |= {f"prepare@{loaded.profile}-{dataset}" for dataset in loaded.datasets}
    wanted |= {f"stability@{loaded.profile}-{dataset}" for dataset in loaded.stability}
    for cell in cells(loaded, loaded.profile):
        wanted |= {f"pipelines/{cell.neuron}/dvc.yaml:cell@{cell.profile}-{cell.dataset}"}
    assert sorted(found) == sorted(wanted)


def test_nothing_runs_when_nothing_changed(clone: Clone) -> None:
    assert clone.would_run() == set()
    assert not clone.git("status", "--short")
    with working_in(clone.folder):
        assert [cell.due() for cell in cells(settings.load(), "smoke")] == [[]] * len(FEW)


def test_a_new_neuron_as_the_readme_has_it_runs_only_its_cells(clone: Clone) -> None:
    section = (clone.folder / "README.md").read_text().split("## Add your neuron")[1].split("\n## ")[0]
    (path,) = re.findall(r"Write `(neurons/\w+\.py)`", section)
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (line,) = re.findall(r"Add the line `(.*?)` under `neurons:`", section)
    assert len([row for row in code.splitlines() if row.strip()]) < 15
    (clone.folder / path).write_text(code)
    text = (clone.folder / "params.yaml").read_text()
    clone.params(text.replace("\nneurons:\n", f"\nneurons:\n{line}\n"))
    assert clone.would_run() == {"my_neuron", "keys", *SHOWN}


def test_an_entry_alone_makes_a_cell_of_a_label_and_of_a_circuit_without_a_file(clone: Clone) -> None:
    said = clone.said()
    said["neurons"] |= {"lif-hard": {"reset": "hard"}, "stc_snntorch_leaky": {}}
    clone.params(said)
    assert clone.would_run() == {"lif-hard", "stc_snntorch_leaky", "keys", "report"}


NETWORK = r"(?m)^class Predictor.*\n    \"\"\""  # the head of a class, as far as its docstring


@pytest.mark.parametrize(
    ("file", "edit", "wanted"),
    [
        ("neurons/stc_lif.py", (), {"stc_lif", "stability"}),
        ("neurons/stc_lif.py", (r"\Z", "\n# a comment\n"), set()),
        ("neurons/stc_lif.py", (r"\A\"\"\"", '"""More. '), SHOWN),  # which show it
        ("neurons/_norse.py", (), {"norse_lif", "norse_lifex", "stc_norse_lif", "parity"}),
        ("neurons/_stc.py", (), {"stc_lif", "stc_norse_lif", "stability"}),
        ("neurons/lif.py", (), {*ALL, "parity"}),  # every neuron is timed beside it
        ("neurons/__init__.py", (), set()),
        ("datasets/_moving.py", (), {"prepare"}),
        ("datasets/taxibj.py", (), set()),
        ("benchmarks/network.py", (), ALL),
        ("benchmarks/network.py", (r"\Z", "\n# a comment\n"), set()),
        ("benchmarks/network.py", (NETWORK, r"\g<0>More. "), set()),
        ("benchmarks/distributed.py", (), ALL),
        ("benchmarks/progress.py", (), ALL),
        ("benchmarks/energy.py", (), set(FEW)),
        ("benchmarks/samples.py", (), {*FEW, "prepare", *SHOWN}),
        ("benchmarks/report/figures.py", (), SHOWN),
        ("benchmarks/report/templates/table.md", (r"\Z", "edited\n"), SHOWN),
        ("benchmarks/command.py", (), set()),
        ("paper_rows.csv", (r"\Z", "edited\n"), {"report"}),
    ],
)
def test_an_edit_runs_what_rests_on_it_and_nothing_else(
    done: Clone, file: str, edit: tuple[str, str], wanted: set[str]
) -> None:
    before = (done.folder / file).read_text()
    done.edit(file, *edit)
    assert done.would_run() == wanted | ({"keys"} if "/" in file else set())
    (done.folder / file).write_text(before)


def test_what_was_edited_and_edited_back_runs_nothing(done: Clone) -> None:
    assert done.would_run() == set()


def test_arguments_of_an_entry_run_nothing_else(clone: Clone) -> None:
    said = clone.said()
    said["neurons"]["stc_lif"] = {"detach": True}
    clone.params(said)
    assert clone.would_run() == {"stc_lif", "keys", "report"}


@pytest.mark.parametrize(
    ("where", "value", "wanted"),
    [
        (("smoke", "data", "canvas"), 18, {"prepare"}),
        (("smoke", "network", "layers"), 3, ALL),
        (("smoke", "network", "compile"), True, ALL),  # one that has not been there
        (("smoke", "training", "steps"), 31, ALL),
        (("smoke", "training", "seeds"), 3, set(FEW)),
        (("smoke", "training", "workers"), 1, set()),
        (("smoke", "training", "loaders"), 1, set()),
        (("smoke", "cost", "repeats"), 4, set(FEW)),
        (("smoke", "stability", "steps"), 6, {"stability"}),
        (("paper", "training", "steps"), 1, set()),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_a_setting_runs_the_stages_that_it_concerns_and_back_again_none(
    done: Clone, where: tuple[str, str, str], value: Any, wanted: set[str]
) -> None:
    before, said = (done.folder / "params.yaml").read_text(), done.said()
    profile, part, name = where
    said["profiles"][profile]["moving_mnist"].setdefault(part, {})[name] = value
    done.params(said)
    assert done.would_run() == wanted | {"keys"} | ({"report"} if profile == "smoke" else set())
    done.params(before)
    assert done.would_run() == set()


def test_the_order_of_entries_runs_the_report_alone(clone: Clone) -> None:
    said = clone.said()
    said["neurons"] = dict(reversed(said["neurons"].items()))
    clone.params(said)
    assert clone.would_run() == {"keys", "report"}


def test_how_params_yaml_is_written_runs_nothing(clone: Clone) -> None:
    clone.params("# a comment\n" + yaml.safe_dump(clone.said(), sort_keys=False, default_flow_style=True))
    assert clone.would_run() == {"keys"}


def test_another_profile_has_stages_of_its_own_and_leaves_the_first_alone(clone: Clone) -> None:
    before = (clone.folder / "params.yaml").read_text()
    clone.params({**clone.said(), "profile": "quick"})
    make(
        clone.folder / "results/quick/moving_mnist" / DATA
    )  # as `prepare` would: a dry run stops where it is not there
    assert clone.would_run() == {"prepare", *ALL, "keys", *SHOWN}
    clone.params(before)
    assert clone.would_run() == set()
