"""A small project with real keys in which nothing is computed: what tests of launching run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import yaml
from conftest import ROOT, Done, Project
from dvc.repo import Repo
from standin_ray import ended, eventually

from benchmarks import params
from benchmarks.cell import FILES, PARTS

CELLS = ("a", "b", "c")
PREPARE = "prepare@smoke-advection"
OF_CELLS = sorted(f"{part}-{cell}" for part in PARTS for cell in CELLS)
ALL = sorted([*OF_CELLS, "report"])  # what runs in a project whose data are prepared, as `Standins.ran` has it
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
MARK = "STANDIN_PROJECT"  # in the environment of all that a launch starts
STAGES = ("keys", "prepare", "report")  # of the real pipeline
REPORT = '''"""Stage `report`, which draws nothing."""

from benchmarks import command
from standin import report

if __name__ == "__main__":
    command.run(report)
'''


def stage(cell: str, profile: str = "smoke") -> str:
    """What DVC calls a cell."""
    return f"pipelines/{cell}/dvc.yaml:cell@{profile}-advection"


def job(name: str) -> str:
    """What a launch calls a part of a cell: train-a -> train@smoke-advection-a."""
    return name.replace("-", "@smoke-advection-")


class Standins:
    """The project in a folder of its own, with git and DVC: three neurons that are copies of LIF, on advection."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.params = Project(folder).params
        advection = params.whole(yaml.safe_load((ROOT / "params.yaml").read_text()))["profiles"]["smoke"]["advection"]
        self.params |= {"datasets": ["advection"], "stability": [], "profiles": {"smoke": {"advection": advection}}}
        self.params["neurons"] = {}
        for name in (".gitignore", ".dvcignore"):
            shutil.copy(ROOT / name, folder)
        with (folder / ".gitignore").open("a") as ignored:
            ignored.write("/times/\n/behave/\n/torch.py\n")
        shutil.copy(ROOT / "tests/standin_torch.py", folder / "torch.py")
        for name in ("standin", *(f"benchmarks/{part}" for part in PARTS)):
            shutil.copy(ROOT / "tests/standin.py", folder / f"{name}.py")
        (folder / "benchmarks/report/__main__.py").write_text(REPORT)
        for name in ("keys", "prepare"):
            path = folder / f"benchmarks/{name}.py"
            run = f'from standin import noted\n\n    with noted("{name}"):\n        command.run(main)'
            path.write_text(path.read_text().replace("    command.run(main)", f"    {run}"))
        real = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        self.stages = {name: real[name] for name in STAGES}
        self.stages["report"]["deps"] = ["results/${item.profile}"]
        self.save()
        self.add(*CELLS)
        self.git("init", "--quiet")
        Repo.init(str(folder)).close()
        (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")

    def save(self) -> None:
        """Writes what tests have changed in `stages` and `params`."""
        (self.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": self.stages}, sort_keys=False))
        (self.folder / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    def add(self, *cells: str) -> None:
        """Adds neurons, a file and an entry each, and their part of the pipeline."""
        for cell in cells:
            self.params["neurons"][cell] = {}
            self.edit(cell, cell)
        self.pipelines()

    def pipelines(self) -> None:
        """Brings pipelines/ in line with params.yaml."""
        self.save()
        done = ended(self._start("benchmarks.pipelines"))
        assert done.returncode == 0, done.stderr

    def copy(self, folder: Path) -> "Standins":
        shutil.copytree(self.folder, folder)
        return self._of(folder)

    def clone(self, folder: Path) -> "Standins":
        """What git has of the project: no data, no weights, no cache."""
        self.git("add", "--all")
        self.git("-c", "user.name=me", "-c", "user.email=me", "commit", "--quiet", "--message", "all")
        self.git("clone", "--quiet", ".", str(folder))
        shutil.copy(self.folder / "torch.py", folder)
        return self._of(folder)

    def _of(self, folder: Path) -> "Standins":
        other = Standins.__new__(Standins)
        other.folder, other.stages, other.params = folder, deepcopy(self.stages), deepcopy(self.params)
        return other

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def edit(self, cell: str, text: str, comment: str = "", card: str = "") -> None:
        """Writes a neuron's code, in which one line says `text`; `comment` and `card`, its docstring, change no key."""
        lif = (ROOT / "neurons/lif.py").read_text().replace('"""', f'"""{card}', 1)
        (self.folder / "neurons" / f"{cell}.py").write_text(f"{lif}\n\nEDITION = {text!r}  # {comment}\n")

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

    def times(self) -> dict[str, dict[str, Any]]:
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

    def dvc(self, *words: str) -> Done:
        return ended(self._start("dvc", *words))

    def part(self, module: str, cell: str, *options: str) -> Done:
        """`python -m benchmarks.MODULE` of one cell."""
        named = ("--keep-going", "--profile", "smoke", "--dataset", "advection", "--neuron", cell)
        return ended(self._start(f"benchmarks.{module}", *named, *options))

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
        """The bytes of all that was made, and of DVC's lock files."""
        made = [path for top in ("data", "results", "weights", "reports") for path in (self.folder / top).rglob("*")]
        found = [*(path for path in made if path.is_file()), *self.folder.rglob("dvc.lock")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def recorded(self) -> set[str]:
        """The stages in DVC's lock files, which are whole: keys, prepare@smoke-advection, a, b."""
        found = set()
        for lock in self.folder.rglob("dvc.lock"):
            stages = yaml.safe_load(lock.read_text())["stages"]
            found |= set(stages) if lock.parent == self.folder else {lock.parent.name}
        return found

    def wrote(self, *names: str) -> None:
        """Waits until all of these parts, train-a and so on, have written their results."""
        parts = [name.split("-") for name in names]
        eventually(lambda: all(self.of_cell(cell, FILES[part]).exists() for part, cell in parts))

    def of_cell(self, cell: str, name: str) -> Path:
        """A file of a cell's results."""
        return self.folder / "results/smoke/advection" / cell / name

    def cached(self) -> set[str]:
        """What lies in DVC's cache, by names, which are digests."""
        cache = self.folder / ".dvc/cache"
        return {str(path.relative_to(cache)) for path in (cache / "files").rglob("*") if path.is_file()}


def same(project: Standins, other: Standins) -> None:
    """Both have the same bytes, DVC's lock files among them, and nothing is left to do."""
    assert project.results() == other.results()
    assert project.reproduced() == other.reproduced() == []


@cache
def bare(folder: Path) -> Standins:
    """The project before anything has run; made once for the tests of a session, whose folder this is."""
    return Standins(folder / "bare")


@cache
def prepared(folder: Path) -> Standins:
    """The same with keys and data."""
    project = bare(folder).copy(folder / "prepared")
    done = project.repro("prepare")
    assert done.returncode == 0, done.stderr
    assert project.ran() == ["keys", "prepare"]
    return project


@cache
def reproduced(folder: Path) -> Standins:
    """The same when `dvc repro` has made all of it."""
    project = prepared(folder).copy(folder / "reproduced")
    done = project.repro()
    assert done.returncode == 0, done.stderr
    assert project.ran() == ALL
    return project


def complete(project: Standins, undisturbed: Standins, launch: Callable[..., Done], *before: str) -> list[str]:
    """Launches again after a fault; what ran then. All is as in an undisturbed project, and nothing is left to do.

    What had ended `before` does not run again.
    """
    shutil.rmtree(project.folder / "behave", ignore_errors=True)
    project.ran()
    done = launch(project)
    assert done.returncode == 0, done.stderr
    ran = project.ran()
    assert not set(ran) & set(before)
    assert len(ran) == len(set(ran))
    assert project.results() == undisturbed.results()
    assert project.reproduced() == []
    return ran
