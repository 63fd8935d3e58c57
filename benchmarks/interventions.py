"""Trials of what may stabilise the circuit: STC-LIF and STC-PLIF as released and with one thing changed at a time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import command
from benchmarks.cell import Cell
from benchmarks.checkpoint import Checkpoint
from benchmarks.device import settle
from benchmarks.evaluation import evaluate
from benchmarks.files import ResultsError, read_json, write_json
from benchmarks.metrics import Scores
from benchmarks.network import Predictor
from benchmarks.rounding import rounded
from benchmarks.settings import SettingsError, StabilitySettings
from benchmarks.training import train
from benchmarks.workers import OnStep

MEANS: dict[str, dict[str, Any]] = {  # what it is called -> which parameters it changes, by part of params.yaml
    "as released": {},
    "training.clip: 1": {"training": {"clip": 1.0}},
    "detach: true": {"neuron": {"detach": True}},
    "bound: 4": {"neuron": {"bound": 4.0}},
    "network.precision: bfloat16": {"network": {"precision": "bfloat16"}},
    "network.precision: bfloat16, network.membrane: float32": {
        "network": {"precision": "bfloat16", "membrane": "float32"}
    },
}
TRIALS = [("lif", "as released"), *((neuron, means) for neuron in ("stc_lif", "stc_plif") for means in MEANS)]


def budget(cell: Cell) -> StabilitySettings:
    """How long the trials of a cell are; SettingsError where params.yaml does not say."""
    if cell.settings.stability is None:
        where = f"profiles.{cell.profile}.{cell.dataset}"
        raise SettingsError(f"{where}.stability: not found, wanted seeds and steps; add it to params.yaml")
    return cell.settings.stability


def changed(cell: Cell, neuron: str, means: str) -> Cell:
    """The cell with another neuron, the fewer steps of this stage, and what `means` changes."""
    changes = MEANS[means]
    of_stage = budget(cell)
    steps = {"steps": of_stage.steps, "validate_every": of_stage.steps, "seeds": of_stage.seeds}
    training = cell.settings.training.model_copy(update={**steps, **changes.get("training", {})})
    network = cell.settings.network.model_copy(update=changes.get("network", {}))
    settings = cell.settings.model_copy(update={"training": training, "network": network})
    return replace(cell, neuron=neuron, params=changes.get("neuron", {}), settings=settings)


def trial(cell: Cell, folder: Path, task: tuple[str, str, int], on_step: OnStep) -> dict[str, Any]:
    """Trains one seed of one trial, or takes its finished record from `folder`; how it ended is part of the record."""
    neuron, means, seed = task
    finished = folder / f"{TRIALS.index((neuron, means))}-{seed}.json"
    if finished.exists():
        try:
            return read_json(finished)
        except ResultsError:
            finished.unlink()
    names = {"neuron": neuron, "means": means, "seed": seed}
    try:
        record = {**names, **_tried(changed(cell, neuron, means), finished.with_suffix(""), seed, on_step)}
    except command.NOT_THE_NEURON:
        raise
    except Exception as error:  # that a means breaks the training is what this stage is to find out
        return {**names, **command.ending(error)}
    write_json(finished, record)
    return record


def _tried(cell: Cell, path: Path, seed: int, on_step: OnStep) -> dict[str, Any]:
    settings = cell.settings
    device = settle(settings.training.device)
    train_set, validation_set, test_set = (cell.open(split) for split in ("train", "validation", "test"))
    frame = train_set.shape[2:]
    network = Predictor(cell.kind, cell.params, frame, settings.network, seed).to(device)
    kept = Checkpoint(path)
    trained = train(network, train_set, validation_set, settings.training, seed, device, kept, on_step)
    kept.remove()
    squares: list[torch.Tensor] = []  # of the last layer's membrane, mean over it, at every step of every batch

    def watch(layer: int, current: torch.Tensor, before: Any, output: torch.Tensor, after: Any) -> None:
        if layer == settings.network.layers - 1:
            squares.append(after.v.double().square().mean())

    scores = Scores("mse")
    tested = evaluate(network, test_set, settings.training.batch, device, scores.add, watch=watch)
    length = test_set.length - 1
    return rounded(
        {
            "status": trained.status,
            "reason": trained.reason,
            **scores.overall(),
            "gradient_norm": max((row["gradient_norm"] for row in trained.curve[1:]), default=float("nan")),
            "membrane_rms": torch.stack(squares[length - 1 :: length]).mean().sqrt().item(),
            "firing_rate": 1 - tested.sparsity,
        }
    )
