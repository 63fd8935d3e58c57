"""Seeds of a cell from start to score, one or several together; finished seeds are kept until the cell is."""

import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from benchmarks import distributed, machine, samples
from benchmarks.checkpoint import Checkpoint
from benchmarks.command import NOT_THE_NEURON, Cell, ending
from benchmarks.distributed import ALONE, Team
from benchmarks.evaluation import evaluate
from benchmarks.files import ResultsError, read_json, replacing, rounded, write_json
from benchmarks.metrics import Array, Scores
from benchmarks.network import Predictor
from benchmarks.together import refusal, train_together
from benchmarks.training import Trained, train
from benchmarks.workers import OnStep
from datasets import Sequences
from neurons import UnsupportedError


def run_seeds(cell: Cell, folder: Path, seeds: Sequence[int], on_step: OnStep) -> dict[str, Any]:
    """The `records` of several seeds, as run_seed gives them; where there is more than one they are trained together.

    A neuron that cannot be stacked has its seeds run one after another, and one line says why. `on_step` receives the
    number of steps done, in the mean over the seeds, and the loss.
    """
    records: dict[int, dict[str, Any]] = {}
    waiting = [seed for seed in seeds if _finished(folder, seed) is None]
    if len(seeds) > 1 and waiting:
        try:
            records = _train_and_test_together(cell, seeds, waiting, folder, on_step)
        except NOT_THE_NEURON:
            raise
        except Exception as error:  # as in run_seed; those that had ended are kept
            left = [seed for seed in waiting if _finished(folder, seed) is None]
            records = {seed: _failed(folder, seed, error) for seed in left}
            for record in records.values():
                record["reason"] += f" ({len(seeds)} seeds together)"
    steps = cell.settings.training.steps
    for place, seed in enumerate(seeds):
        if seed not in records:  # it had ended before, or is run by itself
            records[seed] = run_seed(cell, folder, seed, partial(_in_turn, on_step, place * steps, len(seeds)))
    return {"records": [records[seed] for seed in seeds]}


def run_seed(cell: Cell, folder: Path, seed: int, on_step: OnStep) -> dict[str, Any]:
    """Trains, selects and tests one seed, or takes its finished record from `folder`.

    `on_step` receives the number of steps done and the loss.

    What is wrong with the neuron becomes the record's status and reason (and a traceback in `folder`); what is wrong
    with data, settings or the disk is raised.
    """
    finished = _finished(folder, seed)
    if finished is not None:
        return finished
    device, devices = machine.settle(cell.settings.training.device), cell.settings.training.devices
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
    device = machine.settle(settings.training.device)
    machine.check_precision(device, settings.network.precision)
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


def _train_and_test_together(
    cell: Cell, seeds: Sequence[int], waiting: Sequence[int], folder: Path, on_step: OnStep
) -> dict[int, dict[str, Any]]:
    """The records of the seeds that are `waiting`, trained in one stack with all `seeds`; none where it cannot be."""
    settings = cell.settings
    device = machine.settle(settings.training.device)
    machine.check_precision(device, settings.network.precision)
    train_set, validation_set, test_set = (cell.open(split) for split in ("train", "validation", "test"))
    frame = train_set.shape[2:]
    networks = [Predictor(cell.kind, cell.params, frame, settings.network, seed).to(device) for seed in seeds]
    why = refusal(networks, frame)
    if why:
        print(f"{cell.neuron} on {cell.dataset}: seeds one after another, not together: {why}", flush=True)
        return {}
    checkpoints = [Checkpoint(folder / f"seed{seed}") if seed in waiting else None for seed in seeds]
    records: dict[int, dict[str, Any]] = {}
    given = (train_set, validation_set, settings.training, seeds, device, checkpoints, on_step)
    for place, trained in train_together(networks, *given):
        seed = seeds[place]
        try:
            _test_and_write(cell, seed, folder, networks[place], trained, test_set, together=len(seeds))
        except NOT_THE_NEURON:
            raise
        except Exception as error:  # this seed's result; the others go on
            records[seed] = _failed(folder, seed, error)
        else:
            records[seed] = _kept(folder, seed)
    return records


def _test_and_write(
    cell: Cell, seed: int, folder: Path, network: Predictor, trained: Trained, test_set: Sequences, together: int = 1
) -> None:
    """Tests a trained seed and writes its record, and of seed 0 the weights and predictions."""
    settings = cell.settings
    device = machine.settle(settings.training.device)
    record: dict[str, Any] = {
        "seed": seed,
        "together": together,
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
        with replacing(folder / "weights.safetensors") as temporary:
            save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary)
    write_json(folder / f"seed{seed}.json", record)


def _nothing(step: int, loss: float) -> None:
    """What those do after a step who have nothing to report."""


def _in_turn(on_step: OnStep, before: int, seeds: int, step: int, loss: float) -> None:
    """Reports a step of one of several `seeds` that are run in turn, after `before` steps of others."""
    on_step((before + step) // seeds, loss)
