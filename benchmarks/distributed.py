"""Several processes of one machine that train one network together, a device each.

Each takes its part of the same batches, and PyTorch's DistributedDataParallel averages their gradients, so that all
take the steps that one would take alone. Lightning Fabric starts and connects them; it is imported only for several.
"""

import logging
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from benchmarks.settings import SettingsError
from benchmarks.workers import end_with_parent

PATIENCE = timedelta(minutes=30)  # for processes that live but do not answer; the leader may be validating
PAUSE = 1.0  # seconds
for _talks in ("lightning_fabric.utilities", "torch.multiprocessing.spawn"):  # about each process started or ended
    logging.getLogger(_talks).setLevel(logging.ERROR)
Result = TypeVar("Result")
Entry = TypeVar("Entry", bound=np.generic)


@dataclass(frozen=True)
class Team:
    """The processes that train one network, as one of them sees it; without more ado, it is alone."""

    size: int = 1
    rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that validates and writes."""
        return self.rank == 0

    def part(self, batch: NDArray[Entry]) -> NDArray[Entry]:
        """The share, equal to the others', of what has an entry for each sequence of a batch.

        Raises SettingsError where the batch, which a small dataset cuts short, cannot be shared equally.
        """
        if len(batch) % self.size:
            raise SettingsError(
                f"training.devices: {self.size} do not divide {len(batch)} training sequences; set it to 1"
            )
        share = len(batch) // self.size
        return batch[self.rank * share : (self.rank + 1) * share]

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network such that its gradients are those of the whole batch; it begins as the leader's is."""
        if self.size == 1:
            return network
        # a static graph allows for parameters that a neuron does not use; no step changes a buffer
        return nn.parallel.DistributedDataParallel(network, forward_sync_buffers=False, static_graph=True)

    def mean(self, value: Tensor) -> float:
        """The mean over the processes of a tensor without dimensions."""
        if self.size == 1:
            return value.item()
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total.item() / self.size

    def by_leader(self, compute: Callable[..., Result], *arguments: Any) -> Result:
        """What `compute` returns or raises in the leader, in every process; the others wait."""
        if self.size == 1:
            return compute(*arguments)
        outcome: list[Any] = [None, None]
        if self.leads:
            try:
                outcome[0] = compute(*arguments)
            except Exception as error:  # whatever it is, nobody may wait in vain
                outcome[1] = sendable(error)
        distributed.broadcast_object_list(outcome)
        if outcome[1] is not None:
            raise outcome[1]
        return outcome[0]


ALONE = Team()


def check(devices: int, device: torch.device) -> None:
    """Raises OSError where fewer GPUs are there than asked for."""
    here = torch.cuda.device_count() if device.type == "cuda" else devices
    if devices > here:
        most = "1 GPU here; set it to 1" if here == 1 else f"{here} GPUs here; set it to {here} or fewer"
        raise OSError(f"training.devices: {devices} found, {most}")


def launch(job: Callable[[Team], None], devices: int, device: torch.device) -> None:
    """Runs `job` in `devices` processes, a GPU or a core each, and waits for all of them.

    `job` must be found by its name in a fresh process. The first that fails ends the others, and its error is raised
    here; BrokenProcessPool where one was killed.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.strategies.ddp import DDPStrategy
    from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

    strategy = DDPStrategy(start_method="spawn", timeout=PATIENCE, cluster_environment=LightningEnvironment())
    fabric = Fabric(accelerator=device.type, devices=devices, strategy=strategy)
    errors = multiprocessing.get_context("spawn").SimpleQueue()
    try:
        fabric.launch(partial(_work, job, errors))
    except ProcessExitedException as error:
        raise BrokenProcessPool(str(error)) from error
    except ProcessRaisedException as error:
        if errors.empty():  # they could not be connected
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error
        raise errors.get() from error
    finally:
        os.environ.pop("MASTER_PORT", None)  # Fabric's: the next launch finds a free one of its own


def _work(job: Callable[[Team], None], errors: "SimpleQueue[Exception]", fabric: Any) -> None:
    """What each process does."""
    end_with_parent()
    if fabric.global_rank:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (the leader speaks for all, to the end)
    try:
        job(Team(fabric.world_size, fabric.global_rank))
    except Exception as error:
        errors.put(sendable(error))
        # those who lose a killed process fail as well; until they end, it is found out that it was killed
        time.sleep(PAUSE)
        raise


def sendable(error: Exception) -> Exception:
    """The error, or what it says where it does not survive the way to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
