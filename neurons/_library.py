"""Importing a neuron library without the notices that its import alone sets off."""

import logging
import warnings
from importlib import import_module
from typing import Any


def load(module: str) -> Any:
    """The module of that name; a user can do nothing about what is hidden here, and it would fill every log.

    Norse's import uses torch.jit, which torch deprecates; SpikingJelly's registers Triton kernels, which torch notes
    where Triton is not installed.
    """
    notices = logging.getLogger("torch._library.triton")
    level = notices.level
    notices.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return import_module(module)
    finally:
        notices.setLevel(level)
