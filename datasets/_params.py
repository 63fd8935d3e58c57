"""Types of the parameters that datasets share; `datasets.prepare` holds params.yaml to them."""

from typing import Annotated

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from datasets._card import DatasetError

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=7, le=1024)]  # of a frame in pixels; 7 is the window of SSIM


class Counts(TypedDict):
    """How many of something each split gets."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    train: Count
    validation: Count
    test: Count


def demand(name: str, holds: bool, found: str, wanted: str) -> None:
    """For what a type cannot say of the parameters of dataset `name`: raises DatasetError unless it holds."""
    if not holds:
        raise DatasetError(f"dataset {name!r}: {found} found, wanted {wanted}; change it in params.yaml")
