"""Typed documents in the bucket, with the store's errors mapped to ours."""

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from functions.errors import (
    InvalidInputError,
    PermissionDeniedError,
    SchedulerError,
    StaleStateError,
    UnavailableError,
)
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.codec import DocumentError, decode, encode
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress
from vm_runtime.storage.port import (
    Blob,
    BlobInfo,
    BlobNotFoundError,
    BlobStore,
    BlobTooLargeError,
    PreconditionFailedError,
    StorageDeniedError,
    StorageError,
    StorageUnavailableError,
)

T = TypeVar("T")

_REMEMBERED = 1024
"""Documents kept decoded: most looks find most of them unchanged."""

_LARGEST = 2**23
"""Bytes; the receipt of a job that ran for 120 days has half of it."""

_LARGEST_OF_A_VM = 2**20
"""Bytes of what VMs write, so perhaps a job's own code, and each look reads, in many threads."""

_OF_A_VM = frozenset({Lease, Latest, Progress})


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned(Generic[T]):
    """A document with the generation to compare-and-swap against."""

    document: T
    generation: int


class Documents:
    """Reads and writes documents; every error says which object."""

    def __init__(self, store: BlobStore) -> None:
        """Use the bucket behind `store`."""
        self._store = store

    def find(self, kind: type[T], name: str) -> Versioned[T] | None:
        """Return the document, `None` if there is no such object.

        Raises:
            InvalidInputError: it is there but malformed or of an unknown version.
        """
        with _mapped(name):
            try:
                blob = self._store.read(name)
            except BlobNotFoundError:
                return None
        _check_size(kind, blob)
        any_kind: Any = kind
        try:
            document = _decoded(any_kind, blob.data, name)
        except DocumentError as error:
            raise InvalidInputError(str(error)) from error
        _check_owner(document, name)
        return Versioned(document=document, generation=blob.generation)

    def get(self, kind: type[T], name: str) -> T:
        """Return the document.

        Raises:
            InvalidInputError: it is missing or malformed.
        """
        found = self.find(kind, name)
        if found is None:
            raise InvalidInputError(f"{name}: expected an object, found none. Submit the job anew.")
        return found.document

    def peek(self, kind: type[T], name: str) -> T | None:
        """Return the document without its generation, `None` if there is no such object."""
        found = self.find(kind, name)
        return found.document if found else None

    def write(self, name: str, document: object, *, if_generation: int | None = None) -> int:
        """Write and return the new generation.

        Raises:
            StaleStateError: the precondition failed: somebody else wrote first.
        """
        with _mapped(name):
            return self._store.write(name, encode(document), if_generation=if_generation)

    def create(self, name: str, document: object) -> bool:
        """Write if there is no such object yet; return whether it was written."""
        try:
            self.write(name, document, if_generation=0)
        except StaleStateError:
            return False
        return True

    def mark(self, name: str) -> None:
        """Write an object that says something by being there, and by its generation."""
        with _mapped(name):
            self._store.write(name, b"")

    def remove(self, name: str, *, if_generation: int) -> None:
        """Delete an object; one that is gone is fine.

        Raises:
            StaleStateError: it was written anew.
        """
        with _mapped(name), suppress(BlobNotFoundError):
            self._store.delete(name, if_generation=if_generation)

    def infos(self, prefix: str) -> list[BlobInfo]:
        """Return all objects below `prefix`, sorted by name."""
        with _mapped(prefix):
            return self._store.list(prefix)

    def names(self, prefix: str) -> list[str]:
        """Return the names of all objects below `prefix`, sorted."""
        return [info.name for info in self.infos(prefix)]

    def job_ids(self) -> list[str]:
        """Return the ids of all jobs that ever were, sorted; the open ones: `open_jobs`."""
        with _mapped(object_names.JOBS):
            return list(self._store.folders(object_names.JOBS))


@lru_cache(maxsize=_REMEMBERED)
def _decoded(kind: Any, data: bytes, name: str) -> Any:  # noqa: ANN401 - a document and its class
    """Return the document in `data`; frozen, so the same bytes may give the same object."""
    return decode(kind, data, name=name)


def _check_size(kind: type[Any], blob: Blob) -> None:
    """Refuse before it is parsed what would take twenty times as much memory then."""
    largest = _LARGEST_OF_A_VM if kind in _OF_A_VM else _LARGEST
    if len(blob.data) > largest:
        raise InvalidInputError(
            f"{blob.name}: expected a {kind.__name__} of at most {largest} bytes, found"
            f" {len(blob.data)}. Find out who wrote it, and restore the object's older version."
        )


def _check_owner(document: object, name: str) -> None:
    """Refuse a job's document in another's folder: VMs would be made in the other's name."""
    said = getattr(document, "job_id", None)
    if said is None or not name.startswith(object_names.JOBS):
        return
    if not name.startswith(object_names.job_folder(said)):
        raise InvalidInputError(
            f"{name}: expected the job_id of its folder, found {said!r}. Was it copied from"
            " another job? Restore the object's older version, or submit the job anew."
        )


class _mapped:  # noqa: N801 - a context manager is spelt as a function
    """Maps the store's errors to ours; a class, as a generator would cost more than a read."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # That there is no such object is the caller's own business.
        if isinstance(error, StorageError) and not isinstance(error, BlobNotFoundError):
            raise _ours(self._name, error) from error


def _ours(name: str, error: StorageError) -> SchedulerError:
    if isinstance(error, PreconditionFailedError):
        return StaleStateError(f"{name}: somebody else wrote it first ({error})")
    if isinstance(error, StorageDeniedError):
        return PermissionDeniedError(
            f"{name}: the bucket refused ({error}). Grant this function's service account"
            " roles/storage.objectUser on the bucket."
        )
    if isinstance(error, StorageUnavailableError):
        return UnavailableError(f"{name}: the bucket did not answer ({error})")
    if isinstance(error, BlobTooLargeError):
        return InvalidInputError(str(error))
    return InvalidInputError(
        f"{name[:200]!r}: the bucket has no such name ({error}). A document that was edited by"
        " hand may name it: mend that."
    )
