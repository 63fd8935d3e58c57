"""Where and from what the numbers of each cell were made, and which of them may therefore stand in one table.

Two cells are compared only where device, threads, PyTorch and all inputs of their stage agree but for the neuron's own.
A result carries its inputs (benchmarks/cell.py), so that cells of different git revisions may well be comparable.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import cell
from benchmarks.files import ResultsError, read_json
from benchmarks.report.panels import Panel
from benchmarks.report.summary import REFERENCE
from benchmarks.settings import Settings

APART = "apart"
STAGES = {  # stage -> the file that says on what machine it ran; the word for it
    "train": ("run.json", "trained"),
    "measure": ("cost.json", "measured"),
    "dynamics": ("run.json", "looked at"),
}
OF_MACHINES = ("train", "measure")  # the stages that a report counts by machine
DATA, CODE = "data.", "/"
PLAIN = ("device", "threads", "cores", "python")  # of a machine, as they are in the environment panel
UNSAID = "not said"  # by a file of 0.5 or before
NUMBERS = {
    "trained": {"mse": ("MSE", 4), "mae": ("MAE", 4), "ssim": ("SSIM", 4), "psnr": ("PSNR", 4)},
    "measured": {"train_step_ms": ("train step, ms", 3), "train_step_ratio": ("× LIF there", 3)},
}
Inputs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Origin:
    """Where a cell's numbers were made: cells with equal origins are compared, others stand apart."""

    device: str
    threads: int
    torch: str
    inputs: Inputs  # of the stage, without those that are the neuron's own


def apart(results: Path, neurons: list[str], stage: str) -> dict[str, str]:
    """The neurons whose numbers were made otherwise than those of most: neuron -> status that says why.

    `results` is the dataset's folder of results, `neurons` those that have numbers. Of two halves that are equally
    large the one with LIF is the table. Raises ResultsError where a cell's file does not say how it was made.
    """
    _, verb = STAGES[stage]
    found = _filled({neuron: origin(results / neuron, stage) for neuron in neurons})
    if not found:
        return {}
    counts = Counter(found.values())
    most = max(counts, key=lambda one: (counts[one], one == found.get(REFERENCE)))  # else the first listed
    return {neuron: f"{APART} ({differing(one, most, verb)})" for neuron, one in found.items() if one != most}


def _filled(found: dict[str, Origin]) -> dict[str, Origin]:
    """The origins, each with the modules that only other neurons are made of, in the form that most of those have."""
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    for name, digest in (pair for one in found.values() for pair in one.inputs if cell.is_shared(pair[0])):
        forms[name][digest] += 1
    usual = {name: counts.most_common(1)[0][0] for name, counts in forms.items()}
    filled = {neuron: {**usual, **dict(one.inputs)} for neuron, one in found.items()}
    return {neuron: replace(found[neuron], inputs=tuple(sorted(inputs.items()))) for neuron, inputs in filled.items()}


def origin(folder: Path, stage: str) -> Origin:
    """Where the numbers of a stage in a cell's folder were made; ResultsError where its files do not say it."""
    name, _ = STAGES[stage]
    machine, inputs = made_on(folder / name), cell.stored(folder / cell.FILES[stage])["inputs"]
    shared = sorted((key, value) for key, value in inputs.items() if not cell.is_of_neuron(key))
    return Origin(machine["device"], machine["threads"], machine["versions"]["torch"], tuple(shared))


def differing(origin: Origin, most: Origin, verb: str) -> str:
    """What tells an origin from that of most, in words."""
    said = []
    if origin.device != most.device:
        said.append(f"on another device: {origin.device}")
    if origin.threads != most.threads:
        said.append(f"with {origin.threads} threads, the others with {most.threads}")
    if origin.torch != most.torch:
        said.append(f"with torch {origin.torch}, the others with {most.torch}")
    own, theirs = dict(origin.inputs), dict(most.inputs)
    changed = cell.differing(own, theirs)
    code = [name for name in changed if CODE in name]
    settings = [name for name in changed if name not in code and not name.startswith(DATA)]
    said += [f"by other code: {', '.join(code)}"] if code else []
    said += ["on other data"] if any(name.startswith(DATA) for name in changed) else []
    said += [f"with {name} {own.get(name, 'unset')}, the others {theirs.get(name, 'unset')}" for name in settings]
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
    machines = [STAGES[stage] for stage in OF_MACHINES]
    for dataset in settings.datasets:
        for neuron in settings.neurons:
            for name, verb in machines:
                try:
                    machine = made_on(root / profile / dataset / neuron / name)
                except ResultsError:  # the cell's status says so
                    continue
                key = tuple(_surroundings(machine).values())
                kinds.setdefault(key, {verb: Counter() for _, verb in machines})[verb][machine["revision"]] += 1
    rows = [[*key, *(_counted(revisions) for revisions in by_stage.values())] for key, by_stage in kinds.items()]
    notes = [
        "Cells: how many were trained and measured there, with the git revision that each ran at (plus: changed since)."
        " Only cells of one device, number of threads, version of PyTorch and equal inputs (code, settings, data) are"
        " averaged, ranked and paired.",
    ]
    others = table.loc[_is_apart(table), ["dataset", "neuron", "status"]].drop_duplicates()
    notes += [f"{row.neuron} on {row.dataset}: {row.status}." for row in others.itertuples()]
    if left := unlisted(settings, profile, root):
        notes.append(f"Left out, for params.yaml does not list them: {', '.join(left)}.")
    headings = [*_surroundings({"versions": {}}), *(f"Cells {verb}" for _, verb in machines)]
    return Panel("Environment", headings, rows, notes)


def _surroundings(machine: dict[str, Any]) -> dict[str, str]:
    """A machine in words, by the heading of each column; the revision, which moves on, is no part of it."""
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
