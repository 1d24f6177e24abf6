"""The control plane's state of a job: one object, changed only by compare-and-swap."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from vm_runtime.contract.base import Count, JobId, Utc, document


class Phase(StrEnum):
    """Where a job is in its life."""

    ACTIVE = "active"
    """Planned, waiting, running or moving."""
    PAUSED = "paused"
    """A person wants it to rest: not planned, no VM, until `resume`."""
    FINISHED = "finished"
    """Training is complete; VMs are being removed or gone."""
    FAILED = "failed"
    """Given up; `message` says what a person must do, before `retry`."""
    CANCELLED = "cancelled"
    """A person called it off; its checkpoints stay."""

    @property
    def may_run(self) -> bool:
        """Whether the job is planned and VMs are made for it."""
        return self is Phase.ACTIVE

    @property
    def is_final(self) -> bool:
        """Whether the job is over: it gets its receipt, and nothing happens by itself any more."""
        return self in {Phase.FINISHED, Phase.FAILED, Phase.CANCELLED}


class Verb(StrEnum):
    """What a person can ask for a job that was submitted."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    RETRY = "retry"


@document
class Wish:
    """What a person asked for, once it was granted."""

    verb: Verb
    """What."""
    at: Utc
    """When, by that person's clock: for people, nothing is decided by it."""


class Purpose(StrEnum):
    """Why a VM is made; decides which function makes it."""

    START = "start"
    """No VM of the job runs."""
    MOVE = "move"
    """Another VM of the job runs and will hand over to it."""


@document
class Target:
    """The newest VM of a job, decided and named before it is created."""

    incarnation: Count
    """Its incarnation; equals the state's."""
    vm: str
    """Its name."""
    compute_zone: str
    """Where."""
    purpose: Purpose
    """Why."""
    interval_start: Utc
    """It must not train before."""
    interval_end: Utc
    """It stops then, unless told otherwise."""
    reserved_at: Utc
    """When it was decided."""
    operation: str | None = None
    """Compute Engine's operation that creates or starts it, once asked for."""
    restarts: bool = False
    """Whether it is the stopped VM of `sleeper`, started again under this incarnation."""


@document
class Sleeper:
    """A VM that is down, booked, and kept for the next interval."""

    vm: str
    """Its name."""
    stopped_at: Utc
    """When it went down, as Compute Engine says: as long as it says so, it was not up since."""


@document
class Block:
    """A place that had no capacity or quota."""

    place: str
    """A compute zone or a whole region."""
    until: Utc
    """Not to be tried before."""
    reason: str
    """What Compute Engine said."""


@document
class DataDisk:
    """The data disk of a job with `keep_disk`: the one that holds the truth."""

    number: Count
    """Each disk made for the job has its own; it names the disk."""
    compute_zone: str
    """Where."""
    is_made: bool = False
    """Whether a VM ran with it: from then on it may hold what the job needs."""
    given_to: str | None = None
    """The running VM that it was last attached to; one that is made with it is not named."""
    given_at: Utc | None = None
    """When."""


@document
class DiskMove:
    """A data disk on its way to another compute zone; its source stays the truth meanwhile."""

    number: Count
    """Of the disk to be; it names that and the snapshot between them."""
    compute_zone: str
    """Where to."""
    began_at: Utc
    """When it was decided."""
    snapshot_operation: str | None = None
    """Compute Engine's operation that makes the snapshot, once asked for."""
    copy_operation: str | None = None
    """Compute Engine's operation that makes the disk from it, once asked for."""


@document
class JobState:
    """What the control plane knows of a job beyond what can be observed."""

    job_id: JobId
    """The job."""
    phase: Phase = Phase.ACTIVE
    """Where it is in its life."""
    seq: Count = 0
    """Grows with each plan; an older one is ignored."""
    plan_id: str | None = None
    """The plan in force; `None`: it has none, and is to be planned at once."""
    incarnation: Count = 0
    """Last incarnation given out."""
    target: Target | None = None
    """The newest VM, from its reservation until it is gone."""
    fruitless_vms: Count = 0
    """VMs made in a row without a new checkpoint; makes the next one wait, in the end fails."""
    step_at_reservation: Count = 0
    """Step of LATEST when the last VM was reserved: tells whether that VM achieved something."""
    not_before: Utc | None = None
    """No VM is made before: back-off after fruitless ones."""
    blocked: tuple[Block, ...] = ()
    """Places without capacity or quota."""
    disk: DataDisk | None = None
    """The data disk; it and the next two only with `keep_disk`."""
    disk_move: DiskMove | None = None
    """Its way to another compute zone, while on it."""
    disks_named: Count = 0
    """Last number given out to a data disk."""
    message: str = ""
    """For a person: why it failed and what to do, or why it waits."""
    closed_at: Utc | None = None
    """When it reached its final phase."""
    settled: bool = False
    """Whether its receipt is complete."""
    sleeper: Sleeper | None = None
    """The stopped VM that waits to be started again, or was."""
    wishes: tuple[Wish, ...] = ()
    """What people asked for, in order; the last 50."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    @property
    def is_cleared(self) -> bool:
        """Whether the job is over and no VM of it is on order."""
        return self.phase.is_final and self.closed_at is not None and self.target is None

    def blocks(self, compute_zone: str, now: datetime) -> Block | None:
        """Return the block in force for `compute_zone` or its region, `None` if free."""
        places = (compute_zone, compute_zone.rpartition("-")[0])
        return next((b for b in self.blocked if b.place in places and now < b.until), None)
