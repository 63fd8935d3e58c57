"""What neurons are tried on: one public file of this folder is one dataset, and the folder is the registry.

    datasets.available()                                          names, sorted
    datasets.prepare("moving_mnist", root, folder, canvas=64)     makes the canonical form
    datasets.open("moving_mnist", folder, "test")                 opens a split of it

A dataset file has a docstring that is its card and `prepare(root, out, **params)`.
"""

import difflib
import inspect
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from datasets._card import SPLITS, DatasetError, prepare_command, read_card
from datasets._sequences import Sequences, open_split

__all__ = ["SPLITS", "DatasetError", "Sequences", "available", "card", "document", "open", "prepare"]


def available() -> list[str]:
    """Names of all datasets: the public files of this folder, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def prepare(name: str, root: Path, out: Path, **params: Any) -> None:
    """Makes the canonical form of dataset `name` in the folder `out`, whole or not at all.

    `root` is where the user keeps official files. Raises DatasetError for what a user can get wrong; the types that
    the dataset's own `prepare` declares are checked here.
    """
    make = _module(name).prepare
    known = list(inspect.signature(make).parameters)[2:]
    for param in params:
        if param not in known:
            raise DatasetError(f"dataset {name!r}: unknown parameter {param!r}; {_near(param, known)}")
    try:
        validate_call(config=ConfigDict(strict=True))(make)(root, out, **params)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing_argument":
            raise DatasetError(f"dataset {name!r}: parameter {where!r} is missing from params.yaml") from None
        said = f"{where} {first['input']!r}: {first['msg']}"
        raise DatasetError(f"dataset {name!r}: {said}; change it in params.yaml") from None


def open(name: str, folder: Path, split: str) -> Sequences:
    """A split (train, validation or test) of the dataset `name` prepared in `folder`, memory-mapped."""
    _module(name)
    return open_split(folder, name, split)


def card(name: str, folder: Path, wanted: dict[str, Any] | None = None) -> dict[str, Any]:
    """The card of the dataset prepared in `folder`; with `wanted`, one prepared with other parameters is refused."""
    _module(name)
    found = read_card(folder, name)
    if wanted is not None and found["params"] != wanted:
        params = found["params"]
        key = next(k for k in sorted({*params, *wanted}) if params.get(k) != wanted.get(k))
        raise DatasetError(
            f"{folder}: stale, prepared with {key}={params.get(key)!r}, params.yaml has {wanted.get(key)!r};"
            f" run `{prepare_command(name)}`"
        )
    return found


def document(name: str) -> str:
    """The docstring of a dataset: what it is, where it is from, how it is split, what differs from the original."""
    return inspect.getdoc(_module(name)) or ""


def _module(name: str) -> Any:
    if name not in available():
        raise DatasetError(f"unknown dataset {name!r}; {_near(name, available())}")
    return import_module(f"datasets.{name}")


def _near(name: str, known: list[str]) -> str:
    return f"did you mean {' or '.join(difflib.get_close_matches(name, known, n=3) or known)}?"
