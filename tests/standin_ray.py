"""Ways to launch: on a Ray cluster of the tests' own, or one job after another; and to wait for what is launched."""

import os
import re
import secrets
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
from conftest import Done

from benchmarks.launch import watching
from benchmarks.launch.watching import Job, Limits, Outcome

# The clusters of the tests have a token of their own: nobody else can use them, and no file of the user's is touched.
# Here, since Ray reads it when it is first imported.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)


def ended(process: "subprocess.Popen[str]") -> Done:
    out, err = process.communicate(timeout=120)
    return Done(process.args, process.returncode, out, err)


def lines(text: str) -> list[str]:
    """What was said, without progress bars."""
    said = text.replace("\r", "\n").splitlines()
    return [line for line in said if line.strip() and not re.match(r"[a-z ]+: +\d+%\|", line)]


def alone_on_stderr(done: Done, *wanted: str) -> None:
    """The contract of an error, beside progress bars."""
    assert done.returncode == 1, done.stderr
    (line,) = lines(done.stderr)
    assert line.startswith("error: ")
    for words in wanted:
        assert words in line


def site(folder: Path, code: str) -> dict[str, str]:
    """The environment of a Python that runs `code` when it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(folder)}


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
