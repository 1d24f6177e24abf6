"""What a trainer asks of the job that it runs in; without a job there is no session.

The trainer knows this Protocol only: neither lease, metadata server nor signals.
"""

from contextvars import ContextVar
from enum import StrEnum
from typing import Protocol

from vm_runtime.contract.clock import Clock
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.storage.port import BlobStore


class StopReason(StrEnum):
    """Why training has to stop at the next step."""

    INTERVAL_END = "interval end"
    """The plan's interval is over, or was cut short by the control plane."""
    SIGNAL = "signal"
    """SIGTERM or SIGINT: the machine goes down, or a person wants it."""
    PREEMPTED = "preempted"
    """Compute Engine takes the Spot VM back."""
    MAINTENANCE = "maintenance"
    """Compute Engine ends the VM for maintenance of its host."""
    REQUESTED = "stop request"
    """The control plane wants it to stop at once."""


class LeaseLostError(Exception):
    """Another VM trains this job now: leave at once, write nothing."""


class Session(Protocol):
    """The job around a training."""

    @property
    def job(self) -> Job:
        """The job document."""
        ...

    @property
    def incarnation(self) -> int:
        """Incarnation of this VM, the fencing token."""
        ...

    @property
    def store(self) -> BlobStore:
        """The bucket."""
        ...

    @property
    def clock(self) -> Clock:
        """The deployment's clock."""
        ...

    def begin(self) -> StopReason | None:
        """Block until the interval has started and the lease is held.

        Returns:
            `None` when training may start; a reason if it must stop before it started.

        Raises:
            LeaseLostError: a VM of a higher incarnation holds the lease.
        """
        ...

    def stop_reason(self) -> StopReason | None:
        """Return why to stop, `None` to go on. Cheap: asked before each step."""
        ...

    @property
    def notice_s(self) -> float:
        """Real seconds that this machine stays up after it was told that it ends."""
        ...

    @property
    def left_s(self) -> float | None:
        """Real seconds until the machine may be gone; `None`: nobody said that it will."""
        ...

    def check_lease(self) -> None:
        """Raise `LeaseLostError` unless the lease is surely held now. Cheap: no I/O."""
        ...

    def spend(self, kind: SegmentKind) -> None:
        """Book the time from now on as `kind` (until the next call)."""
        ...

    def report(
        self,
        *,
        steps_done: int,
        steps_total: int | None,
        seconds_per_step: float | None,
        metrics: dict[str, float],
        committed_step: int,
    ) -> None:
        """Tell the control plane how far training is. Cheap: written at most now and then.

        Args:
            steps_done: optimizer steps done.
            steps_total: of how many, if known.
            seconds_per_step: mean time of a step on the session's clock, seconds.
            metrics: last metrics.
            committed_step: steps in the last committed checkpoint.
        """
        ...

    def save_metrics(self) -> None:
        """Let all metrics that were reported outlive this VM; called before a commit.

        Never fails: a checkpoint must not be lost for a curve.
        """
        ...

    def end(self, *, finished: bool, stopped_because: StopReason | None) -> None:
        """Write the last progress and ledger entry, then release the lease.

        Called after the last checkpoint is committed.
        """
        ...


_current: ContextVar[Session | None] = ContextVar("session", default=None)


def current_session() -> Session | None:
    """Return the session of the job around this process, `None` if there is no job."""
    return _current.get()


def enter_session(session: Session | None) -> None:
    """Make `session` the one that trainers find."""
    _current.set(session)
