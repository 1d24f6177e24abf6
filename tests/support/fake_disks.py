"""Compute Engine's disks and snapshots in memory: a `DiskFleet` with scripted faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm
from functions.errors import InvalidInputError, UnavailableError
from vm_runtime.contract.clock import Clock
from vm_runtime.contract.instance import DATA_DISK, Label


@dataclass
class DiskFaults:
    """What goes wrong, and where."""

    stock_outs: set[str] = field(default_factory=set)
    """Compute zones without room for a copy; it surfaces in the operation."""
    quota: set[str] = field(default_factory=set)
    """Regions without quota for a copy; it surfaces in the operation."""
    denied: bool = False
    """Whether a right is missing; it surfaces in the operation."""
    snapshots_fail: bool = False
    """Whether snapshots end as FAILED."""
    slow_s: float = 0.0
    """How much longer snapshots and copies take."""
    unfit: set[str] = field(default_factory=set)
    """VMs that can have no disk attached."""


class FakeDisks:
    """Disks, what is on them, and snapshots; making one takes simulated time.

    What is on a disk is one number, which only grows: the step up to which a script wrote to it.
    """

    def __init__(self, clock: Clock, *, snapshot_s: float = 90.0, copy_s: float = 60.0) -> None:
        """Start with none.

        Args:
            clock: simulated.
            snapshot_s: until a snapshot is READY.
            copy_s: until a disk made from one is READY.
        """
        self._clock, self._snapshot_s, self._copy_s = clock, snapshot_s, copy_s
        self.faults = DiskFaults()
        self.by_name: dict[str, Disk] = {}
        self.shots: dict[str, Snapshot] = {}
        self.written: dict[str, int] = {}
        """Content by the id of disk or snapshot."""
        self._ready_at: dict[str, datetime] = {}
        self._operations: dict[str, Operation] = {}
        self._by_request: dict[str, str] = {}
        self._ids = count(1)
        self.has_vm: Callable[[str], bool] = lambda _name: True
        """Whether there is a VM of that name."""

    def disks(self) -> Sequence[Disk]:
        """Return all disks."""
        self.settle()
        return list(self.by_name.values())

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all snapshots."""
        self.settle()
        return list(self.shots.values())

    def take_snapshot(
        self, disk: Disk, name: str, labels: dict[str, str], *, request_id: str
    ) -> Operation:
        """Start to make a snapshot; it shows what is on the disk now."""
        self.settle()
        source = self.by_name.get(disk.name)
        if source is None or source.disk_id != disk.disk_id:
            return self._refused(disk.compute_zone, FailureKind.OTHER)

        def make(made_id: str) -> None:
            self.shots[name] = Snapshot(
                name=name,
                status=DiskStatus.MAKING,
                snapshot_id=made_id,
                source_disk_id=source.disk_id,
                disk_size_gb=source.size_gb,
                job_id=labels[Label.JOB],
                created_at=self._clock.now(),
            )
            self.written[made_id] = self.written[source.disk_id]

        failure = FailureKind.OTHER if self.faults.snapshots_fail else None
        is_there = name in self.shots
        return self._start(disk.compute_zone, request_id, failure, self._snapshot_s, is_there, make)

    def copy_disk(self, spec: DataDiskSpec, snapshot: Snapshot, *, request_id: str) -> Operation:
        """Start to make a disk from a snapshot."""
        self.settle()
        failure = self._failure(spec.compute_zone)
        if snapshot.name not in self.shots:
            failure = FailureKind.OTHER

        def make(made_id: str) -> None:
            self._put(spec, made_id, DiskStatus.MAKING, snapshot.snapshot_id)
            self.written[made_id] = self.written[snapshot.snapshot_id]

        is_there = spec.name in self.by_name
        return self._start(spec.compute_zone, request_id, failure, self._copy_s, is_there, make)

    def attach(self, disk: Disk, vm: Vm, *, request_id: str) -> None:
        """Attach at once."""
        del request_id
        self.settle()
        if vm.name in self.faults.unfit:
            raise InvalidInputError(f"{vm.name}: expected a machine that takes persistent disks")
        found = self.by_name.get(disk.name)
        if found is None or found.compute_zone != vm.compute_zone or not self.has_vm(vm.name):
            return
        if found.users and vm.name not in found.users:
            raise UnavailableError(f"{disk.name} is in use by {found.users[0]}. Try again.")
        if not found.users:
            self._use(found, vm.name)

    def delete_disk(self, disk: Disk, *, request_id: str) -> None:
        """Delete at once."""
        del request_id
        found = self.by_name.get(disk.name)
        if found is not None and found.disk_id == disk.disk_id and not found.users:
            del self.by_name[disk.name]

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> None:
        """Delete at once."""
        del request_id
        found = self.shots.get(snapshot.name)
        if found is not None and found.snapshot_id == snapshot.snapshot_id:
            del self.shots[snapshot.name]

    # What VMs do

    def can_make(self, spec: DataDiskSpec | None) -> bool:
        """Whether a VM can be made with that disk."""
        if spec is None:
            return True
        found = self.by_name.get(spec.name)
        if not spec.exists:
            return found is None
        return found is not None and not found.users and found.compute_zone == spec.compute_zone

    def give(self, spec: DataDiskSpec, vm: str) -> None:
        """Make or take the disk that a VM is made with."""
        if not spec.exists:
            made_id = f"disk-{next(self._ids)}"
            self._put(spec, made_id, DiskStatus.READY, "")
            self.written[made_id] = 0
        self._use(self.by_name[spec.name], vm)

    def detach_all(self, vm: str) -> None:
        """A VM is gone; its data disk stays."""
        for disk in self.by_name.values():
            if vm in disk.users:
                self.by_name[disk.name] = replace(disk, users=())

    def disk_of(self, vm: str) -> Disk | None:
        """Return the data disk that a VM has."""
        return next((disk for disk in self.by_name.values() if vm in disk.users), None)

    def operation(self, name: str) -> Operation | None:
        """Look at an operation."""
        self.settle()
        return self._operations.get(name)

    def settle(self) -> None:
        """Let everything happen whose time has come."""
        now = self._clock.now()
        for made_id, ready_at in list(self._ready_at.items()):
            if now < ready_at:
                continue
            del self._ready_at[made_id]
            for name, operation in self._operations.items():
                if name.endswith(f"/{made_id}"):
                    self._operations[name] = replace(operation, done=True)
            for disk in list(self.by_name.values()):
                if disk.disk_id == made_id:
                    self.by_name[disk.name] = replace(disk, status=DiskStatus.READY)
            for shot in list(self.shots.values()):
                if shot.snapshot_id == made_id:
                    self.shots[shot.name] = replace(shot, status=DiskStatus.READY)

    def _start(  # noqa: PLR0913, PLR0917 - one way for both
        self,
        compute_zone: str,
        request_id: str,
        failure: FailureKind | None,
        seconds: float,
        is_there: bool,  # noqa: FBT001
        make: Callable[[str], None],
    ) -> Operation:
        if request_id in self._by_request:
            return self._operations[self._by_request[request_id]]
        if is_there:
            return Operation(name="existing", compute_zone=compute_zone, done=True)
        if failure is not None:
            return self._refused(compute_zone, failure)
        made_id = f"made-{next(self._ids)}"
        make(made_id)
        name = f"operation/{made_id}"
        takes_s = seconds + self.faults.slow_s
        self._ready_at[made_id] = self._clock.now() + timedelta(seconds=takes_s)
        operation = Operation(name=name, compute_zone=compute_zone, done=False)
        self._operations[name] = operation
        self._by_request[request_id] = name
        return operation

    def _refused(self, compute_zone: str, failure: FailureKind) -> Operation:
        """An operation that fails a little later, and leaves nothing."""
        name = f"operation/refused-{next(self._ids)}"
        operation = Operation(
            name=name,
            compute_zone=compute_zone,
            done=True,
            failure=failure,
            message=f"Compute Engine says: {failure}",
        )
        self._operations[name] = operation
        return replace(operation, done=False, failure=None, message="")

    def _failure(self, compute_zone: str) -> FailureKind | None:
        if self.faults.denied:
            return FailureKind.DENIED
        if compute_zone.rpartition("-")[0] in self.faults.quota:
            return FailureKind.QUOTA
        return FailureKind.STOCK_OUT if compute_zone in self.faults.stock_outs else None

    def _put(self, spec: DataDiskSpec, made_id: str, status: DiskStatus, snapshot: str) -> None:
        self.by_name[spec.name] = Disk(
            name=spec.name,
            compute_zone=spec.compute_zone,
            status=status,
            disk_id=made_id,
            size_gb=spec.size_gb,
            job_id=spec.labels[Label.JOB],
            incarnation=int(spec.labels[Label.INCARNATION]),
            is_data=spec.labels.get(Label.ROLE) == DATA_DISK,
            created_at=self._clock.now(),
            source_snapshot_id=snapshot,
        )

    def _use(self, disk: Disk, vm: str) -> None:
        self.by_name[disk.name] = replace(disk, users=(vm,), last_attached_at=self._clock.now())
