"""Which cells a profile has, and which of them are to be run: as DVC sees it, or by which results are there."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from benchmarks import pipelines, sources
from benchmarks.files import FORMAT
from benchmarks.launch.stages import Pipeline
from benchmarks.settings import Settings

OF_DATASET, OF_NEURON = ("prepare", "stability"), ("train", "dynamics", "measure")


@dataclass(frozen=True)
class Stage:
    """One stage: what is done (`kind`) to which dataset and, where it is of a cell, which neuron."""

    kind: str
    dataset: str = ""
    neuron: str = ""


@dataclass(frozen=True)
class Due:
    """stale: what does not stand as it is. run: these, and what may follow from them."""

    stale: frozenset[Stage]
    run: frozenset[Stage]


def datasets_of(loaded: Settings, profile: str) -> list[str]:
    """The datasets listed in params.yaml, or all that the profile has where it lacks one of those."""
    own = loaded.profiles[profile]
    return loaded.datasets if all(dataset in own for dataset in loaded.datasets) else list(own)


def stages(loaded: Settings, profile: str) -> list[Stage]:
    """All stages of the cells of a profile."""
    found = []
    for dataset in datasets_of(loaded, profile):
        found.append(Stage("prepare", dataset))
        found += [Stage(kind, dataset, neuron) for kind in OF_NEURON for neuron in loaded.neurons]
        if dataset in loaded.stability and loaded.cell(profile, dataset).stability:
            found.append(Stage("stability", dataset))
    return found


def missing(profile: str, wanted: list[Stage]) -> Due:
    """The stages that have left no results in the folders of a profile, and those that need what these make."""
    templates = {kind: _outs(stage) for kind, stage in yaml.safe_load(pipelines.STAGES.read_text())["stages"].items()}
    templates["stability"] = ["results/${item.profile}/${dataset}/stability.json"]
    absent = frozenset(
        stage
        for stage in wanted
        if not all(Path(_filled(out, profile, stage)).exists() for out in templates[stage.kind])
    )
    after = {stage for stage in wanted if Stage("prepare", stage.dataset) in absent}
    after |= {Stage("dynamics", stage.dataset, stage.neuron) for stage in absent if stage.kind == "train"}
    return Due(absent, absent | after)


def _outs(stage: dict[str, Any]) -> list[str]:
    return [out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]]


def _filled(out: str, profile: str, stage: Stage) -> str:
    values = {"${item.profile}": profile, "${dataset}": stage.dataset, "${item.neuron}": stage.neuron}
    for name, value in values.items():
        out = out.replace(name, value)
    return out


def due(loaded: Settings) -> Due:
    """What DVC would run of the pipeline; LaunchError where another command holds it.

    DVC looks at results/sources/ as it lies there, which the first stage has yet to write anew after an edit: what that
    would write is compared with what is there.
    """
    pipelines.check(loaded)
    pipeline = Pipeline()
    with pipeline.held():
        # a kind at a time: what waits for a stale stage of another kind is asked for as well
        stale = {job.name for kind in pipeline.kinds() for job in pipeline.stale({kind})[0]}
        rewritten = {str(path.absolute()) for path in rewritten_sources(loaded)}
        makers = {out.fs_path: name for name, stage in pipeline.stages.items() for out in stage.outs}
        run: set[str] = set()
        for name, stage in pipeline.stages.items():  # what a stage needs comes before it
            needs = {dep.fs_path for dep in stage.deps}
            if needs & rewritten:
                stale.add(name)
            if name in stale or any(makers.get(path) in run for path in needs):
                run.add(name)
        named = {name: _stage(stage.cmd) for name, stage in pipeline.stages.items()}
    return Due(frozenset(named[name] for name in stale), frozenset(named[name] for name in run))


def locked(dataset: str, profile: str, neurons: int) -> int:
    """How many stages the dvc.lock of a dataset has when all of a profile are in it."""
    try:
        text = (pipelines.FOLDER / dataset / "dvc.lock").read_text()
    except OSError:
        text = ""
    names = re.findall(r"^  \w+@(\S+):$", text, re.MULTILINE)
    others = [name for name in names if name != profile and not name.startswith(f"{profile}-")]
    return len(others) + 1 + len(OF_NEURON) * neurons


def rewritten_sources(loaded: Settings) -> Iterator[Path]:
    """The files of results/sources/ that the stage `sources` would change or add."""
    for name, content in sources.contents(loaded).items():
        path = sources.OUT / f"{name}.json"
        try:
            there = json.loads(path.read_text())
        except (OSError, ValueError):
            there = None
        if there != {"format": FORMAT, **content}:
            yield path


def _stage(command: str) -> Stage:
    """The stage that `python -m benchmarks.KIND --dataset DATASET --neuron NEURON` runs."""
    words = shlex.split(command)
    module = words[words.index("-m") + 1]
    named = {word: value for word, value in pairwise(words) if word.startswith("--")}
    return Stage(module.rpartition(".")[2], named.get("--dataset", ""), named.get("--neuron", ""))
