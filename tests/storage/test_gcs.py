"""What is peculiar to Google Cloud Storage: lost answers, rights, bounded patience."""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest
from fake_gcs import FaultyProxy

from vm_runtime.checkpoint import Checkpoints, CheckpointWriteError
from vm_runtime.contract.clock import SystemClock
from vm_runtime.storage.gcs import GcsBlobStore, isolate_randomness
from vm_runtime.storage.port import (
    LARGEST_READ_BYTES,
    BlobTooLargeError,
    PreconditionFailedError,
    StorageDeniedError,
    StorageUnavailableError,
)

# Google's client does not close the answer of a failed download; the collector does.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed.*socket:ResourceWarning")


PIECE = bytes(range(256)) * 2**12
"""A mebibyte; the client sends eight at once."""


def fill(stream: BinaryIO) -> None:
    """Write what makes three pieces."""
    stream.writelines(PIECE for _ in range(18))


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


def test_an_object_that_is_too_large_is_never_in_memory(
    make_gcs_store: Callable[..., GcsBlobStore],
) -> None:
    """The answer is broken off: a job's code could write gigabytes where a document is expected."""
    gcs = make_gcs_store()
    gcs.upload("jobs/a/progress.json", lambda file: file.writelines(PIECE for _ in range(80)))

    tracemalloc.start()
    try:
        with pytest.raises(BlobTooLargeError):
            gcs.read("jobs/a/progress.json")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * LARGEST_READ_BYTES


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
    proxy.only, proxy.faults = "PUT", [(503, False)]
    gcs.upload("b", fill)
    assert random.getstate() == before


def test_a_piece_that_is_lost_is_sent_again(
    gcs: GcsBlobStore, proxy: FaultyProxy, tmp_path: Path
) -> None:
    """An upload goes on after a failed piece; what is there in the end is what was meant."""
    proxy.only, proxy.faults = "PUT", [(503, False)]
    gcs.upload("a", fill)
    assert proxy.faults == []
    gcs.download("a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == PIECE * 18


def test_a_piece_that_was_taken_twice_is_noticed(gcs: GcsBlobStore, proxy: FaultyProxy) -> None:
    """The fake, unlike the service, appends a piece again whose answer was lost."""
    proxy.only, proxy.faults = "PUT", [(503, True)]
    with pytest.raises(StorageUnavailableError, match="checksum"):
        gcs.upload("a", fill)


def test_an_upload_that_dies_half_way_leaves_nothing(gcs: GcsBlobStore, proxy: FaultyProxy) -> None:
    """After bounded patience it is an error; the object before stays."""
    gcs._retry_s = 0.5  # noqa: SLF001 - three seconds would be long
    gcs.write("a", b"before")
    proxy.only, proxy.faults = "PUT", [(503, False)] * 1000
    with pytest.raises(StorageUnavailableError):
        gcs.upload("a", fill)
    proxy.faults = []
    assert gcs.read("a").data == b"before"


def test_bytes_spoilt_on_their_way_are_noticed(gcs: GcsBlobStore, proxy: FaultyProxy) -> None:
    """The client's checksum is compared with that of what arrived."""
    proxy.spoils_next = True
    with pytest.raises(StorageUnavailableError, match="checksum"):
        gcs.upload("a", fill)
    assert not proxy.spoils_next


def test_a_bucket_without_permission_harms_no_checkpoint(
    gcs: GcsBlobStore, proxy: FaultyProxy
) -> None:
    """The error says which role is missing; LATEST and what it names stay."""
    checkpoints = Checkpoints(gcs, "job", 1, SystemClock())
    checkpoints.take_over()
    commit = partial(
        checkpoints.commit,
        payload={"state.pt": lambda stream: stream.write(b"state")},
        finished=False,
        weights_sha256="0" * 64,
    )
    first = commit(1)
    proxy.only, proxy.faults = "POST", [(403, False)]
    with pytest.raises(CheckpointWriteError, match=r"roles/storage\.objectUser.*untouched"):
        commit(2)
    with checkpoints.restore() as restored:
        assert restored is not None
        assert restored.manifest.checkpoint_id == first.checkpoint_id
