"""Checkpoints: weights, optimizer and curve of one seed in one safetensors file, written whole or not at all."""

import hashlib
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.files import replacing

ROOT = Path(".checkpoints")


@dataclass
class Progress:
    """How far a training has come: steps done, the curve, and the best weights so far by validation error."""

    step: int = 0
    best_step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)

    def note(self, step: int, loss: float, gradient: float, error: float, network: nn.Module) -> None:
        """Adds a row to the curve and keeps the weights where they are the best so far."""
        if not self.curve or error < min(row["validation_mse"] for row in self.curve):
            self.best_step = step
            self.best = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.step = step
        self.curve.append({"step": step, "train_loss": loss, "gradient_norm": gradient, "validation_mse": error})


def folder(profile: str, dataset: str, neuron: str, fingerprint: str) -> Path:
    """Where the checkpoints of a cell live; those of the cell's earlier sources or parameters are removed."""
    cell = ROOT / profile / dataset / neuron
    for old in cell.glob("*") if cell.exists() else ():
        if old.name != fingerprint:
            shutil.rmtree(old, ignore_errors=True)
    path = cell / fingerprint
    path.mkdir(parents=True, exist_ok=True)
    return path


def fingerprint(sources: list[Path], values: Any) -> str:
    """A hash of the bytes of `sources` and of JSON-able `values`: a checkpoint serves only what it was made by."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for source in sorted(sources):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


class Checkpoint:
    """The checkpoint file of one seed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """Writes everything that the next step depends on."""
        tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in progress.best.items()}
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        note = {"step": progress.step, "best_step": progress.best_step, "curve": progress.curve}
        with replacing(self.path) as temporary:
            try:
                save_file({k: t.contiguous() for k, t in tensors.items()}, temporary, {"progress": json.dumps(note)})
            except SafetensorError as error:  # its way to say what the operating system said
                raise OSError(str(error)) from error

    def load(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Puts network and optimizer back to where they were; None where there is no checkpoint or none that reads."""
        if not self.path.exists():
            return None
        try:
            note, parts = self._read()
            wanted = network.state_dict()
            for part in ("model", "best"):
                if {k: t.shape for k, t in parts[part].items()} != {k: t.shape for k, t in wanted.items()}:
                    raise ValueError(f"its {part} weights are not this network's")
            progress = Progress(best=parts["best"], **note)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            why = " ".join(str(error).split())
            print(f"{self.path}: checkpoint unreadable ({why}); starting this seed over", flush=True)
            return None
        network.load_state_dict(parts["model"])
        state = optimizer.state_dict()
        for key, tensor in parts["optimizer"].items():
            index, name = key.split(".", 1)
            state["state"].setdefault(int(index), {})[name] = tensor
        optimizer.load_state_dict(state)
        return progress

    def _read(self) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
        """The note and the tensors of the file, by part: model, best, optimizer."""
        with safe_open(self.path, framework="pt") as file:
            note = json.loads((file.metadata() or {})["progress"])
            parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
            for key in file.keys():  # noqa: SIM118 (not a mapping)
                part, name = key.split(".", 1)
                parts[part][name] = file.get_tensor(key)
        return note, parts
