"""Runs what is stale on Ray, several cells at once, and records it in DVC: afterwards `dvc repro` runs nothing.

    python -m benchmarks.launch                                   all cores of this machine
    python -m benchmarks.launch --address head:6379 --gpus-per-cell 0.5
    python -m benchmarks.launch pipelines/events/dvc.yaml         one dataset

Stages run in waves: sources, prepare, train, dynamics, then measure, one cell a node at a time with nothing beside it,
then reports. What a cell prints goes to .launch/logs/. Ctrl-C and a killed launch lose nothing that had finished: the
next one records it, and training goes on at its last checkpoint.
"""

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import command, pipelines, settings
from benchmarks.launch.engine import Cluster, Share, connected
from benchmarks.launch.stages import NOTES, Pipeline
from benchmarks.launch.watching import Job, Limits, Outcome, log_of

WAVES = ({"sources"}, {"prepare"}, {"train", "parity"}, {"dynamics", "stability"}, {"measure"})  # all others come last
ALONE = {"measure"}  # nothing else runs on the node meanwhile
CELLS = {"train", "dynamics", "measure"}  # whose results have a place for how a cell ended
OFTEN = 60.0  # seconds between two recordings


class Launch:
    """One launch: what ended how, and what waits to be recorded."""

    def __init__(self, pipeline: Pipeline, cluster: Callable[[], Cluster], limits: Limits, workers: int) -> None:
        """`cluster` is asked for when there is something to run, since starting one takes seconds."""
        self.pipeline, self.cluster, self.limits, self.workers = pipeline, cluster, limits, workers
        self.unrecorded: list[Job] = []
        self.failed: dict[str, str] = {}
        self.ran = self.found = 0
        self._recorded = time.monotonic()

    def wave(self, kinds: set[str]) -> None:
        """Runs the stale stages of these kinds and records them; a report shows what failed and is run all the same."""
        jobs = []
        of_cells = any(kinds & wave for wave in WAVES)
        for job in self.pipeline.stale(kinds):
            reason = self.pipeline.hindered(job, set(self.failed) if of_cells else set())
            if reason is not None:
                self.failed[job.name] = reason
            elif self.pipeline.done_before(job):
                self.unrecorded.append(job)
                self.found += 1
            else:
                jobs.append(job)
        if jobs:
            self._run(jobs, kinds)
        self.record()

    def _run(self, jobs: list[Job], kinds: set[str]) -> None:
        cluster = self.cluster()
        self.pipeline.clear(jobs)
        given = {self._given(job): job for job in jobs}
        with tqdm(desc=" and ".join(sorted({job.kind for job in jobs})), total=len(jobs), unit="cell") as bar:
            for outcome in cluster.run(list(given), Path.cwd(), self.limits, Path.cwd() / NOTES, bool(kinds & ALONE)):
                self._end(replace(outcome, job=given[outcome.job]), bar)
                bar.update()
                if time.monotonic() - self._recorded > OFTEN:
                    self.record()

    def _given(self, job: Job) -> Job:
        """The job as it is run: with as many seeds at once as it has cores."""
        return replace(job, command=f"{job.command} --workers {self.workers}") if job.kind == "train" else job

    def _end(self, outcome: Outcome, bar: Any) -> None:
        job = outcome.job
        if outcome.how == "done":
            self.ran += 1
            self.unrecorded.append(job)
            return
        tqdm.write(f"{job.name}: {outcome.reason}", file=sys.stderr)
        bar.set_postfix_str(f"{len(self.failed) + 1} failed")
        if outcome.how == "failed" or job.kind not in CELLS or not self._write_ending(outcome):
            self.failed[job.name] = outcome.reason

    def _write_ending(self, outcome: Outcome) -> bool:
        """Has the stage itself write how its cell ended, which is a result like any other; whether it could."""
        from benchmarks.launch import watching

        status = "out of memory" if outcome.how == "too big" else "failed"
        ended = replace(
            outcome.job, command=f"{outcome.job.command} --stopped {shlex.quote(f'{status}: {outcome.reason}')}"
        )
        log = log_of(outcome.job, NOTES).read_bytes() if log_of(outcome.job, NOTES).exists() else b""
        written = watching.run(ended, Path.cwd(), Limits(), Path.cwd() / NOTES)
        log_of(outcome.job, NOTES).write_bytes(log)  # what the cell said, not what wrote its ending
        if written.how == "done":
            self.unrecorded.append(outcome.job)
        return written.how == "done"

    def record(self) -> None:
        """Records what waits for it."""
        jobs, self.unrecorded = self.unrecorded, []
        self._recorded = time.monotonic()
        for refused in self.pipeline.record(jobs) if jobs else ():
            name, _, reason = refused.rpartition(": ")
            self.failed[name] = reason
            tqdm.write(refused, file=sys.stderr)


def main() -> None:
    """Launches what is stale."""
    options = parser().parse_args()
    pipelines.check(settings.load())
    share = Share(options.cpus_per_cell, options.gpus_per_cell)
    limits = Limits(options.time_limit, int(options.memory_limit * 2**30) if options.memory_limit else None)
    pipeline = Pipeline(options.targets)
    with pipeline.held(), ended_by_signal(), ExitStack() as started:
        start = cache(lambda: started.enter_context(connected(options.address, share)))
        launch = Launch(pipeline, start, limits, max(1, int(share.cpus)))
        if options.address is not None:
            start()  # an address that does not answer is said, even where nothing is stale
        try:
            for wave in (*WAVES, pipeline.kinds() - set().union(*WAVES)):
                launch.wave(wave)
        finally:
            launch.record()
    total = len(pipeline.stages)
    kept = total - launch.ran - launch.found - len(launch.failed)
    before = f", {launch.found} had ended before" if launch.found else ""
    print(f"{total} stages: {launch.ran} ran{before}, {kept} up to date, {len(launch.failed)} failed")
    for name, reason in launch.failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    if launch.failed:
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    """The options of a launch."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.launch", description="Run what is stale, on Ray.")
    made.add_argument("targets", nargs="*", help="stages or dvc.yaml files, as of `dvc repro` (default: all)")
    made.add_argument("--address", help="head of a running Ray cluster, host:port, or auto (default: this machine)")
    made.add_argument("--cpus-per-cell", type=_positive, default=1.0, metavar="N", help="cores of a cell (default: 1)")
    made.add_argument(
        "--gpus-per-cell", type=_positive, default=0.0, metavar="G", help="share of a GPU, 0.5: two cells on each"
    )
    made.add_argument("--time-limit", type=_positive, metavar="SECONDS", help="after which a cell is stopped")
    made.add_argument("--memory-limit", type=_positive, metavar="GIB", help="of all of a cell's processes")
    return made


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} found, wanted a positive number")
    return number


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGTERM and SIGHUP end a launch as Ctrl-C does: what had finished is recorded."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    command.run(main)
