"""The bucket, behind one Protocol: files on this machine, or Google Cloud Storage.

The one part of `vm_runtime` beside `contract` that `functions` may use: control plane and
VM compare-and-swap the same objects, so there is one implementation (docs/adr).
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vm_runtime.storage.port import BlobStore, StorageError


def open_store(url: str) -> BlobStore:
    """Return the blob store at `file:///FOLDER` or `gs://BUCKET`.

    Nothing is read or written, and Google's client is imported only for `gs://`.

    Raises:
        StorageError: the URL is of neither form.
    """
    parts = urlsplit(url)
    bare = not (parts.query or parts.fragment)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/") and bare:
        from vm_runtime.storage.files import FileBlobStore  # noqa: PLC0415 - needs fcntl

        return FileBlobStore(Path(unquote(parts.path)))
    if parts.scheme == "gs" and parts.netloc and parts.path in {"", "/"} and bare:
        from vm_runtime.storage.gcs import GcsBlobStore  # noqa: PLC0415 - slow import

        return GcsBlobStore(parts.netloc)
    raise StorageError(
        f"expected file:///FOLDER or gs://BUCKET, found {url!r}. Correct the bucket's URL."
    )
