"""What clients ask the embedded compute service for disks: answers, repeats, and its faults."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, Snapshot
from functions.local.disk_store import DiskStore
from functions.local.vm_states import OperationRecord


class DiskService:
    """The calls about disks and snapshots."""

    def __init__(
        self,
        store: DiskStore,
        *,
        answering: Callable[[str], AbstractContextManager[None]],
        check_vm: Callable[[str, str], object],
    ) -> None:
        """Serve `store`.

        Args:
            store: all disks and snapshots.
            answering: what a call goes through: the service's lock, and its faults.
            check_vm: raises `RefusedError` if there is no VM of that name and compute zone.
        """
        self._store, self._answering, self._check_vm = store, answering, check_vm

    def disks(self) -> Sequence[Disk]:
        """Return all disks."""
        with self._answering("disks"):
            return self._store.disks()

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all snapshots."""
        with self._answering("snapshots"):
            return self._store.snapshots()

    def take_snapshot(
        self, disk: str, name: str, labels: dict[str, str], *, request_id: str
    ) -> OperationRecord:
        """Start to make a snapshot.

        Raises:
            RefusedError: no such disk, name taken, or service unavailable.
        """
        with self._answering("createSnapshot"):
            return self._store.once(
                request_id, lambda: self._store.take_snapshot(disk, name, labels)
            )

    def copy(self, spec: DataDiskSpec, snapshot: str, *, request_id: str) -> OperationRecord:
        """Start to make a disk from a snapshot.

        Raises:
            RefusedError: no such snapshot, name taken, or service unavailable.
        """
        with self._answering("insertDisk"):
            return self._store.once(request_id, lambda: self._store.copy(spec, snapshot))

    def attach(self, vm: str, compute_zone: str, disk: str) -> None:
        """Attach a disk to a VM.

        Raises:
            RefusedError: no such VM or disk, it is not free, or service unavailable.
        """
        with self._answering("attachDisk"):
            self._check_vm(vm, compute_zone)
            self._store.attach(disk, vm, compute_zone)

    def delete_disk(self, name: str, disk_id: str) -> None:
        """Delete a disk that no VM has.

        Raises:
            RefusedError: no such disk, it is attached, or service unavailable.
        """
        with self._answering("deleteDisk"):
            self._store.delete_disk(name, disk_id)

    def delete_snapshot(self, name: str, snapshot_id: str) -> None:
        """Delete a snapshot.

        Raises:
            RefusedError: no such snapshot, or service unavailable.
        """
        with self._answering("deleteSnapshot"):
            self._store.delete_snapshot(name, snapshot_id)
