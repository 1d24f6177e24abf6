"""Data disks and snapshots on Google Compute Engine; the library is loaded when first called."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from functions.adapters.compute_calls import ComputeCalls, Patience
from functions.adapters.compute_errors import AlreadyExistsError, InUseError, NotFoundError
from functions.adapters.compute_making import attached_data_disk, data_disk_resource
from functions.adapters.compute_reading import (
    Owned,
    read_disk,
    read_operation,
    read_snapshot,
    short,
)
from functions.adapters.compute_refusals import REFUSALS, exists, refused
from functions.adapters.compute_request import as_uuid
from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm
from functions.errors import (
    PermissionDeniedError,
    QuotaExceededError,
    StockOutError,
    UnavailableError,
)

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.cloud import compute_v1

_LOG = logging.getLogger(__name__)


class ComputeEngineDisks:
    """`DiskFleet` on Compute Engine.

    Only what has the label `managed-by=smartscheduler` and the name of this deployment is
    listed; before anything is deleted its labels are read once more.
    """

    def __init__(
        self,
        *,
        project: str,
        deployment: str = "",
        endpoint: str = "",
        credentials: "Credentials | None" = None,
        patience: Patience | None = None,
    ) -> None:
        """Take where to call; nothing is loaded, built or called yet.

        Args:
            project: Google Cloud project of the disks.
            deployment: value of the label `deployment`; empty: of all deployments.
            endpoint: address of another server, for tests; empty: Google's.
            credentials: `None`: application default credentials.
            patience: limits of each call; `None`: those of `Patience`.
        """
        self._project, self._owned = project, Owned(deployment)
        self._calls = ComputeCalls(
            endpoint=endpoint, credentials=credentials, patience=patience or Patience()
        )

    def disks(self) -> Sequence[Disk]:
        """Return all managed disks in all zones: one aggregatedList (a page has 500).

        IAM: `compute.disks.list`.

        Raises:
            UnavailableError: no answer, or one without some zones.
            PermissionDeniedError: a right is missing.
        """
        scopes = self._calls.all_zones(
            lambda: self._calls.disks.aggregated_list,
            {"project": self._project, "filter": self._owned.filter},
            doing="list disks",
            right="compute.disks.list",
        )
        found = [read_disk(one, self._owned) for scope in scopes for one in scope.disks]
        return [disk for disk in found if disk is not None]

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all managed snapshots: one list (a page has 500).

        IAM: `compute.snapshots.list`.

        Raises:
            UnavailableError: no answer.
            PermissionDeniedError: a right is missing.
        """
        why = {"doing": "list snapshots", "right": "compute.snapshots.list"}
        pager = self._calls.call(
            lambda: self._calls.snapshots.list,
            {"project": self._project, "filter": self._owned.filter},
            **why,
        )
        found = [
            read_snapshot(one, self._owned)
            for page in self._calls.guarded(pager.pages, **why)
            for one in page.items
        ]
        return [snapshot for snapshot in found if snapshot is not None]

    def take_snapshot(
        self, disk: Disk, name: str, labels: Mapping[str, str], *, request_id: str
    ) -> Operation:
        """Start to make a snapshot; a refusal is a done operation that has failed.

        IAM: `compute.disks.createSnapshot`, `compute.snapshots.create`,
        `compute.snapshots.setLabels`.

        Raises:
            UnavailableError: no answer; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        request = {
            "project": self._project,
            "zone": disk.compute_zone,
            "disk": disk.name,
            "request_id": as_uuid(request_id),
            "snapshot_resource": {"name": name, "labels": dict(labels)},
        }
        return self._begin(
            lambda: self._calls.disks.create_snapshot_unary,
            request,
            what=f"snapshot {name}",
            right="compute.disks.createSnapshot, compute.snapshots.create and .setLabels",
        )

    def copy_disk(self, spec: DataDiskSpec, snapshot: Snapshot, *, request_id: str) -> Operation:
        """Start to make a disk from a snapshot; a refusal is a done operation that has failed.

        IAM: `compute.disks.create`, `compute.disks.setLabels`, `compute.snapshots.useReadOnly`.

        Raises:
            UnavailableError: no answer; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        source = f"projects/{self._project}/global/snapshots/{snapshot.name}"
        request = {
            "project": self._project,
            "zone": spec.compute_zone,
            "request_id": as_uuid(request_id),
            "disk_resource": data_disk_resource(spec, source_snapshot=source),
        }
        return self._begin(
            lambda: self._calls.disks.insert_unary,
            request,
            what=f"disk {spec.name}",
            right="compute.disks.create, compute.disks.setLabels, compute.snapshots.useReadOnly",
        )

    def attach(self, disk: Disk, vm: Vm, *, request_id: str) -> None:
        """Attach it; a VM that is gone or has it is fine.

        IAM: `compute.instances.attachDisk`, `compute.disks.use`, and `compute.disks.get` (if a
        VM has it: which).

        Raises:
            InvalidInputError: the VM can never have it.
            UnavailableError: no answer, or not possible now; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        doing = f"attach disk {disk.name} to VM {vm.name} in {vm.compute_zone}"
        right = "compute.instances.attachDisk and compute.disks.use"
        request = {
            "project": self._project,
            "zone": vm.compute_zone,
            "instance": vm.name,
            "request_id": as_uuid(request_id),
            "attached_disk_resource": attached_data_disk(disk.compute_zone, disk.name),
        }
        try:
            answer = self._calls.call(
                lambda: self._calls.instances.attach_disk_unary, request, doing=doing, right=right
            )
        except NotFoundError:
            return
        except InUseError:
            if vm.name in self._users(disk):
                return
            raise
        except (StockOutError, QuotaExceededError) as error:
            raise UnavailableError(f"{error} It is tried again.") from error
        _check(read_operation(answer, vm.compute_zone), doing=doing, right=right)

    def delete_disk(self, disk: Disk, *, request_id: str) -> None:
        """Delete it; one that is gone, attached, or not ours any more is left.

        IAM: `compute.disks.get`, `compute.disks.delete`.

        Raises:
            UnavailableError: no answer; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        place = {"project": self._project, "zone": disk.compute_zone, "disk": disk.name}
        found = self._look(lambda: self._calls.disks.get, place, "compute.disks.get")
        if found is None or str(found.id) != disk.disk_id or found.users:
            return
        self._delete(
            lambda: self._calls.disks.delete_unary,
            {**place, "request_id": as_uuid(request_id)},
            what=f"disk {disk.name} in {disk.compute_zone}",
            right="compute.disks.delete",
        )

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> None:
        """Delete it; one that is gone or not ours any more is left.

        IAM: `compute.snapshots.get`, `compute.snapshots.delete`.

        Raises:
            UnavailableError: no answer; it may have worked.
            PermissionDeniedError: a right is missing.
        """
        place = {"project": self._project, "snapshot": snapshot.name}
        found = self._look(lambda: self._calls.snapshots.get, place, "compute.snapshots.get")
        if found is None or str(found.id) != snapshot.snapshot_id:
            return
        self._delete(
            lambda: self._calls.snapshots.delete_unary,
            {**place, "request_id": as_uuid(request_id)},
            what=f"snapshot {snapshot.name}",
            right="compute.snapshots.delete",
        )

    def close(self) -> None:
        """Close the connections that were opened."""
        self._calls.close()

    def _users(self, disk: Disk) -> tuple[str, ...]:
        """Return the names of the VMs that have it now."""
        place = {"project": self._project, "zone": disk.compute_zone, "disk": disk.name}
        found = self._look(lambda: self._calls.disks.get, place, "compute.disks.get")
        return tuple(short(user) for user in found.users) if found is not None else ()

    def _begin(
        self,
        method: Callable[[], Callable[..., "compute_v1.Operation"]],
        request: dict[str, Any],
        *,
        what: str,
        right: str,
    ) -> Operation:
        compute_zone, doing = request["zone"], f"create {what}"
        try:
            answer = self._calls.call(method, request, doing=doing, right=right)
        except AlreadyExistsError as error:
            return exists(what, compute_zone, error)
        except REFUSALS as error:
            return refused(what, compute_zone, error)
        return read_operation(answer, compute_zone)

    def _look(
        self, method: Callable[[], Callable[..., Any]], place: dict[str, Any], right: str
    ) -> Any | None:  # noqa: ANN401 - a Disk or a Snapshot of the client library
        name = place.get("disk") or place["snapshot"]
        try:
            found = self._calls.call(method, place, doing=f"read {name}", right=right)
        except NotFoundError:
            return None
        if self._owned.has(found.labels):
            return found
        told = {"event": "label_lost"}
        _LOG.warning("%s: its labels were taken away meanwhile; left alone", name, extra=told)
        return None

    def _delete(
        self,
        method: Callable[[], Callable[..., "compute_v1.Operation"]],
        request: dict[str, Any],
        *,
        what: str,
        right: str,
    ) -> None:
        doing = f"delete {what}"
        try:
            answer = self._calls.call(method, request, doing=doing, right=right)
        except (NotFoundError, InUseError):  # Gone; or a VM got it meanwhile, and keeps it.
            return
        except REFUSALS as error:
            raise UnavailableError(f"{error} It is tried again.") from error
        _check(read_operation(answer, str(request.get("zone", ""))), doing=doing, right=right)


def _check(operation: Operation, *, doing: str, right: str) -> None:
    """Raise what an operation says that is done at once and has failed."""
    if operation.failure is FailureKind.DENIED:
        raise PermissionDeniedError(f"{doing}: {operation.message}. Grant {right}.")
    if operation.failure is not None:
        raise UnavailableError(f"{doing}: {operation.message}. It is tried again.")
