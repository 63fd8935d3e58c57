"""Checkpoints: weights, optimizer and curve of one seed in safetensors files, each written whole or not at all.

The two newest are kept. What is read is held against the digest it was written with, so that neither a file cut short
nor a flipped bit is ever trained on, and against the name of what wrote it, so that none serves another's training.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.cell import Cell
from benchmarks.device import settle
from benchmarks.files import replacing
from benchmarks.progress import Progress

ROOT = Path(".checkpoints")
PARTS = ("model", "best", "optimizer")


def folder(cell: Cell, name: str, key: str) -> Path:
    """Where the checkpoints of a cell's stage live, under its key; those under other keys are removed.

    `name`: the neuron, or the stage where there is none. A device and a PyTorch of another kind begin anew.
    """
    own = ROOT / cell.profile / cell.dataset / name
    path = own / under(cell, key)
    for old in own.glob("*") if own.exists() else ():
        if old != path:
            shutil.rmtree(old, ignore_errors=True)
    path.mkdir(parents=True, exist_ok=True)
    return path


def under(cell: Cell, key: str) -> str:
    """The name of the folder of checkpoints that serve this key on this machine."""
    return f"{key}-{settle(cell.settings.training.device).type}-{torch.__version__}"


class Checkpoint:
    """The checkpoint files of one training: <path>.<steps done>.safetensors, the two newest of them.

    A file serves one training only, known by the names of `path` and of its folder, which is the cell's key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = f"{path.parent.name}/{path.name}"

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
        """Writes everything that the next step depends on; OSError where it cannot be written."""
        tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in progress.best.items()}
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in moments.items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        note = json.dumps({"step": progress.step, "best_step": progress.best_step, "curve": progress.curve})
        metadata = {"owner": self.owner, "progress": note, "digest": digest(self.owner, note, tensors)}
        with replacing(self._file(progress.step)) as temporary:
            try:
                save_file(tensors, temporary, metadata)
            except SafetensorError as error:  # its way to say what the operating system said
                raise OSError(str(error)) from error
        self._keep_two(progress.step)

    def load(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> Progress | None:
        """Puts network and optimizer back to where the newest sound checkpoint has them; None where there is none.

        Says in one line which files it passed over, why, and where training goes on.
        """
        passed: list[str] = []
        for file in reversed(self._files()):
            try:
                progress, model, moments = self._read(file, network)
            except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
                passed.append(f"{file}: checkpoint unreadable ({' '.join(str(error).split())})")
                continue
            self._say(passed, f"going on from step {progress.step}")
            network.load_state_dict(model)
            state = optimizer.state_dict()
            for key, tensor in moments.items():
                index, name = key.split(".", 1)
                state["state"].setdefault(int(index), {})[name] = tensor
            optimizer.load_state_dict(state)
            return progress
        self._say(passed, "starting this seed over")
        return None

    def remove(self) -> None:
        """Removes all files of this training."""
        for file in self._files():
            file.unlink(missing_ok=True)

    def _file(self, step: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{step:07d}.safetensors")

    def _files(self) -> list[Path]:
        """The files that are there, oldest first; what a killed writer left under a temporary name goes."""
        for left in self.path.parent.glob(f".{self.path.name}.*.safetensors.*"):
            left.unlink(missing_ok=True)
        return sorted(self.path.parent.glob(f"{self.path.name}.*.safetensors"), key=_step)

    def _keep_two(self, newest: int) -> None:
        """Removes all but the file of step `newest` and the one before it: later ones were passed over in loading."""
        files = self._files()
        kept = [file for file in files if _step(file) <= newest][-2:]
        for file in set(files) - set(kept):
            file.unlink(missing_ok=True)

    def _read(self, path: Path, network: nn.Module) -> tuple[Progress, dict[str, Tensor], dict[str, Tensor]]:
        """Progress, weights and the optimizer's tensors of a file; ValueError where it is not this training's."""
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        owner, note = metadata["owner"], metadata["progress"]
        if metadata["digest"] != digest(owner, note, tensors):
            raise ValueError("its bytes are not those that were written")
        if owner != self.owner:
            raise ValueError(f"written by {owner}, this is {self.owner}")
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor
        wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
        for part in ("model", "best"):
            if {name: tensor.shape for name, tensor in parts[part].items()} != wanted:
                raise ValueError(f"its {part} weights are not this network's")
        return Progress(best=parts["best"], **json.loads(note)), parts["model"], parts["optimizer"]

    @staticmethod
    def _say(passed: list[str], then: str) -> None:
        if passed:
            print(f"{'; '.join(passed)}; {then}", flush=True)


def _step(file: Path) -> int:
    """The number of steps in a checkpoint's name; -1 where there is none."""
    found = re.search(r"\.(\d+)\.safetensors$", file.name)
    return int(found[1]) if found else -1


def digest(owner: str, note: str, tensors: dict[str, Tensor]) -> str:
    """A hash of all that a checkpoint holds: safetensors itself has no checksum."""
    digest = hashlib.blake2b(json.dumps([owner, note]).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
