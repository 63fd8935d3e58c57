"""The certificate as a user gets it: which cells are compared, what is written, what is refused; a real rerun."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from clones import INPUTS, Place, seed
from conftest import CELL, Done, Project, one_line_error

from benchmarks import _certificate
from benchmarks._certificate import AMBER, GREEN, RED, badge, plain
from benchmarks._verdicts import Outcome
from benchmarks.cell import hashed
from benchmarks.files import FORMAT
from benchmarks.workers import Job, side_by_side


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path, capsys, monkeypatch)


def test_the_same_numbers_are_identical_and_nothing_else_is_touched(place: Place) -> None:
    before = place.files()
    status, cells = place.judged()
    assert status == 0
    assert [cell["verdict"] for cell in cells.values()] == ["identical", "identical"]
    made = place.files()
    assert {name: made[name] for name in before} == before
    assert set(made) - set(before) == {f"results/quick/certificate/{name}" for name in _certificate.MADE}
    assert "2/2 identical" in Path("results/quick/certificate/badge.svg").read_text()
    assert GREEN in Path("results/quick/certificate/badge.svg").read_text()
    assert "Nothing that is recorded" in Path("results/quick/certificate/certificate.md").read_text()


def test_two_certificates_of_the_same_are_the_same_bytes_and_a_failing_one_leaves_the_old(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.rerun.cell("lif", [10.5, 12.0])
    place.compare()
    first = place.files()
    shutil.move(place.folder / "other", place.folder / "elsewhere")
    assert place.verify("--against", "elsewhere").returncode == 0
    certificate = {
        name: content for name, content in place.files().items() if name.startswith("results/quick/certificate/")
    }
    assert certificate == {
        name: content for name, content in first.items() if name.startswith("results/quick/certificate/")
    }
    before = place.files()

    def fail() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_certificate, "_templates", fail)
    one_line_error(place.verify("--against", "elsewhere"), "certificate", "No space left on device")
    assert place.files() == before
    assert not list(place.folder.rglob(".certificate*"))


def test_names_and_reasons_cannot_break_the_page_or_the_badge(place: Place) -> None:
    place.rerun.cell("lif", [], seeds=[{"seed": 0, "status": "failed", "reason": "a|b <script> _c_"}, seed(1, 12.0)])
    place.judged()
    page = Path("results/quick/certificate/certificate.md").read_text()
    assert r"rerun failed (a\|b \<script\> \_c\_) |" in page
    rows = [re.findall(r"(?<!\\)\|", line) for line in page.splitlines() if line.startswith("| moving")]
    assert {len(pipes) for pipes in rows} <= {8, 9}  # of the two tables
    assert plain("é\n`x`") == r"é \`x\`"
    drawn = ElementTree.fromstring(Path("results/quick/certificate/badge.svg").read_text())  # noqa: S314 (our own)
    assert drawn.get("aria-label") == "reproduced: 1/2: 1 identical, 1 different"


def test_the_badge_can_be_read() -> None:
    """Contrast with white of 4.5 at least (WCAG 2.1, 1.4.3), and room for its words."""
    for colour in (GREEN, AMBER, RED):
        shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        assert 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05) >= 4.5
    short, long = (badge([Outcome("d", "n", "identical")] * count) for count in (1, 1000))
    assert (short["text"], long["text"]) == ("1/1 identical", "1000/1000 identical")
    assert 60 < short["right"] < long["right"]


def test_a_sample_is_the_same_everywhere_and_grows_by_its_own_cells_alone(place: Place) -> None:
    names = [f"lif-{label}" for label in "abcdefgh"]
    for name in names:
        for clone in (place.committed, place.rerun):
            clone.cell(name, [1.0, 1.0])
    place.params["neurons"] = {name: {} for name in names}
    place.save()
    for draw in ("0", "7"):
        done = place.compare("--sample", "3", "--seed", draw)
        by_hash = sorted(names, key=lambda name: hashlib.sha256(f"{draw}:moving_mnist:{name}".encode()).digest())
        assert re.findall(r"moving_mnist:(\S+)", done.stdout) == sorted(by_hash[:3])
        assert f"3 cells of the 8 in params.yaml (a sample drawn with seed {draw})" in done.stdout
    assert len(re.findall("moving_mnist:", place.compare().stdout)) == 8
    assert len(re.findall("moving_mnist:", place.compare("--dataset", "moving_mnist").stdout)) == 8
    done = place.compare("--cells", "moving_mnist:lif-b", "moving_mnist:lif-a", "moving_mnist:lif-b")
    assert re.findall(r"moving_mnist:(\S+)", done.stdout) == ["lif-b", "lif-a"]


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "no such folder": (["--against", "nope"], ["nope: no such folder", "results/ folder"]),
    "itself": (["--against", "results"], ["committed results themselves"]),
    "a clone, not its results": (["--against", "."], ["none of the 2 cells", "results/ folder"]),
    "unknown neuron": (["--cells", "moving_mnist:lf"], ["'lf'", "did you mean lif"]),
    "unknown dataset": (["--cells", "moving:lif"], ["'moving'", "did you mean moving_mnist"]),
    "no cell": (["--cells", "lif"], ["'lif' found, wanted DATASET:NEURON"]),
    "unknown --dataset": (["--dataset", "events"], ["'events'", "moving_mnist"]),
    "cells and dataset": (["--cells", "moving_mnist:lif", "--dataset", "moving_mnist"], ["exclude each other"]),
    "no sample": (["--sample", "0"], ["--sample is 0, wanted 1 or more"]),
    "unknown profile": (["--profile", "quik"], ["'quik'", "did you mean quick"]),
    "no results": (["--profile", "smoke"], ["results/smoke", "dvc repro"]),
    "no data": (["--cells", "moving_mnist:lif"], ["no prepared dataset", "benchmarks.prepare"]),
    "foreign folder": (["--against", "other", "--out", "results"], ["results is there and is no certificate"]),
    "foreign file": (["--against", "other", "--out", "params.yaml"], ["no certificate"]),
    "below a file": (["--against", "other", "--out", "params.yaml/x"], ["params.yaml/x: cannot be written"]),
}


@pytest.mark.parametrize(("options", "wanted"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(place: Place, options: list[str], wanted: list[str]) -> None:
    before = place.files()
    one_line_error(place.verify(*options), *wanted)
    assert place.files() == before


STAMP = {"key": hashed(INPUTS), "inputs": INPUTS}
BROKEN = {
    "format": (json.dumps({"format": 99}), f"format 99 found, {FORMAT} wanted"),
    "not JSON": ("{", "not JSON"),
    "no key": (json.dumps({"format": FORMAT, "seeds": []}), "no key found in it"),
    "another key": (json.dumps({"format": FORMAT, "key": "0", "inputs": {}}), "key 0 found, its inputs make"),
    "no seeds": (json.dumps({"format": FORMAT, **STAMP, "seeds": []}), "seeds: "),
    "another shape": (json.dumps({"format": FORMAT, **STAMP, "seeds": [{"seed": 0}]}), "seeds.0.status: "),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_a_rerun_that_cannot_be_read(place: Place, text: str, says: str) -> None:
    (place.rerun.dataset / "lif" / "accuracy.json").write_text(text)
    before = place.files()
    one_line_error(place.compare(), "other/quick/moving_mnist/lif/accuracy.json", says)
    assert place.files() == before


def in_turn(job: Job, tasks: Sequence[Any], workers: int, steps: int, title: str) -> list[dict[str, Any]]:
    """The tasks of workers.side_by_side in this process, which has its libraries loaded."""
    return [job(task, lambda step, loss: None) for task in tasks]


def test_a_real_rerun_is_identical_goes_on_where_it_stopped_and_leaves_results_alone(
    project: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted rerun is told from a new one by a record of it that is spoilt meanwhile."""
    monkeypatch.setattr("benchmarks.train.side_by_side", in_turn)
    assert here(project, "train", *CELL, "lif").returncode == 0
    folder, cell = project.folder / "results/smoke/moving_mnist/lif", ["--cells", "moving_mnist:lif"]
    committed = {path.name: path.read_bytes() for path in folder.iterdir()}
    left, badge_file = project.folder / "data/.rerun", project.folder / "results/smoke/certificate/badge.svg"

    one_line_error(here(project, "verify", *cell, "--out", "params.yaml/x"), "params.yaml/x: cannot be written")
    (record,) = left.glob("checkpoints/smoke/moving_mnist/lif/*/seed0.json")
    content = json.loads(record.read_text())
    content["test"]["overall"]["mse"] *= 3
    record.write_text(json.dumps(content))
    assert here(project, "verify", *cell).returncode == 1
    assert "0/1: 1 different" in badge_file.read_text()
    assert not (left / "checkpoints").exists()
    assert (left / "results/smoke/moving_mnist/lif/accuracy.json").exists()

    waiting = left / "checkpoints/smoke/moving_mnist/plif/1234/seed0.json"  # of another rerun, interrupted
    waiting.parent.mkdir(parents=True)
    waiting.touch()
    monkeypatch.setattr("benchmarks.train.side_by_side", side_by_side)
    assert here(project, "verify", *cell).returncode == 0
    assert "1/1 identical" in badge_file.read_text()
    assert [path for path in left.rglob("*") if path.is_file()] == [waiting]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == committed
    assert not list((project.folder / ".checkpoints").rglob("*.json"))


def test_a_cell_of_other_inputs_is_not_rerun_and_an_edit_meanwhile_is_refused(
    project: Project, here: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.train.side_by_side", in_turn)
    assert here(project, "train", *CELL, "lif").returncode == 0
    path = project.folder / "benchmarks/network.py"
    code, reruns = path.read_text(), 0

    def edited(*_: Any) -> list[Any]:
        nonlocal reruns
        reruns += 1
        path.write_text(code + "\nedited = True\n")
        return []

    monkeypatch.setattr("benchmarks.verify.train_seeds", edited)
    cell = ["--cells", "moving_mnist:lif"]
    one_line_error(here(project, "verify", *cell), "lif: changed while it ran: benchmarks/network.py", "run it again")
    certificate = project.folder / "results/smoke/certificate"
    assert not certificate.exists()
    assert here(project, "verify", *cell).returncode == 1
    assert reruns == 1
    (found,) = json.loads((certificate / "certificate.json").read_text())["cells"]
    assert (found["verdict"], found["why"]) == ("not comparable", "made from another benchmarks/network.py")
    assert found["digest"]
    assert "made from another benchmarks/network.py" in (certificate / "certificate.md").read_text()
