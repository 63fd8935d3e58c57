"""The Ray side of a launch: connects to a cluster, or starts one here, and runs jobs on it as long as they get lost."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.launch import watching
from benchmarks.launch.stages import LaunchError
from benchmarks.launch.watching import Job, Limits, Outcome

ANSWER = 10  # seconds within which the head of a cluster must take a connection
LOOK = 5.0  # seconds without an outcome after which it is looked whether any node is left
STORE = 100 * 2**20  # bytes of Ray's object store: jobs exchange files, not objects


@dataclass(frozen=True)
class Share:
    """What of a node one job gets, and how often it is started again when it is killed."""

    cpus: float = 1
    gpus: float = 0
    attempts: int = 3


@contextmanager
def connected(address: str | None, share: Share) -> Iterator["Cluster"]:
    """The cluster at `address` (host:port, or auto), or one of this machine's own that ends with the launch."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent to Ray's makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a job without a GPU sees what the machine has
    try:
        import ray
    except ImportError as error:
        raise LaunchError("launching needs Ray: pip install -c constraints.txt ray, or run it with tox") from error
    _answers(address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
    try:
        if address is None:
            # "local": with None it would join a cluster that someone else has started here
            ray.init(address="local", num_cpus=len(os.sched_getaffinity(0)), object_store_memory=STORE, **quiet)
        else:
            quiet.pop("include_dashboard")
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises a plain one where a start takes too long
        said = " ".join(str(error).split())[:200]
        if address is None:
            raise LaunchError(f"Ray cannot start here ({said})") from error
        # Ray sends its token to an address only when told to; `ray start` asks for one wherever it finds one
        hint = "is a Ray head there? if it asks for a token, set RAY_AUTH_MODE=token here as well"
        raise LaunchError(f"--address {address}: no cluster answers ({said}); {hint}") from error
    try:
        cluster = Cluster(ray, share)
        nodes = f"{cluster.nodes} node{'s' * (cluster.nodes != 1)}"
        print(f"{cluster.slots} cells at once on {nodes}", flush=True)
        yield cluster
    finally:
        ray.shutdown()


def _answers(address: str | None) -> None:
    """LaunchError where nothing listens at the address; Ray itself would try for minutes."""
    if address in (None, "auto"):
        return
    assert address is not None  # noqa: S101
    host, _, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER):
            return
    except (OSError, ValueError) as error:
        raise LaunchError(f"--address {address}: does not answer ({error}); wanted host:port of a Ray head") from error


class Cluster:
    """Runs jobs, a share of a node each."""

    def __init__(self, ray: Any, share: Share) -> None:
        self.ray, self.share = ray, share
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        for what, wanted, option in (("CPU", share.cpus, "cpus"), ("GPU", share.gpus, "gpus")):
            most = max((node.get(what, 0.0) for node in nodes), default=0.0)
            if wanted > most:
                found = f"{most:g} {what}s on the greatest node"
                raise LaunchError(f"--{option}-per-cell {wanted:g}: {found}; ask for fewer, or another cluster")
        fits = [_fits(node, share) for node in nodes]
        if not any(fits):
            found = f"no node has {share.gpus:g} GPUs and {share.cpus:g} CPUs"
            raise LaunchError(f"--gpus-per-cell {share.gpus:g}: {found}; ask for fewer, or another cluster")
        self.slots, self.nodes = sum(fits), len(nodes)
        # of the greatest nodes that would do: with fewer cores asked for, two jobs could share one
        self.cores = max(node["CPU"] for node, fit in zip(nodes, fits, strict=True) if fit)

    def run(self, jobs: Sequence[Job], folder: Path, limits: Limits, notes: Path, alone: bool) -> Iterator[Outcome]:
        """The outcomes as they come; a job that is killed, or whose node is lost, is started again.

        alone: one job a node at a time, with all cores of the greatest nodes: what is measured must not be disturbed.
        """
        cpus, gpus = (self.cores, self.share.gpus) if alone else (self.share.cpus, self.share.gpus)
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        task = self.ray.remote(watching.run).options(
            num_cpus=cpus,
            num_gpus=gpus,
            max_retries=0,  # ours count what is killed inside a worker, too
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"]}},
        )
        tried = dict.fromkeys(jobs, 0)
        waiting: dict[Any, Job] = {}
        queue = list(reversed(jobs))
        while queue or waiting:
            while queue and len(waiting) < 2 * self.slots:
                job = queue.pop()
                waiting[task.remote(job, folder, limits, notes)] = job
            ready, _ = self.ray.wait(list(waiting), num_returns=1, timeout=LOOK)
            if not ready:
                self._check_nodes()
                continue
            job = waiting.pop(ready[0])
            outcome = self._outcome(ready[0], job)
            tried[job] += 1
            if outcome.how == "killed" and tried[job] < self.share.attempts:
                queue.append(job)
                continue
            if outcome.how == "killed":
                outcome = replace(outcome, reason=f"killed {tried[job]} times; {outcome.reason}")
            yield outcome

    def _check_nodes(self) -> None:
        """LaunchError where no node is left: Ray itself would wait for one."""
        if not any(node["Alive"] for node in self.ray.nodes()):
            raise _lost()

    def _outcome(self, reference: Any, job: Job) -> Outcome:
        errors = self.ray.exceptions
        try:
            outcome: Outcome = self.ray.get(reference)
        except errors.OutOfMemoryError as error:
            return Outcome(job, "too big", f"its node ran out of memory ({_line(error)})")
        except errors.LocalRayletDiedError as error:
            raise _lost() from error
        except errors.RayTaskError as error:
            return Outcome(job, "failed", _line(error))
        except errors.RayError as error:  # its worker or its node was lost
            return Outcome(job, "killed", _line(error))
        return outcome


def _lost() -> LaunchError:
    """The process of Ray that starts jobs has ended. That is no fault of the jobs, which would all fail three times."""
    return LaunchError("Ray's process on this machine has ended; launch again: what had ended is recorded")


def _fits(node: dict[str, float], share: Share) -> int:
    """How many jobs a node can take at once."""
    of_cpus = node.get("CPU", 0.0) / share.cpus
    of_gpus = node.get("GPU", 0.0) / share.gpus if share.gpus else of_cpus
    return int(min(of_cpus, of_gpus) + 1e-9)  # 1 / 0.1 is a little less than ten


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    with suppress(IndexError):
        return lines[-1][:300]
    return type(error).__name__
