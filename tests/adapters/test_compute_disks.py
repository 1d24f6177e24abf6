"""Google's disks and snapshots: the adapter on a server that parses with the library's types."""

from collections.abc import Iterator

import pytest
from compute_harness import ComputeEngine, connected, disks_at
from disk_contract import (
    ELSEWHERE,
    LABELS,
    SNAPSHOT,
    DiskContract,
    DiskHarness,
    data_disks,
    disk_spec,
    finished,
    free_disk,
    running,
    snapshot_of,
    the_disk,
    vm,
    vm_spec,
)

from functions.domain.lifecycle.disk import Disk, DiskStatus
from functions.domain.lifecycle.vm import FailureKind, VmStatus
from functions.errors import PermissionDeniedError, UnavailableError


@pytest.fixture
def cloud() -> Iterator[ComputeEngine]:
    """A server and the adapters in front of it."""
    with connected() as cloud:
        yield cloud


class TestContract(DiskContract):
    """`ComputeEngineDisks` keeps the laws."""

    @pytest.fixture
    def harness(self, cloud: ComputeEngine) -> DiskHarness:
        """The adapter."""
        return cloud


def taken(cloud: ComputeEngine) -> Disk:
    """Make a free data disk and begin a snapshot of it."""
    disk = free_disk(cloud)
    cloud.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="snapshot")
    return disk


def test_each_list_is_one_call_and_all_its_pages(cloud: ComputeEngine) -> None:
    """However many zones; only what has our label is asked for, boot disks among it."""
    running(cloud, 1, disk_spec())
    cloud.model.calls.clear()
    assert {disk.is_data for disk in cloud.disks.disks()} == {True, False}
    assert cloud.disks.snapshots() == []
    assert cloud.model.calls == {"aggregated_list_disks": 1, "list_snapshots": 1}
    cloud.model.shelf.page_size = 1
    assert len(cloud.disks.disks()) == 2
    assert cloud.model.calls["aggregated_list_disks"] == 3


@pytest.mark.parametrize("verb", ["create_snapshot", "insert_disk"])
def test_an_answer_that_was_lost_leaves_one(cloud: ComputeEngine, verb: str) -> None:
    """The repeat has the same request id, and so is the same request."""
    disk = free_disk(cloud)
    if verb == "insert_disk":
        snapshot = snapshot_of(cloud, disk)
        cloud.meet(verb, 503, after_effect=True)
        cloud.disks.copy_disk(disk_spec(2, ELSEWHERE), snapshot, request_id="a")
        assert len(data_disks(cloud)) == 2
    else:
        cloud.meet(verb, 503, after_effect=True)
        cloud.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="a")
        assert len(cloud.disks.snapshots()) == 1
    assert cloud.model.calls[verb] == 2


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("CREATING", DiskStatus.MAKING),
        ("RESTORING", DiskStatus.MAKING),
        ("UPLOADING", DiskStatus.MAKING),
        ("READY", DiskStatus.READY),
        ("FAILED", DiskStatus.FAILED),
        ("DELETING", DiskStatus.DELETING),
        ("SOMETHING_NEW", DiskStatus.MAKING),
    ],
)
def test_status_stands_for_theirs(cloud: ComputeEngine, theirs: str, ours: DiskStatus) -> None:
    """What is not known is waited for, not used."""
    disk = taken(cloud)
    cloud.wait_until(lambda: cloud.disks.snapshots()[0].status is DiskStatus.READY)
    cloud.model.shelf.snapshots[SNAPSHOT].status = theirs
    cloud.model.shelf.disk(disk.compute_zone, disk.name).status = theirs
    assert cloud.disks.snapshots()[0].status is ours
    assert the_disk(cloud).status is ours


def test_a_snapshot_that_failed_is_seen_as_such(cloud: ComputeEngine) -> None:
    """Its operation says so too; nothing is made from it."""
    cloud.model.faults.snapshots_fail = True
    disk = free_disk(cloud)
    began = cloud.disks.take_snapshot(disk, SNAPSHOT, dict(LABELS), request_id="a")
    assert finished(cloud, began).failure is FailureKind.OTHER
    (snapshot,) = cloud.disks.snapshots()
    assert snapshot.status is DiskStatus.FAILED
    copy = cloud.disks.copy_disk(disk_spec(2, ELSEWHERE), snapshot, request_id="b")
    assert finished(cloud, copy).failure is not None
    assert len(data_disks(cloud)) == 1


def test_what_others_have_is_neither_listed_nor_deleted(cloud: ComputeEngine) -> None:
    """Without our label, of another deployment, or with a label that was taken away meanwhile."""
    disk = taken(cloud)
    cloud.wait_until(lambda: cloud.disks.snapshots()[0].status is DiskStatus.READY)
    (snapshot,) = cloud.disks.snapshots()
    shelf = cloud.model.shelf
    for labels in ({}, {**disk_spec().labels, "managed-by": "somebody"}):
        shelf.disk(disk.compute_zone, disk.name).labels = labels
        shelf.snapshots[SNAPSHOT].labels = labels
        assert not data_disks(cloud)
        assert not cloud.disks.snapshots()
        cloud.disks.delete_disk(disk, request_id="a")
        cloud.disks.delete_snapshot(snapshot, request_id="b")
        assert cloud.model.calls["delete_disk"] == cloud.model.calls["delete_snapshot"] == 0


def test_a_disk_that_a_vm_gets_meanwhile_is_left(cloud: ComputeEngine) -> None:
    """Between our look at it and the deletion: Compute Engine refuses, and that is fine."""
    disk = free_disk(cloud)
    cloud.meet("delete_disk", 400, "resourceInUseByAnotherResource")
    cloud.disks.delete_disk(disk, request_id="a")
    assert the_disk(cloud) == disk


def test_another_deployments_disks_are_not_ours(cloud: ComputeEngine) -> None:
    """Two deployments may share a project."""
    free_disk(cloud)
    ours = disks_at(cloud.url, deployment="ours")
    try:
        assert ours.disks() == []
    finally:
        ours.close()


def test_a_label_that_cannot_be_understood_is_told(
    cloud: ComputeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """It may cost money: a person must look at it; the others are seen."""
    disk = taken(cloud)
    cloud.model.shelf.disk(disk.compute_zone, disk.name).labels["incarnation"] = "seven"
    del cloud.model.shelf.snapshots[SNAPSHOT].labels["job"]
    assert cloud.disks.disks() == []
    assert cloud.disks.snapshots() == []
    assert [getattr(one, "event", "") for one in caplog.records] == ["disk_unreadable"] * 2


def test_a_zone_that_does_not_answer_is_no_empty_zone(cloud: ComputeEngine) -> None:
    """A disk that is only not seen would be taken for a lost one."""
    free_disk(cloud)
    cloud.model.faults.unreachable = ["zones/europe-west9-b"]
    with pytest.raises(UnavailableError, match="europe-west9-b"):
        cloud.disks.disks()


def test_a_missing_right_is_named(cloud: ComputeEngine) -> None:
    """With what to grant."""
    for verb, right, look in (
        ("aggregated_list_disks", "compute.disks.list", cloud.disks.disks),
        ("list_snapshots", "compute.snapshots.list", cloud.disks.snapshots),
    ):
        cloud.meet(verb, 403, "forbidden")
        with pytest.raises(PermissionDeniedError, match=right):
            look()


def test_a_disk_cannot_be_smaller_than_its_snapshot(cloud: ComputeEngine) -> None:
    """Compute Engine refuses it at once: it fails in the operation."""
    snapshot = snapshot_of(cloud, free_disk(cloud))
    small = disk_spec(2, ELSEWHERE, size_gb=50)
    assert cloud.disks.copy_disk(small, snapshot, request_id="a").failure is FailureKind.OTHER


def test_a_region_has_room_for_so_many_vms(cloud: ComputeEngine) -> None:
    """VMs that are down do not count: a start needs room again."""
    cloud.model.faults.instance_quota["europe-west3"] = 1
    one = running(cloud, 1)
    assert cloud.fleet.insert(vm_spec(2), request_id="b").failure is FailureKind.QUOTA
    cloud.fleet.stop(one, request_id="stop")
    cloud.wait_until(lambda: vm(cloud).status is VmStatus.TERMINATED)
    assert cloud.fleet.insert(vm_spec(3), request_id="c").failure is None
    down = next(each for each in cloud.fleet.list() if each.name == one.name)
    began = cloud.fleet.start(down, {"ss-incarnation": "4"}, request_id="start")
    assert began.failure is FailureKind.QUOTA


def test_a_stopped_vm_that_lost_its_label_is_not_started(cloud: ComputeEngine) -> None:
    """What is not ours is never touched; the control plane sees that it is gone."""
    one = running(cloud, 1)
    cloud.fleet.stop(one, request_id="stop")
    cloud.wait_until(lambda: vm(cloud).status is VmStatus.TERMINATED)
    down = vm(cloud)
    cloud.model.machine(one.name).labels = {"team": "others"}
    began = cloud.fleet.start(down, {"ss-incarnation": "2"}, request_id="start")
    assert (began.done, began.failure) == (True, None)
    assert cloud.model.calls["start"] == cloud.model.calls["set_metadata"] == 0
