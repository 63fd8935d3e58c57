"""The stages as a user types them: what they write, that they repeat themselves, and that they survive being killed."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from conftest import CELL, ROOT, Done, Project
from test_panels import PAIR, TRIAL

from benchmarks.files import write_json


def test_two_runs_write_the_same_bytes(project: Project, here: Callable[..., Done]) -> None:
    """Those of the results that do not depend on the machine, and of the weights, which lie under the cell's key."""
    folder = project.folder / "results/smoke/moving_mnist/lif"
    weights = project.folder / "weights/smoke/moving_mnist/lif"
    seen = []
    for _ in range(2):
        assert here(project, "train", *CELL, "lif").returncode == 0
        key = json.loads((folder / "accuracy.json").read_text())["key"]
        assert [path.name for path in weights.iterdir()] == [f"{key}.safetensors"]
        paths = (*(folder / name for name in ("accuracy.json", "curves.csv", "predictions.png")), *weights.iterdir())
        seen.append([path.read_bytes() for path in paths])
        shutil.rmtree(folder)
        shutil.rmtree(weights)
    assert seen[0] == seen[1]


def test_an_interrupted_cell_goes_on_and_ends_in_the_same_bytes(project: Project) -> None:
    folder = project.folder / "results/smoke/moving_mnist/lif"
    assert project.run("train", *CELL, "lif").returncode == 0
    whole = (folder / "accuracy.json").read_bytes()
    shutil.rmtree(folder)
    code = project.folder / "benchmarks" / "checkpoint.py"
    original = code.read_text()
    code.write_text(original + KILL_AFTER_SAVE)  # at step 2 of 4, as a power cut would
    assert project.run("train", *CELL, "lif").returncode == 1
    assert list((project.folder / ".checkpoints").rglob("seed0.*.safetensors"))
    code.write_text(original)
    assert project.run("train", *CELL, "lif").returncode == 0
    assert (folder / "accuracy.json").read_bytes() == whole
    assert not list((project.folder / ".checkpoints").rglob("*.safetensors"))


KILL_AFTER_SAVE = """

_save = Checkpoint.save


def save(self, network, optimizer, progress):
    _save(self, network, optimizer, progress)
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)


Checkpoint.save = save
"""


def test_workers_end_with_a_killed_parent(project: Project) -> None:
    """Else they would write to the checkpoints of the run that goes on."""
    project.cell["training"] |= {"steps": 100_000, "validate_every": 10}
    project.save()
    command = [sys.executable, "-m", "benchmarks.train", *CELL, "lif"]
    with subprocess.Popen(command, cwd=project.folder, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        wait_until(lambda: list((project.folder / ".checkpoints").rglob("seed0.*.safetensors")))
        process.kill()
    wait_until(lambda: not alive(process.pid))


def wait_until(holds: Callable[[], Any]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("waited a minute in vain")


def alive(group: int) -> bool:
    """Whether any process of the process group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_measure_writes_times_of_both_and_memory(project: Project, here: Callable[..., Done]) -> None:
    assert here(project, "measure", *CELL, "lif").returncode == 0
    folder = project.folder / "results/smoke/moving_mnist/lif"
    cost = json.loads((folder / "cost.json").read_text())
    assert cost["status"] == "ok"
    for what in ("train_step", "inference", "latency"):
        low, high = cost["time"][what]["quartiles"]
        assert 0 < low <= cost["time"][what]["median"] <= high
    assert cost["memory"]["saved_for_backward"] > 0
    with (folder / "times.csv").open() as file:
        times = list(csv.DictReader(file))
    for what in ("train_step", "inference", "latency"):
        numbers = [int(row["repeat"]) for row in times if row["what"] == what]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] < 0 <= numbers[-1]  # the first call is warm-up
        assert numbers[-1] + 1 >= project.cell["cost"]["repeats"]


def test_a_loss_that_is_not_finite_ends_as_diverged(project: Project, here: Callable[..., Done]) -> None:
    project.cell["training"]["learning_rate"] = 1e18
    project.save()
    assert here(project, "train", *CELL, "lif").returncode == 0
    record = json.loads((project.folder / "results/smoke/moving_mnist/lif/accuracy.json").read_text())
    assert {seed["status"] for seed in record["seeds"]} == {"diverged"}
    assert here(project, "report", "--keep-going").returncode == 0
    assert "diverged (loss" in (project.folder / "reports/smoke/results.csv").read_text()


def test_the_report_renders_twice_to_the_same_bytes(project: Project, here: Callable[..., Done]) -> None:
    for stage in ("train", "measure", "dynamics"):
        assert here(project, stage, *CELL, "lif").returncode == 0
    write_json(project.folder / "results/parity.json", {"pairs": [PAIR], "tolerance": 1e-6})
    write_json(project.folder / "results/smoke/moving_mnist/stability.json", {"steps": 2, "trials": [TRIAL]})
    seen = []
    for _ in range(2):
        assert here(project, "report").returncode == 0
        seen.append({p.name: p.read_bytes() for p in (project.folder / "reports/smoke").rglob("*") if p.is_file()})
    assert seen[0] == seen[1]
    page = seen[0]["index.html"].decode()
    assert not re.search(r"src=[\"'](?!data:)", page)  # self-contained: nothing is fetched
    assert not re.search(r"href=[\"'](?!data:|#|(\.\./){2}docs/)", page)  # links lead to the cards alone
    assert "<h2>Moving MNIST</h2>" in page
    assert "<summary>What the neurons do" in page
    accuracy = seen[0]["table.md"].decode().split("### Accuracy")[1].split("### ")[0]
    rows = re.findall(r"^\| (\w+) \|", accuracy, flags=re.MULTILINE)
    assert rows == ["neuron", "copy_last", "linear", "mean_frame", "black", "lif"]  # nothing that was not run


def test_what_is_synthetic_says_so_over_every_table(project: Project, here: Callable[..., Done]) -> None:
    project.params["datasets"] = ["moving_mnist", "advection"]
    project.save()
    assert here(project, "prepare", "--dataset", "advection").returncode == 0
    assert here(project, "report", "--keep-going").returncode == 0
    reports = project.folder / "reports/smoke"
    page, markdown, latex = ((reports / name).read_text() for name in ("index.html", "table.md", "table.tex"))
    title = "Advection (synthetic)"
    assert f"<h2>{title}</h2>" in page
    assert f'<a href="#dataset-advection">{title}</a>' in page
    assert f"## {title}" in markdown
    assert latex.count(f"\\caption{{{title}: ") == latex.count("\\caption{Moving MNIST: ") == 3


def test_the_neuron_of_the_readme(project: Project) -> None:
    section = (ROOT / "README.md").read_text().split("## Add your neuron")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    project.add("my_neuron", code)
    for stage in ("train", "measure", "dynamics"):
        assert project.run(stage, *CELL, "my_neuron").returncode == 0
    assert project.run("report", "--keep-going").returncode == 0
    assert "| my_neuron | own |" in (project.folder / "reports/smoke/table.md").read_text()


STOPPED = "out of memory: took 3.1 GiB, and the limit is 2 GiB"


def test_a_cell_that_had_to_be_stopped_is_written_as_ended_so(project: Project, here: Callable[..., Done]) -> None:
    """What a launcher calls when it had to stop a cell: nothing is run, and every stage has its files."""
    folder = project.folder / "results/smoke/moving_mnist/lif"
    for stage, name in (("train", "accuracy.json"), ("dynamics", "dynamics.json"), ("measure", "cost.json")):
        assert here(project, stage, *CELL, "lif", "--keep-going", "--stopped", STOPPED).returncode == 0
        content = json.loads((folder / name).read_text())
        endings = content.get("seeds", [content])
        assert {(one["status"], one["reason"]) for one in endings} == {tuple(STOPPED.split(": ", 1))}
    assert not (folder / "predictions.png").read_bytes()  # DVC wants the file
    assert not (project.folder / "weights").exists()
    assert "invalid" in here(project, "measure", *CELL, "lif", "--stopped", "tired: of it").stderr
