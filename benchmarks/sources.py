"""Stage `sources`: which files of neurons/ and datasets/ each cell's result rests on, and their hashes.

    python -m benchmarks.sources

Writes results/sources/<name>.json for every line under `neurons:` in params.yaml, and for every neuron; `train` and
`measure` depend on that of their own cell, so that an edit of one library's adapter runs that library's neurons again
and no others, and `stc_<name>` needs no file. A line that is widened to the size of its circuit twin rests on the
twin's files and parameters as well. Writes results/sources/datasets/<name>.json likewise, on which `prepare` depends.
What a file imports is followed; the registries themselves decide no result.
"""

import ast
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import neurons
from benchmarks import command, settings
from benchmarks.files import write_json, writing
from benchmarks.settings import AS_WIDE_AS, Settings

FOLDER = Path("neurons")
OUT = Path("results") / "sources"
CONTRACT = FOLDER / "_neuron.py"  # every neuron stands on it, however it came by it
CIRCUIT = FOLDER / "_stc.py"
DATASETS = Path("datasets")


def of(neuron: str) -> list[Path]:
    """The files of neurons/ that decide what `neuron` computes, sorted; none for an unknown one."""
    inner = neurons.wrapped(neuron)
    own = FOLDER / f"{inner or neuron}.py"
    if not own.exists():
        return []
    return _reached([own, CONTRACT, *([CIRCUIT] if inner else [])])


def of_line(loaded: Settings, line: str) -> dict[str, Any]:
    """What a line of params.yaml rests on: the neuron that it is `of`, its `files`; of a widened line, the twin."""
    twin = loaded.twin(line) if line in loaded.neurons else ""
    if not twin:
        return {"of": settings.kind(line), "files": _hashed(of(settings.kind(line)))}
    files = {*of(settings.kind(line)), *of(settings.kind(twin))}
    return {"of": settings.kind(line), AS_WIDE_AS: {twin: loaded.neurons[twin]}, "files": _hashed(sorted(files))}


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


def main() -> None:
    """Writes the sources of every line of params.yaml and of every neuron that has a file, whole or not at all."""
    command.parser("sources", "List the files of neurons/ that each cell's result rests on.").parse_args()
    loaded = settings.load()
    found = {line: of_line(loaded, line) for line in {*loaded.neurons, *neurons.available()}}
    for line in {*loaded.datasets, *datasets.available()}:
        kind = settings.kind(line)
        found[f"datasets/{line}"] = {"of": kind, "files": _hashed(of_dataset(kind))}
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
