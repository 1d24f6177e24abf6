"""The objects of a job's checkpoints: written, listed, verified and deleted, with retries.

Knows nothing of LATEST or of who may write; `checkpoint.Checkpoints` does.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar, cast

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from vm_runtime.checkpoint_sink import HashingSink
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest
from vm_runtime.contract.codec import DocumentError, UnknownSchemaVersionError, decode, encode
from vm_runtime.storage.port import BlobNotFoundError, BlobStore, StorageUnavailableError

T = TypeVar("T")

Content: TypeAlias = Callable[[BinaryIO], object]
"""Writes a file of the payload into a stream; the same bytes each time it is called."""

_ATTEMPTS = 4


class CheckpointError(Exception):
    """Base of what goes wrong with checkpoints."""


class CheckpointWriteError(CheckpointError):
    """A checkpoint could not be written; those committed before are untouched."""


class CheckpointNotWantedError(CheckpointError):
    """A write was given up on its way, as nobody wants it any more; no failure."""


class CheckpointCorruptError(CheckpointError):
    """A checkpoint is torn or damaged, or none is intact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A checkpoint whose every byte has been verified."""

    manifest: CheckpointManifest
    """Its manifest."""
    folder: Path
    """Where its payload lies, under the names of the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lies in the folder of checkpoints."""

    all: list[str]
    """Ids of all checkpoints, whole or not, oldest first."""
    committed: list[str]
    """Those that have a manifest."""


class CheckpointObjects:
    """The objects below a job's `checkpoints/`."""

    def __init__(
        self,
        store: BlobStore,
        job_id: str,
        *,
        sleep: Callable[[float], None],
        check_wanted: Callable[[], object] = lambda: None,
    ) -> None:
        """Look at the checkpoints of `job_id`.

        Args:
            store: the bucket.
            job_id: the job.
            sleep: waits between attempts, real seconds.
            check_wanted: called between pieces of a write; raises to give the write up.
        """
        self._store = store
        self._job_id = job_id
        self._sleep = sleep
        self._check_wanted = check_wanted

    def retry(self, call: Callable[[], T]) -> T:
        """Call again, a few times, while the store is unavailable; raises its last error."""
        retrying = Retrying(
            retry=retry_if_exception_type(StorageUnavailableError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=0.25, max=4),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(call)

    def list_all(self) -> Listing:
        """Return the ids of all checkpoints."""
        folder = object_names.checkpoints_folder(self._job_id)
        names = [
            info.name.removeprefix(folder) for info in self.retry(lambda: self._store.list(folder))
        ]
        inside = [name.split("/", 1) for name in names if "/" in name]
        return Listing(
            all=sorted({checkpoint_id for checkpoint_id, _ in inside}),
            committed=sorted(
                checkpoint_id for checkpoint_id, name in inside if name == "manifest.json"
            ),
        )

    def put(self, checkpoint_id: str, name: str, content: Content) -> CheckpointFile:
        """Write a file of the payload and return its entry in the manifest.

        It is hashed on its way: what the store then holds must be what was meant.

        Raises:
            PreconditionFailedError: there is one already; nothing is ever written over.
        """
        target = object_names.checkpoint_folder(self._job_id, checkpoint_id) + name
        sink = HashingSink(self._check_wanted)

        def fill(stream: BinaryIO) -> None:
            sink.restart(stream)
            try:
                content(cast("BinaryIO", sink))
            except Exception:
                # Serialisers wrap what the stream raised beyond recognition.
                if sink.error is not None:
                    raise sink.error from None
                raise

        self.retry(lambda: self._store.upload(target, fill, if_generation=0))
        return CheckpointFile(name=name, size_bytes=sink.size_bytes, sha256=sink.sha256)

    def put_manifest(self, manifest: CheckpointManifest) -> None:
        """Write the commit marker; the whole payload must be there.

        Raises:
            PreconditionFailedError: there is one already.
        """
        self._check_wanted()
        name = object_names.manifest(self._job_id, manifest.checkpoint_id)
        self.retry(lambda: self._store.write(name, encode(manifest), if_generation=0))

    def fetch(self, checkpoint_id: str, folder: Path) -> Restored:
        """Download a checkpoint into `folder` and verify every byte.

        Raises:
            CheckpointCorruptError: torn, damaged, or another job's.
            UnknownSchemaVersionError: written by another version of this software: no damage,
                so no reason to fall back to an older one.
        """
        name = object_names.manifest(self._job_id, checkpoint_id)
        try:
            data = self.retry(lambda: self._store.read(name)).data
            manifest = decode(CheckpointManifest, data, name=name)
        except BlobNotFoundError as error:
            message = f"{name}: expected a manifest, found none (the checkpoint is torn)"
            raise CheckpointCorruptError(message) from error
        except UnknownSchemaVersionError:
            raise
        except DocumentError as error:
            raise CheckpointCorruptError(str(error)) from error
        if (manifest.job_id, manifest.checkpoint_id) != (self._job_id, checkpoint_id):
            message = (
                f"{name}: expected checkpoint {checkpoint_id} of job {self._job_id}, found"
                f" {manifest.checkpoint_id} of {manifest.job_id}"
            )
            raise CheckpointCorruptError(message)
        for file in manifest.files:
            self._fetch_file(checkpoint_id, file, folder / file.name)
        return Restored(manifest=manifest, folder=folder)

    def _fetch_file(self, checkpoint_id: str, expected: CheckpointFile, target: Path) -> None:
        name = object_names.checkpoint_folder(self._job_id, checkpoint_id) + expected.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.retry(lambda: self._store.download(name, target))
        except BlobNotFoundError as error:
            message = f"{name}: expected {expected.size_bytes} bytes, found no object"
            raise CheckpointCorruptError(message) from error
        found = _describe(expected.name, target)
        if found != expected:
            message = (
                f"{name}: expected {expected.size_bytes} bytes with SHA-256 {expected.sha256},"
                f" found {found.size_bytes} bytes with {found.sha256}"
            )
            raise CheckpointCorruptError(message)

    def delete(self, checkpoint_id: str) -> None:
        """Delete a checkpoint, manifest first: half deleted it must not look committed."""
        manifest = object_names.manifest(self._job_id, checkpoint_id)
        folder = object_names.checkpoint_folder(self._job_id, checkpoint_id)
        payload = [info.name for info in self._store.list(folder) if info.name != manifest]
        for name in [manifest, *payload]:
            with suppress(BlobNotFoundError):  # torn, or deleted by a prune that was cut short
                self._store.delete(name)


def _describe(name: str, path: Path) -> CheckpointFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return CheckpointFile(name=name, size_bytes=path.stat().st_size, sha256=sha256)
