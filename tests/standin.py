"""A stage that computes nothing: `python -m standin NAME --reads FILE ... --writes FILE ...`, for tests of launching.

What it writes is a function of its name and of what it reads. times/ gets a file a run with when it started and ended,
behave/NAME says what goes wrong, in a word; neither is known to DVC. Copied into the project in which it runs.
"""

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import files


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--reads", nargs="*", default=[])
    parser.add_argument("--writes", nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--workers")
    parser.add_argument("--stopped")
    options = parser.parse_args()
    if options.stopped:
        write(options.writes, options.stopped)
        return
    start = time.monotonic()
    times = Path("times") / f"{options.name}.{os.getpid()}"
    times.parent.mkdir(exist_ok=True)
    times.write_text(json.dumps({"start": start}))
    say(f"{options.name} starts")
    time.sleep(options.seconds)
    behave(Path("behave") / options.name, options.reads, options.writes)
    read = hashlib.sha256(b"".join(Path(file).read_bytes() for file in options.reads)).hexdigest()
    write(options.writes, f"{options.name} {read}")
    times.write_text(json.dumps({"start": start, "end": time.monotonic()}))


def behave(how: Path, reads: list[str], writes: list[str]) -> None:
    """Does what the file `how` says.

    wait: until `how` is gone; family: the same, with a child; meet NAME: until that one has started; exit; slow; die;
    edit: the last file it reads; full: writes more than it may.
    """
    word = how.read_text() if how.exists() else ""
    if word == "exit":
        say("it went wrong")
        sys.exit(1)
    if word == "die":
        say("it dies")
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "slow":
        time.sleep(1.5)
    if word == "edit":
        Path(reads[-1]).write_text("edited")
    if word == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        write(writes, "x" * 8192)
    if word == "family":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    while word in ("wait", "family") and how.exists():
        time.sleep(0.02)
    while word.startswith("meet ") and not list(Path("times").glob(f"{word[5:]}.*")):
        time.sleep(0.02)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write(paths: list[str], text: str) -> None:
    for path in paths:
        with files.replacing(Path(path)) as temporary:
            temporary.write_text(f"{path} {text}\n")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"error: {error}")
