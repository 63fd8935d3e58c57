"""Runs what is stale on Ray, several cells at once, and records it in DVC: afterwards `dvc repro` runs nothing.

    python -m benchmarks.launch                                   all cores of this machine
    python -m benchmarks.launch --address head:6379 --gpus-per-cell 0.5
    python -m benchmarks.launch pipelines/events/dvc.yaml         one dataset

Stages run in waves: sources, prepare, train, dynamics, then measure, one cell a node at a time with nothing beside it,
then reports. What a cell prints goes to .launch/logs/. Ctrl-C and a killed launch lose nothing that had finished: the
next one records it, and training goes on at its last checkpoint.
"""

import argparse
import math
import shlex
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import command, pipelines, settings
from benchmarks.launch import watching
from benchmarks.launch.engine import Cluster, Share, connected
from benchmarks.launch.stages import NOTES, Pipeline
from benchmarks.launch.watching import Job, Limits, Outcome, log_of

WAVES = ({"sources"}, {"prepare"}, {"train", "parity"}, {"dynamics", "stability"}, {"measure"})  # all others come last
ALONE = {"measure"}  # nothing else runs on the node meanwhile
CELLS = {"train", "dynamics", "measure"}  # whose results have a place for how a cell ended
RECORDING = "recording"
OFTEN = 300.0  # seconds between two recordings: lock files are written whole, and what has finished is noted anyway


class Launch:
    """One launch: what ended how, and what waits to be recorded."""

    def __init__(self, pipeline: Pipeline, cluster: Callable[[], Cluster], limits: Limits, workers: int) -> None:
        """`cluster` is asked for when there is something to run, since starting one takes seconds."""
        self.pipeline, self.cluster, self.limits, self.workers = pipeline, cluster, limits, workers
        self.unrecorded: list[Job] = []
        self.failed: dict[str, str] = {}
        self.ran = self.stopped = self.found = 0
        self.seconds: dict[str, float] = defaultdict(float)  # of what ran side by side, and of recording
        self._begun = self._recorded = time.monotonic()

    def wave(self, kinds: set[str]) -> None:
        """Runs the stale stages of these kinds and records them; a report shows what failed and is run all the same."""
        of_cells = any(kinds & wave for wave in WAVES)
        seen: set[str] = set()
        more = True
        while more:
            stale, more = self.pipeline.stale(kinds, seen)
            seen |= {job.name for job in stale}
            jobs = []
            for job in stale:
                reason = self.pipeline.hindered(job, set(self.failed) if of_cells else set())
                if reason is not None:
                    self._fail(job, reason)
                elif self.pipeline.done_before(job) or self.pipeline.restored(job):
                    self.unrecorded.append(job)
                    self.found += 1
                else:
                    jobs.append(job)
            if jobs:
                self._run(jobs, bool(kinds & ALONE))
            self.record()

    def _run(self, jobs: list[Job], alone: bool) -> None:
        self.pipeline.check_writable(jobs)
        given = {self._given(job): job for job in jobs}
        running = self.cluster().run(list(given), Path.cwd(), self.limits, Path.cwd() / NOTES, alone)
        what = " and ".join(sorted({job.kind for job in jobs}))
        often = 0.5 if sys.stderr.isatty() else 20
        start = time.monotonic() - self.seconds[RECORDING]
        with tqdm(desc=what, total=len(jobs), unit="cell", mininterval=often) as bar:
            try:
                for outcome in running:
                    self._end(replace(outcome, job=given.pop(outcome.job)))
                    bar.set_postfix_str(f"{len(self.failed)} failed" if self.failed else "", refresh=False)
                    bar.update()
                    if time.monotonic() - self._recorded > OFTEN:
                        self.record()
            finally:  # cut short, some may have ended that have not been heard of
                ended = [job for job in given.values() if self.pipeline.done_before(job)]
                self.ran += len(ended)
                self.unrecorded += ended
        self.seconds[what] += time.monotonic() - self.seconds[RECORDING] - start

    def _given(self, job: Job) -> Job:
        """The job as it is run: with as many seeds at once as it has cores."""
        return replace(job, command=f"{job.command} --workers {self.workers}") if job.kind == "train" else job

    def _end(self, outcome: Outcome) -> None:
        job = outcome.job
        if outcome.how == "done":
            self.ran += 1
            self.unrecorded.append(job)
        elif outcome.how != "failed" and job.kind in CELLS and self._write_ending(outcome):
            self.stopped += 1
            self.unrecorded.append(job)
            tqdm.write(f"{job.name}: {outcome.reason}", file=sys.stderr)
        else:
            self._fail(job, f"{outcome.reason} ({log_of(job, NOTES)})")

    def _fail(self, job: Job, reason: str) -> None:
        """The job stays stale, and the launch ends with exit status 1."""
        self.failed[job.name] = reason
        tqdm.write(f"{job.name}: {reason}", file=sys.stderr)

    def _write_ending(self, outcome: Outcome) -> bool:
        """Has the stage itself write how its cell ended, which is a result like any other; whether it could."""
        status = "out of memory" if outcome.how == "too big" else "failed"
        said = shlex.quote(f"{status}: {outcome.reason}")
        ended = replace(outcome.job, command=f"{outcome.job.command} --stopped {said}")
        log = log_of(outcome.job, Path.cwd() / NOTES)
        text = log.read_bytes() if log.exists() else b""
        written = watching.run(ended, Path.cwd(), Limits(), Path.cwd() / NOTES)
        if written.how == "done":
            log.write_bytes(text)  # what the cell said, not what wrote its ending
        return written.how == "done"

    def record(self) -> None:
        """Records what waits for it."""
        jobs, self.unrecorded = self.unrecorded, []
        start = time.monotonic()
        for name, reason in self.pipeline.record(jobs).items():
            self.failed[name] = reason
            tqdm.write(f"{name}: {reason}", file=sys.stderr)
        self._recorded = time.monotonic()
        self.seconds[RECORDING] += self._recorded - start

    def times(self) -> str:
        """How long each wave took, and all of it since DVC had read the pipeline, the start of Ray among it."""
        waves = {what: seconds for what, seconds in self.seconds.items() if what != RECORDING}
        parts = {**waves, RECORDING: self.seconds[RECORDING], "in all": time.monotonic() - self._begun}
        return ", ".join(f"{what} {tqdm.format_interval(seconds)}" for what, seconds in parts.items())

    def summary(self) -> str:
        """How many stages ended how."""
        counts = {
            "ran": self.ran,
            "stopped and recorded so": self.stopped,
            "had ended before": self.found,
            "failed": len(self.failed),
        }
        kept = len(self.pipeline.stages) - sum(counts.values())
        said = [f"{count} {how}" for how, count in counts.items() if count or how == "ran"]
        return f"{len(self.pipeline.stages)} stages: {', '.join(said)}, {kept} up to date"


def main() -> None:
    """Launches what is stale."""
    options = parser().parse_args()
    pipelines.check(settings.load())
    share = Share(options.cpus_per_cell, options.gpus_per_cell)
    limits = Limits(options.time_limit, int(options.memory_limit * 2**30) if options.memory_limit else None)
    pipeline = Pipeline(options.targets)
    with pipeline.held(), ended_by_signal(), ExitStack() as started:

        @cache
        def start() -> Cluster:
            cluster = started.enter_context(connected(options.address, share))
            started.enter_context(ended_by_signal())  # Ray has put a handler of its own in its place
            return cluster

        launch = Launch(pipeline, start, limits, max(1, int(share.cpus)))
        if options.address is not None:
            start()  # an address that does not answer is said, even where nothing is stale
        try:
            for wave in (*WAVES, pipeline.kinds() - set().union(*WAVES)):
                launch.wave(wave)
        finally:
            launch.record()
    if launch.ran:
        print(launch.times())
    print(launch.summary())
    if launch.failed:
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    """The options of a launch."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.launch", description="Run what is stale, on Ray.")
    made.add_argument("targets", nargs="*", help="stages or dvc.yaml files, as of `dvc repro` (default: dvc.yaml)")
    made.add_argument("--address", help="head of a running Ray cluster, host:port, or auto (default: this machine)")
    made.add_argument("--cpus-per-cell", type=_positive, default=1.0, metavar="N", help="cores of a cell (default: 1)")
    made.add_argument(
        "--gpus-per-cell", type=_positive, default=0.0, metavar="G", help="share of a GPU, 0.5: two cells on each"
    )
    made.add_argument("--time-limit", type=_positive, metavar="SECONDS", help="after which a cell is stopped")
    made.add_argument("--memory-limit", type=_positive, metavar="GIB", help="of all of a cell's processes")
    return made


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} found, wanted a positive number")
    return number


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP end a launch as Ctrl-C does: what had finished is recorded. `nohup` stays in force."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    heard = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    command.run(main)
