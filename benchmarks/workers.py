"""The seeds of a cell side by side, a process each, with one progress bar for all of them."""

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any

from tqdm import tqdm

from benchmarks.command import Cell
from benchmarks.seeds import run_seed

_steps: "Queue[tuple[int, int, float]]"  # set once in each worker process


def train_seeds(cell: Cell, folder: Path) -> list[dict[str, Any]]:
    """The records of all seeds of the cell; those that are finished in `folder` are not run again."""
    training = cell.settings.training
    context = multiprocessing.get_context("spawn")
    steps = context.Queue()
    workers = min(training.workers, training.seeds)
    bar = tqdm(
        desc=f"{cell.neuron} on {cell.dataset}",
        total=training.seeds * training.steps,
        unit="step",
        mininterval=0.5 if sys.stderr.isatty() else 20,
    )
    with bar, ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(steps,)) as pool:
        futures = [pool.submit(_run, cell, seed, folder) for seed in range(training.seeds)]
        done = [0] * training.seeds
        while not all(future.done() for future in futures):
            try:
                seed, step, loss = steps.get(timeout=0.2)
            except Empty:
                continue
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update(step - done[seed])
            done[seed] = step
        try:
            return [future.result() for future in futures]
        except BrokenProcessPool:
            reason = "a training process was killed, most likely for want of memory"
            return [{"seed": seed, "status": "failed", "reason": reason} for seed in range(training.seeds)]


def _begin(steps: "Queue[tuple[int, int, float]]") -> None:
    """Begins a worker process: its progress, as (seed, steps done, loss), goes to `steps`, and it ends with its parent.

    A worker that outlived a killed parent would write to the checkpoints of the run that goes on.
    """
    global _steps
    _steps = steps
    steps.cancel_join_thread()  # what the parent no longer reads is not waited for
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(cell: Cell, seed: int, folder: Path) -> dict[str, Any]:
    return run_seed(cell, seed, folder, lambda step, loss: _steps.put((seed, step, loss)))
