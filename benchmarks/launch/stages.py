"""The DVC side of a launch: which stages there are, which DVC would run, and recording those that ran.

What is to be done to a cell its key says (benchmarks/cell.py); DVC is only told. For the other stages DVC is asked. It
has no command for either, so that its internal calls are used: they are tested, and DVC's version is pinned. Only the
launching machine comes here, and it holds DVC's lock all the while: no second launch, no `dvc repro` beside.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage.serialize import to_lockfile
from dvc_data.hashfile.hash import file_md5

from benchmarks import settings
from benchmarks.cell import Cell
from benchmarks.files import writing
from benchmarks.launch import locks
from benchmarks.launch.watching import Job, parsed
from benchmarks.settings import SettingsError
from datasets import SPLITS

NOTES = Path(".launch")  # logs
WEIGHTS = Path("weights")
ALL = ("dvc.yaml",)  # what `dvc repro` runs: its stages, and all they depend on
CELL = "benchmarks.run"  # the module that a cell's stage runs
OF_DATASET = ("prepare", "stability")  # stages that have a key, too


class LaunchError(SettingsError):
    """A launch that cannot start or go on, in one line."""


class Pipeline:
    """The stages of the project in the current folder that `dvc repro TARGETS` would look at, in its order."""

    def __init__(self, targets: Sequence[str] = ()) -> None:
        for name in ("dvc", "dvc.stage.run", "dvc.output", "dvc.dvcfile"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            self.repo = Repo(".")
        except DvcException as error:
            raise LaunchError(f"no DVC project here ({_first(error)}); run it in the project's root") from error
        self.targets = targets or ALL
        self.stages: dict[str, Any] = {}
        self.cells: dict[str, Cell] = {}  # those of `stages` that are a neuron on a dataset
        self.said: list[str] = []  # what the user should know

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds DVC's lock; LaunchError where another launch or DVC command is at work."""
        try:
            with lock_repo(self.repo):
                self._alone()
                self.said += locks.conflicts(Path.cwd())
                self._load()
                yield
        except LockError as error:
            found = "another launch or DVC command is at work in this folder"
            raise LaunchError(f"{found}; wait for it, or stop it") from error
        except DvcException as error:
            raise LaunchError(_first(error)) from error

    def _alone(self) -> None:
        """LockError where a `dvc repro` runs a stage, for which it gives its lock away."""
        path = Path(self.repo.tmp_dir) / "rwlock"
        try:
            entries = json.loads(path.read_text() or "{}").get("write", {}).values() if path.exists() else ()
            holders = {int(entry["pid"]) for entry in entries}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            found = f"{path.relative_to(Path.cwd())}: damaged, by a DVC command that was killed"
            raise LaunchError(f"{found}; remove it where no other is at work") from error
        if any(psutil.pid_exists(pid) for pid in holders - {os.getpid()}):
            raise LockError(str(path))

    def _load(self) -> None:
        import networkx as nx

        graph = get_active_graph(self.repo.index.graph)
        known = {stage.addressing: stage for stage in graph}  # DVC itself reads a lock file anew for each target
        chosen: list[Any] = []
        for target in self.targets:
            own = known.get(target.removeprefix("dvc.yaml:"))
            chosen += [own] if own is not None else self.repo.stage.collect(target)
        planned = plan_repro(graph, chosen) if chosen else []
        self.stages = {stage.addressing: stage for stage in planned}
        self._upstream = {s.addressing: {up.addressing for up in nx.descendants(graph, s)} for s in planned}
        loaded: dict[str, Any] = {}
        for name, stage in sorted(self.stages.items(), key=lambda item: item[1].path):  # DVC's order is the disk's
            module, named = _named(stage)
            if module != CELL:
                continue
            profile = named["--profile"]
            if profile not in loaded:
                loaded[profile] = settings.load(profile=profile)
            self.cells[name] = Cell.of(loaded[profile], profile, named["--dataset"], named["--neuron"])

    def kinds(self) -> set[str]:
        """The names of stages that are no cells, without what follows an @."""
        return {_kind(stage) for name, stage in self.stages.items() if name not in self.cells}

    def stale(self, kinds: Set[str], but: Set[str] = frozenset(), force: bool = False) -> tuple[list[Job], bool]:
        """The stages of these kinds that `dvc repro` would run now, and whether others wait for them; none of `but`.

        With `force` all of them.
        """
        names = [n for n, s in self.stages.items() if n not in self.cells and _kind(s) in kinds and n not in but]
        found = {name for name in names if force or self._is_stale(self.stages[name])}
        ready = [name for name in names if name in found and not self._upstream[name] & found]
        return [self._job(name) for name in ready], any(self._upstream[name] & set(ready) for name in names)

    @staticmethod
    def _is_stale(stage: Any) -> bool:
        return bool(stage.cmd and not stage.frozen and stage.changed())

    def _job(self, name: str) -> Job:
        stage = self.stages[name]
        command = stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd)
        return Job(name, _kind(stage), " ".join(command.split()), self.outs(name))

    def hindered(self, job: Job) -> str | None:
        """Why a stale stage cannot be run: its command is another's, or what it depends on is not there."""
        try:
            parsed(job.command)
        except ValueError as error:
            return str(error)
        missing = [dep.def_path for dep in self.stages[job.name].deps if not dep.exists]
        return f"needs {missing[0]}, which is not there" if missing else None

    def waits(self, name: str, unfinished: Set[str]) -> str | None:
        """Why a stage cannot be run: something that it depends on is `unfinished`."""
        found = sorted(self._upstream[name] & unfinished)
        return f"needs {found[0]}" if found else None

    def done_before(self, job: Job) -> bool:
        """Whether a dataset's stage is current by its key, and what it wrote is there: it was done and not recorded."""
        module, named = _named(self.stages[job.name])
        stage = module.rpartition(".")[2]
        if stage not in OF_DATASET or not all(Path(out).exists() for out in job.outs):
            return False
        cell = Cell.of(settings.load(profile=named["--profile"]), named["--profile"], named["--dataset"])
        return cell.is_current(stage) and cell.is_prepared() and (stage == "stability" or _is_sound(cell))

    def check_writable(self, jobs: Sequence[Job]) -> None:
        """OSError, which names the file, where what the jobs are to write could not be written."""
        folders: dict[Path, Path] = {}
        for path in (Path(out) for job in jobs for out in job.outs):
            folders.setdefault(next(parent for parent in path.parents if parent.exists()), path)
        for folder, path in folders.items():
            with writing(path), TemporaryFile(dir=folder):
                pass

    def record(self, names: Sequence[str]) -> dict[str, str]:
        """Records in DVC's lock files and cache that these stages are done; of those that could not be: why."""
        files: dict[Path, dict[str, Any]] = {}
        refused = {}
        for name in names:
            stage = self.stages[name]
            try:
                stage.save(run_cache=False)
                _drop_corrupt(stage)
                stage.commit()
            except (DvcException, OSError) as error:
                refused[name] = _first(error)
                continue
            files.setdefault(Path(stage.path).with_suffix(".lock"), {}).update(to_lockfile(stage))
        for lock, entries in files.items():
            locks.put(lock.relative_to(Path.cwd()), entries)
        return refused

    def outs(self, name: str) -> tuple[str, ...]:
        """What a stage writes, seen from the project's root."""
        return tuple(_path(out) for out in self.stages[name].outs)

    def unrecorded(self, names: Sequence[str]) -> list[str]:
        """Those of the cells that are current by their keys, while DVC's lock files say something else."""
        return [name for name in names if self.is_unrecorded(name) and not self.cells[name].due()]

    def is_unrecorded(self, name: str) -> bool:
        """Whether DVC's lock files say something else of a cell than what is there."""
        return self._is_stale(self.stages[name])

    def keep_weights(self) -> None:
        """Puts trained weights into DVC's cache, by weights.dvc, where there is a remote to push to.

        What weights.dvc names and is not here, as in a clone, stays named.
        """
        here = set(WEIGHTS.rglob("*.safetensors"))
        if not here or not self.repo.config["remote"]:
            return
        if not WEIGHTS.with_suffix(".dvc").exists():
            self.repo.add(str(WEIGHTS))
            return
        (out,) = self.repo.find_outs_by_path(str(WEIGHTS))
        if (named := out.get_dir_cache()) is None:
            raise LaunchError(
                "weights.dvc: the remote does not say what it names; run `dvc fetch weights`, launch again"
            )
        for folder in sorted({path.parent for path in here - {WEIGHTS.joinpath(*key) for key, _, _ in named}}):
            self.repo.add(str(folder))


def _drop_corrupt(stage: Any) -> None:
    """Removes from DVC's cache what should hold a stage's outputs and does not.

    DVC trusts files of its cache without looking, and a commit would put such a one in the place of a sound output.
    """
    for out in stage.outs:
        entries = [out.hash_info, *(entry for _, _, entry in (out.obj if out.hash_info.isdir else ()))]
        for entry in entries if out.use_cache else ():
            path = Path(out.cache.oid_to_path(entry.value))
            if path.exists() and file_md5(str(path), name=out.cache.hash_name) != entry.value.partition(".")[0]:
                path.unlink()


def _is_sound(cell: Cell) -> bool:
    """Whether the files of a prepared dataset are those that its card tells of, by the digests of all their bytes."""
    said, kinds = cell.card()["files"], {"": "sha256", "-starts": "starts_sha256"}
    files = {cell.data / f"{split}{end}.npy": said[split][kind] for split in SPLITS for end, kind in kinds.items()}
    return all(path.exists() and file_md5(str(path), name="sha256") == digest for path, digest in files.items())


def _named(stage: Any) -> tuple[str, dict[str, str]]:
    """The module that a stage runs and its options that take a value; an empty name for another command."""
    try:
        module, argv = parsed(str(stage.cmd))
    except ValueError:
        return "", {}
    return module, {one: other for one, other in pairwise(argv) if one.startswith("--")}


def _path(of: Any) -> str:
    """Where an output lies, seen from the project's root."""
    return os.path.relpath(of.fs_path)


def _kind(stage: Any) -> str:
    return str(stage.name).partition("@")[0]


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
