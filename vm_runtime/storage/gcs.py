"""The bucket on Google Cloud Storage, on Google's own client (imported at the first call)."""

import logging
import random
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from vm_runtime.storage.names import split_name
from vm_runtime.storage.port import (
    LARGEST_READ_BYTES,
    Blob,
    BlobInfo,
    BlobNotFoundError,
    BlobTooLargeError,
    Fill,
    PreconditionFailedError,
    StorageDeniedError,
    StorageError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from google.api_core.retry import Retry
    from google.cloud import storage
    from google.cloud.storage.fileio import BlobWriter

_log = logging.getLogger(__name__)

_WRITE_ID = "ss-write"
_TIMEOUT_S = (10.0, 60.0)
_PIECE_BYTES = 8 * 2**20
"""What is sent at once: a multiple of 256 KiB, as the service wants, and held in memory twice."""


def _default_client() -> "storage.Client":
    from google.cloud import storage  # noqa: PLC0415 - takes a third of a second

    isolate_randomness()
    return storage.Client()


def isolate_randomness() -> None:
    """Let Google's libraries draw from generators of their own.

    They draw from Python's global one for each upload and each pause, in whatever thread:
    a lease that is renewed in the background would change what the user's training draws.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("google.") and getattr(module, "random", None) is random:
            setattr(module, "random", random.Random())  # noqa: B010, S311  not a declared name


class _Bounded(BytesIO):
    """Takes what is downloaded, piece by piece, and breaks off before it is too much."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def write(self, data: "ReadableBuffer") -> int:
        if self.tell() + memoryview(data).nbytes > LARGEST_READ_BYTES:
            raise BlobTooLargeError(self._name)
        return super().write(data)


class GcsBlobStore:
    """A `BlobStore` on one bucket; retries what is transient for a bounded time."""

    def __init__(
        self,
        bucket: str,
        *,
        make_client: "Callable[[], storage.Client]" = _default_client,
        retry_s: float = 30.0,
    ) -> None:
        """Take the bucket's name; the client is made at the first call.

        Args:
            bucket: its name, without `gs://`.
            make_client: returns a client; by default with Application Default Credentials.
            retry_s: how long one call may retry, seconds, before it gives up.
        """
        self._bucket_name = bucket
        self._make_client = make_client
        self._retry_s = retry_s

    @property
    def url(self) -> str:
        """`gs://BUCKET`."""
        return f"gs://{self._bucket_name}"

    def read(self, name: str) -> Blob:
        """Return the object; raises `BlobNotFoundError`, `BlobTooLargeError`."""
        blob = self._blob(name)
        content = _Bounded(f"{self.url}/{name}")
        with _mapped(f"{self.url}/{name}"):
            # One request: its headers carry the generation of the very bytes that came with it.
            blob.download_to_file(content, timeout=_TIMEOUT_S, retry=self._retry)
            return Blob(name=name, data=content.getvalue(), generation=int(blob.generation))

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write atomically and return the new generation; raises `PreconditionFailedError`."""
        blob = self._blob(name)
        write_id = uuid.uuid4().hex
        blob.metadata = {_WRITE_ID: write_id}
        try:
            with _mapped(f"{self.url}/{name}"):
                blob.upload_from_string(
                    data,
                    content_type="application/octet-stream",
                    if_generation_match=if_generation,
                    timeout=_TIMEOUT_S,
                    retry=self._retry,
                )
                return int(blob.generation)
        except PreconditionFailedError:
            # The client repeats a write whose answer was lost, and its own first try then
            # fails the second: the mark in the object tells that from another writer's.
            landed = self._generation_if_mine(name, write_id)
            if landed is None:
                raise
            return landed

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete; raises `BlobNotFoundError`, `PreconditionFailedError`.

        A repeat after a lost answer finds nothing and says so: to the caller it is gone.
        """
        with _mapped(f"{self.url}/{name}"):
            self._blob(name).delete(
                if_generation_match=if_generation, timeout=_TIMEOUT_S, retry=self._retry
            )

    def list(self, prefix: str) -> list[BlobInfo]:
        """Return all objects whose names start with `prefix`, sorted by name."""
        with _mapped(f"{self.url}/{prefix}"):
            found = [
                BlobInfo(
                    name=blob.name,
                    size_bytes=int(blob.size),
                    generation=int(blob.generation),
                    updated_at=blob.updated,
                )
                for blob in self._client.list_blobs(
                    self._bucket_name, prefix=prefix, timeout=_TIMEOUT_S, retry=self._retry
                )
            ]
        return sorted(found, key=lambda info: info.name)

    def folders(self, prefix: str) -> Sequence[str]:
        """Return the folders right below `prefix`, itself one or empty, sorted."""
        with _mapped(f"{self.url}/{prefix}"):
            listed = self._client.list_blobs(
                self._bucket_name,
                prefix=prefix,
                delimiter="/",
                fields="prefixes,nextPageToken",
                timeout=_TIMEOUT_S,
                retry=self._retry,
            )
            for _ in listed.pages:
                pass  # each page adds its prefixes
        return sorted(name[len(prefix) :].rstrip("/") for name in listed.prefixes)

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Write what `fill` writes, piece by piece; raises `PreconditionFailedError`.

        A resumable upload: each piece is tried again by itself, and the client compares the
        checksum of all it sent (CRC32C) with that of the object.
        """
        from google.api_core.exceptions import from_http_response  # noqa: PLC0415 - slow imports
        from google.cloud.storage.exceptions import InvalidResponse  # noqa: PLC0415
        from google.cloud.storage.fileio import BlobWriter  # noqa: PLC0415

        with _mapped(f"{self.url}/{name}"):
            writer = BlobWriter(
                self._blob(name),
                chunk_size=_PIECE_BYTES,
                ignore_flush=True,
                retry=self._retry,
                content_type="application/octet-stream",
                if_generation_match=if_generation,
                timeout=_TIMEOUT_S,
                checksum="crc32c",
            )
            try:
                fill(cast("BinaryIO", writer))
                writer.close()
            except InvalidResponse as error:  # the writer alone does not translate it
                _give_up(writer)
                raise from_http_response(error.response) from error  # type: ignore[no-untyped-call]
            except BaseException:
                _give_up(writer)
                raise

    def download(self, name: str, target: Path) -> None:
        """Write an object's content to `target`; raises `BlobNotFoundError`."""
        blob = self._blob(name)
        part = target.with_name(f"{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _mapped(f"{self.url}/{name}"):
            blob.download_to_filename(str(part), timeout=_TIMEOUT_S, retry=self._retry)
        part.replace(target)

    def _generation_if_mine(self, name: str, write_id: str) -> int | None:
        """Return the object's generation if the write `write_id` made it."""
        blob = self._blob(name)
        try:
            with _mapped(f"{self.url}/{name}"):
                blob.reload(timeout=_TIMEOUT_S, retry=self._retry)
        except BlobNotFoundError:
            return None
        return int(blob.generation) if (blob.metadata or {}).get(_WRITE_ID) == write_id else None

    def _blob(self, name: str) -> "storage.Blob":
        split_name(name)
        return self._client.bucket(self._bucket_name).blob(name)

    @cached_property
    def _client(self) -> "storage.Client":
        with _mapped(self.url):
            return self._make_client()

    @cached_property
    def _retry(self) -> "Retry":
        from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - slow import

        # Safe for conditional writes too, thanks to the mark, see `write`.
        retry: Retry = DEFAULT_RETRY.with_timeout(self._retry_s)
        return retry


def _give_up(writer: "BlobWriter") -> None:
    """Cancel an upload of which only some pieces were sent; the bucket forgets it anyway."""
    import requests  # noqa: PLC0415 - with the client, at the first call

    try:
        writer.terminate()
    except requests.RequestException as error:
        _log.info("an upload was left to expire: %s", error)


@contextmanager
def _mapped(what: str) -> Iterator[None]:
    """Turn the client's errors into the port's, the most specific first."""
    import requests  # noqa: PLC0415 - with the client, at the first call
    from google.api_core import exceptions as api  # noqa: PLC0415
    from google.auth import exceptions as auth  # noqa: PLC0415
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # noqa: PLC0415

    denied = (api.Forbidden, api.Unauthorized, auth.DefaultCredentialsError, auth.RefreshError)
    unavailable = (
        *(api.TooManyRequests, api.Conflict, api.ServerError, api.RetryError),
        *(auth.TransportError, requests.RequestException, ConnectionError, TimeoutError),
        *(DataCorruption, InvalidResponse),
    )
    try:
        yield
    except api.NotFound as error:
        raise BlobNotFoundError(
            f"{what}: expected an object in an existing bucket, found none ({error.message})."
        ) from error
    except api.PreconditionFailed as error:
        raise PreconditionFailedError(
            f"{what}: expected another generation than the present one"
            f" ({error.message}). Somebody else wrote first: read it again and decide anew."
        ) from error
    except denied as error:
        if isinstance(error, auth.GoogleAuthError) and error.retryable:
            raise StorageUnavailableError(
                f"{what}: expected credentials, found: {error}. Nothing was written; try later."
            ) from error
        raise StorageDeniedError(
            f"{what}: expected to be allowed to, found: {error}. Grant this service account"
            " the role roles/storage.objectUser on the bucket; at a terminal without credentials,"
            " run `gcloud auth application-default login`."
        ) from error
    except unavailable as error:
        raise StorageUnavailableError(
            f"{what}: expected an answer in time, found: {error}. It may have landed; try later."
        ) from error
    except (api.GoogleAPIError, auth.GoogleAuthError) as error:
        raise StorageError(f"{what}: expected success, found: {error}.") from error
