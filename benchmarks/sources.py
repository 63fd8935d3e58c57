"""Stage `sources`: which files of neurons/ and datasets/ each cell's result rests on, and their hashes.

    python -m benchmarks.sources

Writes results/sources/<name>.json for every line under `neurons:` in params.yaml, and for every neuron; `train` and
`measure` depend on that of their own cell, so that an edit of one library's adapter runs that library's neurons again
and no others, and `stc_<name>` needs no file. Writes results/sources/datasets/<name>.json likewise, on which `prepare`
depends. What a file imports is followed; the registries themselves decide no result.
"""

import ast
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import neurons
from benchmarks import command, settings
from benchmarks.files import write_json, writing

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
    cells = {name: of(settings.kind(name)) for name in {*loaded.neurons, *neurons.available()}}
    cells |= {f"datasets/{name}": of_dataset(settings.kind(name)) for name in {*loaded.datasets, *datasets.available()}}
    with writing(OUT):
        OUT.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".sources.", dir=OUT.parent) as temporary:
            made = Path(temporary) / OUT.name
            for name, paths in cells.items():
                files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
                write_json(made / f"{name}.json", {"of": settings.kind(name.removeprefix("datasets/")), "files": files})
            shutil.rmtree(OUT, ignore_errors=True)
            made.rename(OUT)


if __name__ == "__main__":
    command.run(main)
