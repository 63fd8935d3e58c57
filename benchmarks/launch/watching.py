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

from benchmarks.files import writing

LOOK = 0.2  # seconds between two looks at the memory that a job takes
DEVICES = ("CUDA_VISIBLE_DEVICES",)
LAST = 5  # lines of a log that an ending quotes
KEY = "--key"  # the option of a job that refuses to run under another key

How = Literal["done", "failed", "killed", "too long", "too big"]


@dataclass(frozen=True)
class Limits:
    """What a job may take: seconds of wall time, bytes of resident memory of all its processes; None: what it wants."""

    seconds: float | None = None
    memory: int | None = None


@dataclass(frozen=True)
class Job:
    """What is to be run: a stage, or a part of a cell, whose command refuses to run under another key."""

    name: str
    kind: str  # the stage's name, or the part's, without the cell
    command: str
    outs: tuple[str, ...] = ()  # what it writes

    @property
    def file_name(self) -> str:
        """A name for the job's log."""
        return self.name.replace("/", "_")


@dataclass(frozen=True)
class Outcome:
    """How a job ended, and why where it is not done, with what its log ends with."""

    job: Job
    how: How
    reason: str = ""


class Nursery:
    """A running `benchmarks.launch.nursery` of one module."""

    def __init__(self, module: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.launch.nursery", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=folder,
        )
        self._said = b""

    def ask(self, job: dict[str, Any]) -> None:
        assert self.process.stdin is not None  # noqa: S101
        self.process.stdin.write(json.dumps(job).encode() + b"\n")

    def answer(self, seconds: float | None) -> dict[str, Any] | None:
        """The next answer, None where none came within `seconds`; EOFError where the nursery has ended."""
        out = self.process.stdout
        assert out is not None  # noqa: S101
        while b"\n" not in self._said:  # two answers may come at once, and `select` sees what is still in the pipe only
            if not select([out], [], [], seconds)[0]:
                return None
            said = os.read(out.fileno(), 1 << 16)
            if not said:
                raise EOFError
            self._said += said
        line, _, self._said = self._said.partition(b"\n")
        return dict(json.loads(line))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


_nurseries: dict[tuple[str, Path], Nursery] = {}  # of this worker process, one a module


def run(job: Job, folder: Path, limits: Limits, notes: Path) -> Outcome:
    """Runs `job` in `folder`; what it prints goes to a log in `notes`."""
    if not folder.is_dir():
        return Outcome(job, "failed", f"{folder}: not on {os.uname().nodename}; the nodes must share it")
    log = log_of(job, notes)
    try:
        with writing(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
    except OSError as error:
        return Outcome(job, "failed", str(error))
    how, reason = _run(job, folder, limits, log)
    if how in ("failed", "killed"):
        reason = f"{reason}; log: {tail(log)}"
    return Outcome(job, how, reason)


def log_of(job: Job, notes: Path) -> Path:
    """Where all goes that the job prints."""
    return notes / "logs" / f"{job.file_name}.log"


def tail(log: Path) -> str:
    """The last lines of a log as one; of a progress bar, which returns without a new line, only its end."""
    with suppress(OSError):
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - (1 << 16)))
            text = file.read().decode(errors="replace")
        lines = [line.rstrip("\r").rpartition("\r")[2].strip() for line in text.split("\n")]
        return " | ".join([line for line in lines if line][-LAST:])[-600:] or "nothing"
    return "nothing"


def parsed(command: str) -> tuple[str, list[str]]:
    """The module and the arguments of `python -m MODULE ARGUMENTS`; ValueError for another command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        by_shell = any(set(word) <= set("();<>|&") for word in lexer)  # which nothing here would understand
        words = shlex.split(command)
    except ValueError:  # a quotation that does not end
        by_shell, words = True, []
    if by_shell or words[:2] != ["python", "-m"] or len(words) < 3:
        raise ValueError(f"{command!r}: wanted `python -m MODULE ...`; run such a stage with `dvc repro`")
    return words[2], words[3:]


def _run(job: Job, folder: Path, limits: Limits, log: Path) -> tuple[How, str]:
    """How the job ended, and why where it is not done."""
    module, argv = parsed(job.command)
    nursery = _nurseries.get((module, folder))
    if nursery is not None and KEY not in argv:  # nothing in the job would see that code was edited since
        nursery.close()
    if nursery is None or nursery.process.poll() is not None:
        nursery = _nurseries[module, folder] = Nursery(module, folder)
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
        nursery.close()
        del _nurseries[module, folder]
        return "killed", f"the process that imports {module} was killed"
    except BaseException:  # Ray takes the task back
        _kill(pid)
        nursery.close()
        del _nurseries[module, folder]
        raise
    status = int(answer["status"])
    if status == 0:
        return "done", ""
    if status < 0:
        return "killed", f"killed by {signal.Signals(-status).name}"
    return "failed", f"exit status {status}"


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
