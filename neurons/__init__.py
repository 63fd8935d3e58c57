"""What is compared: one public file of this folder is one neuron, and the folder is the registry.

    neurons.available()                      names, sorted
    neurons.build("lif", channels=32)        a layer of them

A neuron's library is imported only when that neuron is built.
"""

import difflib
import inspect
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pydantic import ConfigDict, ValidationError, validate_call

from neurons._neuron import (
    MembraneState,
    Neuron,
    NeuronError,
    NotFiniteError,
    State,
    UnsupportedError,
    check_output,
    check_shape,
    fire,
)

__all__ = [
    "MembraneState",
    "Neuron",
    "NeuronError",
    "NotFiniteError",
    "State",
    "UnsupportedError",
    "available",
    "build",
    "card",
    "check_output",
    "check_shape",
    "fire",
]


def available() -> list[str]:
    """Names of all neurons: the public files of this folder, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def card(name: str) -> str:
    """The neuron's card: its file's docstring (equations, paper, library, what is learnable, what differs)."""
    return inspect.getdoc(_module(name)) or ""


def build(name: str, channels: int, **params: Any) -> Neuron:
    """A layer of `channels` neurons of the kind `name`; `params` are the arguments of its file's `build`.

    Raises NeuronError for an unknown name or parameter, a file without `build`, or a library that is not installed.
    """
    make = getattr(_module(name), "build", None)
    if not callable(make):
        raise NeuronError(f"neurons/{name}.py: no build(channels, **params) found; define one that returns a Neuron")
    known = dict(list(inspect.signature(make).parameters.items())[1:])
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        for param in params:
            if param not in known:
                raise NeuronError(f"neuron {name!r}: unknown parameter {param!r}; {_near(param, list(known))}")
    try:
        neuron = validate_call(config=ConfigDict(strict=True))(make)(channels, **params)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise NeuronError(f"neuron {name!r}: {where}: {first['msg']}, found {first['input']!r}") from None
    except NeuronError:
        raise
    except ImportError as error:
        raise UnsupportedError(f"neuron {name!r}: {error}; install its library") from error
    except Exception as error:  # a neuron may refuse a value in any way; the reader needs whose and which
        raise NeuronError(f"neuron {name!r} with {params}: {_said(error)}") from error
    if not isinstance(neuron, Neuron):
        raise NeuronError(f"neurons/{name}.py: build returned {type(neuron).__name__}, wanted a neurons.Neuron")
    return neuron


def _module(name: str) -> Any:
    if name not in available():
        raise NeuronError(f"unknown neuron {name!r}; {_near(name, available())}")
    try:
        return import_module(f"neurons.{name}")
    except ImportError as error:
        raise UnsupportedError(f"neurons/{name}.py: {error}; install its library") from error
    except Exception as error:
        raise NeuronError(f"neurons/{name}.py cannot be imported: {_said(error)}") from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _near(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3) or known
    return f"did you mean {' or '.join(near)}?" if near else "it takes none"
