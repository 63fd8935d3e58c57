"""Tasks side by side, a process each, with one progress bar for all of them."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.queues import Queue
from queue import Empty
from typing import Any, Literal

import torch
from tqdm import tqdm

OnStep = Callable[[int, float], None]  # receives the number of steps done and the loss
Job = Callable[[Any, OnStep], dict[str, Any]]

_steps: "Queue[tuple[int, int, float]]"  # set once in each worker process


def side_by_side(job: Job, tasks: Sequence[Any], workers: int, steps: int, title: str) -> list[dict[str, Any]]:
    """What `job` returns for each of `tasks`, which take `steps` steps each; `workers` processes at once.

    `job` must be found by its name in a fresh process. Raises BrokenProcessPool where a process was killed.
    """
    context = multiprocessing.get_context(start_method())
    queue = context.Queue()
    with ProcessPoolExecutor(min(workers, len(tasks)), context, initializer=_begin, initargs=(queue,)) as pool:
        futures = [pool.submit(_run, job, place, task) for place, task in enumerate(tasks)]
        bar = tqdm(  # only now: it starts a thread, and a process with threads should not fork
            desc=title,
            total=len(tasks) * steps,
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 20,
        )
        done = [0] * len(tasks)
        while not all(future.done() for future in futures):
            try:
                place, step, loss = queue.get(timeout=0.2)
            except Empty:
                continue
            bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
            bar.update(step - done[place])
            done[place] = step
        bar.close()
        return [future.result() for future in futures]


def start_method() -> Literal["fork", "spawn"]:
    """How processes begin: as a copy of this one, which saves the two seconds of importing torch, unless a GPU is near.

    What a GPU's driver has set up does not survive a fork.
    """
    return "fork" if sys.platform == "linux" and not torch.cuda.is_available() else "spawn"


def _begin(steps: "Queue[tuple[int, int, float]]") -> None:
    """Begins a worker process: its progress, as (task, steps done, loss), goes to `steps`, and it ends with its parent.

    A worker that outlived a killed parent would write to the checkpoints of the run that goes on.
    """
    global _steps
    _steps = steps
    steps.cancel_join_thread()  # what the parent no longer reads is not waited for
    end_with_parent()


def end_with_parent() -> None:
    """Makes this process end as soon as the one that started it has ended, however that came."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(job: Job, place: int, task: Any) -> dict[str, Any]:
    return job(task, partial(_report, _steps, place))


def _report(steps: "Queue[tuple[int, int, float]]", place: int, step: int, loss: float) -> None:
    """As a function with a name, it can be handed on to the processes that share a task."""
    steps.put((place, step, loss))
