"""The DVC side of a launch: which stages are stale, and recording those that ran, as `dvc repro` would have.

DVC has no command for either, so that its internal calls are used: they are tested, and DVC's version is pinned.
Only the launching machine comes here, and it holds DVC's lock all the while: no second launch, no `dvc repro` beside.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import get_active_graph, plan_repro
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import modify_yaml
from dvc_data.hashfile.hash import file_md5

from benchmarks.files import replacing, writing
from benchmarks.launch.watching import Job, digest, note_of, noted, parsed
from benchmarks.settings import SettingsError

NOTES = Path(".launch")  # logs, and notes of what is done and not recorded yet
ALL = ("dvc.yaml",)  # what `dvc repro` runs: its stages, and all they depend on


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
        self._known: dict[str, set[str]] = {}  # lock file -> the entries it had before this launch

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds DVC's lock; LaunchError where another launch or DVC command is at work."""
        try:
            with lock_repo(self.repo):
                self._alone()
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

    def kinds(self) -> set[str]:
        """The names of stages, without their cells."""
        return {_kind(stage) for stage in self.stages.values()}

    def stale(self, kinds: Set[str], but: Set[str] = frozenset()) -> tuple[list[Job], bool]:
        """The stages of these kinds that `dvc repro` would run now, and whether others wait for them; none of `but`."""
        names = [name for name, stage in self.stages.items() if _kind(stage) in kinds and name not in but]
        found = {name for name in names if self._is_stale(self.stages[name])}
        ready = [name for name in names if name in found and not self._upstream[name] & found]
        digests: dict[str, str | None] = {}  # of files on which many stages depend
        jobs = [self._job(self.stages[name], digests) for name in ready]
        return jobs, any(self._upstream[name] & set(ready) for name in names)

    @staticmethod
    def _is_stale(stage: Any) -> bool:
        return bool(stage.cmd and not stage.frozen and stage.changed())

    def hindered(self, job: Job, unfinished: Set[str]) -> str | None:
        """Why a stale stage cannot be run: its command, or what it depends on is not there, or is `unfinished`."""
        try:
            parsed(job.command)
        except ValueError as error:
            return str(error)
        missing = [dep.def_path for dep in self.stages[job.name].deps if not dep.exists]
        waits = sorted(self._upstream[job.name] & unfinished)
        if waits:
            return f"needs {waits[0]}"
        return f"needs {missing[0]}, which is not there" if missing else None

    def _job(self, stage: Any, digests: dict[str, str | None]) -> Job:
        command = stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd)
        files = []
        for dep in stage.deps:
            path = _path(dep)
            if not hasattr(dep, "read_params") and path not in digests:
                digests[path] = digest(Path(path)) if Path(path).is_file() else None
            if digests.get(path):
                files.append((path, str(digests[path])))
        outs = tuple(_path(out) for out in stage.outs if not out.persist)
        return Job(
            stage.addressing, _kind(stage), " ".join(command.split()), _inputs(stage), tuple(sorted(files)), outs
        )

    def check_writable(self, jobs: Sequence[Job]) -> None:
        """OSError, which names the file, where what the jobs are to write could not be written."""
        folders: dict[Path, Path] = {}
        for path in (Path(out) for job in jobs for out in job.outs):
            folders.setdefault(next(parent for parent in path.parents if parent.exists()), path)
        for folder, path in folders.items():
            with writing(path), TemporaryFile(dir=folder):
                pass

    def restored(self, job: Job) -> bool:
        """Whether DVC's cache had what the job would write; it is in its place then, as `dvc repro` would put it."""
        stage = self.stages[job.name]
        if _loose(stage):  # DVC keeps no run of such a stage
            return False
        try:
            with writing(Path(job.name)):
                stage.remove_outs()
            self.repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:
            return False
        if not all(out.exists for out in stage.outs):
            return False
        stage.save_outs()
        return not _drop_corrupt(stage)

    def record(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Records in DVC's lock files and cache that the jobs ran; of those that could not be: why, by their names."""
        files: dict[Path, list[Any]] = {}
        refused = {}
        recorded = []
        for job in jobs:
            stage = self.stages[job.name]
            if _inputs(stage) != job.inputs:
                refused[job.name] = "what it depends on was changed while it ran; launch again"
                note_of(job, NOTES).unlink(missing_ok=True)
                continue
            try:
                stage.save(run_cache=not _loose(stage))
                _drop_corrupt(stage)
                stage.commit()
            except (DvcException, OSError) as error:
                refused[job.name] = _first(error)
                continue
            files.setdefault(Path(stage.path).with_suffix(".lock"), []).append(stage)
            recorded.append(job)
        for lock, stages in files.items():
            self._write(lock, stages)
        for job in recorded:
            note_of(job, NOTES).unlink(missing_ok=True)
        return refused

    def _write(self, lock: Path, stages: Sequence[Any]) -> None:
        """Writes entries into a lock file: whole or not at all, and in the order in which `dvc repro` would have."""
        lock = lock.relative_to(Path.cwd())
        with replacing(lock) as temporary:
            if lock.exists():
                shutil.copyfile(lock, temporary)
            with modify_yaml(temporary) as content:
                content.setdefault("schema", "2.0")
                entries = content.setdefault("stages", {})
                known = self._known.setdefault(str(lock), set(entries))
                for stage in stages:
                    entries.update(to_lockfile(stage))
                here = [s.name for s in self.stages.values() if Path(s.path).with_suffix(".lock") == lock.absolute()]
                for name in here:
                    if name in entries and name not in known:
                        entries[name] = entries.pop(name)

    def done_before(self, job: Job) -> bool:
        """Whether the job was done, with what it depends on now, by a launch that could not record it any more."""
        return noted(job, Path.cwd(), NOTES)


def _loose(stage: Any) -> bool:
    """Whether some of what a stage writes is not kept in DVC's cache; `Stage.run` asks the same."""
    return any(not out.use_cache for out in stage.outs if not (out.is_metric or out.is_plot))


def _drop_corrupt(stage: Any) -> bool:
    """Removes from DVC's cache what should hold a stage's outputs and does not; whether anything was.

    DVC trusts files of its cache without looking, and a commit would put such a one in the place of a sound output.
    """
    found = False
    for out in stage.outs:
        entries = [out.hash_info, *(entry for _, _, entry in (out.obj if out.hash_info.isdir else ()))]
        for entry in entries if out.use_cache else ():
            path = Path(out.cache.oid_to_path(entry.value))
            if path.exists() and file_md5(str(path), name=out.cache.hash_name) != entry.value.partition(".")[0]:
                path.unlink()
                found = True
    return found


def _path(of: Any) -> str:
    """Where an output or a dependency lies, seen from the project's root."""
    return os.path.relpath(of.fs_path)


def _kind(stage: Any) -> str:
    return str(stage.name).partition("@")[0]


def _inputs(stage: Any) -> str:
    """A digest of the command and all dependencies as they are now."""
    found: list[Any] = [stage.cmd]
    for dep in stage.deps:
        if dep.exists:
            found.append([dep.def_path, _value(dep)])
    return hashlib.sha256(json.dumps(found, sort_keys=True, default=str).encode()).hexdigest()


def _value(dep: Any) -> Any:
    if hasattr(dep, "read_params"):  # parameters of a YAML file
        return dep.read_params()
    return dep.get_hash().value


def _first(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
