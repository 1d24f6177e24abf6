"""What a document of the forecaster is, and the one that plans repeat; loads no numpy.

Three of the four functions read plans and forecast nothing: they start sooner for it.
"""

from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def document(cls: type[T]) -> type[T]:
    """Make a frozen, keyword-only dataclass that validates all its fields at once."""
    config = ConfigDict(extra="forbid", allow_inf_nan=False)
    make: Callable[..., Any] = dataclass(frozen=True, slots=True, kw_only=True, config=config)
    made: type[T] = make(cls)
    return made


@document
class LeftOut:
    """A grid zone without a forecast; the planner does not use it."""

    grid_zone: str
    """Electricity Maps zone key."""
    reason: str
    """Why, for a person."""
