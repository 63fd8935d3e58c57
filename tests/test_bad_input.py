"""What a user can get wrong in params, options, neurons and files: one line, no traceback, nothing partial."""

import json
import os
import resource
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from conftest import CELL, Done, Project, one_line_error

from benchmarks.files import FORMAT

Edit = Callable[[dict[str, Any]], None]
TWINS = ["unknown neuron 'stc_norse_lff'", "did you mean", "stc_norse_lif"]  # a circuit that has no file is suggested
NO_MEMBRANE = "unsupported: STC modulates a membrane, and the state has none: no `v` among ['c', 's']"


@pytest.mark.parametrize(
    ("edit", "stage", "options", "wanted"),
    [
        (lambda p: None, "train", (*CELL, "lff"), ["'lff'", "did you mean lif?"]),
        (lambda p: None, "train", ("--dataset", "moving_minst", "--neuron", "lif"), ["did you mean moving_mnist?"]),
        (lambda p: None, "train", ("--profile", "smok", *CELL, "lif"), ["'smok'", "did you mean smoke?"]),
        (lambda p: None, "prepare", ("--dataset", "mnist"), ["moving_mnist", "city_flow"]),
        (lambda p: None, "report", ("--profile", "quik"), ["did you mean quick?"]),
        (lambda p: p["neurons"].update(lif={"tua": 2}), "train", (*CELL, "lif"), ["'tua'", "'lif'"]),
        (lambda p: p["neurons"].update(stc_lif={"gruops": 4}), "train", (*CELL, "stc_lif"), ["did you mean groups?"]),
        (lambda p: p["neurons"].update(stc_lif={"groups": 5}), "train", (*CELL, "stc_lif"), ["unsupported", "groups"]),
        (lambda p: p.update(profil="x"), "report", (), ["profil", "did you mean profile"]),
        (lambda p: smoke(p)["network"].update(layrs=2), "train", (*CELL, "lif"), ["layrs", "did you mean layers?"]),
        (lambda p: smoke(p)["training"].update(steps=0), "train", (*CELL, "lif"), ["training.steps", "found 0"]),
        (lambda p: firing(p).update(surogate="atan"), "report", (), ["surogate", "did you mean surrogate?"]),
        (lambda p: firing(p).update(surrogate="atn"), "report", (), ["firing.surrogate", "'sigmoid'", "found 'atn'"]),
        (lambda p: firing(p).update(alpha=0), "measure", (*CELL, "lif"), ["firing.alpha", "found 0"]),
        (lambda p: smoke(p)["network"].update(precision="half"), "report", (), ["network.precision", "'bfloat16'"]),
        (lambda p: smoke(p)["stability"].update(stesp=2), "report", (), ["stesp", "did you mean steps"]),
        (
            lambda p: defaults(p)["network"].update(layrs=2),
            "pipelines",
            (),
            ["smoke.defaults.network.layrs", "layers?"],
        ),
        (lambda p: defaults(p).update(data={}), "train", (*CELL, "lif"), ["smoke.defaults.data", "unknown parameter"]),
        (
            lambda p: p["controls"].append("lfi"),
            "pipelines",
            (),
            ["controls: ", "no neuron 'lfi'", "did you mean lif?"],
        ),
        (lambda p: p["neurons"].update({"lif-wide": {}}), "pipelines", (), ["neurons.lif-wide", "under `controls`"]),
        (lambda p: p["neurons"].update({"stc lif": {}}), "pipelines", (), ["neurons.stc lif", "found 'stc lif'"]),
        (lambda p: p["profiles"].update({"../x": {}}), "pipelines", (), ["profiles.../x", "found '../x'"]),
        (lambda p: p["profiles"]["smoke"].update({"../x": {}}), "pipelines", (), ["smoke.../x", "found '../x'"]),
        (lambda p: p["neurons"].update({"a-b-c": {}}), "train", (*CELL, "a-b-c"), ["neurons.a-b-c", "found 'a-b-c'"]),
        (lambda p: p["neurons"].update({"../lif": {}}), "report", (), ["neurons.../lif", "found '../lif'"]),
        (lambda p: p["neurons"].update({"lif-": {}}), "report", (), ["neurons.lif-", "found 'lif-'"]),
        (lambda p: p.pop("more_neurons"), "pipelines", (), ["more_neurons", "required"]),
        (lambda p: p["more_neurons"].update(smoek={}), "pipelines", (), ["more_neurons.smoek", "did you mean smoke"]),
        (lambda p: p["more_neurons"].update(quick={"lif": {}}), "pipelines", (), ["quick.lif: stands elsewhere too"]),
        (lambda p: p["more_neurons"].update(quick={"a b": {}}), "pipelines", (), ["more_neurons.quick.a b", "'a b'"]),
        (
            lambda p: p["more_neurons"].update(quick={"plif": {}}),
            "train",
            (*CELL, "plif"),
            ["unknown neuron", "'plif'"],
        ),
        (lambda p: p["neurons"].update(lif=None), "report", (), ["neurons.lif", "found None"]),
        (lambda p: p["neurons"].update(stc_lif={}), "train", (*CELL, "stc_lff"), ["did you mean stc_lif"]),
        (lambda p: p["neurons"].update(stc_norse_lff={}), "train", (*CELL, "stc_norse_lff"), TWINS),
        (lambda p: p["neurons"].update({"lif-x": {"rest": 1}}), "train", (*CELL, "lif-x"), ["did you mean reset?"]),
        (lambda p: p["neurons"].update(stc_convlstm={}), "train", (*CELL, "stc_convlstm"), [NO_MEMBRANE]),
        (
            lambda p: smoke(p)["data"].update(canvass=9),
            "prepare",
            ("--dataset", "moving_mnist"),
            ["did you mean canvas?"],
        ),
        (lambda p: smoke(p)["data"].update(canvas=3), "prepare", ("--dataset", "moving_mnist"), ["canvas 3"]),
        (lambda p: smoke(p)["data"].update(canvas=20), "train", (*CELL, "lif"), ["stale", "canvas=16", "prepare"]),
        (lambda p: smoke(p)["data"].update(canvas=20), "measure", (*CELL, "lif"), ["stale", "canvas=16", "prepare"]),
    ],
)
def test_what_params_and_options_can_get_wrong(
    project: Project, here: Callable[..., Done], edit: Edit, stage: str, options: tuple[str, ...], wanted: list[str]
) -> None:
    edit(project.params)
    project.save()
    before = project.made()
    one_line_error(here(project, stage, *options), *wanted)
    assert project.made() == before


def smoke(params: dict[str, Any]) -> Any:
    return params["profiles"]["smoke"]["moving_mnist"]


def defaults(params: dict[str, Any]) -> Any:
    return params["profiles"]["smoke"]["defaults"]


def firing(params: dict[str, Any]) -> Any:
    return smoke(params)["network"]["firing"]


BROKEN = """
import torch
from neurons._integrate import IntegrateAndFire

class Broken(IntegrateAndFire):
    def forward(self, current, state):
        s, state = super().forward(current, state)
        return {output}, state

def build(channels):
    return Broken(0.5, 0.5)
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1\n", "no build(channels, **params) found"),
        ("def build(channels):\n    return 3\n", "build returned int"),
        ("import no_such_library\ndef build(channels): ...\n", "no_such_library"),
        (BROKEN.format(output="0.5 * s + 0.25"), "spikes must be 0 or 1, found 0.25"),
        (BROKEN.format(output="s[:, :-1]"), "output has shape"),
        (BROKEN.format(output="s * torch.nan"), "NaN"),
        (BROKEN.format(output="1 / 0"), "ZeroDivisionError"),
    ],
)
def test_a_neuron_that_breaks_its_contract(project: Project, code: str, reason: str) -> None:
    project.add("broken", code)
    before = project.made()
    one_line_error(project.run("train", *CELL, "broken"), "broken", reason)
    assert project.made() == before


def test_the_report_shows_a_failed_cell_with_its_reason(project: Project) -> None:
    project.add("broken", BROKEN.format(output="0.5 * s"))
    for stage in ("train", "measure"):
        assert project.run(stage, *CELL, "broken", "--keep-going").returncode == 0
    assert project.run("report", "--keep-going").returncode == 0
    reason = "failed (spikes must be 0 or 1"
    rows = (project.folder / "reports/smoke/results.csv").read_text().splitlines()
    assert any(row.startswith("smoke,moving_mnist,broken,") and reason in row for row in rows)
    for name in ("index.html", "table.md"):
        assert f"broken: {reason}" in (project.folder / "reports/smoke" / name).read_text()


def test_the_report_shows_an_unsupported_circuit_with_its_reason(project: Project, here: Callable[..., Done]) -> None:
    project.params["neurons"] = {"stc_convlstm": {}}
    project.save()
    for stage, file in (("train", "accuracy.json"), ("measure", "cost.json")):
        assert here(project, stage, *CELL, "stc_convlstm", "--keep-going").returncode == 0
        found = json.loads((project.folder / "results/smoke/moving_mnist/stc_convlstm" / file).read_text())
        for ended in found.get("seeds", [found]):
            assert f"{ended['status']}: {ended['reason']}" == NO_MEMBRANE
    assert here(project, "report", "--keep-going").returncode == 0
    assert "stc_convlstm: unsupported (STC modulates" in (project.folder / "reports/smoke/table.md").read_text()


def test_data_that_is_not_there(project: Project, here: Callable[..., Done]) -> None:
    shutil.rmtree(project.folder / "data")
    for stage in ("train", "measure"):
        one_line_error(here(project, stage, *CELL, "lif"), "no prepared dataset", "python -m benchmarks.prepare")


@pytest.mark.parametrize(
    ("stage", "options"), [("train", (*CELL, "lif")), ("measure", (*CELL, "lif")), ("stability", CELL[:2])]
)
def test_data_that_are_not_those_the_key_speaks_of(
    project: Project, here: Callable[..., Done], stage: str, options: tuple[str, ...]
) -> None:
    """As after a change of branch: results are in git, data are not."""
    path = project.folder / "results/smoke/moving_mnist/data.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "train": "0123456789abcdef"}))
    before = project.made()
    says = f"{path.relative_to(project.folder)}: of another train than data/smoke/moving_mnist has"
    again = "run `python -m benchmarks.prepare --profile smoke --dataset moving_mnist`"
    one_line_error(here(project, stage, *options), says, again)
    assert project.made() == before
    path.unlink()
    one_line_error(here(project, stage, *options), "data.json: not there yet")


def test_results_that_are_missing_or_of_another_format(project: Project, here: Callable[..., Done]) -> None:
    one_line_error(here(project, "report"), "accuracy.json", "dvc repro")
    path = project.folder / "results/smoke/moving_mnist/lif/accuracy.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 99}')
    one_line_error(here(project, "report"), f"format 99 found, {FORMAT} wanted", "dvc repro")
    assert not (project.folder / "reports").exists()
    assert project.run("report", "--keep-going").returncode == 0
    assert "format 99 found" in (project.folder / "reports/smoke/index.html").read_text()


@pytest.mark.parametrize(
    ("stage", "options", "limit"),
    [
        ("prepare", ("--dataset", "moving_mnist"), 50_000),
        ("train", (*CELL, "lif"), 4_000),
        ("report", ("--keep-going",), 4_000),
    ],
)
def test_a_disk_that_takes_no_more(project: Project, stage: str, options: tuple[str, ...], limit: int) -> None:
    """A limit on the size of files makes the system refuse a write half-way, as a full disk does."""
    before = project.made()
    done = project.run(
        stage,
        *options,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # Python would cut its own bytecode files short
    )
    one_line_error(done, "cannot be written")
    assert project.made() == before
    assert not list(project.folder.glob(".reports.*"))
    assert not list((project.folder / "data" / "smoke").glob(".*"))
