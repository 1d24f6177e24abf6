"""Which VM this is, where, and the first thing that it reports."""

from dataclasses import dataclass
from datetime import datetime

from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.reporting import carried_over
from vm_runtime.session import StopReason
from vm_runtime.stop import NOTICE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Who runs, where, since and from when on it may train."""

    vm: str
    """Name of the VM."""
    compute_zone: str
    """Where it runs."""
    incarnation: int
    """Its incarnation."""
    started_at: datetime
    """First line of the runtime."""
    interval_start: datetime
    """Not to train before it."""
    notice_s: float = NOTICE_S[StopReason.SIGNAL]
    """Real seconds that the machine stays up after it was told that it ends."""

    def first_report(self, last: Progress | None, job_id: str) -> Progress:
        """Return the first report of this VM.

        Args:
            last: what was reported last, by whatever VM; `None`: nothing yet.
            job_id: the job.
        """
        fresh = Progress(
            job_id=job_id,
            vm=self.vm,
            incarnation=self.incarnation,
            state=RunState.STARTING,
            heartbeat_at=self.started_at,
        )
        return fresh if last is None else carried_over(last, fresh)
