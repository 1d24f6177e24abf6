"""What a blob store promises, and the errors it raises; no implementation here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias

Fill: TypeAlias = Callable[[BinaryIO], object]
"""Writes an object's content into a stream that only takes `write`; may be called again."""


LARGEST_READ_BYTES = 2**24
"""Of an object that `read` returns; documents have a hundredth of it. Larger ones: `download`."""


class StorageError(Exception):
    """Base of everything that a blob store raises."""


class BlobNotFoundError(StorageError):
    """There is no object of that name."""


class BlobTooLargeError(StorageError):
    """The object has more than `LARGEST_READ_BYTES`: no document of ours, and not read."""

    def __init__(self, name: str) -> None:
        """Say whose fault it is likely to be."""
        super().__init__(
            f"{name}: expected at most {LARGEST_READ_BYTES} bytes, found more. It is no document"
            " of SmartScheduler's: find out who wrote it, and restore the object's older version."
        )


class PreconditionFailedError(StorageError):
    """The object's generation is not the expected one: somebody else wrote first."""


class StorageDeniedError(StorageError):
    """The caller may not do that; retrying does not help, a person must grant the right."""


class StorageUnavailableError(StorageError):
    """The store did not answer in time or refused for now; the write may or may not have landed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """An object's content with the generation that it has."""

    name: str
    data: bytes
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobInfo:
    """An object in a listing."""

    name: str
    size_bytes: int
    generation: int
    updated_at: datetime


class BlobStore(Protocol):
    """Named blobs with generations; every write makes a new, larger generation.

    A precondition `if_generation=g` makes a write or delete happen only if the object's
    present generation is `g`; 0 means that it must not exist. `None` means no condition.
    All methods may raise `StorageUnavailableError` and `StorageDeniedError`.
    """

    def read(self, name: str) -> Blob:
        """Return the object; raises `BlobNotFoundError`, `BlobTooLargeError`."""
        ...

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write atomically and return the new generation; raises `PreconditionFailedError`."""
        ...

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete; raises `BlobNotFoundError`, `PreconditionFailedError`."""
        ...

    def list(self, prefix: str) -> list[BlobInfo]:
        """Return all objects whose names start with `prefix`, sorted by name."""
        ...

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders right below `prefix`, itself one or empty, sorted.

        Names without `prefix` and without slashes. What is in them is not listed: the cost is
        that of their number.
        """
        ...

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Write what `fill` writes, piece by piece: the whole is never held in memory.

        Nothing is seen of it before all is there. What `fill` raises goes through, and
        leaves the object as it was. Raises `PreconditionFailedError`.
        """
        ...

    def download(self, name: str, target: Path) -> None:
        """Write an object's content to `target`; raises `BlobNotFoundError`."""
        ...

    @property
    def url(self) -> str:
        """`gs://BUCKET` or `file:///FOLDER`, as in the instance's metadata."""
        ...
