"""Importing a neuron library without the notices that its import and its first step alone set off."""

import logging
import warnings
from importlib import import_module
from typing import Any


def load(module: str) -> Any:
    """The module of that name; a user can do nothing about what is hidden here, and it would fill every log.

    Norse's import uses torch.jit, which torch deprecates; SpikingJelly registers Triton kernels, at its first step too,
    which torch notes where Triton is not installed.
    """
    logging.getLogger("torch._library.triton").addFilter(_worth_reading)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_module(module)


def _worth_reading(record: logging.LogRecord) -> bool:
    return "Triton not available" not in record.getMessage()
