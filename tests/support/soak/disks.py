"""Data disks and snapshots, and how far what is on them goes: all of it must be somewhere."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmStatus
from soak.faults import Kind
from soak.kernel import START
from vm_runtime.contract.instance import DATA_DISK, Label

if TYPE_CHECKING:
    from soak.world import World

Key = tuple[str, str]
"""Compute zone and name."""


@dataclass(eq=False)
class StoredDisk:
    """A data disk as Compute Engine has it."""

    spec: DataDiskSpec
    disk_id: str
    made_s: float
    content: int
    """Number of the last write of its job that is on it, with all before; 0: blank."""
    status: DiskStatus = DiskStatus.MAKING
    snapshot_id: str = ""
    user: str = ""
    """Name of the VM that has it."""
    attached_s: float | None = None

    @property
    def key(self) -> Key:
        """What identifies it."""
        return (self.spec.compute_zone, self.spec.name)

    @property
    def job_id(self) -> str:
        """Whose it is."""
        return self.spec.labels[Label.JOB]

    def as_disk(self) -> Disk:
        """Return it as the port shows it."""
        attached_s = self.attached_s
        return Disk(
            name=self.spec.name,
            compute_zone=self.spec.compute_zone,
            status=self.status,
            disk_id=self.disk_id,
            size_gb=self.spec.size_gb,
            job_id=self.job_id,
            incarnation=int(self.spec.labels[Label.INCARNATION]),
            is_data=self.spec.labels.get(Label.ROLE) == DATA_DISK,
            created_at=START + timedelta(seconds=self.made_s),
            users=(self.user,) if self.user else (),
            source_snapshot_id=self.snapshot_id,
            last_attached_at=None if attached_s is None else START + timedelta(seconds=attached_s),
        )


@dataclass(eq=False)
class StoredSnapshot:
    """A snapshot as Compute Engine has it."""

    name: str
    job_id: str
    snapshot_id: str
    source: StoredDisk
    made_s: float
    content: int
    status: DiskStatus = DiskStatus.MAKING

    def as_snapshot(self) -> Snapshot:
        """Return it as the port shows it."""
        return Snapshot(
            name=self.name,
            status=self.status,
            snapshot_id=self.snapshot_id,
            source_disk_id=self.source.disk_id,
            disk_size_gb=self.source.spec.size_gb,
            job_id=self.job_id,
            created_at=START + timedelta(seconds=self.made_s),
        )


@dataclass
class Disks:
    """All data disks and snapshots of the project."""

    world: "World"
    by_key: dict[Key, StoredDisk] = field(default_factory=dict)
    shots: dict[str, StoredSnapshot] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)
    """Number of the last write by job: what has all of them is whole."""
    _made: int = 0

    def list(self) -> Sequence[Disk]:
        """Return all disks."""
        return [each.as_disk() for each in self.by_key.values()]

    def list_snapshots(self) -> Sequence[Snapshot]:
        """Return all snapshots."""
        return [each.as_snapshot() for each in self.shots.values()]

    def take_snapshot(
        self, disk: Disk, name: str, labels: dict[str, str], request_id: str
    ) -> Operation:
        """Start to make a snapshot of what is on the disk now."""
        compute, world = self.world.compute, self.world
        source = self.by_key.get((disk.compute_zone, disk.name))
        if source is None or source.disk_id != disk.disk_id:
            return compute.refused(disk.compute_zone, FailureKind.OTHER)
        known = compute.asked_before(request_id, disk.compute_zone, is_there=name in self.shots)
        if known is not None:
            return known
        snapshot = StoredSnapshot(
            name=name,
            job_id=labels[Label.JOB],
            snapshot_id=self._new_id("snapshot"),
            source=source,
            made_s=world.kernel.now_s,
            content=source.content,
        )
        self.shots[name] = snapshot
        world.tell(source.spec.name, f"is being copied to {name}")
        operation = compute.begin(request_id, disk.compute_zone)
        fails = world.is_on(Kind.REFUSED)
        compute.later(lambda: self._finish_snapshot(snapshot, operation.name, fails=fails))
        return operation

    def copy(self, spec: DataDiskSpec, snapshot: Snapshot, request_id: str) -> Operation:
        """Start to make a disk from a snapshot."""
        compute, world = self.world.compute, self.world
        key = (spec.compute_zone, spec.name)
        known = compute.asked_before(request_id, key[0], is_there=key in self.by_key)
        if known is not None:
            return known
        source = self.shots.get(snapshot.name)
        if source is None or source.status is not DiskStatus.READY:
            return compute.refused(key[0], FailureKind.OTHER)
        failure = compute.failure_in(key[0])
        if failure is not None and world.dice.random() < 0.4:
            return compute.refused(key[0], failure)
        copy = self._put(spec, source.content)
        copy.snapshot_id = source.snapshot_id
        operation = compute.begin(request_id, key[0])
        compute.later(lambda: self._finish_copy(copy, source, operation.name, failure))
        return operation

    def attach(self, disk: Disk, vm: Vm, request_id: str) -> None:
        """Attach a free disk to a VM that runs in its compute zone."""
        if self.world.compute.asked_before(request_id, vm.compute_zone, is_there=False):
            return
        self.world.compute.begin(request_id, vm.compute_zone)
        found = self.by_key.get((disk.compute_zone, disk.name))
        instance = self.world.compute.instances.get((vm.compute_zone, vm.name))
        if found is None or found.user or instance is None or not instance.is_managed:
            return
        if instance.status is VmStatus.RUNNING and disk.compute_zone == vm.compute_zone:
            self._use(found, vm.name)

    def delete(self, disk: Disk, request_id: str) -> None:
        """Delete a disk that no VM has."""
        del request_id  # Of what is gone there is nothing left to delete.
        found = self.by_key.get((disk.compute_zone, disk.name))
        if found is not None and found.disk_id == disk.disk_id and not found.user:
            self.remove(found, "is deleted")

    def delete_snapshot(self, snapshot: Snapshot, request_id: str) -> None:
        """Delete a snapshot."""
        del request_id
        self.remove_snapshot(snapshot.name, "is deleted")

    # What VMs, and people, do

    def can_take(self, spec: DataDiskSpec) -> bool:
        """Whether a VM can be made with that disk."""
        found = self.by_key.get((spec.compute_zone, spec.name))
        if not spec.exists:
            return found is None
        return found is not None and not found.user and found.status is DiskStatus.READY

    def give(self, spec: DataDiskSpec, vm: str) -> None:
        """Make or take the disk that a VM is made with."""
        found = self.by_key.get((spec.compute_zone, spec.name))
        if found is None:
            found = self._put(spec, 0)
            found.status = DiskStatus.READY
        self._use(found, vm)

    def detach(self, vm: str) -> None:
        """A VM is gone; its data disk stays."""
        for disk in self.by_key.values():
            if disk.user == vm:
                disk.user = ""

    def of(self, vm: str) -> StoredDisk | None:
        """Return the data disk that a VM has."""
        return next((each for each in self.by_key.values() if each.user == vm), None)

    def write(self, disk: StoredDisk, vm: str) -> None:
        """Let a script write; what is not attached any more cannot be written to."""
        if disk.user != vm or self.by_key.get(disk.key) is not disk:
            self.world.laws.broken("keep_disk", f"{vm} lost {disk.spec.name} while it trained")
        self.written[disk.job_id] += 1
        disk.content = self.written[disk.job_id]

    def remove(self, disk: StoredDisk, why: str) -> None:
        """Delete a disk; a snapshot that is just being made of it comes to nothing."""
        self.world.tell(disk.spec.name, why)
        if self.by_key.get(disk.key) is disk:
            del self.by_key[disk.key]
        self.world.laws.disk_gone(disk.job_id)

    def remove_snapshot(self, name: str, why: str) -> None:
        """Delete a snapshot."""
        found = self.shots.pop(name, None)
        if found is not None:
            self.world.tell(name, why)
            self.world.laws.disk_gone(found.job_id)

    def is_whole_somewhere(self, job_id: str) -> bool:
        """Whether a ready disk or snapshot has every write of the job."""
        copies = [each for each in self.by_key.values() if each.job_id == job_id]
        shots = [each for each in self.shots.values() if each.job_id == job_id]
        return any(
            each.status is DiskStatus.READY and each.content == self.written[job_id]
            for each in (*copies, *shots)
        )

    def forget_lost(self, job_id: str) -> None:
        """A person deleted what was on the job's disk: no one can have it any more."""
        if not self.is_whole_somewhere(job_id):
            kept = [each.content for each in self.by_key.values() if each.job_id == job_id]
            self.written[job_id] = max(kept, default=0)

    # Inside

    def _finish_snapshot(self, snapshot: StoredSnapshot, operation: str, *, fails: bool) -> None:
        world = self.world
        world.kernel.sleep(world.dice.uniform(20, 200) + world.slow_s())
        if self.shots.get(snapshot.name) is not snapshot:
            fails = True
        elif fails and world.dice.random() < 0.5:
            self.remove_snapshot(snapshot.name, "comes to nothing")
        elif fails or self.by_key.get(snapshot.source.key) is not snapshot.source:
            snapshot.status, fails = DiskStatus.FAILED, True
        else:
            snapshot.status = DiskStatus.READY
            world.tell(snapshot.name, "is ready")
        world.compute.finish(operation, FailureKind.OTHER if fails else None)

    def _finish_copy(
        self,
        copy: StoredDisk,
        source: StoredSnapshot,
        operation: str,
        failure: FailureKind | None,
    ) -> None:
        world = self.world
        world.kernel.sleep(world.dice.uniform(10, 120) + world.slow_s())
        if failure is None and self.shots.get(source.name) is not source:
            failure, copy.status = FailureKind.OTHER, DiskStatus.FAILED
        elif failure is not None and self.by_key.get(copy.key) is copy:
            self.remove(copy, "comes to nothing")
        elif failure is None:
            copy.status = DiskStatus.READY
            world.tell(copy.spec.name, f"is ready in {copy.spec.compute_zone}")
        world.compute.finish(operation, failure)

    def _put(self, spec: DataDiskSpec, content: int) -> StoredDisk:
        disk = StoredDisk(
            spec=spec,
            disk_id=self._new_id("disk"),
            made_s=self.world.kernel.now_s,
            content=content,
        )
        self.by_key[disk.key] = disk
        self.world.tell(spec.name, f"is made in {spec.compute_zone}")
        return disk

    def _use(self, disk: StoredDisk, vm: str) -> None:
        disk.user, disk.attached_s = vm, self.world.kernel.now_s

    def _new_id(self, what: str) -> str:
        self._made += 1
        return f"{what}-{self._made}"
