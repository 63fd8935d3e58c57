"""Made-up results of any size, in the very files that a run leaves: params.yaml and results/, keys and inputs included.

    write(folder, neurons=50, datasets=5, seeds=5)

Every number comes from a seeded generator, none from a network: a report of them says nothing about neurons. The bad
input that a report must stand is written over it: `edit` changes one file, `diverged`, `elsewhere` and `remade` a cell.
`python tests/example_results.py FOLDER [NEURONS DATASETS SEEDS]` writes one to look at.
"""

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from example_cells import LAYERS, MACHINE, OBSERVED, PREDICTED, SIDE, cost, dynamics, scores, trivial
from numpy.typing import NDArray
from PIL import Image

from benchmarks.cell import FILES, PARTS, hashed
from benchmarks.files import FORMAT
from benchmarks.settings import kind

BLOCKS = {  # the neurons that come first, with their groups; others are called own_1, own_2, ...
    "paper": "lif plif plif-published glif lmh tclif",
    "stc": "stc_lif stc_plif stc_glif stc_lmh stc_norse_lif stc_snntorch_leaky stc_spikingjelly_klif",
    "artificial": "convlstm",
    "norse": "norse_lif norse_lsnn norse_lifex norse_lifadex norse_lifrefrac",
    "weighted": "snntorch_rleaky_conv",
    "snntorch": "snntorch_leaky snntorch_synaptic snntorch_rleaky",
    "spikingjelly": "spikingjelly_lif spikingjelly_plif spikingjelly_glif spikingjelly_klif spikingjelly_clif",
}
GROUPS = {name: group for group, block in BLOCKS.items() for name in block.split()}
FIRST = ("lif", "stc_lif", "plif", "convlstm", "norse_lif", "stc_norse_lif", "glif", "stc_glif")
PROFILE = "quick"
DATASETS = ("moving_mnist", "city_flow", "advection", "stick_actions", "events")
STEPS, EVERY = 400, 100
CODE = {  # stage -> what it has of benchmarks/, in these results
    "train": ("evaluation", "network", "training"),
    "dynamics": ("behaviour", "network"),
    "measure": ("costs", "network", "timing"),
}
GPU = {"device": "NVIDIA Made-up", "versions": {**MACHINE["versions"], "torch": "2.13.0+cu130"}}


def names(neurons: int) -> list[str]:
    """The first so many neurons: a few of every kind, then the rest."""
    known = list(dict.fromkeys((*FIRST, *GROUPS)))[:neurons]
    return known + [f"own_{i}" for i in range(1, 1 + neurons - len(known))]


def write(
    root: Path,
    neurons: int | Sequence[str] = 6,
    datasets: int | Sequence[str] = 1,
    seeds: int = 3,
    *,
    spread: float = 0.03,
    seed: int = 0,
) -> None:
    """Writes params.yaml and results/ into `root`.

    `neurons`, `datasets`: how many, or their names; `spread`: the deviation over seeds, as a share of the error.
    """
    listed = names(neurons) if isinstance(neurons, int) else list(neurons)
    shown = DATASETS[:datasets] if isinstance(datasets, int) else tuple(datasets)
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    params(root, listed, shown, seeds)
    _json(root / "results" / "parity.json", {"tolerance": 1e-6, "pairs": []})
    for place, dataset in enumerate(shown):
        folder = root / "results" / PROFILE / dataset
        level = 5.0 * 3.0**place  # datasets differ in the size of their errors
        film = _film(rng)
        _json(folder / "trivial.json", trivial(dataset, level))
        (folder / "truth.png").write_bytes(_png(film))
        for neuron in listed:
            _cell(folder / neuron, dataset, neuron, level, seeds, spread, rng)
            noise = rng.normal(0, 0.1, film[:, OBSERVED:].shape)
            (folder / neuron / "predictions.png").write_bytes(_png(film[:, OBSERVED:] + noise))


def params(root: Path, neurons: Sequence[str], datasets: Sequence[str], seeds: int) -> None:
    """Writes a params.yaml that lists these cells."""
    cell = {
        "data": {"side": SIDE, "observed": OBSERVED, "predicted": PREDICTED, "seed": 0},
        "network": {"patch": 4, "layers": LAYERS, "channels": 32, "kernel_size": 3, "groups": 16},
        "training": {
            "seeds": seeds, "steps": STEPS, "batch": 8, "learning_rate": 5e-3, "final_learning_rate": 0.0,
            "warm_up": 0.05, "clip": None, "sampling": {"start": 1.0, "end": 0.0, "until": 0.5},
            "validate_every": EVERY, "device": "auto", "workers": 1, "loaders": 0,
        },
        "cost": {"repeats": 3, "seconds": 0.1},
    }  # fmt: skip
    content = {
        "profile": PROFILE,
        "neurons": {name: {} for name in neurons},
        "datasets": list(datasets),
        "stability": [],
        "more_neurons": {},
        "profiles": {PROFILE: dict.fromkeys(datasets, cell)},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def stamp(dataset: str, neuron: str, stage: str) -> dict[str, Any]:
    """Key and inputs of a made-up result, by the names that benchmarks/cell.py gives them."""
    inputs = {f"benchmarks/{name}.py": name for name in CODE[stage]}
    inputs |= {"network.layers": str(LAYERS), "training.batch": "8"}
    inputs |= {"neuron": kind(neuron), "neuron.params": "{}", f"neurons/{kind(neuron)}.py": neuron}
    inputs |= {"training.steps": str(STEPS)} if stage == "train" else {}
    made = {"train": stamp(dataset, neuron, "train")["key"]} if stage == "dynamics" else {"data.test": dataset}
    return {"key": hashed(inputs | made), "inputs": inputs | made}


def remade(folder: Path, changed: dict[str, str], stages: Sequence[str] = PARTS) -> None:
    """Has the cell in `folder` say that `stages` made it from other inputs: those of `changed` that each has."""
    for stage in stages:

        def change(content: dict[str, Any], stage: str = stage) -> None:
            inputs = content["inputs"]
            inputs |= {name: value for name, value in changed.items() if name in inputs}
            if stage == "dynamics":
                inputs["train"] = json.loads((folder / FILES["train"]).read_text())["key"]
            content["key"] = hashed(inputs)
            for record in content["seeds"] if stage == "train" else ():
                record["key"] = content["key"]

        edit(folder / FILES[stage], change)


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Has `change` alter the content of a JSON file in place, NaN and all."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def diverged(folder: Path, seeds: Sequence[int], reason: str = "loss inf, gradient norm nan at step 28") -> None:
    """Has these seeds of the cell in `folder` end as diverged; with all of them gone it has no dynamics either."""

    def change(content: dict[str, Any]) -> None:
        for record in content["seeds"]:
            if record["seed"] in seeds:
                for name in ("test", "firing_rate", "sparsity"):
                    record.pop(name, None)
                record |= {"status": "diverged", "reason": reason, "best_step": 0}

    edit(folder / "accuracy.json", change)
    if all(record["status"] != "ok" for record in json.loads((folder / "accuracy.json").read_text())["seeds"]):
        ended = {"status": "unsupported", "reason": "no seed of it was trained to the end"}
        stamped = json.loads((folder / "dynamics.json").read_text())
        _json(folder / "dynamics.json", {"key": stamped["key"], "inputs": stamped["inputs"], **ended})


def elsewhere(folder: Path, files: Sequence[str] = ("run.json",), **machine: Any) -> None:
    """Has the cell in `folder` say that it was made on another machine; by default on a made-up GPU."""
    for name in files:
        edit(folder / name, lambda content: content.get("machine", content).update(machine or GPU))


def _cell(
    folder: Path, dataset: str, neuron: str, level: float, seeds: int, spread: float, rng: np.random.Generator
) -> None:
    """The five text files of one neuron on one dataset; better and dearer under the circuit."""
    stamps = {stage: stamp(dataset, neuron, stage) for stage in PARTS}
    group = GROUPS.get(neuron, "own")
    mean = level * rng.uniform(0.7, 1.3) * (0.8 if group == "stc" else 1.0)
    spiking = group != "artificial"
    named = {"profile": PROFILE, "dataset": dataset, "neuron": neuron}
    errors = mean * (1 + spread * rng.standard_normal(seeds))
    records = []
    curves = ["seed,step,train_loss,gradient_norm,validation_mse"]
    for seed, error in enumerate(errors):
        record = {"seed": seed, "status": "ok", "reason": "", "best_step": STEPS, "test": scores(float(error))}
        record["key"] = stamps["train"]["key"]
        if spiking:
            rates = rng.uniform(0.05, 0.3, LAYERS).round(6).tolist()
            record |= {"firing_rate": rates, "sparsity": round(1 - float(np.mean(rates)), 6)}
        records.append(record)
        for step in range(0, STEPS + 1, EVERY):
            height = error * (1 + 20 * np.exp(-step / 80))
            loss = f"{height / 500:.6g},{0.1 * height:.6g}" if step else "nan,nan"
            curves.append(f"{seed},{step},{loss},{height:.6g}")
    counts = {"network": 14464 + 64 * len(neuron), "neurons": 64 * len(neuron)}
    told = {"params": {}, "group": group, "spiking": spiking, "note": "", "parameters": counts, "seeds": records}
    _json(folder / "accuracy.json", {**stamps["train"], **named, **told})
    (folder / "curves.csv").write_text("\n".join(curves) + "\n")
    _json(folder / "run.json", {"seconds": 24.1, **MACHINE})
    _json(folder / "cost.json", {**stamps["measure"], **named, **cost(neuron, group, rng)})
    _json(folder / "dynamics.json", {**stamps["dynamics"], **named, **dynamics(group, rng)})


def _film(rng: np.random.Generator) -> NDArray[np.float64]:
    """Three sequences of a square that moves, [3, T, 1, SIDE, SIDE]."""
    frames = np.zeros((3, OBSERVED + PREDICTED, 1, SIDE, SIDE))
    for sequence in frames:
        y, x = rng.integers(0, 4, 2)
        for t, frame in enumerate(sequence):
            frame[0, y : y + 5, x + t : x + t + 5] = 1
    return frames


def _png(frames: NDArray[np.float64]) -> bytes:
    """The picture that benchmarks.samples writes of frames [N, T, C, H, W]."""
    n, t, c, h, w = frames.shape
    grey = (np.clip(frames, 0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1, 4).reshape(n * c * h, t * w)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _json(path: Path, content: dict[str, Any]) -> None:
    """As benchmarks.files does, without waiting for the disk a thousand times."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": FORMAT, **content}, indent=1) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]), *(int(number) for number in sys.argv[2:5]))
