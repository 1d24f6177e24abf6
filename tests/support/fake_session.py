"""A session that stops a training at a chosen look, and a store that fails when told to."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from memory_blobs import MemoryBlobStore

from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.session import LeaseLostError, StopReason
from vm_runtime.storage.port import Blob, BlobInfo, BlobStore, Fill, StorageError

T = TypeVar("T")

JOB = Job(
    job_id="tiny",
    machine_type="e2-standard-2",
    power_w=100.0,
    allowed_regions=("europe-west3",),
    submitted_at=datetime(2024, 3, 5, tzinfo=UTC),
)


class SteppingClock:
    """Stands still but for its steps."""

    def __init__(self) -> None:
        """Show the job's submission."""
        self._now = JOB.submitted_at

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._now

    def wait_s(self, duration_s: float) -> float:
        """Return so long a time that what checkpoints really cost does not count."""
        return 1000 * duration_s

    def step(self, seconds: float) -> None:
        """Let time go by."""
        self._now += timedelta(seconds=seconds)


class FakeSession:
    """Implements `vm_runtime.session.Session`; each look at the stop flag takes one second."""

    def __init__(
        self,
        store: BlobStore,
        *,
        incarnation: int = 1,
        stop_at_look: int | None = None,
        lose_lease_at_look: int | None = None,
        begin_with: StopReason | None = None,
    ) -> None:
        """Stop at the look of that number, counted from 0; `None`: never."""
        self.job = JOB
        self.store = store
        self.incarnation = incarnation
        self.clock = SteppingClock()
        self.notice_s = 110.0
        self.left_s: float | None = None
        self.looks = 0
        self.calls: list[str] = []
        self.reports: list[dict[str, object]] = []
        self._stop_at_look = stop_at_look
        self._lose_lease_at_look = lose_lease_at_look
        self._begin_with = begin_with

    def begin(self) -> StopReason | None:
        """Grant the lease at once."""
        self.calls.append("begin")
        return self._begin_with

    def stop_reason(self) -> StopReason | None:
        """Stop at the chosen look, and at all later ones."""
        self.clock.step(1)
        look, self.looks = self.looks, self.looks + 1
        if self._stop_at_look is not None and look >= self._stop_at_look:
            return StopReason.SIGNAL
        return None

    def check_lease(self) -> None:
        """Lose the lease at the chosen look."""
        if self._lose_lease_at_look is not None and self.looks >= self._lose_lease_at_look:
            raise LeaseLostError("expected the lease, found another holder")

    def spend(self, kind: SegmentKind) -> None:
        """Note it."""
        self.calls.append(kind.value)

    def report(self, **facts: object) -> None:
        """Note it."""
        self.reports.append(facts)

    def save_metrics(self) -> None:
        """Keep no metrics."""

    def end(self, *, finished: bool, stopped_because: StopReason | None) -> None:
        """Note it."""
        self.calls.append(f"end finished={finished} because={stopped_because}")


class KilledError(BaseException):
    """Stands for SIGKILL: nothing but the test catches it."""


class FaultyStore:
    """Passes everything on to a store, but fails at chosen operations."""

    def __init__(
        self,
        inner: MemoryBlobStore,
        *,
        fails: Callable[[int, str, str], BaseException | None],
        lands: bool = False,
    ) -> None:
        """Raise what `fails(number, verb, name)` returns, before the operation or after it.

        Args:
            inner: the true store.
            fails: what to raise at the operation of that number, counted from 0.
            lands: whether the failing operation takes effect.
        """
        self.inner = inner
        self.operations: list[tuple[str, str]] = []
        self._fails = fails
        self._lands = lands

    @property
    def url(self) -> str:
        """The inner store's."""
        return self.inner.url

    def read(self, name: str) -> Blob:
        """Read or fail."""
        return self._do("read", name, lambda: self.inner.read(name))

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write or fail."""
        write = self.inner.write
        return self._do("write", name, lambda: write(name, data, if_generation=if_generation))

    def delete(self, name: str, *, if_generation: int | None = None) -> None:
        """Delete or fail."""
        delete = self.inner.delete
        self._do("delete", name, lambda: delete(name, if_generation=if_generation))

    def list(self, prefix: str) -> list[BlobInfo]:
        """List or fail."""
        return self._do("list", prefix, lambda: self.inner.list(prefix))

    def folders(self, prefix: str) -> Sequence[str]:
        """List or fail."""
        return self._do("folders", prefix, lambda: self.inner.folders(prefix))

    def upload(self, name: str, fill: Fill, *, if_generation: int | None = None) -> None:
        """Upload or fail."""
        upload = self.inner.upload
        self._do("upload", name, lambda: upload(name, fill, if_generation=if_generation))

    def download(self, name: str, target: Path) -> None:
        """Download or fail."""
        self._do("download", name, lambda: self.inner.download(name, target))

    def _do(self, verb: str, name: str, act: Callable[[], T]) -> T:
        error = self._fails(len(self.operations), verb, name)
        self.operations.append((verb, name))
        if error is None:
            return act()
        if self._lands:
            with suppress(StorageError):
                act()
        raise error
