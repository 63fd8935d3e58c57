"""Made-up results of any size, in the very files that a run leaves: params.yaml, results/, pipelines/.

    write(folder, neurons=50, datasets=5, seeds=5)

Every number comes from a seeded generator, none from a network: a report of them says nothing about neurons. The bad
input that a report must stand is written over it: `edit` changes one file, `diverged` and `elsewhere` change a cell.
`python tests/example_results.py FOLDER [NEURONS DATASETS SEEDS]` writes one to look at.
"""

import hashlib
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

from benchmarks.files import FORMAT

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
BY_STAGE = {  # what a stage reads of benchmarks/, and what it leaves
    "train": (("evaluation", "network", "training"), ("accuracy.json", "curves.csv", "run.json")),
    "measure": (("measure", "network", "timing"), ("cost.json",)),
}
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
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
    locks: bool = True,
    spread: float = 0.03,
    seed: int = 0,
) -> None:
    """Writes params.yaml, results/ and, unless `locks` is off, the lock files of pipelines/ into `root`.

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
        if locks:
            lock(root, dataset, listed)


def params(root: Path, neurons: Sequence[str], datasets: Sequence[str], seeds: int) -> None:
    """Writes a params.yaml that lists these cells."""
    cell = {
        "data": {"side": SIDE, "observed": OBSERVED, "predicted": PREDICTED, "seed": 0},
        "network": {"patch": 4, "layers": LAYERS, "channels": 32, "kernel_size": 3, "groups": 16},
        "training": {
            "seeds": seeds, "steps": STEPS, "batch": 8, "learning_rate": 5e-3, "final_learning_rate": 0.0,
            "warm_up": 0.05, "clip": None, "sampling": {"start": 1.0, "fall": 5e-3, "stop": 200},
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


def lock(root: Path, dataset: str, neurons: Sequence[str], changed: dict[str, str] | None = None) -> None:
    """Writes the lock file of a dataset's pipeline, of the results that are there.

    `changed` maps files that a cell depends on to another content: `benchmarks/training.py` for all cells,
    `lif:benchmarks/training.py` for one neuron's; `lif:network`, `lif:seeds` change what params.yaml said of that cell.
    """
    other, stages = changed or {}, {}
    for neuron in neurons:
        results = f"results/{PROFILE}/{dataset}/{neuron}"
        for stage, (code, outs) in BY_STAGE.items():
            files = [f"data/{PROFILE}/{dataset}", *(f"benchmarks/{name}.py" for name in code)]
            contents = {path: other.get(f"{neuron}:{path}", other.get(path, path)) for path in files}
            contents[f"results/sources/{neuron}.json"] = neuron
            for part in ("network", "seeds"):
                said = f"results/sources/profiles/{PROFILE}/{dataset}/{part}.json"
                contents[said] = other.get(f"{neuron}:{part}", part)
            stages[f"{stage}@{PROFILE}-{neuron}"] = {
                "deps": [_dep(path, content.encode()) for path, content in contents.items()],
                "outs": [_dep(path, (root / path).read_bytes()) for path in (f"{results}/{out}" for out in outs)],
            }
    path = root / "pipelines" / dataset / "dvc.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.dump({"schema": "2.0", "stages": stages}, Dumper=DUMPER, sort_keys=False))


def _dep(path: str, content: bytes) -> dict[str, Any]:
    return {"path": path, "hash": "md5", "md5": hashlib.md5(content, usedforsecurity=False).hexdigest()}


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
        _json(folder / "dynamics.json", {"status": "unsupported", "reason": "no seed of it was trained to the end"})


def elsewhere(folder: Path, files: Sequence[str] = ("run.json",), **machine: Any) -> None:
    """Has the cell in `folder` say that it was made on another machine; by default on a made-up GPU."""
    for name in files:
        edit(folder / name, lambda content: content.get("machine", content).update(machine or GPU))


def _cell(
    folder: Path, dataset: str, neuron: str, level: float, seeds: int, spread: float, rng: np.random.Generator
) -> None:
    """The five text files of one neuron on one dataset; better and dearer under the circuit."""
    group = GROUPS.get(neuron, "own")
    mean = level * rng.uniform(0.7, 1.3) * (0.8 if group == "stc" else 1.0)
    spiking = group != "artificial"
    named = {"profile": PROFILE, "dataset": dataset, "neuron": neuron}
    errors = mean * (1 + spread * rng.standard_normal(seeds))
    records = []
    curves = ["seed,step,train_loss,gradient_norm,validation_mse"]
    for seed, error in enumerate(errors):
        record = {"seed": seed, "status": "ok", "reason": "", "best_step": STEPS, "test": scores(float(error))}
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
    _json(folder / "accuracy.json", {**named, **told})
    (folder / "curves.csv").write_text("\n".join(curves) + "\n")
    _json(folder / "run.json", {"seconds": 24.1, **MACHINE})
    _json(folder / "cost.json", {**named, **cost(neuron, group, rng)})
    _json(folder / "dynamics.json", {**named, **dynamics(group, rng)})


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
