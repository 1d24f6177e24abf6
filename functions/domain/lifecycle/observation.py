"""All that `decide` looks at: one job, as read from the bucket and from Compute Engine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from functions.domain.lifecycle.disk import Disk, Snapshot
from functions.domain.lifecycle.state import DataDisk, DiskMove, JobState, Target
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Operation, Vm, VmStatus
from functions.domain.plan.document import Plan, PlannedInterval
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.instance import data_disk_name, snapshot_name
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.progress import Progress, RunState

_AGES_AGO = datetime.min.replace(tzinfo=UTC)
"""From here slots are counted; every slot begins at a whole quarter of an hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is (VMs, lease, progress) and what should be (plan)."""

    now: datetime
    timing: Timing
    job: Job
    state: JobState
    plan: Plan | None
    vms: Sequence[Vm]
    """The job's VMs."""
    lease: Lease | None
    progress: Progress | None
    latest: Latest | None
    operation: Operation | None
    """The operation of `state.target`, if it was asked for and its VM is not listed."""
    disks: Sequence[Disk] = ()
    """The job's disks, if they were looked at."""
    snapshots: Sequence[Snapshot] = ()
    """The job's snapshots, if they were looked at."""
    disk_operation: Operation | None = None
    """What makes the data disk's snapshot or copy, if it was asked for and is not listed."""

    @property
    def alive(self) -> list[Vm]:
        """VMs that train or may yet train, newest incarnation first."""
        living = [vm for vm in self.vms if vm.is_alive]
        return sorted(living, key=lambda vm: vm.incarnation, reverse=True)

    @property
    def intervals(self) -> tuple[PlannedInterval, ...]:
        """The plan's intervals, the last one open to the end of its slot.

        A VM powers off when the work is done, so the rest costs nothing if the estimate was
        right; if it was short, the last minutes of work need no further VM and no further hour.
        """
        if self.plan is None or not self.plan.intervals:
            return ()
        *before, last = self.plan.intervals
        return (*before, _open(last, timedelta(minutes=self.job.slot_minutes)))

    @property
    def current(self) -> PlannedInterval | None:
        """The planned interval that covers now."""
        return next((i for i in self.intervals if i.start <= self.now < i.end), None)

    @property
    def upcoming(self) -> PlannedInterval | None:
        """The planned interval for which it is time to boot a VM."""
        lead = timedelta(seconds=self.timing.boot_lead_s)
        return next((i for i in self.intervals if i.start - lead <= self.now < i.start), None)

    @property
    def step(self) -> int:
        """Optimizer steps in the latest committed checkpoint."""
        return self.latest.step if self.latest else 0

    @property
    def has_finished(self) -> bool:
        """Whether the final checkpoint is committed: the pointer says so, not a report."""
        return self.latest is not None and self.latest.finished

    @property
    def has_failed_for_good(self) -> bool:
        """Whether the script failed as often in a row as the job allows."""
        report = self.progress
        return (
            report is not None
            and report.state is RunState.FAILED
            and report.failures_in_a_row >= self.job.max_failures
        )

    @property
    def pending(self) -> Target | None:
        """The reserved VM until Compute Engine lists it, or shows it no longer down."""
        return on_order(self.state, self.vms)

    @property
    def data_disk(self) -> Disk | None:
        """The data disk that holds the truth, `None` if there is none to be seen."""
        return self.disk_of(self.state.disk)

    def disk_of(self, known: DataDisk | DiskMove | None) -> Disk | None:
        """Return the disk that is, or is to be, the job's data disk, as observed."""
        if known is None:
            return None
        name = data_disk_name(self.state.job_id, known.number)
        found = (disk for disk in self.disks if disk.is_data and disk.name == name)
        return next((disk for disk in found if disk.compute_zone == known.compute_zone), None)

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that the data disk's move goes through."""
        move = self.state.disk_move
        name = move and snapshot_name(self.state.job_id, move.number)
        return next((each for each in self.snapshots if each.name == name), None)

    def lacks_disk(self, vm: Vm) -> bool:
        """Whether the VM waits for the data disk."""
        if self.job.keep_disk is None:
            return False
        return self.data_disk is None or vm.name not in self.data_disk.users

    def is_silent(self, vm: Vm) -> bool:
        """Whether a VM that should run neither reports nor holds the lease for too long."""
        if self.lacks_disk(vm):
            return False
        limit = timedelta(seconds=self.timing.silence_s)
        lease, report = self.lease, self.progress
        if lease and lease.incarnation == vm.incarnation and lease.is_held(self.now):
            return False
        heard = vm.created_at
        disk = self.state.disk
        if disk is not None and disk.given_to == vm.name and disk.given_at is not None:
            heard = max(heard, disk.given_at)
        if report and report.incarnation == vm.incarnation:
            heard = max(heard, report.heartbeat_at)
        return self.now - heard > limit


def on_order(state: JobState, vms: Sequence[Vm]) -> Target | None:
    """Return the reserved VM that is not there yet."""
    target = state.target
    if target is None:
        return None
    is_there = any(
        vm.incarnation == target.incarnation and not (target.restarts and sleeps(state, vm))
        for vm in vms
    )
    return None if is_there else target


def sleeps(state: JobState, vm: Vm) -> bool:
    """Whether it is the stopped VM that is kept, and was not up since."""
    sleeper = state.sleeper
    if sleeper is None or vm.name != sleeper.vm or vm.status is not VmStatus.TERMINATED:
        return False
    return vm.terminated_at is None or vm.terminated_at == sleeper.stopped_at


@lru_cache(maxsize=256)
def _open(last: PlannedInterval, slot: timedelta) -> PlannedInterval:
    """Return the interval, open to the end of its slot; asked for many times in one decision."""
    slots = -((_AGES_AGO - last.end) // slot)
    return replace(last, end=_AGES_AGO + slots * slot)
