"""Runs what is not current on Ray, several cells at once, and records it in DVC: afterwards `dvc repro` runs nothing.

    python -m benchmarks.launch                                   all cores of this machine
    python -m benchmarks.launch --address head:6379 --gpus-per-cell 0.5
    python -m benchmarks.launch pipelines/stc_lif/dvc.yaml        one neuron

It goes in waves: keys, prepare, train, dynamics, then measure, one cell a node at a time with nothing beside it, then
reports. What a cell prints goes to .launch/logs/. Ctrl-C and a killed launch lose nothing that had finished: its
results carry their keys, so that the next launch only records them, and training goes on at its last checkpoint.
"""

import argparse
import math
import shlex
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import command, pipelines, settings
from benchmarks.cell import FILES, PARTS, Cell
from benchmarks.launch import watching
from benchmarks.launch.engine import Cluster, Share, connected
from benchmarks.launch.stages import NOTES, Pipeline
from benchmarks.launch.watching import Job, Limits, Outcome, log_of

BEFORE = ({"keys"}, {"prepare"})  # stages that cells wait for
BESIDE = {"train": {"parity"}, "dynamics": {"stability"}, "measure": set[str]()}  # a part, stages of the same wave
ALONE = "measure"  # nothing else runs on the node meanwhile
RECORDING = "recording"


class Launch:
    """One launch: what ended how."""

    def __init__(
        self, pipeline: Pipeline, cluster: Callable[[], Cluster], limits: Limits, workers: int, force: bool = False
    ) -> None:
        """`cluster` is asked for when there is something to run, since starting one takes seconds."""
        self.pipeline, self.cluster, self.limits, self.workers, self.force = pipeline, cluster, limits, workers, force
        self.failed: dict[str, str] = {}  # by the names of stages and of jobs
        self.refused: set[str] = set()  # stages among them that are done and could not be recorded
        self.to_record: list[str] = []  # cells to be recorded as soon as they are current
        self.ran = self.stopped = self.found = 0
        self.seconds: dict[str, float] = defaultdict(float)  # of what ran in parallel, and of recording
        self._begun = time.monotonic()

    def run(self) -> None:
        """All waves; what has ended is recorded, however this ends."""
        for kinds in BEFORE:
            self._stages(kinds)
        try:
            due = self._due()
            for part in PARTS:
                self._stages(BESIDE[part], [job for name in due if (job := self._part(name, part, due[name]))])
        finally:
            self._record(self.pipeline.unrecorded(self.to_record))
        self._stages(self.pipeline.kinds() - set().union(*BEFORE, *BESIDE.values()), report=True)

    def _due(self) -> dict[str, list[str]]:
        """What is to be done to each cell; to one whose dataset could not be prepared, nothing: it fails."""
        due: dict[str, list[str]] = {}
        for name, cell in self.pipeline.cells.items():
            if (reason := self.pipeline.waits(name, set(self.failed))) is not None:
                self._fail(name, reason)
                continue
            if self.force:
                cell.forget()
            due[name] = cell.due()
        found = {name: parts for name, parts in due.items() if parts}
        had_ended = [name for name in due if name not in found and self.pipeline.is_unrecorded(name)]
        self.found += len(PARTS) * len(had_ended)
        self.to_record = [*found, *had_ended]
        why = Counter(self.pipeline.cells[name].reason(parts[0]) or "weights wanted" for name, parts in found.items())
        for reason, count in why.most_common():
            print(f"{count} of {len(self.pipeline.cells)} cells are due: {reason}", flush=True)
        return found

    def _part(self, name: str, part: str, due: list[str]) -> Job | None:
        """The job of a cell's part, where it is due and what it needs has not failed."""
        cell = self.pipeline.cells[name]
        if part not in due:
            return None
        if part == "dynamics" and (needed := part_name("train", cell)) in self.failed:
            self._fail(part_name(part, cell), f"needs {needed}")
            return None
        words = [f"python -m benchmarks.{part} --keep-going", *_named(cell), f"--key {cell.key(part)}"]
        if part == "train":
            words += [f"--workers {self.workers}", *(["--force"] if self.force else [])]
        return Job(part_name(part, cell), part, " ".join(words), (str(cell.results / FILES[part]),))

    def _stages(self, kinds: set[str], parts: list[Job] | None = None, report: bool = False) -> None:
        """Runs and records the stale stages of these kinds, with the `parts` of cells that belong to the same wave.

        A `report` shows what failed, and is made all the same.
        """
        seen: set[str] = set()
        jobs, more = list(parts or []), bool(kinds or parts)
        while more:
            stale, more = self.pipeline.stale(kinds, seen, self.force)
            seen |= {job.name for job in stale}
            done: list[str] = []
            for job in stale:
                waits = None if report else self.pipeline.waits(job.name, set(self.failed))
                if (reason := waits or self.pipeline.hindered(job)) is not None:
                    self._fail(job.name, reason)
                elif not self.force and self.pipeline.done_before(job):
                    done.append(job.name)
                    self.found += 1
                else:
                    jobs.append(job)
            try:
                for job in self._run(jobs) if jobs else ():
                    done += [job.name] if job.name in self.pipeline.stages else []
            finally:
                self._record(done)
            jobs = []

    def _run(self, jobs: list[Job]) -> Iterator[Job]:
        """Runs jobs; those that are done, as they end."""
        self.pipeline.check_writable(jobs)
        alone = all(job.kind == ALONE for job in jobs)
        running = self.cluster().run(jobs, Path.cwd(), self.limits, Path.cwd() / NOTES, alone)
        what = " and ".join(sorted({job.kind for job in jobs}))
        often = 0.5 if sys.stderr.isatty() else 20
        start = time.monotonic()
        with tqdm(desc=what, total=len(jobs), unit="cell", mininterval=often) as bar:
            for outcome in running:
                if self._ended(outcome):
                    yield outcome.job
                bar.set_postfix_str(f"{len(self.failed)} failed" if self.failed else "", refresh=False)
                bar.update()
        self.seconds[what] += time.monotonic() - start

    def _ended(self, outcome: Outcome) -> bool:
        """Counts how a job ended; whether it is done."""
        job = outcome.job
        if outcome.how == "done":
            self.ran += 1
        elif outcome.how != "failed" and job.kind in PARTS and self._write_ending(outcome):
            self.stopped += 1
            tqdm.write(f"{job.name}: {outcome.reason}", file=sys.stderr)
        else:
            self._fail(job.name, f"{outcome.reason} ({log_of(job, NOTES)})")
            return False
        return True

    def _fail(self, name: str, reason: str) -> None:
        """It stays to be done, and the launch ends with exit status 1."""
        self.failed[name] = reason
        tqdm.write(f"{name}: {reason}", file=sys.stderr)

    def _write_ending(self, outcome: Outcome) -> bool:
        """Has the part itself write how its cell ended, which is a result like any other; whether it could."""
        status = "out of memory" if outcome.how == "too big" else "failed"
        said = shlex.quote(f"{status}: {outcome.reason}")
        ended = replace(outcome.job, command=f"{outcome.job.command} --stopped {said}")
        log = log_of(outcome.job, Path.cwd() / NOTES)
        text = log.read_bytes() if log.exists() else b""
        written = watching.run(ended, Path.cwd(), Limits(), Path.cwd() / NOTES)
        if written.how == "done":
            log.write_bytes(text)  # what the cell said, not what wrote its ending
        return written.how == "done"

    def _record(self, names: list[str]) -> None:
        """Tells DVC what is done."""
        start = time.monotonic()
        for name, reason in self.pipeline.record(names).items():
            self._fail(name, reason)
            self.refused.add(name)
        self.seconds[RECORDING] += time.monotonic() - start

    def times(self) -> str:
        """How long each wave took, and all of it since DVC had read the pipeline, the start of Ray among it."""
        waves = {what: seconds for what, seconds in self.seconds.items() if what != RECORDING}
        parts = {**waves, RECORDING: self.seconds[RECORDING], "in all": time.monotonic() - self._begun}
        return ", ".join(f"{what} {tqdm.format_interval(seconds)}" for what, seconds in parts.items())

    def summary(self) -> str:
        """How many stages and parts of cells ended how."""
        failed = [len(PARTS) if name in self.pipeline.cells else 1 for name in self.failed if name not in self.refused]
        counts = {
            "ran": self.ran,
            "stopped and recorded so": self.stopped,
            "had ended before": self.found,
            "failed": sum(failed),
        }
        total = len(self.pipeline.stages) + (len(PARTS) - 1) * len(self.pipeline.cells)
        said = [f"{count} {how}" for how, count in counts.items() if count or how == "ran"]
        said.append(f"{total - sum(counts.values())} up to date")
        return f"{total} stages: {', '.join(said)}" + (f"; {len(self.refused)} not recorded" if self.refused else "")


def part_name(part: str, cell: Cell) -> str:
    """What a part of a cell is called: train@quick-moving_mnist-stc_lif."""
    return f"{part}@{cell.profile}-{cell.dataset}-{cell.neuron}"


def _named(cell: Cell) -> list[str]:
    return [f"--profile {cell.profile}", f"--dataset {cell.dataset}", f"--neuron {cell.neuron}"]


def main() -> None:
    """Launches what is not current."""
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

        for line in pipeline.said:
            print(line, file=sys.stderr)
        launch = Launch(pipeline, start, limits, max(1, int(share.cpus)), options.force)
        if options.address is not None:
            start()  # an address that does not answer is said, even where nothing is stale
        launch.run()
        pipeline.keep_weights()
    if launch.ran:
        print(launch.times())
    print(launch.summary())
    if launch.failed:
        sys.exit(1)


def parser() -> argparse.ArgumentParser:
    """The options of a launch."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.launch", description="Run what is not current, on Ray.")
    made.add_argument("targets", nargs="*", help="stages or dvc.yaml files, as of `dvc repro` (default: dvc.yaml)")
    made.add_argument("--force", action="store_true", help="run all of them, though they are current by their keys")
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
