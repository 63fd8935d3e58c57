"""A made-up project to plan: a few cells that are small enough to count, and costs that were never measured."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import settings
from benchmarks.files import write_json
from benchmarks.plan import evidence
from benchmarks.plan.evidence import Evidence

NETWORK = {"patch": 2, "layers": 2, "channels": 16, "kernel_size": 3, "groups": 4}
TRAINING = {
    "seeds": 3,
    "steps": 10,
    "batch": 4,
    "learning_rate": 0.01,
    "final_learning_rate": 0.0,
    "warm_up": 0.1,
    "clip": None,
    "sampling": {"start": 1.0, "fall": 0.1, "stop": 5},
    "validate_every": 4,
    "device": "cpu",
    "workers": 2,
    "loaders": 0,
}
COUNTS = {"train": 12, "validation": 6, "test": 9}
WIND: dict[str, Any] = {"wind": [0.4, 1.2], "diffusivity": [0.005, 0.03], "relaxation": 0.03, "seed": 0}
FIGURES: dict[str, Any] = {"clips": 1, "clip_length": 9, "validation_persons": [15, 16], "seed": 0}
DATA: dict[str, dict[str, Any]] = {
    "moving_mnist": {
        "source": "embedded",
        "canvas": 16,
        "digits": 1,
        "digit_size": 7,
        "step": [0.1, 0.2],
        "observed": 3,
        "predicted": 3,
        "sequences": COUNTS,
        "seed": 0,
    },
    "advection": {"side": 16, "observed": 3, "predicted": 4, "sequences": COUNTS, **WIND},
    "city_flow": {
        "side": 8,
        "agents": 200,
        "weeks": {"train": 2, "validation": 1, "test": 1},
        "observed": 4,
        "predicted": 3,
        "stride": {"train": 5, "validation": 8, "test": 7},
        "seed": 0,
    },
    "stick_actions": {"side": 16, "observed": 3, "predicted": 3, "stride": 2, **FIGURES},
    "events": {
        "source": "embedded",
        "sensor": [32, 32],
        "side": 16,
        "bin_ms": 40,
        "cap": 5,
        "observed": 3,
        "predicted": 3,
        "stride": 1,
        "simulation": {**FIGURES, "threshold": 0.3},
    },
}
CPU = {"device": "CPU (of a test)"}


def of_profile(*names: str, **changes: Any) -> dict[str, Any]:
    one = {"network": NETWORK, "training": {**TRAINING, **changes}, "cost": {"repeats": 3, "seconds": 2.0}}
    return {name: {"data": DATA[name], **one} for name in names}


PARAMS: dict[str, Any] = {
    "profile": "small",
    "neurons": {"lif": {}, "stc_lif": {}, "plif": {}},
    "datasets": ["moving_mnist", "advection"],
    "stability": [],
    "more_neurons": {},
    "profiles": {
        "small": of_profile("moving_mnist", "advection"),
        "large": of_profile("moving_mnist", "advection", batch=8),
        "other": of_profile("moving_mnist"),
    },
}


def begin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the test run in a folder with nothing but a made-up params.yaml."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(evidence, "convolution_rate", lambda: 8e9)
    save(PARAMS)


def save(params: dict[str, Any]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params))


def known(**how: Any) -> Evidence:
    return Evidence(settings.load(), **how)


def cost(profile: str, dataset: str, neuron: str, step: float, device: dict[str, str] = CPU) -> None:
    """A made-up cost.json: 7 timed pairs and 1 of warm-up of each kind, LIF half as slow."""
    one = {"pairs": 7, "warm_up": 1, "ratio_to_lif": 2.0}
    times = {"train_step": step, "inference": step / 4, "latency": step / 8}
    content = {what: {**one, "median": median} for what, median in times.items()}
    path = Path("results") / profile / dataset / neuron / "cost.json"
    write_json(path, {"status": "ok", "time": content, "machine": device})
