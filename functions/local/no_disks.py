"""The port `DiskFleet` where there are no disks to be moved: the job stays with its own files."""

from collections.abc import Sequence
from typing import NoReturn

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.domain.lifecycle.vm import Operation, Vm
from functions.errors import InvalidInputError


class NoDisks:
    """No disk and no snapshot, and none can be made."""

    def disks(self) -> Sequence[Disk]:
        """Return none."""
        return ()

    def snapshots(self) -> Sequence[Snapshot]:
        """Return none."""
        return ()

    def take_snapshot(
        self, disk: Disk, name: str, labels: dict[str, str], *, request_id: str
    ) -> Operation:
        """Refuse."""
        del disk, labels, request_id
        _refuse(name)

    def copy_disk(self, spec: DataDiskSpec, snapshot: Snapshot, *, request_id: str) -> Operation:
        """Refuse."""
        del snapshot, request_id
        _refuse(spec.name)

    def attach(self, disk: Disk, vm: Vm, *, request_id: str) -> None:
        """Refuse."""
        del vm, request_id
        _refuse(disk.name)

    def delete_disk(self, disk: Disk, *, request_id: str) -> None:
        """Do nothing: it is gone."""

    def delete_snapshot(self, snapshot: Snapshot, *, request_id: str) -> None:
        """Do nothing: it is gone."""


def _refuse(name: str) -> NoReturn:
    raise InvalidInputError(
        f"{name}: expected a job without data disk on a machine of one's own, found one that keeps"
        " a disk. Remove keep_disk from the job."
    )
