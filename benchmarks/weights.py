"""The trained weights of a cell's seed 0: a by-product under the key of its training.

They lie in weights/<profile>/<dataset>/<neuron>/<key>.safetensors, which git ignores: a result without them is as
current as one with them, and whatever needs them says how to get them back. DVC keeps the folder (docs/sharing.md).
"""

import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.cell import Cell
from benchmarks.checkpoint import digest
from benchmarks.files import ResultsError, replacing

FILE = "weights.safetensors"  # their name beside a cell's checkpoints
LEFT_BY = ("ok", "diverged")  # endings of a training that leave weights


def save(path: Path, tensors: dict[str, Tensor], key: str) -> None:
    """Writes a network's state with a digest of it and of the key of its training: safetensors has no checksum.

    One word of metadata alone, for safetensors writes several in any order, and the same weights are the same bytes.
    """
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(kept, temporary, {"digest": digest(key, "", kept)})


def keep(cell: Cell, made: Path) -> None:
    """Puts the weights that training has left at `made` into their place; those of other keys of the cell go."""
    path = cell.weights()
    with replacing(path) as temporary:
        shutil.copyfile(made, temporary)
    for old in path.parent.glob("*.safetensors"):
        if old != path:
            old.unlink()


def load(cell: Cell) -> dict[str, Tensor]:
    """The state of the trained network of seed 0; ResultsError where the file is missing or damaged."""
    path = cell.weights()
    again = f"python -m benchmarks.run --force --profile {cell.profile} --dataset {cell.dataset} --neuron {cell.neuron}"
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ResultsError(f"{path}: not here, and git has no weights; `dvc pull` them, or run `{again}`") from None
    except (SafetensorError, OSError) as error:
        raise ResultsError(f"{path}: cannot be read ({' '.join(str(error).split())}); run `{again}`") from None
    if said.get("digest") != digest(cell.key("train"), "", tensors):
        raise ResultsError(f"{path}: its bytes are not those that training wrote; run `{again}`")
    return tensors
