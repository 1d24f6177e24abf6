"""The port `DiskFleet` on the embedded cloud."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from pydantic import SecretStr

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm
from functions.errors import InvalidInputError
from functions.local.calls import AlreadyExistsError, InUseError, NotFoundError, call
from functions.local.disk_front import DISK_SPEC, DISKS, LABELS, SNAPSHOTS
from functions.local.front_answers import OPERATION, REQUEST_ID


class LocalDisks:
    """Disks that are folders of this machine."""

    def __init__(self, url: str, key: SecretStr) -> None:
        """Take the embedded cloud's address and key."""
        self._url = url
        self._call = partial(call, key=key)

    def disks(self) -> Sequence[Disk]:
        """Return all managed disks in all zones, in one call."""
        return DISKS.validate_json(self._call("GET", f"{self._url}/disks"))

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all managed snapshots, in one call."""
        return SNAPSHOTS.validate_json(self._call("GET", f"{self._url}/snapshots"))

    def take_snapshot(
        self, disk: Disk, name: str, labels: dict[str, str], *, request_id: str
    ) -> Operation:
        """Start to make a snapshot; if the name exists, return a done operation."""
        url = f"{self._url}/disks/{disk.name}/snapshots/{name}"
        return self._begin(url, LABELS.dump_json(labels), disk.compute_zone, request_id)

    def copy_disk(self, spec: DataDiskSpec, snapshot: Snapshot, *, request_id: str) -> Operation:
        """Start to make a disk from a snapshot; if the name exists, return a done operation."""
        url = f"{self._url}/snapshots/{snapshot.name}/disks"
        return self._begin(url, DISK_SPEC.dump_json(spec), spec.compute_zone, request_id)

    def attach(self, disk: Disk, vm: Vm, *, request_id: str) -> None:
        """Attach it; a VM that is gone or has it is fine."""
        url = f"{self._url}/zones/{vm.compute_zone}/vms/{vm.name}/disks/{disk.name}"
        with suppress(NotFoundError):
            self._call("POST", url, params={REQUEST_ID: request_id})

    def delete_disk(self, disk: Disk, *, request_id: str) -> None:
        """Delete it; one that is gone or attached is left."""
        self._delete(f"{self._url}/disks/{disk.name}/{disk.disk_id}", request_id)

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> None:
        """Delete it; one that is gone is fine."""
        self._delete(f"{self._url}/snapshots/{snapshot.name}/{snapshot.snapshot_id}", request_id)

    def _begin(self, url: str, data: bytes, compute_zone: str, request_id: str) -> Operation:
        try:
            answer = self._call("POST", url, data=data, params={REQUEST_ID: request_id})
        except AlreadyExistsError as error:
            return Operation.over("existing", compute_zone, message=str(error))
        except InvalidInputError as error:
            failure = FailureKind.OTHER
            return Operation.over("refused", compute_zone, failure=failure, message=str(error))
        return OPERATION.validate_json(answer)

    def _delete(self, url: str, request_id: str) -> None:
        with suppress(InvalidInputError, InUseError):  # gone, or attached meanwhile
            self._call("DELETE", url, params={REQUEST_ID: request_id})
