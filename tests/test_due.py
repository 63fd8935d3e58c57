"""What is due of a cell by its key, which results are refused, which seeds are taken over, and what `run` does."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CELL, Done, Project, one_line_error
from dvc.repo import Repo

from benchmarks import run, settings, train
from benchmarks.cell import BESIDE, DATA, FILES, PARTS, Cell, hashed
from benchmarks.files import ResultsError, read_json, write_json
from benchmarks.workers import Job


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.folder)
    return project


def of(project: Project, neuron: str = "lif") -> Cell:
    """A cell of the project, as params.yaml has it now."""
    project.save()
    return Cell.of(settings.load(), "smoke", "moving_mnist", neuron)


def says(wanted: str, call: Callable[..., Any], *arguments: Any) -> None:
    """Expects a ResultsError of one line that says so."""
    with pytest.raises(ResultsError, match=wanted) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


def result(cell: Cell, *stages: str, seeds: int = 2, **content: Any) -> None:
    """Writes what `stages` would write of the cell now, made up; and the weights that training leaves."""
    for stage in stages:
        stamp = cell.stamp(stage)
        records = [{"seed": seed, "status": "ok", "key": stamp["key"]} for seed in range(seeds)]
        write_json(
            cell.results / FILES[stage], {**stamp, **({"seeds": records} if stage == "train" else {}), **content}
        )
        for name in BESIDE.get(stage, ()):
            (cell.results / name).touch()
        if stage == "train":
            cell.weights().parent.mkdir(parents=True, exist_ok=True)
            cell.weights().touch()


def test_what_is_due(inside: Project) -> None:
    cell = of(inside)
    assert cell.due() == list(PARTS)
    result(cell, *PARTS)
    assert cell.due() == []
    (cell.results / FILES["measure"]).unlink()
    assert cell.due() == ["measure"]
    result(cell, "measure")
    cell.weights().unlink()  # nothing wants them: a fresh clone is current without
    assert cell.due() == []
    (cell.results / FILES["dynamics"]).unlink()
    assert cell.due() == ["train", "dynamics"]
    result(cell, "train", seeds=1)
    assert cell.due() == ["train", "dynamics"]
    cell.forget()
    assert cell.due() == list(PARTS)
    assert (cell.results.parent / DATA).exists()


@pytest.mark.parametrize(("status", "wanted"), [("diverged", ["train"]), ("failed", []), ("unsupported", [])])
def test_weights_are_due_where_training_leaves_some(inside: Project, status: str, wanted: list[str]) -> None:
    cell = of(inside)
    result(cell, "train", "measure")
    path = cell.results / FILES["train"]
    content = read_json(path)
    content["seeds"][0]["status"] = status
    write_json(path, content)
    cell.weights().unlink()
    assert cell.due() == [*wanted, "dynamics"]


SEEDS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "fewer": lambda seeds: seeds.pop(),
    "more": lambda seeds: seeds.append({**seeds[0], "seed": 2}),
    "of two keys": lambda seeds: seeds[1].update(key="0" * 16),
    "of no key": lambda seeds: seeds[1].pop("key"),
    "of no seed": lambda seeds: seeds[1].pop("seed"),
}


@pytest.mark.parametrize("spoil", SEEDS.values(), ids=SEEDS)
def test_other_seeds_than_are_wanted_make_training_due(inside: Project, spoil: Callable[..., Any]) -> None:
    cell = of(inside)
    result(cell, *PARTS)
    content = read_json(cell.results / FILES["train"])
    spoil(content["seeds"])
    write_json(cell.results / FILES["train"], content)
    assert cell.due() == ["train"]


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "no key": (lambda content: content.pop("key"), "no key found in it, so nothing says what made it; remove it"),
    "no inputs": (lambda content: content.pop("inputs"), "no key found in it"),
    "another key": (lambda content: content.update(key="0" * 16), "key 0{16} found, its inputs make [0-9a-f]{16}"),
    "an input": (lambda content: content["inputs"].update({"training.steps": "5"}), "found, its inputs make"),
    "another neuron": (lambda content: renamed(content, "neuron", "plif"), r"of plif {}, wanted lif {}; remove it"),
    "arguments": (lambda content: renamed(content, "neuron.params", '{"a": 1}'), r'of lif {"a": 1}, wanted lif {}'),
    "a format": (lambda content: content.update(format=2), "results format 2 found"),
}


def renamed(content: dict[str, Any], name: str, value: str) -> None:
    content["inputs"][name] = value
    content["key"] = hashed(content["inputs"])


@pytest.mark.parametrize(("spoil", "wanted"), SPOILT.values(), ids=SPOILT)
def test_a_result_of_something_else_is_refused_in_a_line_and_due(
    inside: Project, spoil: Callable[..., Any], wanted: str
) -> None:
    cell = of(inside)
    result(cell, *PARTS)
    for stage in PARTS:
        path = cell.results / FILES[stage]
        content = read_json(path)
        spoil(content)
        path.write_text(json.dumps({"format": 3, **content}))
        says(f"{path}: .*{wanted}.*run `dvc repro", cell.stored, stage)
        says(wanted, cell.current, stage)
        assert not cell.is_current(stage)
    assert cell.due() == list(PARTS)


def test_what_makes_a_result_stale_is_named(inside: Project) -> None:
    cell = of(inside)
    result(cell, *PARTS)
    assert cell.current("train") == cell.stored("train")
    inside.cell["training"]["steps"] = 5
    cell = of(inside)
    assert cell.stored("train")["seeds"]  # of another key, but a result
    says(r"accuracy\.json: made from another training\.steps; run `dvc repro`", cell.current, "train")
    says(r"dynamics\.json: made from another train; run `dvc repro`", cell.current, "dynamics")
    assert cell.due() == ["train", "dynamics"]


def test_an_edit_meanwhile_is_one_line_and_nothing_is_stamped(inside: Project) -> None:
    cell = of(inside)
    with cell.unchanged("train") as stamp:
        assert stamp == cell.stamp("train")

    def edited() -> None:
        with cell.unchanged("train"):
            path = inside.folder / "benchmarks/network.py"
            path.write_text(path.read_text() + "\nedited = True\n")

    says(
        "train moving_mnist lif: changed while it ran: benchmarks/network.py; nothing was written, run it again", edited
    )


Here = Callable[..., Done]


class Trained:
    """Trains seeds in this process, and knows which."""

    def __init__(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        self._here, self._seeds = here, list[int]()
        monkeypatch.setattr(train, "side_by_side", self._in_turn)

    def _in_turn(self, job: Job, tasks: Sequence[Any], workers: int, steps: int, title: str) -> list[dict[str, Any]]:
        self._seeds += tasks
        return [job(task, lambda step, loss: None) for task in tasks]

    def __call__(self, project: Project, seeds: int, *options: str) -> list[int]:
        """Trains LIF with so many seeds; those that were trained."""
        project.cell["training"]["seeds"] = seeds
        project.save()
        self._seeds.clear()
        assert self._here(project, "train", *CELL, "lif", *options).returncode == 0
        return self._seeds.copy()


@pytest.fixture
def trained(here: Here, monkeypatch: pytest.MonkeyPatch) -> Trained:
    return Trained(here, monkeypatch)


def made(project: Project) -> dict[str, bytes]:
    """What training leaves and does not depend on the machine."""
    folder = project.folder / "results/smoke/moving_mnist/lif"
    found = [folder / name for name in ("accuracy.json", "curves.csv", "predictions.png")]
    return {path.name: path.read_bytes() for path in (*found, *(project.folder / "weights").rglob("*.safetensors"))}


def test_more_seeds_and_fewer_are_the_bytes_of_so_many_at_once(
    project: Project, trained: Trained, tmp_path: Path
) -> None:
    other = project.copy(tmp_path / "other")
    assert trained(project, 1) == [0]
    of_one = made(project)
    assert len(of_one) == 4
    assert trained(project, 3) == [1, 2]
    assert trained(other, 3) == [0, 1, 2]
    assert made(project) == made(other) != of_one
    run_json = project.folder / "results/smoke/moving_mnist/lif/run.json"
    assert read_json(run_json)["seeds"] == 2
    machine = run_json.read_bytes()
    assert trained(project, 3) == []
    assert trained(project, 1) == []
    assert made(project) == of_one
    assert run_json.read_bytes() == machine  # nothing was trained, so nothing was timed


def test_seeds_are_trained_again_where_they_cannot_be_taken_over(project: Project, trained: Trained) -> None:
    folder = project.folder / "results/smoke/moving_mnist/lif"
    assert trained(project, 2) == [0, 1]
    before = made(project)
    (kept,) = (project.folder / "weights").rglob("*.safetensors")
    for lost, wanted in ((kept, [0]), (folder / "predictions.png", [0]), (folder / "curves.csv", [0, 1])):
        lost.unlink()
        assert trained(project, 2) == wanted
        assert made(project) == before
    content = read_json(folder / "accuracy.json")
    content["seeds"][1] = {"seed": 1, "status": "failed", "reason": "made up", "key": content["key"]}
    write_json(folder / "accuracy.json", content)
    assert trained(project, 2) == [1]
    assert trained(project, 2, "--force") == [0, 1]
    assert made(project) == before
    project.cell["training"]["steps"] = 6
    assert trained(project, 2) == [0, 1]
    assert len(made(project)) == 4  # the weights of the other key are gone


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What `run` starts: a list of (part, key, --force or nothing), none of which is done."""
    started: list[tuple[str, ...]] = []

    def start(part: str, arguments: list[str]) -> None:
        assert arguments[:6] == ["--profile", "smoke", *CELL[:2], "--neuron", "lif"]
        started.append((part, *[word for word in arguments[6:] if word != "--key"]))

    monkeypatch.setattr(run, "run", start)
    return started


def test_run_starts_what_is_due_and_says_of_which_key(inside: Project, here: Here, parts: list[Any]) -> None:
    """An edit between two parts, which this process has imported already, is refused by the key."""
    cell = of(inside)
    assert here(inside, "run", *CELL, "lif").returncode == 0
    assert parts == [(part, cell.key(part)) for part in PARTS]
    result(cell, "train", "measure")
    assert here(inside, "run", *CELL, "lif", "--keep-going").returncode == 0
    assert parts[3:] == [("dynamics", "--keep-going", cell.key("dynamics"))]
    result(cell, "dynamics")
    done = here(inside, "run", *CELL, "lif")
    assert done.stdout == "lif on moving_mnist: current by its key\n"
    assert parts[4:] == []
    assert here(inside, "run", *CELL, "lif", "--force").returncode == 0
    forced = [(part, cell.key(part), *["--force"][: part == "train"]) for part in PARTS]
    assert parts[4:] == forced
    one_line_error(here(inside, "measure", *CELL, "lif", "--key", "0" * 16), "0000 wanted", "have changed")


def test_run_needs_data_where_anything_is_due_and_removes_nothing_without(
    inside: Project, here: Here, parts: list[Any]
) -> None:
    cell = of(inside)
    result(cell, *PARTS)
    (cell.data / "card.json").unlink()
    assert here(inside, "run", *CELL, "lif").returncode == 0
    one_line_error(here(inside, "run", *CELL, "lif", "--force"), "benchmarks.prepare")
    assert cell.due() == []
    (cell.results / FILES["measure"]).unlink()
    one_line_error(here(inside, "run", *CELL, "lif"), "benchmarks.prepare")
    assert parts == []


FORCED: dict[str, tuple[Callable[[Any], Any], bool]] = {  # what is another since DVC has recorded the stage
    "nothing": (lambda stage: None, True),
    "a dependency": (lambda stage: Path("data.json").write_text("{}"), False),
    "a file of its folder": (lambda stage: Path("made/curves.csv").write_text("0"), False),
    "a file that DVC ignores": (lambda stage: Path("made/times.csv").write_text("0"), True),
    "a digest of keys": (lambda stage: write_json(Path("keys.json"), {"smoke": {"lif": "0"}}), False),
    "the command": (lambda stage: stage.update(cmd=stage["cmd"] + " --force"), False),
    "one output more": (lambda stage: stage["outs"].append({"more.json": {"cache": False}}), False),
}


@pytest.mark.parametrize(("change", "forced"), FORCED.values(), ids=FORCED)
def test_that_dvc_was_told_to_force_shows_in_its_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any], forced: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    file, name = Path("pipelines/lif/dvc.yaml"), "cell@moving_mnist"
    file.parent.mkdir(parents=True)
    Path("made").mkdir()
    Path(".dvcignore").write_text("times.csv\n")
    write_json(Path("keys.json"), {"smoke": {"lif": "abc"}})
    for path in ("data.json", "made/curves.csv", "made/times.csv"):
        Path(path).write_text(path)
    stage: dict[str, Any] = {
        "wdir": "../..", "matrix": {"dataset": ["moving_mnist"]}, "cmd": "python -m benchmarks.run",
        "deps": ["data.json"], "params": [{"keys.json": ["smoke.lif"]}],
        "outs": [{"made": {"cache": False, "persist": True}}],
    }  # fmt: skip
    file.write_text(yaml.safe_dump({"stages": {"cell": stage}}))
    monkeypatch.setenv("DVC_STAGE", f"{file}:{name}")
    with Repo.init(no_scm=True) as repo:
        assert not run.forced_by_dvc("lif")
        repo.commit(f"{file}:{name}", force=True)
    change(stage)
    file.write_text(yaml.safe_dump({"stages": {"cell": stage}}))
    for addressed in (f"{file}:{name}", name):  # as seen from the root, and from its own folder
        monkeypatch.setenv("DVC_STAGE", addressed)
        assert run.forced_by_dvc("lif") == forced
    monkeypatch.delenv("DVC_STAGE")
    assert not run.forced_by_dvc("lif")
    monkeypatch.setenv("DVC_STAGE", "another")
    assert not run.forced_by_dvc("lif")
    assert not run.forced_by_dvc("glif")
