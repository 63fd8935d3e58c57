"""Where and by what the numbers of each cell were made, and which of them may therefore stand in one table.

Two cells are compared only where device, threads, PyTorch and the code that made them agree. The code of a cell is told
by the lock file of its pipeline: the digests of all that its stage reads, settings among it, but for the neuron's own
sources. DVC keeps a cell whose dependencies did not change, so that cells of different git revisions may well be made
by the same code. A cell that the lock file does not know, or knows with another result, has its revision for its code.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks import sources
from benchmarks.files import ResultsError, read_json
from benchmarks.report.panels import Panel
from benchmarks.report.summary import REFERENCE
from benchmarks.settings import Settings

APART = "apart"
STAGES = {"train": ("run.json", "trained"), "measure": ("cost.json", "measured")}  # what says where; the word for it
OF_THE_NEURON = f"{sources.OUT}/"  # dependencies that differ from neuron to neuron by their nature
OF_THE_SETTINGS = f"{sources.PROFILES}/"
SETTINGS, REVISION, DATA = "settings", "revision", "data/"
PLAIN = ("device", "threads", "cores", "python")  # of a machine, as they are in the environment panel
UNSAID = "not said"  # by a file of 0.5 or before
NUMBERS = {
    "trained": {"mse": ("MSE", 4), "mae": ("MAE", 4), "ssim": ("SSIM", 4), "psnr": ("PSNR", 4)},
    "measured": {"train_step_ms": ("train step, ms", 3), "train_step_ratio": ("× LIF there", 3)},
}
Code = tuple[tuple[str, str], ...]
Locked = dict[str, dict[str, Any]]  # a lock file's stages, by name


@dataclass(frozen=True)
class Origin:
    """Where a cell's numbers were made: cells with equal origins are compared, others stand apart."""

    device: str
    threads: int
    torch: str
    code: Code  # (file, digest) of what the stage read, or ("revision", the git revision)


def locked(lock: Path) -> Locked:
    """The stages of a lock file of DVC, by name; {} without such a file, ResultsError where it is damaged."""
    try:
        content = yaml.load(lock.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        return dict(content["stages"])
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        raise ResultsError(f"{lock}: no lock file of DVC; restore it from git") from None


def apart(results: Path, stages: Locked, neurons: list[str], stage: str) -> dict[str, str]:
    """The neurons whose numbers were made elsewhere than those of most: neuron -> status that says why.

    `results` is the dataset's folder of results, `stages` what its lock file holds, `neurons` those that have numbers.
    Of two halves that are equally large the one with LIF is the table. Raises ResultsError where a cell's file does
    not say where it was made.
    """
    _, verb = STAGES[stage]
    found = origins(results, stages, neurons, stage)
    if not found:
        return {}
    counts = Counter(found.values())
    most = max(counts, key=lambda origin: (counts[origin], origin == found.get(REFERENCE)))  # else the first listed
    return {neuron: f"{APART} ({differing(origin, most, verb)})" for neuron, origin in found.items() if origin != most}


def origins(results: Path, stages: Locked, neurons: list[str], stage: str) -> dict[str, Origin]:
    """The origin of each neuron's numbers on one dataset; ResultsError where a file does not say it."""
    name, _ = STAGES[stage]
    codes = _codes(stages, results, neurons, stage)
    machines = {neuron: made_on(results / neuron / name) for neuron in neurons}
    by_revision: dict[str, set[Code]] = {}
    for neuron, code in codes.items():
        by_revision.setdefault(machines[neuron]["revision"], set()).add(code)
    found = {}
    for neuron, machine in machines.items():
        revision = machine["revision"]
        code = codes.get(neuron, ((REVISION, revision),))
        known = by_revision.get(revision, set())
        if neuron not in codes and len(known) == 1 and revision.isalnum():  # a plus: changed since; as good as unknown
            (code,) = known
        found[neuron] = Origin(machine["device"], machine["threads"], machine["versions"]["torch"], code)
    return found


def differing(origin: Origin, most: Origin, verb: str) -> str:
    """What tells an origin from that of most, in words."""
    said = []
    if origin.device != most.device:
        said.append(f"on another device: {origin.device}")
    if origin.threads != most.threads:
        said.append(f"with {origin.threads} threads, the others with {most.threads}")
    if origin.torch != most.torch:
        said.append(f"with torch {origin.torch}, the others with {most.torch}")
    own, theirs = dict(origin.code), dict(most.code)
    if REVISION in own or REVISION in theirs:
        if own != theirs:
            said.append(f"at revision {own[REVISION]}" if REVISION in own else "by code of another revision")
    else:
        changed = sorted(path for path in own.keys() | theirs.keys() if own.get(path) != theirs.get(path))
        code = [path for path in changed if path != SETTINGS and not path.startswith(DATA)]
        said += [f"by other code: {', '.join(code)}"] if code else []
        said += ["on other data"] if any(path.startswith(DATA) for path in changed) else []
        said += ["with other settings"] if SETTINGS in changed else []
    return f"{verb} {'; '.join(said)}"


def unlisted(settings: Settings, profile: str, root: Path) -> list[str]:
    """Folders with results, as dataset/neuron, of neurons that params.yaml does not list: the tables leave them out."""
    found = []
    for dataset in settings.datasets:
        folder = root / profile / dataset
        there = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        found += [f"{dataset}/{name}" for name in there if name not in settings.neurons and not name.startswith(".")]
    return found


def environment(settings: Settings, profile: str, root: Path, table: pd.DataFrame) -> Panel:
    """The machines, versions and revisions behind a report, each with its number of cells; what was left out."""
    kinds: dict[tuple[str, ...], dict[str, Counter[str]]] = {}
    locks: set[str] = set()
    for dataset in settings.datasets:
        for neuron in settings.neurons:
            for name, verb in STAGES.values():
                try:
                    machine = made_on(root / profile / dataset / neuron / name)
                except ResultsError:  # the cell's status says so
                    continue
                key = tuple(_surroundings(machine).values())
                kinds.setdefault(key, {verb: Counter() for _, verb in STAGES.values()})[verb][machine["revision"]] += 1
                locks |= {str(machine["locks"])} if machine.get("locks") else set()
    rows = [[*key, *(_counted(revisions) for revisions in by_stage.values())] for key, by_stage in kinds.items()]
    notes = [
        "Cells: how many were trained and measured there, with the git revision that each ran at (plus: changed since)."
        " Only cells of one device, number of threads, version of PyTorch and code are averaged, ranked and paired.",
    ]
    others = table.loc[_is_apart(table), ["dataset", "neuron", "status"]].drop_duplicates()
    notes += [f"{row.neuron} on {row.dataset}: {row.status}." for row in others.itertuples()]
    if left := unlisted(settings, profile, root):
        notes.append(f"Left out, for params.yaml does not list them: {', '.join(left)}.")
    notes += _of_locks(locks)
    headings = [*_surroundings({"versions": {}}), *(f"Cells {verb}" for _, verb in STAGES.values())]
    return Panel("Environment", headings, rows, notes)


def _surroundings(machine: dict[str, Any]) -> dict[str, str]:
    """A machine in words, by the heading of each column; revision and lock files, which move on, are no part of it."""
    said = {what.capitalize(): str(machine.get(what, UNSAID)) for what in PLAIN}
    said["Memory"] = f"{machine['memory_gib']} GiB" if "memory_gib" in machine else UNSAID
    said["System"] = f"{machine.get('system', UNSAID)} {machine.get('release', '')}".strip()
    names = {"driver": "driver", "cuda": "CUDA", "cudnn": "cuDNN"}
    gpu = machine.get("gpu", {})
    said["GPU software"] = ", ".join(f"{name} {gpu[key]}" for key, name in names.items() if gpu.get(key)) or "–"
    switches = machine.get("determinism")
    said["Determinism"] = _switched_on(switches) if switches is not None else UNSAID
    said["Versions"] = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    return said


def _switched_on(switches: dict[str, Any]) -> str:
    """The switches that are on, and the variables that are set."""
    on = [name.replace("_", " ") for name, value in switches.items() if value is True]
    on += [f"{name}={value}" for name, value in switches.items() if isinstance(value, str)]
    return ", ".join(on) or "defaults"


def _of_locks(digests: set[str]) -> list[str]:
    """One remark on the lock files of DVC that cells saw: which, or how many as stages were recorded between them."""
    if not digests:
        return []
    which = digests.pop() if len(digests) == 1 else f"{len(digests)} states, each in its cells' run.json and cost.json"
    return [f"Lock files of DVC when the cells ended (sha256 of dvc.lock and pipelines/*/dvc.lock): {which}."]


def elsewhere(own: pd.DataFrame) -> list[Panel]:
    """The panel of what of one dataset was made elsewhere, with its numbers; none where nothing was."""
    rows = []
    for (neuron, status), numbers in own[_is_apart(own)].groupby(["neuron", "status"], sort=False):
        reason = str(status).removeprefix(f"{APART} (").removesuffix(")")
        verb = reason.partition(" ")[0]
        texts = []
        for metric, (label, figures) in NUMBERS.get(verb, {}).items():
            values = numbers.loc[numbers["metric"] == metric, "value"].dropna()
            if len(values):
                spread = f" ± {values.std(ddof=1):.2g}" if len(values) > 1 else ""
                texts.append(f"{label} {values.mean():.{figures}g}{spread}")
        seeds = numbers["seed"].nunique()
        rows.append([str(neuron), reason, "; ".join(texts) or "–", str(seeds) if seeds else "–"])
    if not rows:
        return []
    note = (
        "Neither averaged nor ranked nor paired with the cells of the tables, which were made under other conditions."
    )
    return [Panel("Measured elsewhere", ["neuron", "what differs", "numbers there", "n"], rows, [note])]


def _is_apart(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["status"].str.startswith(f"{APART} (", na=False)


def _counted(revisions: Counter[str]) -> str:
    """A number of cells, and of which revisions they are."""
    each = ", ".join(f"{revision} ({count})" for revision, count in revisions.items())
    return f"{revisions.total()}: {each}" if len(revisions) > 1 else f"{revisions.total()} at {each}" if each else "0"


def made_on(path: Path) -> dict[str, Any]:
    """What a file says of where it was made; ResultsError where it does not."""
    content = read_json(path)
    machine = content.get("machine", content)
    try:
        if isinstance(machine["device"], str) and isinstance(machine["revision"], str):
            int(machine["threads"]), str(machine["versions"]["torch"])
            return dict(machine)
    except (KeyError, TypeError, ValueError):
        pass
    raise ResultsError(f"{path}: no device, threads, versions and revision found in it; run `dvc repro --force`")


def _codes(stages: Locked, results: Path, neurons: list[str], stage: str) -> dict[str, Code]:
    """The code of each cell that the lock file knows with the very results that are there."""
    found = {}
    for neuron in neurons:
        stage_of = stages.get(f"{stage}@{results.parent.name}-{neuron}")
        if stage_of and all(_is_that(results / neuron, out) for out in stage_of.get("outs", [])):
            deps = {dep["path"]: str(dep.get("md5")) for dep in stage_of.get("deps", [])}
            code = [(path, digest) for path, digest in deps.items() if not path.startswith(OF_THE_NEURON)]
            found[neuron] = (*sorted(code), (SETTINGS, _digest(deps)))
    return found


def _is_that(folder: Path, out: dict[str, Any]) -> bool:
    """Whether a JSON file in `folder` is the one that the lock file saw made; of other files it is not asked."""
    path = folder / Path(out["path"]).name
    if path.suffix != ".json":
        return True
    return path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == out.get("md5")


def _digest(deps: dict[str, str]) -> str:
    """A hash of the settings that decide a cell's result, but for those of the neuron alone."""
    kept = {path: digest for path, digest in deps.items() if path.startswith(OF_THE_SETTINGS)}
    kept = {path: digest for path, digest in kept.items() if Path(path).stem != sources.SEEDS}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
