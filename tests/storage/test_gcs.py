"""What is peculiar to Google Cloud Storage: lost answers, rights, bounded patience."""

import random
import time
from collections.abc import Callable, Iterator

import pytest
from fake_gcs import FaultyProxy

from vm_runtime.storage.gcs import GcsBlobStore, isolate_randomness
from vm_runtime.storage.port import (
    PreconditionFailedError,
    StorageDeniedError,
    StorageUnavailableError,
)

# Google's client does not close the answer of a failed download; the collector does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")


@pytest.fixture
def proxy(gcs_server_url: str) -> Iterator[FaultyProxy]:
    """A proxy before the fake server."""
    proxy = FaultyProxy(gcs_server_url)
    yield proxy
    proxy.close()


@pytest.fixture
def gcs(proxy: FaultyProxy, make_gcs_store: Callable[..., GcsBlobStore]) -> GcsBlobStore:
    """A store behind the proxy."""
    return make_gcs_store(proxy.url, retry_s=3.0)


def test_a_conditional_write_whose_answer_was_lost_succeeds(
    gcs: GcsBlobStore, proxy: FaultyProxy
) -> None:
    """The client's own repeat of a landed write is no conflict with another writer."""
    before = gcs.write("a", b"1", if_generation=0)
    proxy.faults = [(503, True)]
    generation = gcs.write("a", b"2", if_generation=before)
    assert gcs.read("a").data == b"2"
    assert gcs.read("a").generation == generation


def test_another_writer_is_still_a_conflict_after_a_failed_try(
    gcs: GcsBlobStore, proxy: FaultyProxy
) -> None:
    """A repeat does not hide that somebody else wrote the same bytes."""
    before = gcs.write("a", b"1")
    gcs.write("a", b"2")
    proxy.faults = [(503, False)]
    with pytest.raises(PreconditionFailedError):
        gcs.write("a", b"2", if_generation=before)


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, StorageDeniedError), (401, StorageDeniedError), (412, PreconditionFailedError)],
)
def test_errors_that_stay_are_told_at_once(
    gcs: GcsBlobStore, proxy: FaultyProxy, status: int, error: type[Exception]
) -> None:
    """What repeating cannot mend becomes the port's error without a second request."""
    proxy.faults = [(status, False), (status, False)]
    with pytest.raises(error):
        gcs.read("a")
    assert proxy.faults == [(status, False)]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_patience_is_bounded(gcs: GcsBlobStore, proxy: FaultyProxy, status: int) -> None:
    """A store that keeps failing is given up after the time allowed."""
    gcs._retry_s = 0.3  # noqa: SLF001 - three seconds for each status would be long
    proxy.faults = [(status, False)] * 1000
    begin = time.monotonic()
    with pytest.raises(StorageUnavailableError):
        gcs.read("a")
    assert time.monotonic() - begin < 5


def test_a_server_that_is_not_there_is_unavailable(
    make_gcs_store: Callable[..., GcsBlobStore],
) -> None:
    """No connection is an error of the port too."""
    with pytest.raises(StorageUnavailableError):
        make_gcs_store("http://127.0.0.1:9", retry_s=0.3).read("a")


def test_uploads_do_not_draw_from_the_users_random_numbers(
    gcs: GcsBlobStore, proxy: FaultyProxy
) -> None:
    """A lease renewed in the background, or a retry, changes nothing that a training draws."""
    gcs.write("a", b"1")
    isolate_randomness()  # as the default client does
    random.seed(1)
    before = random.getstate()
    proxy.faults = [(503, False)]
    gcs.write("a", b"2")
    assert random.getstate() == before
