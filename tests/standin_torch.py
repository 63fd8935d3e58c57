"""The names of PyTorch and nothing behind them: as torch.py in a stand-in project it saves each process the import.

Nothing there computes, and the import of the real one takes seconds.
"""

import sys
from abc import ABCMeta
from typing import Any

__version__ = "0"
__path__: list[str] = []


class Name(ABCMeta):
    """A class that has every attribute, each a class of this kind. As a decorator it changes nothing."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        made = Name(name, (Exception,) if name.endswith("Error") else (), {})
        setattr(cls, name, made)
        return made

    def __call__(cls, *arguments: Any, **_: Any) -> Any:
        return arguments[0] if arguments else cls


class Torch(metaclass=Name):
    """What the module has."""


Torch.cuda.is_available = bool  # there is none


def __getattr__(name: str) -> Any:
    return getattr(Torch, name)


sys.modules |= {"torch.autograd": Torch.autograd, "torch.autograd.function": Torch.autograd.function}
