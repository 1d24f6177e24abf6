"""A session in this process: on a store in memory that can fail, and a fast clock."""

import time
from collections.abc import Callable
from datetime import timedelta

from memory_blobs import MemoryBlobStore

from vm_runtime.contract import object_names
from vm_runtime.contract.clock import ScaledClock
from vm_runtime.contract.codec import decode, encode
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry
from vm_runtime.contract.progress import Progress
from vm_runtime.lease import LeaseKeeper
from vm_runtime.place import Place
from vm_runtime.stop import StopFlag
from vm_runtime.storage.port import StorageUnavailableError
from vm_runtime.vm_session import VmSession

JOB = "a"


class OutageStore(MemoryBlobStore):
    """Counts writes, and refuses those whose name a test says."""

    def __init__(self) -> None:
        """Work as it should."""
        super().__init__()
        self.refuses: Callable[[str], bool] = lambda _: False
        self.written: list[str] = []

    def write(self, name: str, data: bytes, *, if_generation: int | None = None) -> int:
        """Write, or fail."""
        self.written.append(name)
        if self.refuses(name):
            raise StorageUnavailableError(f"{name}: scripted outage")
        return super().write(name, data, if_generation=if_generation)


class Parts:
    """A session and what it is made of."""

    def __init__(
        self,
        store: OutageStore | None = None,
        *,
        incarnation: int = 1,
        end_s: float = 360_000.0,
        ttl_s: float = 3600.0,
    ) -> None:
        """Make a session whose interval has begun; its clock runs 1000 times as fast."""
        self.store = store or OutageStore()
        now_s = time.time()
        clock = ScaledClock(real_anchor_s=now_s, simulated_anchor_s=now_s, speed=1000.0)
        self.stop = StopFlag(clock, interval_end=clock.now() + timedelta(seconds=end_s))
        self.job = Job(
            job_id=JOB,
            machine_type="e2-standard-8",
            power_w=100.0,
            allowed_regions=("europe-west3",),
            submitted_at=clock.now(),
        )
        self.place = Place(
            vm=f"ss-a-{incarnation}",
            compute_zone="europe-west3-b",
            incarnation=incarnation,
            started_at=clock.now(),
            interval_start=clock.now(),
        )
        self.lease = LeaseKeeper(
            store=self.store,
            clock=clock,
            job_id=JOB,
            holder=f"ss-a-{incarnation}-x",
            incarnation=incarnation,
            ttl_s=ttl_s,
        )
        self.session = VmSession(
            job=self.job,
            place=self.place,
            store=self.store,
            clock=clock,
            stop=self.stop,
            lease=self.lease,
            poll_s=10.0,
        )

    def report(self, step: int, committed: int) -> None:
        """Report a step."""
        self.session.report(
            steps_done=step,
            steps_total=100,
            seconds_per_step=1.5,
            metrics={"loss": 0.5},
            committed_step=committed,
        )

    def progress(self) -> Progress:
        """Return what was reported last."""
        name = object_names.progress(JOB)
        return decode(Progress, self.store.read(name).data, name=name)

    def ledger(self) -> LedgerEntry:
        """Return what the session booked."""
        name = object_names.ledger_entry(JOB, self.place.incarnation)
        return decode(LedgerEntry, self.store.read(name).data, name=name)

    def put_progress(self, progress: Progress) -> None:
        """Write a progress as another VM does."""
        self.store.write(object_names.progress(JOB), encode(progress))
