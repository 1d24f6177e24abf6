"""The laws of the port `DiskFleet`, for every implementation of it.

Inherit `DiskContract` and give it a fixture `harness`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pytest
from fleet_contract import INTERVAL_END, ZONE

from functions.domain.lifecycle.disk import DataDiskSpec, Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec, VmStatus
from functions.errors import UnavailableError
from functions.ports import DiskFleet, VmFleet
from vm_runtime.contract.instance import DATA_DISK, MANAGED_BY, Attribute, Label

ELSEWHERE = "europe-west9-b"
SNAPSHOT = "ss-digits-2-snapshot"
LABELS = {
    Label.MANAGED_BY: MANAGED_BY,
    Label.JOB: "digits",
    Label.INCARNATION: "7",
    Label.ROLE: DATA_DISK,
}


class DiskHarness(Protocol):
    """Disks and the VMs that have them, and the hands of the world around."""

    @property
    def fleet(self) -> VmFleet:
        """The VMs, none at first."""
        ...

    @property
    def disks(self) -> DiskFleet:
        """The implementation under test, without any disk."""
        ...

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Let time pass until `look` holds; fails if it does not within simulated hours."""
        ...

    def run_out_of_stock(self, compute_zone: str) -> None:
        """Leave `compute_zone` without capacity."""
        ...

    def use_up_quota(self, region: str) -> None:
        """Leave `region` without quota."""
        ...


def disk_spec(number: int = 1, compute_zone: str = ZONE, **changes: object) -> DataDiskSpec:
    """Return a data disk as the control plane makes it."""
    plain = DataDiskSpec(
        name=f"ss-digits-{number}-data",
        compute_zone=compute_zone,
        size_gb=100,
        type="pd-balanced",
        labels={str(key): value for key, value in LABELS.items()},
    )
    return replace(plain, **changes)


def vm_spec(number: int = 1, disk: DataDiskSpec | None = None) -> VmSpec:
    """Return a VM as the control plane makes it, with a data disk or without."""
    return VmSpec(
        name=f"ss-digits-{number}",
        compute_zone=disk.compute_zone if disk else ZONE,
        machine_type="n2-standard-4",
        labels={Label.MANAGED_BY: MANAGED_BY, Label.JOB: "digits", Label.INCARNATION: str(number)},
        metadata={
            Attribute.JOB: "digits",
            Attribute.INCARNATION: str(number),
            Attribute.INTERVAL_END: INTERVAL_END.isoformat(),
        },
        max_run_duration_s=86_400,
        data_disk=disk,
    )


def vm(harness: DiskHarness, number: int = 1) -> Vm:
    """Return a VM as it is now."""
    return next(vm for vm in harness.fleet.list() if vm.name == f"ss-digits-{number}")


def running(harness: DiskHarness, number: int = 1, disk: DataDiskSpec | None = None) -> Vm:
    """Make a VM and wait until it runs."""
    harness.fleet.insert(vm_spec(number, disk), request_id=f"insert-{number}")
    harness.wait_until(lambda: vm(harness, number).status is VmStatus.RUNNING)
    return vm(harness, number)


def gone(harness: DiskHarness, one: Vm) -> None:
    """Delete a VM and wait until it is gone."""
    harness.fleet.delete(one, request_id=f"delete-{one.name}")
    harness.wait_until(lambda: all(vm.name != one.name for vm in harness.fleet.list()))


def start(harness: DiskHarness) -> None:
    """Start the VM that is down."""
    down = vm(harness)
    assert down.terminated_at is not None
    metadata: dict[str, str] = {
        Attribute.INCARNATION: "2",
        Attribute.INTERVAL_END: INTERVAL_END.isoformat(),
        Attribute.STARTED_AT: down.terminated_at.isoformat(),
    }
    harness.fleet.start(down, metadata, request_id="start")


def data_disks(harness: DiskHarness) -> list[Disk]:
    """Return the data disks; boot disks may be listed beside them."""
    return [disk for disk in harness.disks.disks() if disk.is_data]


def the_disk(harness: DiskHarness, number: int = 1) -> Disk:
    """Return a data disk as it is now."""
    name = f"ss-digits-{number}-data"
    return next(disk for disk in data_disks(harness) if disk.name == name)


def free_disk(harness: DiskHarness) -> Disk:
    """Make a data disk together with a VM, and delete the VM."""
    gone(harness, running(harness, 1, disk_spec()))
    return the_disk(harness)


def snapshot_of(harness: DiskHarness, disk: Disk) -> Snapshot:
    """Take a snapshot and wait until it is ready."""
    harness.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="snapshot")
    harness.wait_until(lambda: harness.disks.snapshots()[0].status is DiskStatus.READY)
    return harness.disks.snapshots()[0]


def finished(harness: DiskHarness, operation: Operation) -> Operation:
    """Wait until an operation is done, and return it."""
    if operation.done:
        return operation
    zone = operation.compute_zone
    harness.wait_until(lambda: harness.fleet.operation(operation.name, zone).done)
    return harness.fleet.operation(operation.name, zone)


class DiskContract:
    """What every `DiskFleet` promises."""

    def test_a_disk_is_made_with_its_vm_and_outlives_it(self, harness: DiskHarness) -> None:
        """From the first moment on the VM has it; nothing but our call deletes it."""
        assert not data_disks(harness)
        assert not harness.disks.snapshots()
        one = running(harness, 1, disk_spec())
        disk = the_disk(harness)
        assert (disk.users, disk.status, disk.is_data) == ((one.name,), DiskStatus.READY, True)
        assert (disk.compute_zone, disk.size_gb, disk.job_id) == (ZONE, 100, "digits")
        assert (disk.incarnation, disk.source_snapshot_id) == (7, "")
        assert disk.last_attached_at is not None
        assert disk.last_attached_at >= disk.created_at
        gone(harness, one)
        assert replace(the_disk(harness), users=(one.name,)) == disk

    def test_a_later_vm_is_made_with_the_same_disk(self, harness: DiskHarness) -> None:
        """Same id, so same content."""
        before = free_disk(harness)
        running(harness, 2, disk_spec(exists=True))
        after = the_disk(harness)
        assert (after.disk_id, after.users) == (before.disk_id, ("ss-digits-2",))
        assert before.last_attached_at is not None
        assert after.last_attached_at is not None
        assert after.last_attached_at > before.last_attached_at

    def test_a_vm_is_not_made_with_a_disk_that_another_has(self, harness: DiskHarness) -> None:
        """It surfaces in the operation, and the one that has it keeps it."""
        one = running(harness, 1, disk_spec())
        wanted = vm_spec(2, disk_spec(exists=True))
        began = harness.fleet.insert(wanted, request_id="insert-2")
        assert finished(harness, began).failure is FailureKind.OTHER
        assert [vm.name for vm in harness.fleet.list()] == [one.name]
        assert the_disk(harness).users == (one.name,)

    def test_a_stopped_vm_keeps_its_disk_and_has_it_when_it_is_started(
        self, harness: DiskHarness
    ) -> None:
        """Nobody else can take it meanwhile, and a start needs no attaching."""
        one = running(harness, 1, disk_spec())
        harness.fleet.stop(one, request_id="stop")
        harness.wait_until(lambda: vm(harness).status is VmStatus.TERMINATED)
        assert the_disk(harness).users == (one.name,)
        start(harness)
        harness.wait_until(lambda: vm(harness).status is VmStatus.RUNNING)
        assert the_disk(harness).users == (one.name,)

    def test_a_disk_of_a_vm_that_was_started_and_never_ran_again_is_kept(
        self, harness: DiskHarness
    ) -> None:
        """Only what was made with a VM that never ran at all is empty."""
        one = running(harness, 1, disk_spec())
        harness.fleet.stop(one, request_id="stop")
        harness.wait_until(lambda: vm(harness).status is VmStatus.TERMINATED)
        start(harness)
        gone(harness, vm(harness))
        assert the_disk(harness).users == ()

    def test_a_snapshot_shows_its_disk(self, harness: DiskHarness) -> None:
        """MAKING first; then READY, with the id and size of what it shows."""
        disk = free_disk(harness)
        began = harness.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="a")
        assert began.compute_zone == ZONE
        assert harness.disks.snapshots()[0].status is DiskStatus.MAKING
        assert finished(harness, began).failure is None
        (snapshot,) = harness.disks.snapshots()
        assert (snapshot.name, snapshot.status) == (SNAPSHOT, DiskStatus.READY)
        assert (snapshot.source_disk_id, snapshot.disk_size_gb) == (disk.disk_id, 100)
        assert snapshot.job_id == "digits"
        assert disk.last_attached_at is not None
        assert snapshot.created_at >= disk.last_attached_at

    def test_a_repeated_snapshot_is_one(self, harness: DiskHarness) -> None:
        """The same request is its first operation; another finds the name and is done."""
        disk = free_disk(harness)
        first = harness.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="a")
        again = harness.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="a")
        other = harness.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="b")
        assert again.name == first.name
        assert (other.done, other.failure) == (True, None)
        assert len(harness.disks.snapshots()) == 1

    def test_a_snapshot_of_a_disk_that_is_gone_fails(self, harness: DiskHarness) -> None:
        """It surfaces in the operation, not in the call."""
        disk = free_disk(harness)
        harness.disks.delete_disk(disk, request_id="delete")
        harness.wait_until(lambda: not data_disks(harness))
        began = harness.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="a")
        assert finished(harness, began).failure is FailureKind.OTHER
        assert not harness.disks.snapshots()

    def test_a_copy_is_of_the_snapshot_and_in_its_new_place(self, harness: DiskHarness) -> None:
        """Another disk, with the id of the snapshot that it was made from; free."""
        source = free_disk(harness)
        snapshot = snapshot_of(harness, source)
        wanted = disk_spec(2, ELSEWHERE)
        began = harness.disks.copy_disk(wanted, snapshot, request_id="copy")
        assert began.compute_zone == ELSEWHERE
        assert the_disk(harness, 2).status is DiskStatus.MAKING
        assert finished(harness, began).failure is None
        copy = the_disk(harness, 2)
        assert (copy.status, copy.compute_zone) == (DiskStatus.READY, ELSEWHERE)
        assert (copy.users, copy.size_gb) == ((), source.size_gb)
        assert copy.source_snapshot_id == snapshot.snapshot_id
        assert copy.disk_id != source.disk_id
        assert the_disk(harness, 1) == source

    def test_a_repeated_copy_is_one(self, harness: DiskHarness) -> None:
        """As with snapshots."""
        snapshot = snapshot_of(harness, free_disk(harness))
        wanted = disk_spec(2, ELSEWHERE)
        first = harness.disks.copy_disk(wanted, snapshot, request_id="a")
        again = harness.disks.copy_disk(wanted, snapshot, request_id="a")
        other = harness.disks.copy_disk(wanted, snapshot, request_id="b")
        assert again.name == first.name
        assert (other.done, other.failure) == (True, None)
        assert len(data_disks(harness)) == 2

    def test_without_capacity_a_copy_fails_and_leaves_nothing(self, harness: DiskHarness) -> None:
        """It surfaces in the operation; source and snapshot are as they were."""
        source = free_disk(harness)
        snapshot = snapshot_of(harness, source)
        harness.run_out_of_stock(ELSEWHERE)
        began = harness.disks.copy_disk(disk_spec(2, ELSEWHERE), snapshot, request_id="a")
        assert finished(harness, began).failure is FailureKind.STOCK_OUT
        assert data_disks(harness) == [source]
        assert harness.disks.snapshots() == [snapshot]

    def test_without_quota_a_copy_fails(self, harness: DiskHarness) -> None:
        """It rules out the region."""
        snapshot = snapshot_of(harness, free_disk(harness))
        harness.use_up_quota("europe-west9")
        began = harness.disks.copy_disk(disk_spec(2, ELSEWHERE), snapshot, request_id="a")
        assert finished(harness, began).failure is FailureKind.QUOTA

    def test_a_copy_of_a_snapshot_that_is_gone_fails(self, harness: DiskHarness) -> None:
        """It is asked for again from the start, or given up."""
        snapshot = snapshot_of(harness, free_disk(harness))
        harness.disks.delete_snapshot(snapshot, request_id="delete")
        harness.wait_until(lambda: not harness.disks.snapshots())
        began = harness.disks.copy_disk(disk_spec(2, ELSEWHERE), snapshot, request_id="a")
        assert finished(harness, began).failure is FailureKind.OTHER

    def test_a_disk_is_attached_to_a_running_vm_once(self, harness: DiskHarness) -> None:
        """Another request of the same is fine: the list may have been from before."""
        disk = free_disk(harness)
        two = running(harness, 2)
        harness.disks.attach(disk, two, request_id="a")
        harness.wait_until(lambda: the_disk(harness).users == (two.name,))
        harness.disks.attach(disk, two, request_id="a")
        harness.disks.attach(disk, two, request_id="b")
        after = the_disk(harness)
        assert after.users == (two.name,)
        assert disk.last_attached_at is not None
        assert after.last_attached_at is not None
        assert after.last_attached_at > disk.last_attached_at

    def test_a_disk_that_another_vm_has_is_not_taken_from_it(self, harness: DiskHarness) -> None:
        """It may become free: it is tried again, and the job does not fail for it."""
        one = running(harness, 1, disk_spec())
        disk, two = the_disk(harness), running(harness, 2)
        with pytest.raises(UnavailableError):
            harness.disks.attach(disk, two, request_id="a")
        assert the_disk(harness).users == (one.name,)

    def test_a_disk_is_not_attached_to_a_vm_that_is_gone(self, harness: DiskHarness) -> None:
        """The next look sees that it is gone."""
        disk = free_disk(harness)
        two = running(harness, 2)
        gone(harness, two)
        harness.disks.attach(disk, two, request_id="a")
        assert the_disk(harness).users == ()

    def test_an_attached_disk_is_not_deleted(self, harness: DiskHarness) -> None:
        """A VM may be writing to it, whatever the list said."""
        running(harness, 1, disk_spec())
        harness.disks.delete_disk(replace(the_disk(harness), users=()), request_id="a")
        assert the_disk(harness).status is DiskStatus.READY

    def test_a_free_disk_is_deleted_once(self, harness: DiskHarness) -> None:
        """One that is gone is fine."""
        disk = free_disk(harness)
        harness.disks.delete_disk(disk, request_id="a")
        harness.wait_until(lambda: not data_disks(harness))
        harness.disks.delete_disk(disk, request_id="a")
        harness.disks.delete_disk(disk, request_id="b")

    def test_another_disk_or_snapshot_of_the_name_is_not_deleted(
        self, harness: DiskHarness
    ) -> None:
        """What was meant is gone; what has its name now was not looked at."""
        disk = free_disk(harness)
        snapshot = snapshot_of(harness, disk)
        harness.disks.delete_disk(replace(disk, disk_id="17"), request_id="a")
        harness.disks.delete_snapshot(replace(snapshot, snapshot_id="17"), request_id="b")
        assert data_disks(harness) == [disk]
        assert harness.disks.snapshots() == [snapshot]

    def test_a_snapshot_outlives_its_disk_and_is_deleted_once(self, harness: DiskHarness) -> None:
        """A copy can be made from it though the source is gone."""
        disk = free_disk(harness)
        snapshot = snapshot_of(harness, disk)
        harness.disks.delete_disk(disk, request_id="a")
        harness.wait_until(lambda: not data_disks(harness))
        began = harness.disks.copy_disk(disk_spec(2, ELSEWHERE), snapshot, request_id="copy")
        assert finished(harness, began).failure is None
        harness.disks.delete_snapshot(snapshot, request_id="b")
        harness.wait_until(lambda: not harness.disks.snapshots())
        harness.disks.delete_snapshot(snapshot, request_id="c")
