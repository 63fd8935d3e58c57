"""Which files of this project decide what a module computes, and their digests.

The closure of a file is itself and all that it imports of its own package, however deep. Digests are of the syntax tree
without docstrings, so that a better comment or docstring changes none.

Some modules lie outside every closure (OUTSIDE): they read options, check settings, write files or say something, and
decide no number. What an `if TYPE_CHECKING:` imports lies outside, too. Of `neurons` a cell has the
files of its own neuron (`of_neuron`), of `datasets` the prepared bytes and how they are read (READING).
"""

import ast
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import neurons

OUTSIDE = {  # file -> why no result depends on it
    "benchmarks/cell.py": "names inputs",
    "benchmarks/checkpoint.py": "writes files and reads them back",
    "benchmarks/closure.py": "names inputs",
    "benchmarks/command.py": "reads options, words errors",
    "benchmarks/files.py": "writes files and reads them back",
    "benchmarks/machine.py": "describes the machine",
    "benchmarks/settings.py": "checks settings, whose values are inputs themselves",
    "benchmarks/weights.py": "writes files and reads them back",
    "benchmarks/workers.py": "starts processes, shows progress",
    "datasets/_card.py": "checks what a card says",
    "datasets/_download.py": "brings files, whose digests are checked",
}
NEURONS, DATASETS = Path("neurons"), Path("datasets")
CONTRACT, CIRCUIT = NEURONS / "_neuron.py", NEURONS / "_stc.py"
READING = "_sequences"  # the module of datasets/ that gives prepared frames to whoever computes
RESOURCES = (".html", ".css", ".js", ".md", ".tex", ".svg", ".csv")  # beside a package's code, part of what it makes


def digests(*cores: str) -> dict[str, str]:
    """The closure of modules of benchmarks/ (their paths), by path: digest."""
    return {str(path): digest(path) for path in sorted({file for core in cores for file in reached(Path(core))})}


def of_neuron(kind: str) -> dict[str, str]:
    """The files of neurons/ that decide what a neuron computes, by path: digest; none for an unknown one."""
    own = NEURONS / f"{kind}.py"
    if around := kind.startswith(neurons.TWIN) and not own.exists():
        own = NEURONS / f"{kind.removeprefix(neurons.TWIN)}.py"
    starts = [own, CONTRACT, *([CIRCUIT] if around else [])] if own.exists() else []
    return {str(path): digest(path) for path in sorted({file for start in starts for file in reached(start)})}


def of_dataset(kind: str) -> dict[str, str]:
    """The files of datasets/ that decide what a dataset holds, by path: digest; none for an unknown one."""
    own = DATASETS / f"{kind}.py"
    starts = [own, DATASETS / "_dataset.py"] if own.exists() else []
    return {str(path): digest(path) for path in sorted({file for start in starts for file in reached(start)})}


def reached(start: Path) -> list[Path]:
    """The closure of a file, sorted."""
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def digest(path: Path) -> str:
    """A digest of what a file of code says; of its bytes where it is no Python that can be read."""
    return _digest(path, path.stat().st_mtime_ns) if path.exists() else "missing"


def bytes_of(folder: Path) -> dict[str, str]:
    """The files beside the code of a package that are part of what it makes, by path: digest of their bytes."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in RESOURCES)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest()[:12] for path in found}


@cache
def _digest(path: Path, changed: int) -> str:
    return hashlib.sha256(_code(path)).hexdigest()[:12]


def _code(path: Path) -> bytes:
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # the stage that imports it will say so
        return content
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _is_text(body):
            node.body = node.body[1:]
    return ast.dump(tree).encode()


def _is_text(body: list[ast.stmt] | None) -> bool:
    """Whether a body opens with a docstring."""
    first = body[0] if body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _imported(path: Path) -> list[Path]:
    return _imported_by(path, path.stat().st_mtime_ns) if path.exists() else []


@cache
def _imported_by(path: Path, changed: int) -> list[Path]:
    """The files of the project that `path` imports and that lie in closures."""
    package = path.parts[0]
    names: list[tuple[str, str]] = []  # package, module in it
    for module, taken in _imports(path):
        top, _, rest = module.partition(".")
        if top == package == "benchmarks":
            names += [(top, f"{rest}.{name}".strip(".")) for name in ("", *taken)]
        elif top == package:
            exported = {} if rest else _exports(Path(package))
            names += [(top, rest), *((top, exported.get(name, name)) for name in taken if not rest)]
        elif top == "datasets" and "Sequences" in taken:
            names.append((top, READING))
        if module == "benchmarks.cell" and "Cell" in taken:  # whose `open` gives frames
            names.append(("datasets", READING))
    found = [file for top, name in names if name and (file := _file(top, name))]
    return [file for file in found if str(file) not in OUTSIDE]


def _file(package: str, name: str) -> Path | None:
    """The file of a module, seen from its package; None where there is none."""
    path = Path(package, *name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def _exports(package: Path) -> dict[str, str]:
    """The names that a package takes from its own modules: name -> module."""
    own = f"{package.name}."
    pairs = [
        (module.removeprefix(own), names)
        for module, names in _imports(package / "__init__.py")
        if module.startswith(own)
    ]
    return {name: module for module, names in pairs for name in names}


def _imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The import statements of a file, but for those of types alone: (module, names taken from it)."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom):
            above = path.parent.parts[: len(path.parent.parts) - node.level + 1] if node.level else ()
            yield ".".join((*above, *([node.module] if node.module else []))), [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def texts_of(folder: Path) -> dict[str, str]:
    """The docstrings of a folder's modules and their classes, by path: digest; of its bytes where it is no Python."""
    return {str(path): _text(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.py"))}


@cache
def _text(path: Path, changed: int) -> str:
    content = path.read_bytes()
    with suppress(SyntaxError, ValueError):
        content = "\0".join(_docstrings(ast.parse(content))).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _docstrings(tree: ast.Module) -> list[str]:
    documented = (node for node in (tree, *tree.body) if isinstance(node, ast.Module | ast.ClassDef))
    return [ast.get_docstring(node) or "" for node in documented]
