"""One seed of a cell from start to score; finished seeds are kept until the cell is."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import datasets
from benchmarks import machine, samples
from benchmarks.checkpoint import Checkpoint
from benchmarks.command import Cell, one_line
from benchmarks.evaluation import evaluate
from benchmarks.files import ResultsError, read_json, replacing, rounded, write_json
from benchmarks.metrics import summary
from benchmarks.network import Predictor
from benchmarks.settings import SettingsError
from benchmarks.training import train
from neurons import NeuronError, UnsupportedError


def run_seed(cell: Cell, seed: int, folder: Path, on_step: Callable[[int, float], None]) -> dict[str, Any]:
    """Trains, selects and tests one seed, or takes its finished record from `folder`.

    `on_step` receives the number of steps done and the loss.

    What is wrong with the neuron becomes the record's status and reason (and a traceback in `folder`); what is wrong
    with data, settings or the disk is raised.
    """
    finished = folder / f"seed{seed}.json"
    if finished.exists():
        try:
            return read_json(finished)
        except ResultsError:
            finished.unlink()
    try:
        record = _train_and_test(cell, seed, folder, on_step)
    except (datasets.DatasetError, SettingsError, OSError):
        raise
    except Exception as error:  # a neuron may fail in any way, and the benchmark goes on without it
        (folder / f"seed{seed}.log").write_text(traceback.format_exc())
        return {"seed": seed, "status": _status(error), "reason": one_line(error)}
    write_json(finished, record)
    (folder / f"seed{seed}.safetensors").unlink(missing_ok=True)
    return record


def _train_and_test(cell: Cell, seed: int, folder: Path, on_step: Callable[[int, float], None]) -> dict[str, Any]:
    settings = cell.settings
    device = machine.settle(settings.training.device)
    train_set, validation_set, test_set = (
        datasets.open(cell.dataset, cell.data, split) for split in ("train", "validation", "test")
    )
    network = Predictor(cell.neuron, cell.params, train_set.frames.shape[2:], settings.network, seed).to(device)
    trained = train(
        network,
        train_set,
        validation_set,
        settings.training,
        seed,
        device,
        Checkpoint(folder / f"seed{seed}.safetensors"),
        on_step,
    )
    record: dict[str, Any] = {
        "seed": seed,
        "status": trained.status,
        "reason": trained.reason,
        "group": network.neurons_by_layer()[0].group,
        "spiking": network.neurons_by_layer()[0].spiking,
        "parameters": {
            "network": sum(p.numel() for p in network.parameters()),
            "neurons": sum(p.numel() for neuron in network.neurons_by_layer() for p in neuron.parameters()),
        },
        "best_step": trained.best_step,
        "curve": rounded(trained.curve),
    }
    if trained.status == "ok":
        tested = evaluate(network, test_set, settings.training.batch, device)
        record["test"] = summary(tested.predicted, test_set.batch(slice(None))[:, test_set.observed :])
        if network.neurons_by_layer()[0].spiking:
            record["firing_rate"] = rounded(tested.firing_rate)
            record["sparsity"] = rounded(tested.sparsity)
        if seed == 0:
            samples.write(folder / "predictions.png", tested.predicted[: samples.COUNT])
    if seed == 0:
        with replacing(folder / "weights.safetensors") as temporary:
            save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary)
    return record


def _status(error: Exception) -> str:
    if isinstance(error, UnsupportedError):
        return "unsupported"
    out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
    return "out of memory" if out_of_memory and not isinstance(error, NeuronError) else "failed"
