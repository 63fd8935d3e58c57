"""Stage `dynamics`: what a neuron does: its spikes, its operations and their energy, and how far back it reaches.

    python -m benchmarks.dynamics --dataset moving_mnist --neuron stc_lif

Writes results/<profile>/<dataset>/<neuron>/dynamics.json, the same bytes at every run on a CPU. It looks at the network
of seed 0, before training and with the weights that training left. docs/dynamics.md explains the numbers.
"""

import sys
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from benchmarks import command, energy, machine, operations
from benchmarks.command import NOT_THE_NEURON, Cell, ending
from benchmarks.evaluation import evaluate
from benchmarks.files import ResultsError, read_json, rounded, write_json
from benchmarks.lags import lags
from benchmarks.network import Predictor
from benchmarks.spikes import Spikes
from datasets import Sequences
from neurons import NeuronError

BATCH = 8  # test sequences for operations and lags


def main() -> None:
    """Looks at one cell."""
    options = command.cell_parser("dynamics", "Look at what a neuron does, before and after training.").parse_args()
    cell = command.cell(options)
    cell.card()
    weights = trained_weights(cell)
    content: dict[str, Any] = {}
    cause: Exception | None = None
    if weights is None:  # how training ended is how this ends
        status, reason = (read_json(cell.results / "accuracy.json")["seeds"][0][key] for key in ("status", "reason"))
    else:
        try:
            if options.stopped:
                raise options.stopped
            content = dynamics(cell, weights)
            status, reason = "ok", ""
        except NOT_THE_NEURON:
            raise
        except Exception as error:  # a neuron may fail in any way, and the benchmark goes on without it
            cause, (status, reason) = error, ending(error).values()
    if status != "ok":
        said = f"{cell.neuron} on {cell.dataset}: {status}: {reason}"
        if not options.keep_going:
            raise NeuronError(said) from cause
        print(said, file=sys.stderr)
    names = {"profile": cell.profile, "dataset": cell.dataset, "neuron": cell.neuron}
    write_json(cell.results / "dynamics.json", {**names, "status": status, "reason": reason, **content})


def dynamics(cell: Cell, weights: dict[str, Tensor]) -> dict[str, Any]:
    """What dynamics.json says of a cell whose training left `weights`; may raise whatever a neuron does."""
    device = machine.settle(cell.settings.training.device)
    test = cell.open("test")
    frames = torch.from_numpy(test.batch(spread(len(test)))).to(device)
    network = Predictor(cell.kind, cell.params, test.shape[2:], cell.settings.network, seed=0).to(device)
    neuron = network.neurons_by_layer()[0]
    start = lags(network, frames)
    network.load_state_dict(weights)
    counts = operations.count(network, frames, test.observed)
    content: dict[str, Any] = {
        "group": neuron.group,
        "spiking": neuron.spiking,
        **({"spikes": spikes(network, test, cell.settings.training.batch, device)} if neuron.spiking else {}),
        "operations": counts,
        "energy": energy.estimate(counts),
        "lags": {"start": start, "trained": lags(network, frames)},
    }
    made: dict[str, Any] = rounded(content)
    return made


def spikes(network: Predictor, split: Sequences, batch: int, device: torch.device) -> dict[str, Any]:
    """Statistics of the spikes over all sequences of a split, in closed loop."""
    seen = Spikes()
    evaluate(network, split, batch, device, lambda predicted, true: None, on_outputs=seen.add)
    return seen.summary()


def spread(available: int) -> Any:
    """Indices of up to BATCH sequences that lie far apart: neighbours on a film share most of their frames."""
    count = min(BATCH, available)
    return np.arange(count) * available // count


def trained_weights(cell: Cell) -> dict[str, Tensor] | None:
    """The trained network's state; None where training left none. ResultsError where the file is missing or damaged."""
    path = cell.results / "weights.safetensors"
    try:
        if path.stat().st_size == 0:  # a failed cell
            return None
        loaded: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise ResultsError(f"{path}: not there yet; run `dvc repro`") from None
    except SafetensorError as error:
        said = " ".join(str(error).split())
        raise ResultsError(f"{path}: cannot be read ({said}); remove it and run `dvc repro`") from None
    return loaded


if __name__ == "__main__":
    command.run(main)
