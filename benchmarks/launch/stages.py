"""The DVC side of a launch: which stages are stale, and recording those that ran, as `dvc repro` would have.

DVC has no command for either, so that its internal calls are used: they are tested, and DVC's version is pinned.
Only the launching machine comes here, and it holds DVC's lock all the while: no second launch, no `dvc repro` beside.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo

from benchmarks.files import writing
from benchmarks.launch.watching import Job, note_of, noted
from benchmarks.settings import SettingsError

NOTES = Path(".launch")  # logs, notes of what is done, copies of lock files that are being written
COPIES = NOTES / "locks"


class LaunchError(SettingsError):
    """A launch that cannot start or go on, in one line."""


class Pipeline:
    """The stages of the project in the current folder, or those that `targets` name and all they depend on."""

    def __init__(self, targets: Sequence[str] = ()) -> None:
        for name in ("dvc", "dvc.stage.run", "dvc.output", "dvc.dvcfile"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            self.repo = Repo(".")
        except DvcException as error:
            raise LaunchError(f"no DVC project here ({_first(error)}); run it in the project's root") from error
        self.targets = targets
        self.stages: dict[str, Any] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Holds DVC's lock; LaunchError where another launch or DVC command does. Mends what a killed one left."""
        from dvc.lock import LockError

        try:
            with lock_repo(self.repo):
                restored = restore_locks()
                if restored:
                    print(f"the last recording was interrupted: {', '.join(restored)} taken back")
                self._load()
                yield
        except LockError as error:
            found = "another launch or DVC command is at work in this folder"
            raise LaunchError(f"{found}; wait for it, or stop it") from error

    def _load(self) -> None:
        import networkx as nx

        try:
            graph = self.repo.index.graph
            chosen = [stage for target in self.targets for stage in self.repo.stage.collect(target)]
        except DvcException as error:
            raise LaunchError(_first(error)) from error
        wanted = set(graph) if not self.targets else set().union(*({s} | nx.descendants(graph, s) for s in chosen))
        self.stages = {stage.addressing: stage for stage in nx.dfs_postorder_nodes(graph) if stage in wanted}
        self._upstream = {s.addressing: {up.addressing for up in nx.descendants(graph, s)} for s in wanted}

    def kinds(self) -> set[str]:
        """The names of stages, without their cells."""
        return {_kind(stage) for stage in self.stages.values()}

    def stale(self, kinds: set[str]) -> list[Job]:
        """The stages of these kinds that `dvc repro` would run, none before what it needs."""
        return [
            self._job(stage)
            for stage in self.stages.values()
            if _kind(stage) in kinds and not stage.frozen and stage.cmd and stage.changed()
        ]

    def hindered(self, job: Job, unfinished: set[str]) -> str | None:
        """Why a stale stage cannot be run: what it depends on is not there, or is `unfinished` itself."""
        missing = [dep.def_path for dep in self.stages[job.name].deps if not dep.exists]
        waits = sorted(self._upstream[job.name] & unfinished)
        if waits:
            return f"needs {waits[0]}"
        return f"needs {missing[0]}, which is not there" if missing else None

    def _job(self, stage: Any) -> Job:
        command = stage.cmd if isinstance(stage.cmd, str) else " && ".join(stage.cmd)
        return Job(stage.addressing, _kind(stage), " ".join(command.split()), _inputs(stage))

    def clear(self, jobs: Sequence[Job]) -> None:
        """Removes what the jobs will write, as DVC does before it runs a stage."""
        for job in jobs:
            for out in self.stages[job.name].outs:
                with writing(Path(out.fs_path)):
                    out.remove(ignore_remove=False)

    def record(self, jobs: Sequence[Job]) -> list[str]:
        """Records in DVC's lock files and cache that the jobs ran; the reasons why some could not be."""
        files: dict[str, list[Any]] = {}
        refused = []
        recorded = []
        for job in jobs:
            stage = self.stages[job.name]
            if _inputs(stage) != job.inputs:
                refused.append(f"{job.name}: what it depends on was changed while it ran")
                continue
            try:
                stage.save()
                stage.commit()
            except (DvcException, OSError) as error:
                refused.append(f"{job.name}: {_first(error)}")
                continue
            files.setdefault(stage.path, []).append(stage)
            recorded.append(job)
        for path, stages in files.items():
            with _kept(Path(path).with_suffix(".lock")):
                stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
        for job in recorded:
            note_of(job, NOTES).unlink(missing_ok=True)
        return refused

    def done_before(self, job: Job) -> bool:
        """Whether the job was done, with what it depends on now, by a launch that could not record it any more."""
        return noted(job, NOTES) and all(out.exists for out in self.stages[job.name].outs)


def restore_locks() -> list[str]:
    """Takes back lock files whose writing was interrupted; their names."""
    names = []
    for copy in sorted(COPIES.glob("*")) if COPIES.is_dir() else ():
        with suppress(ValueError, KeyError):  # a copy that was cut short was not acted on yet
            kept = json.loads(copy.read_text())
            lock = Path(kept["path"])
            lock.unlink(missing_ok=True) if kept["text"] is None else lock.write_text(kept["text"])
            names.append(kept["path"])
        copy.unlink()
    return names


@contextmanager
def _kept(lock: Path) -> Iterator[None]:
    """Keeps a copy of a lock file while it is written, which DVC does in place."""
    copy = COPIES / hashlib.sha256(str(lock).encode()).hexdigest()[:16]
    text = lock.read_text() if lock.exists() else None
    with writing(copy):
        COPIES.mkdir(parents=True, exist_ok=True)
        copy.write_text(json.dumps({"path": str(lock.relative_to(Path.cwd())), "text": text}))
    yield
    copy.unlink()


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
