"""Stage `measure`: what a neuron costs, always beside LIF in the same run, so that the ratio holds on a noisy machine.

    python -m benchmarks.measure --dataset moving_mnist --neuron stc_lif

Writes results/<profile>/<dataset>/<neuron>/cost.json (medians, quartiles, memory, machine) and times.csv (every
single time). Both depend on the machine; nothing that the accuracy tables rest on is written here.
"""

import multiprocessing
import resource
import statistics
import sys
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks import command, machine
from benchmarks.command import NOT_THE_NEURON, Cell, ending
from benchmarks.files import replacing, rounded, write_json
from benchmarks.network import Predictor
from neurons import NeuronError

REFERENCE = "lif"
WARM_UP = 3  # untimed calls of each before the first timed one


class Workload:
    """A network with its optimizer on one fixed batch: the training step and the inference step that are timed."""

    def __init__(self, cell: Cell, neuron: str, params: dict[str, Any], device: torch.device) -> None:
        split = cell.open("train")
        self.observed = split.observed
        self.frames = torch.from_numpy(split.batch(slice(0, cell.settings.training.batch))).to(device)
        self.network = Predictor(neuron, params, self.frames.shape[2:], cell.settings.network, seed=0).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=cell.settings.training.final_learning_rate)

    def loss(self) -> Tensor:
        """The training loss in closed loop, the dearest case of scheduled sampling."""
        predictions, _ = self.network(self.frames, self.observed)
        return torch.nn.functional.mse_loss(predictions, self.frames[:, 1:])

    def train_step(self) -> None:
        """One whole step: forward, backward, update."""
        self.optimizer.zero_grad()
        self.loss().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def inference(self) -> None:
        """Closed-loop prediction of one batch."""
        with torch.no_grad():
            self.network(self.frames, self.observed)


def timed(call: Callable[[], None], device: torch.device) -> float:
    """Seconds that `call` takes, the device's work included."""
    machine.synchronise(device)
    start = time.perf_counter()
    call()
    machine.synchronise(device)
    return time.perf_counter() - start


def interleaved(own: Workload, reference: Workload, repeats: int, device: torch.device, title: str) -> pd.DataFrame:
    """Times of both workloads in turn, which goes first alternating: columns what, repeat, own, reference (seconds)."""
    rows = []
    pairs = {"train_step": (own.train_step, reference.train_step), "inference": (own.inference, reference.inference)}
    with tqdm(desc=title, total=len(pairs) * (WARM_UP + repeats), unit="repeat", mininterval=_interval()) as bar:
        for what, (mine, lif) in pairs.items():
            for repeat in range(-WARM_UP, repeats):
                if repeat % 2:
                    second, first = timed(lif, device), timed(mine, device)
                else:
                    first, second = timed(mine, device), timed(lif, device)
                bar.update()
                if repeat >= 0:
                    rows.append((what, repeat, first, second))
    return pd.DataFrame(rows, columns=["what", "repeat", "own", "reference"])


def time_summary(times: pd.DataFrame) -> dict[str, Any]:
    """Per kind of step: median and quartiles in seconds, and the median of the pairwise ratios to LIF."""
    summary = {}
    for what, rows in times.groupby("what"):
        low, median, high = rows["own"].quantile([0.25, 0.5, 0.75])
        ratio = statistics.median(rows["own"] / rows["reference"])
        summary[str(what)] = {"median": median, "quartiles": [low, high], "ratio_to_lif": ratio}
    return summary


def saved_bytes(loss: Callable[[], Tensor], network: torch.nn.Module) -> int:
    """Bytes that autograd keeps for the backward pass of `loss`, each storage once, parameters not counted.

    The same on every machine and device: the memory that backpropagation through time costs. What a branch saved that
    was detached and dropped again does not count.
    """
    alive: weakref.WeakSet[_Saved] = weakref.WeakSet()

    def pack(tensor: Tensor) -> _Saved:
        saved = _Saved(tensor)
        alive.add(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        graph = loss()  # holds what backward needs
    storages = [saved.tensor.untyped_storage() for saved in alive]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    for parameter in network.parameters():
        sizes.pop(parameter.untyped_storage().data_ptr(), None)
    del graph
    return sum(sizes.values())


@dataclass(eq=False)
class _Saved:
    """A tensor that autograd saved, for as long as the graph holds on to it."""

    tensor: Tensor


def peak_memory(cell: Cell) -> dict[str, int]:
    """Peak memory of three training steps, in bytes; to be called in a fresh process.

    On a GPU what the allocator handed out and what it reserved; on a CPU the greatest resident size of the process,
    the interpreter and the libraries included.
    """
    device = machine.settle(cell.settings.training.device)
    workload = Workload(cell, cell.kind, cell.params, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(3):
        workload.train_step()
    if device.type == "cuda":
        return {
            "peak_allocated": torch.cuda.max_memory_allocated(device),
            "peak_reserved": torch.cuda.max_memory_reserved(device),
        }
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}


def measure(cell: Cell) -> tuple[dict[str, Any], pd.DataFrame]:
    """Costs of the cell's neuron, as cost.json has them, and every single time."""
    device = machine.settle(cell.settings.training.device)
    own = Workload(cell, cell.kind, cell.params, device)
    reference = Workload(cell, REFERENCE, {}, device)
    times = interleaved(own, reference, cell.settings.cost.repeats, device, f"{cell.neuron} beside {REFERENCE}")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        memory = pool.submit(peak_memory, cell).result()
    memory["saved_for_backward"] = saved_bytes(own.loss, own.network)
    return {
        "time": rounded(time_summary(times)),
        "memory": memory,
        "group": own.network.neurons_by_layer()[0].group,
    }, times


def main() -> None:
    """Measures one cell."""
    options = command.cell_parser("measure", "Measure time and memory of one neuron, in turn with LIF.").parse_args()
    cell = command.cell(options)
    cell.card()
    try:
        costs, times = measure(cell)
        status, reason = "ok", ""
    except NOT_THE_NEURON:
        raise
    except Exception as error:  # a neuron may fail in any way, and the benchmark goes on without it
        status, reason = ending(error).values()
        if not options.keep_going:
            raise NeuronError(f"{cell.neuron} on {cell.dataset}: {status}: {reason}") from error
        print(f"{cell.neuron} on {cell.dataset}: {status}: {reason}", file=sys.stderr)
        costs, times = {}, pd.DataFrame(columns=["what", "repeat", "own", "reference"])
    with replacing(cell.results / "times.csv") as temporary:
        times.to_csv(temporary, index=False)
    where = machine.describe(machine.settle(cell.settings.training.device))
    names = {"profile": cell.profile, "dataset": cell.dataset, "neuron": cell.neuron}
    write_json(cell.results / "cost.json", {**names, "status": status, "reason": reason, **costs, "machine": where})


def _interval() -> float:
    return 0.5 if sys.stderr.isatty() else 20.0


if __name__ == "__main__":
    command.run(main)
