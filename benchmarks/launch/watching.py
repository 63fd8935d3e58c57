"""What a Ray worker does: runs one job in a process of its own, watched for its time and its memory."""

import hashlib
import json
import os
import shlex
import shutil
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

from benchmarks.files import replacing, writing

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
    """One stage to run. What is recorded must be what was run: `inputs` and `files` say what it is to be run with."""

    name: str
    kind: str  # the stage's name without the cell
    command: str
    inputs: str  # a digest of its command and of all it depends on, as DVC sees them
    files: tuple[tuple[str, str], ...] = ()  # the files among them, each with a digest of its bytes
    outs: tuple[str, ...] = ()  # what it writes, and what goes before it starts

    @property
    def file_name(self) -> str:
        """A name for the job's files: pipelines/events/dvc.yaml:train@quick-lif -> train@events-quick-lif."""
        path, _, stage = self.name.rpartition(":")
        kind, _, item = stage.partition("@")
        name = f"{kind}@{Path(path).parent.name}-{item}".removesuffix("-") if path else stage
        return name.replace("/", "_")


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
    """Runs `job` in `folder`; what it prints goes to a log in `notes`, and so does a note where it is done.

    What an earlier run of it has written goes first, as DVC has it. A note outlives the launcher: a job that ended
    while nobody was left to record it is not run again.
    """
    if not folder.is_dir():
        return Outcome(job, "failed", f"{folder}: not on {os.uname().nodename}; the nodes must share it")
    log = log_of(job, notes)
    try:
        with writing(log):
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
        if (other := _changed(job, folder)) is not None:
            return Outcome(job, "failed", f"{other} was changed since the launch looked at it; launch again")
        for out in job.outs:
            _remove(folder / out)
    except OSError as error:
        return Outcome(job, "failed", str(error))
    how, reason = _run(job, folder, limits, log)
    if how == "done" and (other := _changed(job, folder)) is not None:
        how, reason = "failed", f"{other} was changed while it ran; launch again"
    if how == "done":
        with suppress(OSError):  # only a launcher that dies now would have needed it
            write_note(job, folder, notes)
    elif how in ("failed", "killed"):
        reason = f"{reason}; log: {tail(log)}"
    return Outcome(job, how, reason)


def log_of(job: Job, notes: Path) -> Path:
    """Where all goes that the job prints."""
    return notes / "logs" / f"{job.file_name}.log"


def note_of(job: Job, notes: Path) -> Path:
    """Where it is said that the job is done, until that is recorded."""
    return notes / "done" / f"{job.file_name}.json"


def write_note(job: Job, folder: Path, notes: Path) -> None:
    """Says that `job` is done with the inputs it was given, and what it has written."""
    note = {"inputs": job.inputs, "outs": {out: digest(folder / out) for out in job.outs}}
    with replacing(note_of(job, notes)) as temporary:
        temporary.write_text(json.dumps(note))


def noted(job: Job, folder: Path, notes: Path) -> bool:
    """Whether `job` was done with just these inputs, was not recorded since, and what it wrote is as it was."""
    try:
        note = json.loads(note_of(job, notes).read_text())
        return bool(note == {"inputs": job.inputs, "outs": {out: digest(folder / out) for out in job.outs}})
    except (OSError, ValueError):
        return False


def digest(path: Path) -> str | None:
    """A digest of the bytes of a file, or of the names and bytes in a folder; None where nothing is there."""
    if path.is_dir():
        names = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        content = json.dumps([[name, digest(path / name)] for name in names]).encode()
        return hashlib.sha256(content).hexdigest()
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _changed(job: Job, folder: Path) -> str | None:
    """The first file that is not as the job is to be run with."""
    return next((path for path, wanted in job.files if digest(folder / path) != wanted), None)


def _remove(path: Path) -> None:
    with writing(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _run(job: Job, folder: Path, limits: Limits, log: Path) -> tuple[How, str]:
    """How the job ended, and why where it is not done."""
    module, argv = parsed(job.command)
    nursery = _nurseries.get((module, folder))
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
