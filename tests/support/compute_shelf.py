"""Compute Engine's disks and snapshots in memory, in the client library's own types.

States, ids, users, name conflicts, request ids, quotas and stock-outs behave as documented.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from compute_faults import ComputeFaults
from compute_operations import Failure, Operations, Undertaking
from compute_rules import (
    RefusedError,
    check_disk,
    check_labels,
    fingerprint,
    having_label,
    last,
    pacific,
    zone_url,
)
from google.cloud import compute_v1 as gce

from vm_runtime.contract.clock import Clock

Key = tuple[str, str]
T = TypeVar("T", gce.Disk, gce.Snapshot)
_COPY_S, _SNAPSHOT_S, _SHORT_S = 60.0, 90.0, 10.0
_FULL = "ZONE_RESOURCE_POOL_EXHAUSTED"


class Shelf:
    """All disks and snapshots of the project."""

    def __init__(
        self, clock: Clock, ids: Iterator[int], operations: Operations, faults: ComputeFaults
    ) -> None:
        """Start with none."""
        self._clock, self._ids, self._operations = clock, ids, operations
        self._faults = faults
        self.page_size = 500
        self.disks: dict[Key, gce.Disk] = {}
        """By compute zone and name."""
        self.snapshots: dict[str, gce.Snapshot] = {}
        self.content: dict[int, str] = {}
        """What is on a disk or in a snapshot, by id; a test writes it."""

    # The API

    def insert_disk(self, request: gce.InsertDiskRequest) -> gce.Operation:
        """Make a disk, blank or from a snapshot; without capacity the operation fails."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        body, zone = request.disk_resource, request.zone
        source = self._source_of(body)
        check_disk(body, zone, source)
        key = (zone, body.name)
        self.refuse_taken(key)
        self._refuse_quota(zone)
        status = "RESTORING" if source else "CREATING"
        made = self._put(key, gce.Disk(body), status)
        if source is not None:
            made.source_snapshot_id = str(source.id)
            self.content[made.id] = self.content.get(source.id, "")

        def finish() -> Failure | None:
            if zone in self._faults.stock_outs:
                self.disks.pop(key, None)
                return _FULL, f"The zone '{zone}' does not have enough resources available."
            made.status = "READY"
            return None

        wanted = Undertaking(
            verb="insertDisk",
            target=f"disks/{body.name}",
            zone=zone,
            request_id=request.request_id,
            finish=finish,
            undo=lambda: self._forget(key),
        )
        return self._operations.begin(wanted, takes_s=_COPY_S + self._faults.slow_operations_s)

    def get_disk(self, request: gce.GetDiskRequest) -> gce.Disk:
        """Return a disk."""
        return self.disk(request.zone, request.disk)

    def list_disks(self, request: gce.ListDisksRequest) -> gce.DiskList:
        """Return a page of a compute zone's disks."""
        here = [one for (zone, _), one in self.disks.items() if zone == request.zone]
        page, following = self._page(having_label(request.filter, here), request.page_token)
        return gce.DiskList(id="list", items=page, next_page_token=following)

    def aggregated_list_disks(
        self, request: gce.AggregatedListDisksRequest
    ) -> gce.DiskAggregatedList:
        """Return a page of the disks of all zones."""
        found = having_label(request.filter, self.disks.values())
        page, following = self._page(found, request.page_token)
        answer = gce.DiskAggregatedList(
            id="list", next_page_token=following, unreachables=self._faults.unreachable
        )
        for one in page:
            scope = f"zones/{last(one.zone)}"
            before = answer.items.get(scope, gce.DisksScopedList())
            answer.items[scope] = gce.DisksScopedList(disks=[*before.disks, one])
        return answer

    def delete_disk(self, request: gce.DeleteDiskRequest) -> gce.Operation:
        """Delete a disk that no VM has."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        key, disk = (request.zone, request.disk), self.disk(request.zone, request.disk)
        self._refuse_used(disk)
        disk.status = "DELETING"
        return self._short("deleteDisk", disk, request.request_id, lambda: self._forget(key))

    def set_labels_of_disk(self, request: gce.SetLabelsDiskRequest) -> gce.Operation:
        """Replace a disk's labels if their fingerprint is that of the present ones."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        disk, wanted = (
            self.disk(request.zone, request.resource),
            request.zone_set_labels_request_resource,
        )
        if wanted.label_fingerprint != disk.label_fingerprint:
            raise RefusedError(412, "conditionNotMet", "Labels fingerprint either invalid or stale")
        check_labels(disk.name, wanted.labels)
        disk.labels, disk.label_fingerprint = wanted.labels, fingerprint()
        return self._short("setLabels", disk, request.request_id)

    def create_snapshot(self, request: gce.CreateSnapshotDiskRequest) -> gce.Operation:
        """Make a snapshot of what is on the disk now: CREATING, UPLOADING, READY or FAILED."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        source, body = self.disk(request.zone, request.disk), request.snapshot_resource
        check_labels(body.name, body.labels)
        if source.status != "READY":
            raise RefusedError(400, "resourceNotReady", f"The disk '{source.name}' is not ready")
        if body.name in self.snapshots:
            raise RefusedError(409, "alreadyExists", f"The snapshot '{body.name}' already exists")
        made = gce.Snapshot(body)
        made.id, made.status = next(self._ids), "CREATING"
        made.creation_timestamp = pacific(self._clock.now())
        made.source_disk = f"{source.zone}/disks/{source.name}"
        made.source_disk_id, made.disk_size_gb = str(source.id), source.size_gb
        made.label_fingerprint = fingerprint()
        self.snapshots[made.name] = made
        self.content[made.id] = self.content.get(source.id, "")

        def finish() -> Failure | None:
            if self._faults.snapshots_fail:
                made.status = "FAILED"
                return "INTERNAL_ERROR", "The snapshot could not be uploaded."
            made.status = "READY"
            return None

        wanted = Undertaking(
            verb="createSnapshot",
            target=f"disks/{source.name}",
            zone=request.zone,
            request_id=request.request_id,
            finish=finish,
            undo=lambda: self._forget_snapshot(made.name),
        )
        return self._operations.begin(wanted, takes_s=_SNAPSHOT_S + self._faults.slow_operations_s)

    def get_snapshot(self, request: gce.GetSnapshotRequest) -> gce.Snapshot:
        """Return a snapshot."""
        return self.snapshot(request.snapshot)

    def list_snapshots(self, request: gce.ListSnapshotsRequest) -> gce.SnapshotList:
        """Return a page of the snapshots."""
        found = having_label(request.filter, self.snapshots.values())
        page, following = self._page(found, request.page_token)
        return gce.SnapshotList(id="list", items=page, next_page_token=following)

    def delete_snapshot(self, request: gce.DeleteSnapshotRequest) -> gce.Operation:
        """Delete a snapshot; its operation is a global one."""
        if (known := self._operations.repeated(request.request_id)) is not None:
            return known
        found = self.snapshot(request.snapshot)
        found.status = "DELETING"
        wanted = Undertaking(
            verb="deleteSnapshot",
            target=f"snapshots/{found.name}",
            request_id=request.request_id,
            finish=lambda: self._forget_snapshot(found.name),
        )
        return self._operations.begin(wanted, takes_s=_SHORT_S + self._faults.slow_operations_s)

    # What VMs do

    def disk(self, zone: str, name: str) -> gce.Disk:
        """Return a disk as it is kept."""
        found = self.disks.get((zone, name))
        if found is None:
            raise RefusedError(404, "notFound", f"The resource '{zone}/disks/{name}' was not found")
        return found

    def snapshot(self, name: str) -> gce.Snapshot:
        """Return a snapshot as it is kept."""
        found = self.snapshots.get(name)
        if found is None:
            raise RefusedError(404, "notFound", f"The resource 'snapshots/{name}' was not found")
        return found

    def refuse_taken(self, key: Key) -> None:
        """Refuse a name that a disk has."""
        if key in self.disks:
            raise RefusedError(
                409, "alreadyExists", f"The resource 'disks/{key[1]}' already exists in {key[0]}"
            )

    def check_for(self, instance: gce.Instance, zone: str) -> None:
        """Refuse a VM whose disks cannot be made or had, before anything is made."""
        for attached in instance.disks:
            if attached.source:
                self._refuse_used(self._ready(zone, last(attached.source)))
            else:
                self.refuse_taken((zone, _name_of(attached, instance)))
                if not attached.boot:
                    self._refuse_quota(zone)

    def equip(self, instance: gce.Instance, zone: str) -> None:
        """Make or attach all disks that a VM is made with."""
        for attached in instance.disks:
            name = last(attached.source) if attached.source else _name_of(attached, instance)
            if not attached.source:
                made = attached.initialize_params
                self._put(
                    (zone, name),
                    gce.Disk(
                        name=name,
                        size_gb=made.disk_size_gb,
                        type_=made.disk_type,
                        labels=made.labels,
                        source_image=made.source_image,
                    ),
                    "READY",
                )
                attached.source = f"{zone_url(zone)}/disks/{name}"
            self._use(self.disk(zone, name), instance)

    def attach(self, instance: gce.Instance, zone: str, wanted: gce.AttachedDisk) -> None:
        """Attach a disk to a VM that is there."""
        disk = self._ready(zone, last(wanted.source))
        self._refuse_used(disk)
        instance.disks = [*instance.disks, wanted]
        self._use(disk, instance)

    def detach(self, instance: gce.Instance, zone: str, device_name: str) -> None:
        """Take a disk from a VM."""
        gone = [one for one in instance.disks if one.device_name == device_name]
        if not gone:
            raise RefusedError(400, "invalid", f"No attached disk has the device {device_name!r}")
        instance.disks = [one for one in instance.disks if one.device_name != device_name]
        self._let_go(self.disk(zone, last(gone[0].source)), instance)

    def strip(self, instance: gce.Instance, zone: str) -> None:
        """A VM is gone: its disks go with it, or stay without it, as each was attached."""
        for attached in instance.disks:
            key = (zone, last(attached.source))
            if key in self.disks:
                self._let_go(self.disks[key], instance)
                if attached.auto_delete:
                    del self.disks[key]

    def settle(self) -> None:
        """A snapshot is CREATING for a moment, then UPLOADING until its operation is done."""
        for snapshot in self.snapshots.values():
            if snapshot.status == "CREATING":
                snapshot.status = "UPLOADING"

    # Inside

    def _source_of(self, body: gce.Disk) -> gce.Snapshot | None:
        if not body.source_snapshot:
            return None
        source = self.snapshot(last(body.source_snapshot))
        if source.status != "READY":
            raise RefusedError(
                400, "resourceNotReady", f"The snapshot '{source.name}' is not ready"
            )
        return source

    def _ready(self, zone: str, name: str) -> gce.Disk:
        disk = self.disk(zone, name)
        if disk.status != "READY":
            raise RefusedError(400, "resourceNotReady", f"The disk '{name}' is not ready")
        return disk

    def _refuse_used(self, disk: gce.Disk) -> None:
        if disk.users:
            raise RefusedError(
                400,
                "resourceInUseByAnotherResource",
                f"The disk resource '{disk.name}' is already being used by '{disk.users[0]}'",
            )

    def _refuse_quota(self, zone: str) -> None:
        if zone.rpartition("-")[0] in self._faults.quota:
            raise RefusedError(
                403, "quotaExceeded", "Quota 'SSD_TOTAL_GB' exceeded. Limit: 500.0 in region."
            )

    def _put(self, key: Key, disk: gce.Disk, status: str) -> gce.Disk:
        disk.id, disk.zone, disk.status = next(self._ids), zone_url(key[0]), status
        disk.creation_timestamp = pacific(self._clock.now())
        disk.label_fingerprint = fingerprint()
        self.disks[key] = disk
        return disk

    def _use(self, disk: gce.Disk, instance: gce.Instance) -> None:
        disk.users = [f"{disk.zone}/instances/{instance.name}"]
        disk.last_attach_timestamp = pacific(self._clock.now())

    def _let_go(self, disk: gce.Disk, instance: gce.Instance) -> None:
        disk.users = [user for user in disk.users if last(user) != instance.name]
        disk.last_detach_timestamp = pacific(self._clock.now())

    def _forget(self, key: Key) -> None:
        self.disks.pop(key, None)

    def _forget_snapshot(self, name: str) -> None:
        self.snapshots.pop(name, None)

    def _short(
        self,
        verb: str,
        disk: gce.Disk,
        request_id: str,
        finish: Callable[[], Failure | None] = lambda: None,
    ) -> gce.Operation:
        wanted = Undertaking(
            verb=verb,
            target=f"disks/{disk.name}",
            zone=last(disk.zone),
            request_id=request_id,
            finish=finish,
        )
        return self._operations.begin(wanted, takes_s=_SHORT_S + self._faults.slow_operations_s)

    def _page(self, everything: Sequence[T], token: str) -> tuple[Sequence[T], str]:
        start = int(token or 0)
        end = start + self.page_size
        return everything[start:end], str(end) if end < len(everything) else ""


def _name_of(attached: gce.AttachedDisk, instance: gce.Instance) -> str:
    return attached.initialize_params.disk_name or instance.name
