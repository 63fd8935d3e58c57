"""Stage `sources`: which files of neurons/ each cell's result rests on, and their hashes.

    python -m benchmarks.sources

Writes results/sources/<name>.json for every line under `neurons:` in params.yaml, and for every neuron. `train` and
`measure` depend on that of their own cell, so that an edit of one library's adapter runs that library's neurons again
and no others, and `stc_<name>` needs no file. What a file imports is followed; the registry itself decides no result.
"""

import ast
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import neurons
from benchmarks import command, settings
from benchmarks.files import write_json, writing

FOLDER = Path("neurons")
OUT = Path("results") / "sources"
CONTRACT = FOLDER / "_neuron.py"  # every neuron stands on it, however it came by it
CIRCUIT = FOLDER / "_stc.py"


def of(neuron: str) -> list[Path]:
    """The files of neurons/ that decide what `neuron` computes, sorted; none for an unknown one."""
    inner = neurons.wrapped(neuron)
    own = FOLDER / f"{inner or neuron}.py"
    if not own.exists():
        return []
    found: set[Path] = set()
    waiting = [own, CONTRACT, *([CIRCUIT] if inner else [])]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def _imported(path: Path) -> Iterator[Path]:
    """The files of neurons/ that `path` imports, by their own name or by that of something the package exports."""
    for module, names in _imports(path):
        if module == "neurons":
            exported = {name: source for source, found in _imports(FOLDER / "__init__.py") for name in found}
            candidates = [*(f"neurons.{name}" for name in names), *(exported.get(name, "") for name in names)]
        else:
            candidates = [module]
        for candidate in candidates:
            package, _, name = candidate.partition(".")
            file = FOLDER / f"{name}.py"
            if package == "neurons" and name and file.exists():
                yield file


def _imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The import statements of a file: (module, names taken from it)."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, ValueError):  # the cell will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = f"neurons.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            yield module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def main() -> None:
    """Writes the sources of every line of params.yaml and of every neuron that has a file, whole or not at all."""
    command.parser("sources", "List the files of neurons/ that each cell's result rests on.").parse_args()
    names = sorted({*settings.load().neurons, *neurons.available()})
    with writing(OUT):
        OUT.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".sources.", dir=OUT.parent) as temporary:
            made = Path(temporary) / OUT.name
            for name in names:
                files = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in of(settings.kind(name))}
                write_json(made / f"{name}.json", {"neuron": settings.kind(name), "files": files})
            shutil.rmtree(OUT, ignore_errors=True)
            made.rename(OUT)


if __name__ == "__main__":
    command.run(main)
