"""A small project of stages that compute nothing, and ways to launch them: as a user does, or in this process."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml
from conftest import ROOT, Done, Project
from dvc.repo import Repo

from benchmarks.launch import watching
from benchmarks.launch.watching import Job, Limits, Outcome

CELLS = ("a", "b", "c")
# The clusters of the tests have a token of their own: nobody else can use them, and no file of the user's is touched.
# Here, since Ray reads it when it is first imported.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
MARK = "STANDIN_PROJECT"  # in the environment of all that a launch starts
STAGES: dict[str, Any] = {
    "prepare": {
        "cmd": "python -m standin prepare --reads raw.txt --writes frames/frames.txt",
        "deps": ["raw.txt"],
        "outs": ["frames"],
    },
    "train": {
        "matrix": {"n": list(CELLS)},
        "cmd": "python -m standin train-${item.n} --reads frames/frames.txt in/${item.n}.txt "
        "--writes cells/${item.n}/accuracy.json cells/${item.n}/weights.safetensors",
        "deps": ["frames", "in/${item.n}.txt"],
        "outs": [{"cells/${item.n}/accuracy.json": {"cache": False}}, "cells/${item.n}/weights.safetensors"],
    },
    "dynamics": {
        "matrix": {"n": list(CELLS)},
        "cmd": "python -m standin dynamics-${item.n} --reads cells/${item.n}/weights.safetensors "
        "--writes cells/${item.n}/dynamics.json",
        "deps": ["cells/${item.n}/weights.safetensors"],
        "outs": [{"cells/${item.n}/dynamics.json": {"cache": False}}],
    },
    "measure": {
        "matrix": {"n": list(CELLS)},
        "cmd": "python -m standin measure-${item.n} --reads frames/frames.txt in/${item.n}.txt "
        "--writes cells/${item.n}/cost.json",
        "deps": ["frames", "in/${item.n}.txt"],
        "outs": [{"cells/${item.n}/cost.json": {"cache": False}}],
    },
    "report": {
        "cmd": "python -m standin report --writes reports/index.txt",
        "deps": ["cells"],
        "outs": [{"reports/index.txt": {"cache": False}}],
    },
}


class Standins:
    """The project in a folder of its own, with git and DVC."""

    def __init__(self, folder: Path, cells: Sequence[str] = CELLS) -> None:
        self.folder = folder
        project = Project(folder)
        shutil.copy(ROOT / "tests/standin.py", folder)
        for part in (".gitignore", ".dvcignore"):
            shutil.copy(ROOT / part, folder)
        with (folder / ".gitignore").open("a") as ignored:
            ignored.write("/times/\n/behave/\n")
        own = folder / "pipelines/moving_mnist/dvc.yaml"  # which nothing in dvc.yaml needs
        own.parent.mkdir(parents=True)
        template = (folder / "benchmarks/pipeline.yaml").read_text()
        own.write_text(f"vars:\n  - ../../params.yaml\n  - dataset: moving_mnist\n\n{template}")
        assert project.params["datasets"] == ["moving_mnist"]
        self.stages = json.loads(json.dumps(STAGES))
        for stage in self.stages.values():
            if "matrix" in stage:
                stage["matrix"]["n"] = list(cells)
        self.save()
        (folder / "raw.txt").write_text("raw")
        (folder / "in").mkdir()
        for cell in cells:
            self.edit(cell, cell)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        Repo.init(str(folder)).close()
        (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")

    def save(self) -> None:
        (self.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": self.stages}, sort_keys=False))

    def copy(self, folder: Path) -> "Standins":
        shutil.copytree(self.folder, folder)
        copy = Standins.__new__(Standins)
        copy.folder, copy.stages = folder, json.loads(json.dumps(self.stages))
        return copy

    def edit(self, cell: str, text: str) -> None:
        (self.folder / "in" / f"{cell}.txt").write_text(text)

    def behave(self, name: str, word: str) -> Path:
        path = self.folder / "behave" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(word)
        return path

    def ran(self) -> list[str]:
        """The names of what ran since this was last asked, once a run."""
        found = sorted((self.folder / "times").glob("*"))
        for path in found:
            path.unlink()
        return [path.name.partition(".")[0] for path in found]

    def times(self) -> dict[str, dict[str, float]]:
        return {path.name.partition(".")[0]: json.loads(path.read_text()) for path in self.folder.glob("times/*")}

    def started(self, name: str, but: int = 0) -> int:
        """The process of a stand-in, once it has started, other than process `but`."""
        return int(eventually(lambda: [p for p in self._pids(name) if p != but])[0])

    def _pids(self, name: str) -> list[int]:
        found = [int(path.suffix[1:]) for path in self.folder.glob(f"times/{name}.*") if path.suffix[1:].isdigit()]
        return [pid for pid in found if psutil.pid_exists(pid)]

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {**os.environ, "PATH": path, MARK: str(self.folder), **more}

    def start(self, *options: str, **more: str) -> "subprocess.Popen[str]":
        """A launch as a user starts it."""
        return self._start("benchmarks.launch", *options, **more)

    def launch(self, *options: str, **more: str) -> Done:
        return ended(self.start(*options, **more))

    def start_repro(self, *options: str) -> "subprocess.Popen[str]":
        return self._start("dvc", "repro", *options)

    def reproduced(self) -> list[str]:
        """The stages that `dvc repro`, in this process, has run."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            with Repo(".") as repo:
                return [stage.addressing for stage in repo.reproduce()]
        finally:
            os.chdir(before)

    def repro(self, *options: str) -> Done:
        return ended(self.start_repro(*options))

    def _start(self, module: str, *options: str, **more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", module, *options]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = self.environment(**more)
        return subprocess.Popen(command, cwd=self.folder, env=environment, start_new_session=True, **pipes)

    def running(self) -> list[str]:
        """The commands of all processes that launches of this project have started.

        But for two that see to nothing and outlive a killed cluster by most of a minute.
        """
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                own = process.environ().get(MARK) == str(self.folder) or process.cwd() == str(self.folder)
                if own and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(" ".join(process.cmdline())[:200])
        return [command for command in found if not command.startswith(AGENTS)]

    def all_gone(self) -> bool:
        """Whether no process of this project runs any more, after a few seconds at most."""
        eventually(lambda: not self.running(), "some still run", seconds=15)
        return True

    def results(self) -> dict[str, bytes]:
        """The bytes of all results; what DVC recorded of them, in no order."""
        made = [path for top in ("frames", "cells", "reports") for path in (self.folder / top).rglob("*")]
        content = {str(path.relative_to(self.folder)): path.read_bytes() for path in made if path.is_file()}
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())
        return {**content, "dvc.lock": json.dumps(lock, sort_keys=True).encode()}

    def cached(self) -> set[str]:
        """What lies in DVC's cache, by names, which are digests."""
        cache = self.folder / ".dvc/cache"
        return {str(path.relative_to(cache)) for path in (cache / "files").rglob("*") if path.is_file()}


def ended(process: "subprocess.Popen[str]") -> Done:
    out, err = process.communicate(timeout=120)
    return Done(process.args, process.returncode, out, err)


def lines(text: str) -> list[str]:
    """What was said, without progress bars."""
    return [
        line
        for line in text.replace("\r", "\n").splitlines()
        if line.strip() and "cell/s" not in line and "it/s" not in line and "cell]" not in line
    ]


def eventually(call: Callable[[], Any], otherwise: str = "", seconds: float = 60) -> Any:
    """What `call` returns as soon as that is true of it."""
    end = time.monotonic() + seconds
    while not (found := call()):
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
    return found


class Direct:
    """In place of Ray: one job after another, each as a worker would run it, by this process."""

    def run(self, jobs: Sequence[Job], folder: Path, limits: Limits, notes: Path, alone: bool) -> Iterator[Outcome]:
        for job in jobs:
            yield watching.run(job, folder, limits, notes)


@contextmanager
def direct(*_: Any) -> Iterator[Direct]:
    yield Direct()


@contextmanager
def ray_head(cpus: int) -> Iterator[str]:
    """A Ray cluster of one node; its address. `ray stop` would end the clusters of others, too."""
    port = _free_port()
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start", "--head", "--block", f"--port={port}", f"--num-cpus={cpus}", "--num-gpus=0",
        "--node-ip-address=127.0.0.1", f"--ray-client-server-port={_free_port()}", "--include-dashboard=false",
        f"--object-store-memory={100 * 2**20}",
    ]  # fmt: skip
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=nowhere, stderr=nowhere)
    family: list[psutil.Process] = []
    try:
        eventually(lambda: _listens(port), "Ray did not start")
        eventually(lambda: any("raylet" in p.name() for p in psutil.Process(process.pid).children(recursive=True)))
        yield f"127.0.0.1:{port}"
    finally:
        with suppress(psutil.Error):
            family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        for one in family:
            with suppress(psutil.Error):
                one.kill()
        process.kill()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
