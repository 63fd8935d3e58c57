"""A process that has imported a module once and forks for each command that runs it: the import of torch costs seconds.

    python -m benchmarks.launch.nursery benchmarks.train

Reads one JSON line a job from standard input ({"argv": [...], "folder": ..., "log": ..., "environment": {...}}), forks,
and answers {"pid": ...}, then {"status": ...} when that process has ended (below 0: killed by that signal). A child is
what `python -m MODULE ARGV...` would be, with its output in `log`, in a process group of its own; it ends with the
nursery, and the nursery with whoever holds its standard input.
"""

import importlib
import json
import os
import runpy
import signal
import sys
import threading
import warnings
from contextlib import suppress
from select import select
from typing import Any

# Adam imports torch's compiler when it is made, and so does the counting of operations: a second for each cell. What
# is measured uses neither, and must not carry it in its peak of memory.
COMPILER = "torch._dynamo"
WITH_COMPILER = {"benchmarks.train", "benchmarks.dynamics", "benchmarks.stability"}


def main() -> None:
    """Serves one job after another until standard input is closed; a job that is running then is killed."""
    module = sys.argv[1]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what an import prints, and a child before it has its log, must not come in between
    with suppress(BaseException):  # what it raises, it raises again in the job, and into its log
        importlib.import_module(module)
        if module in WITH_COMPILER:
            importlib.import_module(COMPILER)
    alive, held = os.pipe()  # the far end closes when this process ends, however that comes
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (held, ended, wake):
                os.close(descriptor)
            answers.close()
            _become(module, job, alive)
        with suppress(OSError):
            os.setpgid(pid, pid)  # as the child does: whoever comes first
        print(json.dumps({"pid": pid}), file=answers)
        status = _wait(pid, ended)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # what it may have left behind, or all of it
        if status is None:
            return
        print(json.dumps({"status": status}), file=answers)


def _wait(pid: int, ended: int) -> int | None:
    """The exit status of the child; None where standard input was closed before it ended."""
    while True:
        ready, _, _ = select([sys.stdin, ended], [], [])
        if ended in ready:
            os.read(ended, 64)
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if sys.stdin in ready:
            return None


def _become(module: str, job: dict[str, Any], alive: int) -> None:
    """Becomes the job's process and never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        _end_with(alive)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's, which ends this process itself
        os.chdir(job["folder"])
        os.environ.update(job["environment"])
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, stream in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(descriptor, stream)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the process's own
        sys.stdout, sys.stderr = (open(d, "w", buffering=1, closefd=False) for d in (1, 2))  # noqa: SIM115
        sys.argv = [module, *job["argv"]]
        # that the module is imported already is what we are for
        warnings.filterwarnings("ignore", ".* found in sys.modules after import of package", RuntimeWarning)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _end_with(alive: int) -> None:
    """Kills this process's group as soon as the pipe `alive` is closed at its far end."""

    def wait() -> None:
        os.read(alive, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
