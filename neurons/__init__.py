"""What is compared: one public file of this folder is one neuron, and the folder is the registry.

    neurons.available()                      names of the files, sorted
    neurons.build("lif", channels=32)        a layer of them
    neurons.build("stc_lif", channels=32)    from its file
    neurons.build("stc_norse_lif", 32)       no such file: the circuit around norse_lif

A neuron's library is imported only when that neuron is built.
"""

import difflib
import inspect
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Unpack, get_args

from pydantic import ConfigDict, ValidationError, validate_call

from neurons._firing import Firing, ResetGradient, Surrogate
from neurons._neuron import (
    MembraneState,
    Neuron,
    NeuronError,
    NotFiniteError,
    UnsupportedError,
    check_input,
    check_output,
    check_shape,
)
from neurons._stc import STC, Circuit

__all__ = [
    "STC",
    "Firing",
    "MembraneState",
    "Neuron",
    "NeuronError",
    "NotFiniteError",
    "ResetGradient",
    "Surrogate",
    "UnsupportedError",
    "available",
    "build",
    "card",
    "check_input",
    "check_output",
    "check_shape",
    "parameters",
    "twins",
    "wrapped",
]

TWIN = "stc_"


def available() -> list[str]:
    """Names of all neurons that have a file: the public files of this folder, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def twins() -> list[str]:
    """Names of all neurons without a file of their own: `stc_<name>`, the circuit around <name>, sorted.

    Those of neurons without a membrane are among them; `build` says why they cannot be.
    """
    names = set(available())
    return sorted(TWIN + name for name in names if not name.startswith(TWIN) and TWIN + name not in names)


def wrapped(name: str) -> str:
    """The neuron that `name` puts the circuit around without a file of its own; an empty string where it has one."""
    return name.removeprefix(TWIN) if name in twins() else ""


def card(name: str) -> str:
    """The neuron's card: its file's docstring (equations, paper, library, what is learnable, what differs)."""
    return inspect.getdoc(_module(name)) or ""


def parameters(name: str) -> dict[str, Any]:
    """What `build` takes for this neuron beside channels: name -> default (None where the card names it)."""
    own = _known(_maker(wrapped(name) or name)) or {}
    return {**own, **dict.fromkeys(Circuit.__annotations__)} if wrapped(name) else own


def build(name: str, channels: int, firing: Firing = Firing(), **params: Any) -> Neuron:  # noqa: B008 (frozen)
    """A layer of `channels` neurons of the kind `name`, which fire and reset as `firing` says.

    `params` are the arguments of its file's `build`; `stc_<name>` takes the circuit's beside them.
    Raises NeuronError for an unknown name or parameter, or a file without `build`; UnsupportedError where its library
    is not installed, or where it has no membrane for a circuit.
    """
    if type(channels) is not int or channels < 1:
        raise NeuronError(f"neuron {name!r}: channels is {channels!r}, wanted a whole number of at least 1")
    inner = wrapped(name)
    make = _maker(inner or name)
    known = _known(make)
    circuit = {key: params.pop(key) for key in Circuit.__annotations__ if inner and key in params}
    for key in params:
        if known is not None and key not in known:
            raise NeuronError(
                f"neuron {name!r}: unknown parameter {key!r}; {_near(key, list(parameters(name)), 'it takes none')}"
            )
    neuron = _made(name, make, channels, params)
    if not isinstance(neuron, Neuron):
        raise NeuronError(
            f"neurons/{inner or name}.py: build returned {type(neuron).__name__}, wanted a neurons.Neuron"
        )
    if inner:

        def around(channels: int, **circuit: Unpack[Circuit]) -> STC:
            return STC(neuron, channels, **circuit)

        neuron = _made(name, around, channels, circuit)
    for part in neuron.modules():
        if isinstance(part, Neuron):
            part.firing = firing
    return neuron


def _made(name: str, make: Callable[..., Any], channels: int, params: dict[str, Any]) -> Any:
    """What `make` makes of params, which are held against its annotations; any fault becomes one line."""
    try:
        return validate_call(config=ConfigDict(strict=True))(make)(channels, **params)
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


def _maker(name: str) -> Callable[..., Any]:
    make = getattr(_module(name), "build", None)
    if not callable(make):
        raise NeuronError(f"neurons/{name}.py: no build(channels, **params) found; define one that returns a Neuron")
    found: Callable[..., Any] = make
    return found


def _known(make: Callable[..., Any]) -> dict[str, Any] | None:
    """The parameters that `make` names beside the channels, with their defaults; None where it takes any."""
    known: dict[str, Any] = {}
    for parameter in list(inspect.signature(make).parameters.values())[1:]:
        if parameter.kind is not parameter.VAR_KEYWORD:
            known[parameter.name] = parameter.default
        elif get_args(parameter.annotation):  # Unpack[Circuit]
            known |= dict.fromkeys(get_args(parameter.annotation)[0].__annotations__)
        else:
            return None
    return known


def _module(name: str) -> Any:
    if name not in available():
        raise NeuronError(f"unknown neuron {name!r}; {_near(name, available() + twins(), 'there are none')}")
    try:
        return import_module(f"neurons.{name}")
    except ImportError as error:
        raise UnsupportedError(f"neurons/{name}.py: {error}; install its library") from error
    except Exception as error:
        raise NeuronError(f"neurons/{name}.py cannot be imported: {_said(error)}") from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _near(name: str, known: list[str], none: str) -> str:
    near = difflib.get_close_matches(name, known, n=3) or sorted(known)
    return f"did you mean {' or '.join(near)}?" if near else none
