"""A strict blob store in memory, for tests; passes the same contract suite as the real ones."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from vm_runtime.storage.names import split_name
from vm_runtime.storage.port import (
    LARGEST_READ_BYTES,
    Blob,
    BlobInfo,
    BlobNotFoundError,
    BlobTooLargeError,
    Fill,
    PreconditionFailedError,
)


class MemoryBlobStore:
    """A `BlobStore` whose generations are one counter for the whole store."""

    def __init__(self) -> None:
        """Start empty."""
        self._blobs: dict[str, Blob] = {}
        self._last_generation = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """A URL that nothing can open."""
        return "memory://"

    def read(self, name: str) -> Blob:
        """Return the object."""
        split_name(name)
        with self._lock:
            if name not in self._blobs:
                raise BlobNotFoundError(f"{name}: expected an object, found none.")
            if len(self._blobs[name].data) > LARGEST_READ_BYTES:
                raise BlobTooLargeError(name)
            return self._blobs[name]

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write and return the new generation."""
        split_name(name)
        with self._lock:
            self._check(name, if_generation)
            self._last_generation += 1
            self._blobs[name] = Blob(name=name, data=bytes(data), generation=self._last_generation)
            return self._last_generation

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete."""
        split_name(name)
        with self._lock:
            if name not in self._blobs:
                raise BlobNotFoundError(f"{name}: expected an object to delete, found none.")
            self._check(name, if_generation)
            del self._blobs[name]

    def list(self, prefix: str) -> list[BlobInfo]:
        """Return what starts with `prefix`, sorted."""
        now = datetime.now(UTC)
        with self._lock:
            found = sorted(name for name in self._blobs if name.startswith(prefix))
            return [
                BlobInfo(
                    name=name,
                    size_bytes=len(self._blobs[name].data),
                    generation=self._blobs[name].generation,
                    updated_at=now,
                )
                for name in found
            ]

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders right below `prefix`, sorted."""
        with self._lock:
            below = [name[len(prefix) :] for name in self._blobs if name.startswith(prefix)]
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Write what `fill` writes."""
        content = BytesIO()
        fill(content)
        self.write(name, content.getvalue(), if_generation=if_generation)

    def download(self, name: str, target: Path) -> None:
        """Write an object's content to `target`."""
        with self._lock:
            if name not in self._blobs:
                raise BlobNotFoundError(f"{name}: expected an object, found none.")
            data = self._blobs[name].data
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def _check(self, name: str, if_generation: int | None) -> None:
        found = self._blobs[name].generation if name in self._blobs else 0
        if if_generation is not None and if_generation != found:
            raise PreconditionFailedError(
                f"{name}: expected generation {if_generation}, found {found}."
            )
