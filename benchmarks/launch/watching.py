"""What a Ray worker does: runs one job in a process of its own, watched for its time and its memory."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any, Literal

import psutil

LOOK = 0.2  # seconds between two looks at the memory that a job takes
DEVICES = ("CUDA_VISIBLE_DEVICES",)
LAST = 5  # lines of a log that an ending quotes

How = Literal["done", "failed", "killed", "too long", "too big"]


@dataclass(frozen=True)
class Limits:
    """What a job may take: seconds of wall time, bytes of resident memory of all its processes; None: what it wants."""

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Job:
    """One stage to run. `inputs` is a digest of what it depends on: what is recorded must be what was run."""

    name: str
    kind: str  # the stage's name without the cell
    command: str
    inputs: str

    @property
    def file_name(self) -> str:
        """A name for the job's files: pipelines/events/dvc.yaml:train@quick-lif -> train@events-quick-lif."""
        path, _, stage = self.name.rpartition(":")
        kind, _, item = stage.partition("@")
        dataset = Path(path).parent.name
        return "-".join([f"{kind}@{dataset}" if dataset else kind, *([item] if item else [])]).replace("/", "_")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, after how long, and what its log ends with."""

    job: Job
    how: How
    seconds: float
    reason: str = ""
    host: str = ""


class Nursery:
    """A running `benchmarks.launch.nursery` of one module."""

    def __init__(self, module: str, folder: Path) -> None:
        self.module = module
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.launch.nursery", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=folder,
        )

    def ask(self, job: dict[str, Any]) -> None:
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()

    def answer(self, seconds: float | None) -> dict[str, Any] | None:
        """The next answer, None where none came within `seconds`; EOFError where the nursery has ended."""
        out = self.process.stdout
        assert out is not None  # noqa: S101
        if not select([out], [], [], seconds)[0]:
            return None
        line = out.readline()
        if not line:
            raise EOFError
        return dict(json.loads(line))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


_nurseries: dict[str, Nursery] = {}  # of this worker process, one a module


def run(job: Job, folder: Path, limits: Limits, notes: Path) -> Outcome:
    """Runs `job` in `folder`; what it prints goes to a log in `notes`, and so does a note where it is done.

    A note outlives the launcher: a job that ended while nobody was left to record it is not run again.
    """
    if not folder.is_dir():
        return Outcome(job, "failed", 0.0, f"{folder}: not on {os.uname().nodename}; the nodes must share it")
    log, start = log_of(job, notes), time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    how, reason = _run(job, folder, limits, log)
    seconds = time.monotonic() - start
    if how == "done":
        write_note(job, notes, seconds)
    elif how in ("failed", "killed"):
        reason = f"{reason}; log: {tail(log)}"
    return Outcome(job, how, seconds, reason, os.uname().nodename)


def log_of(job: Job, notes: Path) -> Path:
    """Where all goes that the job prints."""
    return notes / "logs" / f"{job.file_name}.log"


def note_of(job: Job, notes: Path) -> Path:
    """Where it is said that the job is done, until that is recorded."""
    return notes / "done" / f"{job.file_name}.json"


def write_note(job: Job, notes: Path, seconds: float) -> None:
    """Says that `job` is done with the inputs it was given."""
    note = note_of(job, notes)
    note.parent.mkdir(parents=True, exist_ok=True)
    temporary = note.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"inputs": job.inputs, "seconds": seconds}))
    temporary.replace(note)


def noted(job: Job, notes: Path) -> bool:
    """Whether `job` was done with just these inputs, and not recorded since."""
    with suppress(OSError, ValueError):
        return bool(json.loads(note_of(job, notes).read_text())["inputs"] == job.inputs)
    return False


def tail(log: Path) -> str:
    """The last lines of a log as one; of a progress bar, which returns without a new line, only its end."""
    with suppress(OSError):
        lines = [line.rpartition("\r")[2].strip() for line in log.read_text(errors="replace").splitlines()[-50:]]
        return " | ".join([line for line in lines if line][-LAST:])[-600:] or "nothing"
    return "nothing"


def _run(job: Job, folder: Path, limits: Limits, log: Path) -> tuple[How, str]:
    """How the job ended, and why where it is not done."""
    module, argv = _module(job.command)
    nursery = _nurseries.get(module)
    if nursery is None or nursery.process.poll() is not None:
        nursery = _nurseries[module] = Nursery(module, folder)
    devices = {name: os.environ[name] for name in DEVICES if name in os.environ}  # which Ray sets for each task
    message = {"argv": argv, "folder": str(folder), "log": str(log), "environment": devices}
    pid = 0
    try:
        nursery.ask(message)
        answer = nursery.answer(None)
        pid = int((answer or {})["pid"])
        start = time.monotonic()
        while (answer := nursery.answer(LOOK)) is None:
            stopped = _beyond(pid, limits, time.monotonic() - start)
            if stopped is not None:
                _kill(pid)
                nursery.answer(None)
                return stopped
    except (EOFError, BrokenPipeError):
        _kill(pid)
        del _nurseries[module]
        return "killed", f"the process that imports {module} was killed, or failed to import it"
    except BaseException:  # Ray takes the task back
        _kill(pid)
        nursery.close()
        del _nurseries[module]
        raise
    status = int(answer["status"])
    if status == 0:
        return "done", ""
    if status < 0:
        return "killed", f"killed by {signal.Signals(-status).name}"
    return "failed", f"exit status {status}"


def _module(command: str) -> tuple[str, list[str]]:
    """The module and the arguments of `python -m MODULE ARGUMENTS`; ValueError for another command."""
    words = shlex.split(command)
    if words[:2] != ["python", "-m"] or len(words) < 3:
        raise ValueError(f"{command!r}: wanted `python -m MODULE ...`; run such a stage with `dvc repro`")
    return words[2], words[3:]


def _beyond(pid: int, limits: Limits, seconds: float) -> tuple[How, str] | None:
    """Which limit the process and its children exceed."""
    if limits.seconds is not None and seconds > limits.seconds:
        return "too long", f"ran longer than its limit of {limits.seconds:g} s"
    if limits.memory is not None and (taken := _resident(pid)) > limits.memory:
        return "too big", f"took {taken / 2**30:.2f} GiB, and its limit is {limits.memory / 2**30:.2f} GiB"
    return None


def _resident(pid: int) -> int:
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                total += one.memory_info().rss
    return total


def _kill(pid: int) -> None:
    if pid > 0:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
