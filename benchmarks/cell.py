"""A cell: a neuron on a dataset in a profile. Its key says what its results were made from, and nothing else does.

`Cell.inputs(stage)` lists, by name, all that decides what a stage writes of the cell: settings by their values, code
and data by digests. `Cell.key(stage)` is the hash of them. Both stand in every result, so that "is this current, and
what made it?" is answered here alone: for `run` and the launcher, checkpoints and weights, plan, report and verify.

Code is the import closure of the stage's core modules, as syntax trees (benchmarks/closure.py).
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from benchmarks import closure, settings
from benchmarks.files import ResultsError, read_json
from benchmarks.settings import AS_WIDE_AS, CellSettings, Settings
from datasets import SPLITS, DatasetError, Sequences

RESULTS = Path("results")
CORE = {  # stage -> the modules whose import closure decides what it computes
    "prepare": ("benchmarks/trivial.py", "benchmarks/samples.py"),
    "train": ("benchmarks/seeds.py",),
    "dynamics": ("benchmarks/behaviour.py",),
    "measure": ("benchmarks/costs.py",),
    "stability": ("benchmarks/interventions.py",),
}
FILES = {  # stage -> the file under the cell's results that holds its key; it is written last
    "prepare": "trivial.json",
    "train": "accuracy.json",
    "dynamics": "dynamics.json",
    "measure": "cost.json",
    "stability": "stability.json",
}
BESIDE = {"train": ("curves.csv", "predictions.png", "run.json")}  # what else of a stage's results git keeps
PARTS = ("train", "dynamics", "measure")  # what is done to a neuron on a dataset, in this order
DATA = "data.json"  # under a dataset's results: what was prepared, by digests
NOT_OF_A_SEED = {"workers", "loaders", "seeds"}  # settings of training that do not change what a seed gives
REFERENCE = "lif"  # what every neuron is timed beside
MOST = 4  # names of inputs in a line
TRIED = ("lif", "stc_lif", "stc_plif")  # the neurons of the stage `stability`


@dataclass(frozen=True)
class Cell:
    """One dataset, or one neuron on it, in a profile: its settings and where its data and results lie."""

    profile: str
    dataset: str
    neuron: str
    params: dict[str, Any]
    settings: CellSettings

    @classmethod
    def of(cls, loaded: Settings, profile: str, dataset: str, neuron: str = "") -> "Cell":
        """The cell of these names; `loaded` has the entries of `profile`. SettingsError for unknown names."""
        params = loaded.neuron(neuron) if neuron else {}
        return cls(profile, dataset, neuron, params, loaded.cell(profile, dataset))

    @property
    def kind(self) -> str:
        """The neuron that is built; `neuron` may have a label behind it."""
        return settings.kind(self.neuron)

    @property
    def data(self) -> Path:
        return Path("data") / self.profile / self.dataset

    @property
    def results(self) -> Path:
        """Folder of the cell's results; without a neuron, of what belongs to the dataset."""
        return RESULTS / self.profile / self.dataset / self.neuron

    def open(self, split: str) -> Sequences:
        """A split of the cell's dataset; DatasetError where it is not prepared."""
        return datasets.open(settings.kind(self.dataset), self.data, split)

    def card(self) -> dict[str, Any]:
        """The card of the cell's dataset; DatasetError where it is not prepared as params.yaml says."""
        return datasets.card(settings.kind(self.dataset), self.data, wanted=self.settings.data)

    def check_data(self) -> None:
        """DatasetError as `card`; ResultsError where the data here are not those that keys and results speak of."""
        path, found = RESULTS / self.profile / self.dataset / DATA, digests_of(self.card())
        made = read_json(path)
        if changed := differing(found, {name: made.get(name) for name in found}):
            again = f"python -m benchmarks.prepare --profile {self.profile} --dataset {self.dataset}"
            raise ResultsError(f"{path}: of another {', '.join(changed)} than {self.data} has; run `{again}`")

    def is_prepared(self) -> bool:
        """Whether the dataset's canonical form is here, and is the one that its results speak of."""
        try:
            self.check_data()
        except (ResultsError, DatasetError):
            return False
        return True

    def inputs(self, stage: str) -> dict[str, str]:
        """All that decides what `stage` writes of this cell, by name; ResultsError where its data were never prepared.

        Code and data are digests, settings their values as JSON.
        """
        return {**self._given(stage), **self._made(stage)}

    def key(self, stage: str) -> str:
        """The hash of `inputs`."""
        return hashed(self.inputs(stage))

    def recipe(self, stage: str) -> str:
        """The hash of what is known before anything runs, and how many seeds are wanted: DVC sees the data itself."""
        wanted = {"training.seeds": str(self.settings.training.seeds)} if stage == "train" else {}
        return hashed({**self._given(stage), **wanted})

    def stamp(self, stage: str) -> dict[str, Any]:
        """The key and the inputs as every result carries them."""
        inputs = self.inputs(stage)
        return {"key": hashed(inputs), "inputs": inputs}

    def stored(self, stage: str) -> dict[str, Any]:
        """The result of a stage; ResultsError where it is missing, damaged, without a key or of another cell."""
        path = self.results / FILES[stage]
        content = stored(path)
        named = {name: content["inputs"].get(name) for name in ("neuron", "neuron.params")}
        if self.neuron and named != (own := {"neuron": self.kind, "neuron.params": _json(self.params)}):
            found = f"{named['neuron']} {named['neuron.params']}"
            raise ResultsError(f"{path}: of {found}, wanted {' '.join(own.values())}; remove it and run `dvc repro`")
        return content

    @contextmanager
    def unchanged(self, stage: str) -> Iterator[dict[str, Any]]:
        """The stamp of what is computed meanwhile; ResultsError where it is another one when that is done."""
        stamp = self.stamp(stage)
        yield stamp
        if changed := differing(stamp["inputs"], self.inputs(stage)):
            what = " ".join(word for word in (stage, self.dataset, self.neuron) if word)
            raise ResultsError(f"{what}: changed while it ran: {listed(changed)}; nothing was written, run it again")

    def current(self, stage: str) -> dict[str, Any]:
        """The result of a stage, made from just the inputs that there are now; ResultsError says what differs."""
        content = self.stored(stage)
        if changed := differing(content["inputs"], self.inputs(stage)):
            raise ResultsError(f"{self.results / FILES[stage]}: made from another {listed(changed)}; run `dvc repro`")
        return content

    def reason(self, stage: str) -> str:
        """Why the stage has to run: nothing for a current result, in every seed wanted; else in a few words."""
        if not (self.results / FILES[stage]).exists():
            return "no result"
        try:
            content, now = self.stored(stage), self.inputs(stage)
            if changed := differing(content["inputs"], now):
                return f"another {listed(changed)}"
            seeds = [[record["seed"], record["key"]] for record in content.get("seeds", ())]
            wanted = [[seed, content["key"]] for seed in range(self.settings.training.seeds)]
            if stage == "train" and seeds != wanted:
                return "other seeds"
            lost = [name for name in BESIDE.get(stage, ()) if not (self.results / name).exists()]
            return f"no {listed(lost)}" if lost else ""
        except (ResultsError, KeyError, TypeError):
            return "no usable result"

    def is_current(self, stage: str) -> bool:
        """Whether a result is there that was made from just the inputs that there are now, in every seed wanted."""
        return not self.reason(stage)

    def weights(self) -> Path:
        """Where training leaves the weights of seed 0, which DVC keeps and git does not; ResultsError as `key`."""
        return Path("weights") / self.profile / self.dataset / self.neuron / f"{self.key('train')}.safetensors"

    def due(self) -> list[str]:
        """What is to be done to the neuron: parts that are not current, and training where its weights are wanted."""
        parts = [part for part in PARTS if not self.is_current(part)]
        if parts and parts[0] == "dynamics" and self._left_weights() and not self.weights().exists():
            parts.insert(0, "train")
        return parts

    def forget(self) -> None:
        """Removes the results of the neuron that say they are current, so that all of them are due."""
        for part in PARTS:
            (self.results / FILES[part]).unlink(missing_ok=True)

    def _left_weights(self) -> bool:
        return self.stored("train")["seeds"][0]["status"] in ("ok", "diverged")

    def _given(self, stage: str) -> dict[str, str]:
        """The inputs that are there before anything runs: code, settings, the neuron."""
        found = {**closure.digests(*CORE[stage]), **self._settings(stage)}
        if stage == "prepare":
            kind = settings.kind(self.dataset)
            return {**found, "dataset": kind, **closure.of_dataset(kind)}
        if stage == "stability":
            return {**found, **{name: digest for kind in TRIED for name, digest in closure.of_neuron(kind).items()}}
        if stage == "measure":
            found |= {f"reference {name}": digest for name, digest in closure.of_neuron(REFERENCE).items()}
        return {**found, **self._neuron()}

    def _neuron(self) -> dict[str, str]:
        """The neuron's part of the inputs: the same stage of two neurons differs in nothing else."""
        twin = self.params.get(AS_WIDE_AS)
        files = {**closure.of_neuron(self.kind), **(closure.of_neuron(twin["neuron"]) if twin else {})}
        return {"neuron": self.kind, "neuron.params": _json(self.params), **files}

    def _settings(self, stage: str) -> dict[str, str]:
        """What params.yaml says of the dataset and a stage depends on.

        A setting at its default is left out: one that a later version adds makes no result stale.
        """
        said = self.settings.model_dump(exclude_defaults=True)
        training = {name: value for name, value in said["training"].items() if name not in NOT_OF_A_SEED}
        batch = {name: value for name, value in training.items() if name in ("batch", "device")}
        parts = {
            "prepare": {"data": said["data"]},
            "train": {"network": said["network"], "training": training},
            "dynamics": {"network": said["network"], "training": batch},
            "measure": {"network": said["network"], "training": batch, "cost": said["cost"]},
            "stability": {"network": said["network"], "training": training, "stability": said.get("stability") or {}},
        }[stage]
        return {f"{part}.{name}": _json(value) for part, values in parts.items() for name, value in values.items()}

    def _made(self, stage: str) -> dict[str, str]:
        """The inputs that other stages make: prepared data, and for what is seen in a trained network its training."""
        if stage == "prepare":
            return {}
        if stage == "dynamics":
            return {"train": self.key("train")}
        made = read_json(RESULTS / self.profile / self.dataset / DATA)
        return {f"data.{name}": str(made.get(name)) for name in ("observed", "predicted", *SPLITS)}


def stored(path: Path) -> dict[str, Any]:
    """A result with its key and inputs; ResultsError where it has none, or they do not belong together."""
    content = read_json(path)
    key, inputs = content.get("key"), content.get("inputs")
    if not isinstance(inputs, dict) or not isinstance(key, str):
        raise ResultsError(f"{path}: no key found in it, so nothing says what made it; remove it and run `dvc repro`")
    if key != hashed(inputs):
        raise ResultsError(f"{path}: key {key} found, its inputs make {hashed(inputs)}; remove it and run `dvc repro`")
    return content


def hashed(inputs: dict[str, str]) -> str:
    """The key of some inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of the inputs that two results do not share."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def listed(names: list[str]) -> str:
    """Names in a line, the first few of many."""
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def is_of_neuron(name: str) -> bool:
    """Whether an input is the neuron's own, in which cells of one table may differ; modules that neurons share are not.

    The key of its training is among them: it says what the neuron was.
    """
    return name in ("neuron", "train") or (name.startswith(("neuron.", "neurons/")) and not is_shared(name))


def is_shared(name: str) -> bool:
    """Whether an input is a module that several neurons are made of, such as neurons/_firing.py."""
    return name.startswith("neurons/_")


def digests_of(card: dict[str, Any]) -> dict[str, Any]:
    """What data.json holds of a prepared dataset: how its sequences are split, and a digest of each split's files."""
    files = card["files"]
    both = {split: files[split]["sha256"] + files[split]["starts_sha256"] for split in SPLITS}
    digests = {split: hashlib.sha256(text.encode()).hexdigest()[:16] for split, text in both.items()}
    return {"observed": card["observed"], "predicted": card["predicted"], **digests}


def cells(loaded: Settings, profile: str) -> Iterator[Cell]:
    """All cells of a profile, dataset by dataset; `loaded` has the entries of `profile`."""
    for dataset in loaded.datasets:
        for neuron in loaded.neurons:
            yield Cell.of(loaded, profile, dataset, neuron)


def _json(value: Any) -> str:
    """A value of params.yaml as JSON, keys in order; what JSON has no form for as text."""
    return json.dumps(value, sort_keys=True, default=str)
