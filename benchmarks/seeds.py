"""A seed of a cell from start to score; finished seeds are kept until the cell is."""

import traceback
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import distributed, samples, weights
from benchmarks.cell import Cell
from benchmarks.checkpoint import Checkpoint
from benchmarks.command import NOT_THE_NEURON, ending
from benchmarks.device import check_precision, settle
from benchmarks.distributed import ALONE, Team
from benchmarks.evaluation import evaluate
from benchmarks.files import ResultsError, read_json, write_json
from benchmarks.metrics import Array, Scores
from benchmarks.network import Predictor
from benchmarks.rounding import rounded
from benchmarks.training import Trained, train
from benchmarks.workers import OnStep
from datasets import Sequences
from neurons import UnsupportedError


def run_seed(cell: Cell, folder: Path, seed: int, on_step: OnStep) -> dict[str, Any]:
    """Trains, selects and tests one seed, or takes its finished record from `folder`.

    `on_step` receives the number of steps done and the loss.

    What is wrong with the neuron becomes the record's status and reason (and a traceback in `folder`); what is wrong
    with data, settings or the disk is raised.
    """
    finished = _finished(folder, seed)
    if finished is not None:
        return finished
    device, devices = settle(cell.settings.training.device), cell.settings.training.devices
    job = partial(_train_and_test, cell, seed, folder, on_step)
    try:
        if devices == 1:
            job(ALONE)
        else:
            distributed.launch(job, devices, device)
    except NOT_THE_NEURON:
        raise
    except Exception as error:  # a neuron may fail in any way, and the benchmark goes on without it
        return _failed(folder, seed, error)
    return _kept(folder, seed)


def _finished(folder: Path, seed: int) -> dict[str, Any] | None:
    """The record of a seed that has ended, as far as it can be read."""
    finished = folder / f"seed{seed}.json"
    if finished.exists():
        try:
            return read_json(finished)
        except ResultsError:
            finished.unlink()
    return None


def _failed(folder: Path, seed: int, error: Exception) -> dict[str, Any]:
    """The record of a seed in which `error` was raised."""
    (folder / f"seed{seed}.log").write_text("".join(traceback.format_exception(error)))
    return {"seed": seed, **ending(error)}


def _kept(folder: Path, seed: int) -> dict[str, Any]:
    """The record of a seed that has just ended; its checkpoints go."""
    Checkpoint(folder / f"seed{seed}").remove()
    return read_json(folder / f"seed{seed}.json")


def _train_and_test(cell: Cell, seed: int, folder: Path, on_step: OnStep, team: Team) -> None:
    """Trains one seed as one of `team`; its leader tests it and writes its record, weights and predictions."""
    settings = cell.settings
    device = settle(settings.training.device)
    check_precision(device, settings.network.precision)
    train_set, validation_set, test_set = (cell.open(split) for split in ("train", "validation", "test"))
    network = Predictor(cell.kind, cell.params, train_set.shape[2:], settings.network, seed).to(device)
    if team.size > 1 and any(neuron.normalises_batch for neuron in network.neurons_by_layer()):
        found = f"training.devices: {team.size} found, and the neuron normalises over the whole batch"
        raise UnsupportedError(f"{found}; set it to 1")
    trained = train(
        network,
        train_set,
        validation_set,
        settings.training,
        seed,
        device,
        Checkpoint(folder / f"seed{seed}"),
        on_step if team.leads else _nothing,
        team,
    )
    if team.leads:
        _test_and_write(cell, seed, folder, network, trained, test_set)


def _test_and_write(
    cell: Cell, seed: int, folder: Path, network: Predictor, trained: Trained, test_set: Sequences
) -> None:
    """Tests a trained seed and writes its record, and of seed 0 the weights and predictions."""
    settings = cell.settings
    device = settle(settings.training.device)
    record: dict[str, Any] = {
        "seed": seed,
        "status": trained.status,
        "reason": trained.reason,
        "group": network.neurons_by_layer()[0].group,
        "spiking": network.neurons_by_layer()[0].spiking,
        "note": network.neurons_by_layer()[0].note,
        "parameters": {
            "network": sum(p.numel() for p in network.parameters()),
            "neurons": sum(p.numel() for neuron in network.neurons_by_layer() for p in neuron.parameters()),
        },
        "best_step": trained.best_step,
        "curve": rounded(trained.curve),
    }
    if trained.status == "ok":
        scores, wanted, shown = Scores(), samples.chosen(test_set), list[Array]()

        def keep(predicted: Array, true: Array) -> None:
            shown.extend(predicted[i - scores.count] for i in wanted if 0 <= i - scores.count < len(predicted))
            scores.add(predicted, true)

        tested = evaluate(network, test_set, settings.training.batch, device, keep, settings.training.loaders)
        record["test"] = scores.summary()
        if network.neurons_by_layer()[0].spiking:
            record["firing_rate"] = rounded(tested.firing_rate)
            record["sparsity"] = rounded(tested.sparsity)
        if seed == 0:
            samples.write(folder / "predictions.png", np.stack(shown))
    if seed == 0:
        weights.save(folder / weights.FILE, network.state_dict(), cell.key("train"))
    write_json(folder / f"seed{seed}.json", record)


def _nothing(step: int, loss: float) -> None:
    """What those do after a step who have nothing to report."""
