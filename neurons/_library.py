"""Importing a neuron library without the notices that its import and its first step alone set off."""

import logging
import warnings
from importlib import import_module
from typing import Any

from neurons._neuron import UnsupportedError


def load(module: str) -> Any:
    """The module of that name; raises UnsupportedError where its library is not installed.

    A user can do nothing about what is hidden here, and it would fill every log: Norse's import uses torch.jit, which
    torch deprecates; SpikingJelly registers Triton kernels, at its first step too, which torch notes where Triton is
    not installed.
    """
    logging.getLogger("torch._library.triton").addFilter(_worth_reading)
    library = module.partition(".")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name != library:
                raise
            raise UnsupportedError(f"{library} is not installed") from None


def _worth_reading(record: logging.LogRecord) -> bool:
    return "Triton not available" not in record.getMessage()
