"""A VM that stands still (SIGSTOP) right before chosen operations on the bucket, as a process.

Started with the bucket's URL and the operations; says what became of it after each.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

import torch

from vm_runtime.checkpoint import Checkpoints
from vm_runtime.checkpoint_writer import CheckpointWriter
from vm_runtime.contract.clock import SystemClock
from vm_runtime.lease import LeaseKeeper
from vm_runtime.session import LeaseLostError
from vm_runtime.storage import open_store
from vm_runtime.storage.gcs import GcsBlobStore
from vm_runtime.storage.port import Blob, BlobInfo, BlobStore, Fill

TTL_S = 0.8
COMMITTED = 3
"""Checkpoints before the one in which it stands still: the next one deletes the first."""


class StallingStore:
    """Passes everything on, but lets the process stand still before one operation."""

    def __init__(self, inner: BlobStore) -> None:
        """Stall at nothing yet."""
        self._inner = inner
        self.stalls_at = ("", "")
        # None of our threads stands still within a write: in a folder it would hold the lock.
        self._writing = threading.Lock()

    @property
    def url(self) -> str:
        """The inner store's."""
        return self._inner.url

    def read(self, name: str) -> Blob:
        """Read."""
        return self._inner.read(name)

    def list(self, prefix: str) -> list[BlobInfo]:
        """List."""
        return self._inner.list(prefix)

    def folders(self, prefix: str) -> Sequence[str]:
        """List."""
        return self._inner.folders(prefix)

    def download(self, name: str, target: "os.PathLike[str]") -> None:
        """Refuse: nobody downloads here."""
        raise NotImplementedError

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Stall or not, then write."""
        with self._writing:
            self._stall("write", name)
            return self._inner.write(name, data, if_generation=if_generation)

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Stall or not, then delete."""
        with self._writing:
            self._stall("delete", name)
            self._inner.delete(name, if_generation=if_generation)

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Stall or not, then upload."""
        with self._writing:
            self._stall("upload", name)
            self._inner.upload(name, fill, if_generation=if_generation)

    def _stall(self, verb: str, name: str) -> None:
        if self.stalls_at[0] == verb and name.endswith(self.stalls_at[1]):
            self.stalls_at = ("", "")
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.3)  # this thread runs on for a moment before the whole process stands


def live(inner: BlobStore, job_id: str, verb: str, ending: str) -> str:
    """Hold the lease and commit; return what the checkpoint ended with that was stalled."""
    store, clock = StallingStore(inner), SystemClock()
    lease = LeaseKeeper(
        store=store, clock=clock, job_id=job_id, holder="zombie", incarnation=1, ttl_s=TTL_S
    )
    while not lease.acquire():
        pass
    lease.start_renewing()
    checkpoints = Checkpoints(store, job_id, 1, clock)
    checkpoints.take_over()

    def check_lease() -> None:
        if lease.lost or not lease.held_surely(clock.now()):
            raise LeaseLostError(lease.lost or "expected a lease that lasts, found none")

    writer = CheckpointWriter(checkpoints, describe=lambda _: "0" * 64, check_lease=check_lease)
    for step in range(1, COMMITTED + 1):
        writer.flush({"step": step, "w": torch.zeros(100)}, step=step, finished=False)
    store.stalls_at = (verb, ending)
    writer.begin({"step": 99, "w": torch.ones(100)}, step=99)
    try:
        told = "committed" if writer.wait() is not None else "failed"
    except LeaseLostError:
        told = "lost"
    lease.release()
    return told


def gcs_on(url: str, bucket: str) -> GcsBlobStore:
    """Return a store on a fake of Google Cloud Storage."""
    from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - slow import
    from google.cloud import storage  # noqa: PLC0415

    def client() -> storage.Client:
        options = {"api_endpoint": url}
        return storage.Client("p", AnonymousCredentials(), client_options=options)

    return GcsBlobStore(bucket, make_client=client, retry_s=5.0)


def main(say: Callable[..., None] = print) -> None:
    """Live one life for each operation named on the command line."""
    url, *operations = sys.argv[1:]
    api, separator, bucket = url.partition("#")
    store = gcs_on(api, bucket) if separator else open_store(url)
    for number, operation in enumerate(operations):
        verb, _, ending = operation.partition(":")
        say(live(store, f"job-{number}", verb, ending), flush=True)


if __name__ == "__main__":
    main()
