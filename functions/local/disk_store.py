"""Disks and snapshots of the embedded cloud: folders, which a guest writes to as to any other."""

import shutil
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.vm import FailureKind
from functions.errors import InvalidInputError
from functions.local.events import EventKind
from functions.local.refusal import RefusedError
from functions.local.vm_states import Delays, OperationRecord
from functions.local.world import World
from vm_runtime.contract.base import Count, Utc, document
from vm_runtime.contract.instance import DATA_DISK, Label


@document
class DiskRecord:
    """A disk as the compute service remembers it."""

    name: str
    compute_zone: str
    size_gb: Count
    labels: dict[str, str]
    disk_id: str
    """Names its folder."""
    created_at: Utc
    ready_at: Utc
    operation: str
    users: tuple[str, ...] = ()
    source_snapshot_id: str = ""
    last_attached_at: Utc | None = None
    made_with: str = ""
    """The VM that it was made together with."""


@document
class SnapshotRecord:
    """A snapshot as the compute service remembers it."""

    name: str
    labels: dict[str, str]
    snapshot_id: str
    """Names its folder."""
    source_disk_id: str
    compute_zone: str
    """Of its source, and so of its operation."""
    disk_size_gb: Count
    created_at: Utc
    ready_at: Utc
    operation: str


@document
class SavedDisks:
    """What is kept of them over a power failure; their folders lie beside it."""

    disks: tuple[DiskRecord, ...] = ()
    snapshots: tuple[SnapshotRecord, ...] = ()
    failed: tuple[OperationRecord, ...] = ()
    """Operations that left nothing."""
    requests: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """Compute zone and name of the operation, by request id."""


class DiskStore:
    """All disks and snapshots; all methods are safe in threads."""

    def __init__(
        self, *, world: World, folder: Path, delays: Delays, on_change: Callable[[], None]
    ) -> None:
        """Start with none; `on_change` is called after each change."""
        self._clock, self._log, self._faults = world.clock, world.log, world.faults
        self._folder, self._delays, self._on_change = folder, delays, on_change
        self._lock = threading.RLock()
        self._disks: dict[str, DiskRecord] = {}
        self._snapshots: dict[str, SnapshotRecord] = {}
        self._failed: dict[str, OperationRecord] = {}
        self._requests: dict[str, tuple[str, str]] = {}

    def restore(self, saved: SavedDisks) -> None:
        """Take up what an earlier cloud left."""
        with self._lock:
            self._disks = {disk.name: disk for disk in saved.disks}
            self._snapshots = {snapshot.name: snapshot for snapshot in saved.snapshots}
            self._failed = {operation.name: operation for operation in saved.failed}
            self._requests = dict(saved.requests)

    def saved(self) -> SavedDisks:
        """Return what `restore` takes."""
        with self._lock:
            return SavedDisks(
                disks=tuple(self._disks.values()),
                snapshots=tuple(self._snapshots.values()),
                failed=tuple(self._failed.values()),
                requests=dict(self._requests),
            )

    # What clients call.

    def disks(self) -> list[Disk]:
        """Return all disks as the port shows them."""
        with self._lock:
            return [self._shown(disk) for disk in self._disks.values()]

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots as the port shows them."""
        with self._lock:
            return [
                Snapshot(
                    name=each.name,
                    status=self._status(each),
                    snapshot_id=each.snapshot_id,
                    source_disk_id=each.source_disk_id,
                    disk_size_gb=each.disk_size_gb,
                    job_id=each.labels[Label.JOB],
                    created_at=each.created_at,
                )
                for each in self._snapshots.values()
            ]

    def once(self, request_id: str, make: Callable[[], OperationRecord]) -> OperationRecord:
        """Carry a request out; a repeat of its id returns its operation as it is now."""
        with self._lock:
            if request_id not in self._requests:
                operation = make()
                self._requests[request_id] = (operation.compute_zone, operation.name)
                return operation
            zone, name = self._requests[request_id]
            gone = OperationRecord(name=name, compute_zone=zone, vm_name="", done=True)
            return self.operation(name, zone) or gone

    def take_snapshot(self, disk: str, name: str, labels: dict[str, str]) -> OperationRecord:
        """Copy what is on a disk now.

        Raises:
            RefusedError: no such disk, or the name is taken.
        """
        with self._lock:
            source = self._existing(disk)
            if name in self._snapshots:
                raise RefusedError(409, "alreadyExists", f"snapshot {name} exists")
            now, made_id = self._clock.now(), uuid.uuid4().hex
            record = SnapshotRecord(
                name=name,
                labels=labels,
                snapshot_id=made_id,
                source_disk_id=source.disk_id,
                compute_zone=source.compute_zone,
                disk_size_gb=source.size_gb,
                created_at=now,
                ready_at=now + timedelta(seconds=self._delays.snapshot_s),
                operation=f"operation-{made_id}",
            )
            shutil.copytree(self._folder / source.disk_id, self._folder / made_id, symlinks=True)
            self._snapshots[name] = record
            self._say(name, f"snapshot of {disk}")
            return self._operation_of(record)

    def copy(self, spec: DataDiskSpec, snapshot: str) -> OperationRecord:
        """Make a disk from a snapshot; without capacity or quota the operation fails.

        Raises:
            RefusedError: no such snapshot, or the name is taken.
        """
        with self._lock:
            source = self._snapshots.get(snapshot)
            if source is None or self._status(source) is not DiskStatus.READY:
                raise RefusedError(400, "resourceNotReady", f"snapshot {snapshot} is not ready")
            if spec.name in self._disks:
                raise RefusedError(409, "alreadyExists", f"disk {spec.name} exists")
            failure = self._failure(spec.compute_zone)
            if failure is not None:
                return self._fail(spec, failure)
            made_id = uuid.uuid4().hex
            shutil.copytree(
                self._folder / source.snapshot_id, self._folder / made_id, symlinks=True
            )
            record = self._add(spec, made_id, snapshot_id=source.snapshot_id)
            return self._operation_of(record)

    def operation(self, name: str, compute_zone: str) -> OperationRecord | None:
        """Return an operation, `None` if it is none of disks."""
        with self._lock:
            made: list[DiskRecord | SnapshotRecord] = [*self._disks.values()]
            made += self._snapshots.values()
            found = {each.operation: self._operation_of(each) for each in made} | self._failed
            operation = found.get(name)
            return operation if operation and operation.compute_zone == compute_zone else None

    def delete_disk(self, name: str, disk_id: str) -> None:
        """Delete a disk with what is on it.

        Raises:
            RefusedError: no such disk, another one of that name, or it is attached.
        """
        with self._lock:
            disk = self._existing(name)
            if disk.disk_id != disk_id:
                raise RefusedError(404, "notFound", f"{name} is another disk than {disk_id}")
            if disk.users:
                raise RefusedError(400, "resourceInUseByAnotherResource", f"{disk.users} use it")
            shutil.rmtree(self._folder / disk.disk_id, ignore_errors=True)
            del self._disks[name]
            self._say(name, "disk deleted")

    def delete_snapshot(self, name: str, snapshot_id: str) -> None:
        """Delete a snapshot.

        Raises:
            RefusedError: no such snapshot, or another one of that name.
        """
        with self._lock:
            snapshot = self._snapshots.get(name)
            if snapshot is None or snapshot.snapshot_id != snapshot_id:
                raise RefusedError(404, "notFound", f"there is no snapshot {name} {snapshot_id}")
            del self._snapshots[name]
            shutil.rmtree(self._folder / snapshot.snapshot_id, ignore_errors=True)
            self._say(name, "snapshot deleted")

    # What VMs do.

    def give(self, spec: DataDiskSpec, vm: str) -> None:
        """Make the disk that a VM is made with, or attach the one that is there.

        Raises:
            RefusedError: it exists already, does not exist, or another VM has it.
        """
        with self._lock:
            if not spec.exists:
                if spec.name in self._disks:
                    raise RefusedError(409, "alreadyExists", f"disk {spec.name} exists")
                made_id = uuid.uuid4().hex
                (self._folder / made_id).mkdir(parents=True)
                self._add(spec, made_id, vm=vm)
            self.attach(spec.name, vm, spec.compute_zone)

    def attach(self, name: str, vm: str, compute_zone: str) -> None:
        """Attach a disk to a VM of its compute zone; twice is fine.

        Raises:
            RefusedError: no such disk there, it is not ready, or another VM has it.
        """
        with self._lock:
            disk = self._existing(name)
            if vm in disk.users:
                return
            if disk.compute_zone != compute_zone:
                raise RefusedError(404, "notFound", f"{name} is not in {compute_zone}")
            if disk.users or (disk.source_snapshot_id and self._status(disk) is DiskStatus.MAKING):
                raise RefusedError(400, "resourceInUseByAnotherResource", f"{name} is not free")
            now = self._clock.now()
            self._disks[name] = replace(disk, users=(vm,), last_attached_at=now)
            self._say(name, f"disk attached to {vm}")

    def vm_is_gone(self, vm: str, *, never_ran: bool) -> None:
        """Keep its data disk; not one that was made with a VM that never ran."""
        with self._lock:
            for disk in list(self._disks.values()):
                if vm not in disk.users:
                    continue
                self._disks[disk.name] = replace(disk, users=())
                if never_ran and disk.made_with == vm:
                    self.delete_disk(disk.name, disk.disk_id)

    def folder_of(self, vm: str) -> Path | None:
        """Return what the guest sees of its data disk, `None` if it has none."""
        with self._lock:
            disks = [disk for disk in self._disks.values() if vm in disk.users]
            return (self._folder / disks[0].disk_id).resolve() if disks else None

    def _add(
        self, spec: DataDiskSpec, made_id: str, *, snapshot_id: str = "", vm: str = ""
    ) -> DiskRecord:
        if spec.labels.get(Label.ROLE) != DATA_DISK:
            raise InvalidInputError(
                f"disk {spec.name}: expected the label {Label.ROLE}, found none"
            )
        now = self._clock.now()
        takes_s = self._delays.copy_s if snapshot_id else 0.0
        record = DiskRecord(
            name=spec.name,
            compute_zone=spec.compute_zone,
            size_gb=spec.size_gb,
            labels=spec.labels,
            disk_id=made_id,
            created_at=now,
            ready_at=now + timedelta(seconds=takes_s),
            operation=f"operation-{made_id}",
            source_snapshot_id=snapshot_id,
            made_with=vm,
        )
        self._disks[spec.name] = record
        self._say(spec.name, f"disk in {spec.compute_zone}")
        return record

    def _fail(self, spec: DataDiskSpec, failure: FailureKind) -> OperationRecord:
        operation = OperationRecord(
            name=f"operation-{uuid.uuid4().hex}",
            compute_zone=spec.compute_zone,
            vm_name=spec.name,
            done=True,
            failure=failure,
            message=f"disk {spec.name}: {failure} in {spec.compute_zone}",
        )
        self._failed[operation.name] = operation
        self._log.say(EventKind.FAULT, spec.name, operation.message)
        self._on_change()
        return operation

    def _failure(self, compute_zone: str) -> FailureKind | None:
        faults, region = self._faults.present, compute_zone.rpartition("-")[0]
        if region in faults.quota_exceeded:
            return FailureKind.QUOTA
        return FailureKind.STOCK_OUT if faults.stock_outs & {compute_zone, region} else None

    def _existing(self, name: str) -> DiskRecord:
        disk = self._disks.get(name)
        if disk is None:
            raise RefusedError(404, "notFound", f"there is no disk {name}")
        return disk

    def _shown(self, disk: DiskRecord) -> Disk:
        return Disk(
            name=disk.name,
            compute_zone=disk.compute_zone,
            status=self._status(disk),
            disk_id=disk.disk_id,
            size_gb=disk.size_gb,
            job_id=disk.labels[Label.JOB],
            incarnation=int(disk.labels[Label.INCARNATION]),
            is_data=True,
            created_at=disk.created_at,
            users=disk.users,
            source_snapshot_id=disk.source_snapshot_id,
            last_attached_at=disk.last_attached_at,
        )

    def _status(self, record: DiskRecord | SnapshotRecord) -> DiskStatus:
        return DiskStatus.READY if self._clock.now() >= record.ready_at else DiskStatus.MAKING

    def _operation_of(self, record: DiskRecord | SnapshotRecord) -> OperationRecord:
        return OperationRecord(
            name=record.operation,
            compute_zone=record.compute_zone,
            vm_name=record.name,
            done=self._status(record) is DiskStatus.READY,
        )

    def _say(self, name: str, what: str) -> None:
        self._log.say(EventKind.VM, name, what)
        self._on_change()
