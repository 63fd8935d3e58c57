"""A copy of the project in which everything counts as done, and what DVC would run in it after a change."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from conftest import ROOT, Done
from dvc.repo import Repo

from benchmarks import keys, pipelines, settings
from benchmarks.cell import BESIDE, DATA, FILES, PARTS, Cell, cells
from benchmarks.files import write_json

FEW = (  # an entry of each kind: own, label, circuit with a file and without, libraries, not spiking
    "lif",
    "plif-published",
    "stc_lif",
    "stc_norse_lif",
    "norse_lif",
    "norse_lifex",
    "snntorch_leaky",
    "convlstm",
)
MADE = ("results/parity.json", "reports/smoke/index.html", "docs/neurons.md", "docs/datasets.md", "docs/datasets/a.png")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Clone:
    """A copy of the project, with git and DVC, in which every stage of the smoke profile counts as done.

    What stages have written is made up, but for the keys: those are the real ones, so that nothing is due.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("neurons", "datasets", "benchmarks", ".dvc"):
            ignore = shutil.ignore_patterns("__pycache__", "tmp", "cache")
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        for part in ("dvc.yaml", ".dvcignore", ".gitignore", "README.md", "paper_rows.csv"):
            shutil.copy(ROOT / part, folder / part)
        (folder / "neurons/my_neuron.py").unlink(missing_ok=True)  # a reader may have followed the README already
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params |= {"profile": "smoke", "neurons": {name: params["neurons"][name] for name in FEW}, "controls": []}
        params |= {"more_neurons": {}, "more_controls": {}, "datasets": ["moving_mnist"]}
        for profile, found in params["profiles"].items():
            params["profiles"][profile] = {name: found[name] for name in ("defaults", "moving_mnist")}
        self.params(params)
        self.git("init", "--quiet", "--initial-branch", "master")
        with working_in(folder):
            self._make()
            with Repo(".") as repo:
                repo.commit(force=True, recursive=True, target=".")
        self.save("all")

    def _make(self) -> None:
        for name in MADE:
            make(Path(name))
        loaded = settings.load()
        keys.write(keys.contents(loaded))
        whole = Cell.of(loaded, "smoke", "moving_mnist")
        make(whole.data / "train.npy")
        make(whole.results / "truth.png")
        write_json(whole.results / DATA, {"train": "made up"})
        for cell in (whole, *cells(loaded, "smoke")):
            for stage in PARTS if cell.neuron else ("prepare", "stability"):
                stamp = cell.stamp(stage)
                seeds = [{"seed": n, "status": "ok", "key": stamp["key"]} for n in range(whole.settings.training.seeds)]
                write_json(cell.results / FILES[stage], {**stamp, **({"seeds": seeds} if stage == "train" else {})})
            for name in (*BESIDE["train"], "times.csv", "looked.json") if cell.neuron else ():
                make(cell.results / name)

    def git(self, *words: str, check: bool = True) -> str:
        who = ("-c", "user.name=me", "-c", "user.email=me")
        done = subprocess.run(["git", *who, *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stdout + done.stderr
        return done.stdout

    def dvc(self, *words: str) -> Done:
        """DVC as a user calls it."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # the stages' `python`
        how: dict[str, Any] = {"cwd": self.folder, "env": {**os.environ, "PATH": path}}
        return subprocess.run([sys.executable, "-m", "dvc", *words], capture_output=True, text=True, check=False, **how)

    def save(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def cloned(self, folder: Path) -> "Clone":
        """What git has of it."""
        self.git("clone", "--quiet", ".", str(folder))
        return self.of(folder)

    def copy(self, folder: Path) -> "Clone":
        shutil.copytree(self.folder, folder, symlinks=True)
        return self.of(folder)

    @classmethod
    def of(cls, folder: Path) -> "Clone":
        made = cls.__new__(cls)
        made.folder = folder
        return made

    def params(self, content: Any) -> None:
        """Writes params.yaml (text, or what it says), and what follows from it at once."""
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (self.folder / "params.yaml").write_text(text)
        with working_in(self.folder):
            pipelines.update(settings.load())

    def said(self) -> dict[str, Any]:
        """What params.yaml says."""
        return dict(yaml.safe_load((self.folder / "params.yaml").read_text()))

    def edit(self, name: str, pattern: str = r"\Z", replacement: str = "\nedited = True\n") -> None:
        text = (self.folder / name).read_text()
        edited = re.sub(pattern, replacement, text, count=1)
        assert edited != text
        (self.folder / name).write_text(edited)

    def would_run(self) -> set[str]:
        """What `dvc repro` would run: cells by their entry, other stages by their name. `keys` is done for it."""
        with working_in(self.folder):
            keys.write(keys.contents(settings.load()))
            with Repo(".") as repo:
                logging.getLogger("dvc").setLevel(logging.ERROR)
                found = [stage.addressing for stage in repo.reproduce(dry=True)]
        return {re.sub(r"^pipelines/(.+)/dvc.yaml:.*|@.*", r"\1", name) for name in found}


def make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(path))
