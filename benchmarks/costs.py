"""What a neuron costs: time beside LIF in the same run, so that the ratio holds on a noisy machine, and memory."""

import sys
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from tqdm import tqdm

from benchmarks import joules, memory, timing
from benchmarks.cell import REFERENCE, Cell
from benchmarks.device import check_precision, settle
from benchmarks.network import Predictor
from benchmarks.rounding import rounded

WHAT = {"train_step": 1.0, "inference": 0.4, "latency": 0.2}  # what is timed, and its share of cost.seconds
BUILDS = 9  # networks of a kind that take turns, if cost.repeats allows: where one lies in memory moves its ratio 7 %


class Workload:
    """A network with its optimizer on one fixed batch: the training step and the inferences that are timed."""

    def __init__(self, cell: Cell, neuron: str, params: dict[str, Any], device: torch.device) -> None:
        split = cell.open("train")
        self.observed = split.observed
        self.frames = torch.from_numpy(split.batch(slice(0, cell.settings.training.batch))).to(device)
        self.network = Predictor(neuron, params, self.frames.shape[2:], cell.settings.network, seed=0).to(device)
        self.optimizer = Adam(list(self.network.parameters()), cell.settings.training.final_learning_rate)

    def call(self, what: str) -> timing.Call:
        """The call of WHAT to time, the network put into the mode it is for."""
        self.network.train(what == "train_step")
        call: timing.Call = getattr(self, what)
        return call

    def loss(self) -> Tensor:
        """The training loss in closed loop, the dearest case of scheduled sampling."""
        predictions, _ = self.network(self.frames, self.observed, with_outputs=False)
        return torch.nn.functional.mse_loss(predictions, self.frames[:, 1:])

    def train_step(self) -> None:
        """One whole step: forward, backward, update."""
        self.network.zero_grad()
        self.loss().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def inference(self) -> None:
        """Closed-loop prediction of one batch."""
        with torch.no_grad():
            self.network(self.frames, self.observed, with_outputs=False)

    def latency(self) -> None:
        """Closed-loop prediction of one sequence."""
        with torch.no_grad():
            self.network(self.frames[:1], self.observed, with_outputs=False)

    def throughput(self, times: dict[str, Any]) -> dict[str, Any]:
        """Sequences, and predicted frames after the observed ones, a second, of the two calls that take a batch."""
        sequences, frames = self.frames.shape[:2]
        per_second = {what: sequences / times[what]["median"] for what in ("train_step", "inference")}
        return {
            what: {"sequences_per_second": rate, "predicted_frames_per_second": rate * (frames - self.observed)}
            for what, rate in per_second.items()
        }


class Adam:
    """torch.optim.Adam as the function behind it.

    The class imports torch's compiler when it is made: a second for each cell, and tens of MiB in the peak.
    """

    def __init__(self, parameters: list[torch.nn.Parameter], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.moments = [(p, torch.zeros_like(p), torch.zeros_like(p), torch.zeros(())) for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        """One update from the gradients; parameters without one stay as they are."""
        used = [(p, p.grad, *moments) for p, *moments in self.moments if p.grad is not None]
        parameters, gradients, means, squares, steps = map(list, zip(*used, strict=True))
        adam(
            parameters, gradients, means, squares, [], steps,
            amsgrad=False, beta1=0.9, beta2=0.999, lr=self.learning_rate, weight_decay=0.0, eps=1e-8, maximize=False,
        )  # fmt: skip


def in_rotation(workloads: Sequence[Workload], what: str) -> timing.Call:
    """The call of WHAT of each workload in turn, as one; each has been called once, for a first call is dearer."""
    calls = [workload.call(what) for workload in workloads]
    for call in calls:
        call()
    turns = cycle(calls)
    return lambda: next(turns)()


def measure(cell: Cell) -> tuple[dict[str, Any], list[timing.Row]]:
    """Costs of the cell's neuron, as cost.json has them, and every single time."""
    device = settle(cell.settings.training.device)
    check_precision(device, cell.settings.network.precision)
    own = Workload(cell, cell.kind, cell.params, device)
    peak = memory.peak(own.train_step, device)  # before anything else is built, LIF included
    # what is recomputed is kept out of autograd's sight, and only the peak shows it
    saved = {} if own.network.recompute else memory.saved(own.loss, own.network)
    builds = min(BUILDS, cell.settings.cost.repeats)
    owns = [own] + [Workload(cell, cell.kind, cell.params, device) for _ in range(builds - 1)]
    references = [Workload(cell, REFERENCE, {}, device) for _ in range(builds)]
    times: dict[str, Any] = {}
    rows: list[timing.Row] = []
    with tqdm(desc=f"{cell.neuron} beside {REFERENCE}", unit="call", mininterval=_interval()) as bar:

        def timer(call: timing.Call) -> float:
            bar.update()
            return timing.timed(call, device)

        cost = cell.settings.cost
        for what, share in WHAT.items():
            calls = in_rotation(owns, what), in_rotation(references, what)
            pairs = timing.in_turn(*calls, timer, cost.repeats, share * cost.seconds)
            times[what] = pairs.summary()
            rows += pairs.rows(what)
    costs = {
        "time": times,
        "throughput": own.throughput(times),
        "memory": {**peak, **saved},
        "group": own.network.neurons_by_layer()[0].group,
    }
    meter = joules.meter(device)
    if meter is not None:
        spent = {w: meter.per_call(own.call(w), times[w]["median"], device) for w in ("train_step", "inference")}
        costs["joules"] = {"source": meter.source, **spent}
    return rounded(costs), rows


def _interval() -> float:
    return 0.5 if sys.stderr.isatty() else 20.0
