"""What launching costs: the wall time of a wave beside what its cells take, and recording at once beside one by one."""

import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from benchmarks.launch.engine import Cluster, Share, connected
from benchmarks.launch.stages import Pipeline
from benchmarks.launch.watching import Job, Limits
from benchmarks.speed.pairs import InTurn

ROOT = Path(__file__).parents[2]
WORKERS = 2


@pytest.fixture
def cluster(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster of this machine's own, of two workers whatever it has."""
    if not benchmark.enabled:
        pytest.skip("timed only; the tests of launching start clusters enough")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(WORKERS)))
    with connected(None, Share()) as started:
        yield started


def note(benchmark: Any, ratio: float, reference: str) -> None:
    """Puts a ratio of wall times, taken once, where those of processor times and their quartiles are."""
    once = round(ratio, 4)
    benchmark.extra_info.update(reference=reference, ratio=once, quartiles=[once, once])
    benchmark.stats.name += f" {ratio:.4g} x {reference}"


@pytest.mark.benchmark(timer=time.perf_counter)  # the processor time is that of others
def test_a_wave_of_cells(benchmark: Any, cluster: Cluster, tmp_path: Path) -> None:
    """60 cells of a second on two workers, their start apart: at best 30 s."""
    seconds, count = 1.0, 60
    command = f"python -m timeit --number 1 --repeat 1 --setup 'import time' 'time.sleep({seconds})'"

    def wave(kind: str, size: int) -> list[str]:
        jobs = [Job(f"{kind}@{number}", kind, command) for number in range(size)]
        return [outcome.how for outcome in cluster.run(jobs, ROOT, Limits(), tmp_path, alone=False)]

    assert wave("first", WORKERS) == ["done"] * WORKERS  # the workers start
    benchmark.group = "launching"
    assert benchmark.pedantic(lambda: wave("cell", count), rounds=1) == ["done"] * count
    ratio = benchmark.stats.stats.data[0] / (seconds * count / WORKERS)
    note(benchmark, ratio, "the cells' own time")


@pytest.mark.benchmark(timer=time.perf_counter)
def test_training_two_at_once(benchmark: Any, cluster: Cluster, tmp_path: Path) -> None:
    """Eight cells of the default profile, two at once beside one at a time: at best half the time; the same bytes."""
    for part in ("benchmarks", "neurons", "datasets"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    command = "python -m benchmarks.{} --dataset moving_mnist"

    def run(kind: str, *options: str, alone: bool = False) -> None:
        jobs = [Job(f"{kind}@{option}", kind, f"{command.format(kind)} {option}") for option in options]
        ended = list(cluster.run(jobs, tmp_path, Limits(), tmp_path / "notes", alone))
        assert [outcome.how for outcome in ended] == ["done"] * len(jobs), ended

    def train(alone: bool = False) -> dict[str, bytes]:
        neurons = ("lif", "plif", "plif-published", "glif", "tclif", "lmh", "norse_lif", "snntorch_leaky")
        run("train", *(f"--workers 1 --neuron {neuron}" for neuron in neurons), alone=alone)
        tops = [tmp_path / "results/quick", tmp_path / "weights/quick"]
        files = [path for top in tops for path in top.glob("*/*/*") if path.name != "run.json"]
        made = {str(path): path.read_bytes() for path in files}
        for folder in {path.parent for path in files}:
            shutil.rmtree(folder)
        return made

    run("prepare", "")
    benchmark.group = "launching"
    train()  # the workers import torch; Ray ends one that is idle, which one at a time makes the second
    found = benchmark.pedantic(train, rounds=1)
    start = time.perf_counter()
    wanted = train(alone=True)
    seconds = time.perf_counter() - start
    assert found == wanted
    assert len(found) == 8 * 4  # accuracy, curves, predictions, weights
    note(benchmark, benchmark.stats.stats.data[0] / seconds, "one at a time")


def test_recording(in_turn: InTurn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 stages of a lock file of 300 at once, beside one by one as `dvc repro` does it."""
    cells, some, few = (300, 60, 6) if in_turn.timing else (4, 4, 2)
    monkeypatch.chdir(tmp_path)
    logging.getLogger("dvc").setLevel(logging.ERROR)
    Repo.init(".", no_scm=True).close()
    stage = {
        "matrix": {"n": list(range(cells))},
        "cmd": "python -m nothing ${item.n}",
        "deps": ["shared.txt", "in/${item.n}.txt"],
        "outs": [{"out/${item.n}.json": {"cache": False}}, "out/${item.n}.bin"],
    }
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"cell": stage}}))
    Path("shared.txt").write_text("shared")
    for name in ("in/{}.txt", "out/{}.json", "out/{}.bin"):
        for number in range(cells):
            path = Path(name.format(number))
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(path))
    pipeline = Pipeline()
    with pipeline.held():
        names = [job.name for job in pipeline.stale({"cell"})[0]]
        assert len(names) == cells
        assert pipeline.record(names) == {}  # the lock file has all its entries
        whole = Path("dvc.lock").read_bytes()

        def at_once() -> dict[str, str]:
            return pipeline.record(names[:some])

        def one_by_one() -> None:
            for name in names[:few]:
                done = pipeline.stages[name]
                done.save(run_cache=False)
                done.commit()
                done.dump(update_pipeline=False)

        assert in_turn("launching", at_once, one_by_one, "one by one", amount=some / few) == {}
        assert pipeline.stale({"cell"}) == ([], False)
        assert Path("dvc.lock").read_bytes() == whole
