"""Stage `sources`: what each cell's result rests on: files of neurons/ and datasets/, parts of params.yaml.

    python -m benchmarks.sources

Writes into results/sources/, a small file each, so that a stage depends on what decides its result and on no more:

    <line>.json                            a line under `neurons` or `more_neurons` of params.yaml: arguments, files
    neurons/<neuron>.json                  a neuron by itself, for stages that build it whatever params.yaml says
    datasets/<dataset>.json                a dataset's files
    profiles/<profile>/<dataset>/<part>.json   what params.yaml says of a dataset in a profile, by part

An edit of one library's adapter thus runs that library's neurons again and no others, and `stc_<name>` needs no file. A
line that is widened to the size of its circuit twin rests on the twin's files and arguments as well. What a file
imports is followed; the registries themselves decide no result.

No cell has `params:` of DVC, which would read the whole of params.yaml anew for each.
"""

import ast
import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import neurons
from benchmarks import command, settings
from benchmarks.files import write_json, writing
from benchmarks.settings import AS_WIDE_AS, CellSettings, Settings

FOLDER = Path("neurons")
OUT = Path("results") / "sources"
CONTRACT = FOLDER / "_neuron.py"  # every neuron stands on it, however it came by it
CIRCUIT = FOLDER / "_stc.py"
DATASETS = Path("datasets")
PROFILES = OUT / "profiles"
SEEDS = "seeds"  # the part with the settings of training that do not change what a seed gives
NO_MATTER = ("workers", "loaders", "seeds")


def of(neuron: str) -> list[Path]:
    """The files of neurons/ that decide what `neuron` computes, sorted; none for an unknown one."""
    inner = neurons.wrapped(neuron)
    own = FOLDER / f"{inner or neuron}.py"
    if not own.exists():
        return []
    return _reached([own, CONTRACT, *([CIRCUIT] if inner else [])])


def of_line(loaded: Settings, line: str) -> dict[str, Any]:
    """What a line of params.yaml rests on: its neuron (`of`), `params` and `files`; of a widened line, the twin."""
    twin = loaded.twin(line)
    files = {*of(settings.kind(line)), *(of(settings.kind(twin)) if twin else [])}
    return {
        "of": settings.kind(line),
        "params": _plain(loaded.neurons[line]),
        **({AS_WIDE_AS: {twin: _plain(loaded.neurons[twin])}} if twin else {}),
        "files": _hashed(sorted(files)),
    }


def of_cell(cell: CellSettings) -> dict[str, Any]:
    """What params.yaml says of a dataset in a profile, by the parts that stages depend on; values as checked.

    Only what stands there: a setting that a later version adds, with a default, makes no cell stale.
    """
    said = cell.model_dump(exclude_unset=True)
    training = said["training"]
    parts = {
        "data": said["data"],
        "network": said["network"],
        "training": {key: value for key, value in training.items() if key not in NO_MATTER},
        SEEDS: {key: value for key, value in training.items() if key in NO_MATTER},
        "batch": {"batch": training["batch"], "device": training["device"]},
        "cost": said["cost"],
        "stability": said.get("stability"),
    }
    return {part: _plain(values) for part, values in parts.items() if values is not None}


def _plain(value: Any) -> Any:
    """A value of params.yaml for JSON, its keys in order; what JSON has no form for as text, with its type."""
    if isinstance(value, dict):
        known = {key if isinstance(key, str) else _told(key): _plain(entry) for key, entry in value.items()}
        return dict(sorted(known.items()))
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _told(value)


def _told(value: Any) -> str:
    return f"{type(value).__name__} {value}"


def _hashed(paths: list[Path]) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def of_dataset(dataset: str) -> list[Path]:
    """The files of datasets/ that decide what `dataset` holds, sorted; none for an unknown one."""
    own = DATASETS / f"{dataset}.py"
    return _reached([own, DATASETS / "_dataset.py"]) if own.exists() else []


def _reached(waiting: list[Path]) -> list[Path]:
    """The files to start from and all that they import of their own folder, however deep."""
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def _imported(path: Path) -> Iterator[Path]:
    """The files of its folder that `path` imports, by their own name or by that of something the package exports."""
    folder = path.parent
    for module, names in _imports(path):
        if module == folder.name:
            exported = {name: source for source, found in _imports(folder / "__init__.py") for name in found}
            candidates = [*(f"{module}.{name}" for name in names), *(exported.get(name, "") for name in names)]
        else:
            candidates = [module]
        for candidate in candidates:
            package, _, name = candidate.partition(".")
            file = folder / f"{name}.py"
            if package == folder.name and name and file.exists():
                yield file


def _imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The import statements of a file: (module, names taken from it)."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, ValueError):  # the cell will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = f"{path.parent.name}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            yield module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def contents(loaded: Settings) -> dict[str, dict[str, Any]]:
    """What every line, neuron, dataset and profile of params.yaml rests on, by the name of its file below OUT."""
    every = loaded.of_all()
    found = {line: of_line(every, line) for line in every.neurons}
    found |= {f"neurons/{name}": {"of": name, "files": _hashed(of(name))} for name in neurons.available()}
    for line in {*loaded.datasets, *datasets.available()}:
        kind = settings.kind(line)
        found[f"datasets/{line}"] = {"of": kind, "files": _hashed(of_dataset(kind))}
    for profile, cells in loaded.profiles.items():
        for dataset, cell in cells.items():
            for part, values in of_cell(cell).items():
                found[f"{PROFILES.name}/{profile}/{dataset}/{part}"] = {part: values}
    return found


def main() -> None:
    """Writes what every line, neuron, dataset and profile of params.yaml rests on, whole or not at all."""
    command.parser("sources", "List what each cell's result rests on: files, and parts of params.yaml.").parse_args()
    found = contents(settings.load())
    with writing(OUT):
        OUT.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".sources.", dir=OUT.parent) as temporary:
            made = Path(temporary) / OUT.name
            for name, content in found.items():
                write_json(made / f"{name}.json", content)
            shutil.rmtree(OUT, ignore_errors=True)
            made.rename(OUT)


if __name__ == "__main__":
    command.run(main)
