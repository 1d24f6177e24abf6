"""The building blocks of every document: strict frozen dataclasses, UTC times, ids."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias, TypeVar, dataclass_transform

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field
from pydantic.dataclasses import dataclass

T = TypeVar("T")

SCHEMA_VERSION = 1
"""Version of all documents; a reader refuses one that it does not know."""

_LONGEST_PATH = 512
"""Characters; with its folder it must fit into an object's name (1,024 bytes)."""

_CONFIG = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def document(cls: type[T]) -> type[T]:
    """Make a frozen, keyword-only dataclass that validates all its fields at once.

    Unknown fields, NaN and infinities are refused. Construction raises
    `pydantic.ValidationError` (a `ValueError`) that lists everything that is wrong.
    """
    make: Callable[..., Any] = dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
    made: type[T] = make(cls)
    return made


def _to_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _is_inside(path: str) -> str:
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or len(path) > _LONGEST_PATH or not path.isprintable():
        message = (
            "expected a relative path inside the source folder, such as nets/train.py, with no"
            f" empty, '.' or '..' part and no control character, found {path[:80]!r}"
        )
        raise ValueError(message)
    return path


Utc: TypeAlias = Annotated[AwareDatetime, AfterValidator(_to_utc)]
"""An aware time, normalised to UTC; a naive one is refused."""

JobId: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")]
"""Lower case, digits, dashes, at most 40: it becomes part of a VM's name (at most 63)."""

RelativePath: TypeAlias = Annotated[str, AfterValidator(_is_inside)]
"""A path below the job's source folder, with forward slashes."""

Positive: TypeAlias = Annotated[float, Field(gt=0)]
NonNegative: TypeAlias = Annotated[float, Field(ge=0)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
