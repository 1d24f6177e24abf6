"""Data disks of the embedded cloud: what a guest writes is there for the next, and nowhere else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from disk_contract import ELSEWHERE, LABELS, SNAPSHOT, disk_spec, vm_spec
from fleet_contract import ZONE
from local_world import Machines, make_world
from waiting import until

from functions.domain.lifecycle.disk import DiskStatus
from functions.domain.lifecycle.vm import FailureKind, VmStatus
from functions.errors import InvalidInputError
from functions.local.cloud import EmbeddedCloud
from functions.local.compute import Compute
from functions.local.faults import Faults
from functions.local.no_disks import NoDisks
from functions.local.refusal import RefusedError
from functions.local.vm_states import Delays
from vm_runtime.contract.instance import Attribute

MakeCloud = Callable[..., EmbeddedCloud]
WITH_DISK = {Attribute.DATA_DISK: "1"}
AT_ONCE = Delays(provisioning_s=0, staging_s=0, stopping_s=0, snapshot_s=0, copy_s=0)


def boots(compute: Compute, number: int, *, exists: bool, zone: str = ZONE, disk: int = 1) -> None:
    """Make a VM with a data disk, and wait until its guest has written to it."""
    spec = vm_spec(number, disk_spec(disk, zone, exists=exists))
    metadata = {**spec.metadata, **WITH_DISK}
    compute.insert(replace(spec, metadata=metadata), request_id=f"insert-{number}")
    until(lambda: "data:" in log(compute, number))


def log(compute: Compute, number: int) -> str:
    """Return what a guest said."""
    file = compute._guests.folder / f"ss-digits-{number}.log"  # noqa: SLF001 - where guests log
    return file.read_text() if file.exists() else ""


def ends(compute: Compute, number: int, zone: str = ZONE) -> None:
    """Delete a VM and wait until it is gone."""
    compute.delete(f"ss-digits-{number}", zone, request_id=f"delete-{number}")
    until(lambda: all(vm.name != f"ss-digits-{number}" for vm in compute.list()))


def test_what_a_guest_writes_is_there_for_the_next(machines: Machines, tmp_path: Path) -> None:
    """The same disk: blank at first, then with all that was written."""
    compute = machines.make(make_world(tmp_path), delays=AT_ONCE)
    boots(compute, 1, exists=False)
    ends(compute, 1)
    boots(compute, 2, exists=True)

    assert "data: blank" in log(compute, 1)
    assert "data: ss-digits-1\n" in log(compute, 2)


def test_a_copy_has_what_was_there_when_its_snapshot_was_taken(
    machines: Machines, tmp_path: Path
) -> None:
    """Neither what the source got later, nor does the source get what the copy gets."""
    compute = machines.make(make_world(tmp_path), delays=AT_ONCE)
    boots(compute, 1, exists=False)
    ends(compute, 1)
    disks = compute.disk_service
    disks.take_snapshot("ss-digits-1-data", SNAPSHOT, dict(LABELS), request_id="snapshot")
    boots(compute, 2, exists=True)
    ends(compute, 2)
    disks.copy(disk_spec(2, ELSEWHERE), SNAPSHOT, request_id="copy")
    boots(compute, 3, exists=True, zone=ELSEWHERE, disk=2)
    ends(compute, 3, ELSEWHERE)
    boots(compute, 4, exists=True)

    assert "data: ss-digits-1\n" in log(compute, 3)
    assert "data: ss-digits-1 ss-digits-2\n" in log(compute, 4)


def test_a_guest_waits_for_a_disk_that_is_attached_later(
    machines: Machines, tmp_path: Path
) -> None:
    """As startup.sh does: nothing is started before it is mounted."""
    compute = machines.make(make_world(tmp_path), delays=AT_ONCE)
    boots(compute, 1, exists=False)
    ends(compute, 1)
    waiting = vm_spec(2)
    compute.insert(
        replace(waiting, metadata={**waiting.metadata, **WITH_DISK}), request_id="insert-2"
    )
    until(lambda: compute.list()[0].status is VmStatus.RUNNING)
    with pytest.raises(LookupError, match="booting"):
        compute.pid("ss-digits-2")

    compute.disk_service.attach("ss-digits-2", ZONE, "ss-digits-1-data")
    until(lambda: "data:" in log(compute, 2))

    assert "data: ss-digits-1\n" in log(compute, 2)


def test_a_disk_made_with_a_vm_that_never_ran_goes_with_it(
    machines: Machines, tmp_path: Path
) -> None:
    """A stock-out leaves nothing that costs money; a disk that was there before stays."""
    world = make_world(tmp_path, Faults(stock_outs=frozenset({ELSEWHERE})))
    compute = machines.make(world, delays=AT_ONCE)
    began = compute.insert(vm_spec(1, disk_spec(1, ELSEWHERE)), request_id="a")
    until(lambda: compute.operation(began.name, ELSEWHERE).failure is FailureKind.STOCK_OUT)
    until(lambda: not compute.disk_service.disks())

    boots(compute, 2, exists=False)
    ends(compute, 2)
    world.faults.present = Faults(stock_outs=frozenset({ZONE}))
    again = compute.insert(vm_spec(3, disk_spec(exists=True)), request_id="b")
    until(lambda: compute.operation(again.name, ZONE).failure is FailureKind.STOCK_OUT)
    until(lambda: not compute.list())
    (left,) = compute.disk_service.disks()
    assert (left.name, left.users) == ("ss-digits-1-data", ())


def test_deleted_disks_and_snapshots_leave_no_file(machines: Machines, tmp_path: Path) -> None:
    """What is on them is gone, too."""
    compute = machines.make(make_world(tmp_path), delays=AT_ONCE)
    boots(compute, 1, exists=False)
    ends(compute, 1)
    service = compute.disk_service
    service.take_snapshot("ss-digits-1-data", SNAPSHOT, dict(LABELS), request_id="snapshot")
    folder = tmp_path / "disks"
    assert len(list(folder.glob("*/notes"))) == 2

    (disk,), (snapshot,) = service.disks(), service.snapshots()
    service.delete_disk(disk.name, disk.disk_id)
    service.delete_snapshot(snapshot.name, snapshot.snapshot_id)

    assert list(folder.iterdir()) == []


def test_disks_outlast_a_power_failure_of_the_host(make_cloud: MakeCloud) -> None:
    """Users, content, snapshots on their way, and what was asked for."""
    delays = replace(AT_ONCE, snapshot_s=3600.0)
    cloud = make_cloud(delays=delays)
    cloud.start()
    boots(cloud.compute, 1, exists=False)
    cloud.compute.disk_service.take_snapshot(
        "ss-digits-1-data", SNAPSHOT, dict(LABELS), request_id="snapshot"
    )
    before = cloud.compute.disk_service.disks()
    cloud.stop()

    with EmbeddedCloud.resume(cloud.folder, standbys=0) as again:
        service = again.compute.disk_service
        assert service.disks() == before
        repeated = service.take_snapshot(
            "ss-digits-1-data", SNAPSHOT, dict(LABELS), request_id="snapshot"
        )
        assert repeated.done is (service.snapshots()[0].status is DiskStatus.READY)
        ends(again.compute, 1)
        boots(again.compute, 2, exists=True)
        assert "data: ss-digits-1\n" in log(again.compute, 2)


def test_a_disk_without_its_labels_is_not_made(machines: Machines, tmp_path: Path) -> None:
    """It could not be listed, and would be nobody's."""
    compute = machines.make(make_world(tmp_path))
    with pytest.raises(InvalidInputError, match="role"):
        compute.insert(vm_spec(1, disk_spec(labels={"job": "digits"})), request_id="a")
    with pytest.raises(RefusedError, match="no disk"):
        compute.insert(vm_spec(1, disk_spec(exists=True)), request_id="b")
    assert compute.list() == []


def test_on_a_machine_of_ones_own_there_are_no_disks() -> None:
    """A job that wants one is told to do without."""
    nothing = NoDisks()
    assert (nothing.disks(), nothing.snapshots()) == ((), ())
    with pytest.raises(InvalidInputError, match="keep_disk"):
        nothing.take_snapshot(None, "x", {}, request_id="a")  # type: ignore[arg-type]
