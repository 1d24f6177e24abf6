"""The tests' own Compute Engine, by what Google's client library makes of its answers."""

from collections.abc import Iterator

import pytest
from compute_harness import ComputeEngine, connected
from compute_rules import PROJECT
from disk_contract import ELSEWHERE, disk_spec, free_disk, running, the_disk
from fleet_contract import ZONE
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1 as gce

BLANK = gce.Disk(name="blank", size_gb=10, type_=f"zones/{ZONE}/diskTypes/pd-ssd")


@pytest.fixture
def cloud() -> Iterator[ComputeEngine]:
    """A server and the adapters in front of it."""
    with connected() as cloud:
        yield cloud


@pytest.fixture
def disks(cloud: ComputeEngine) -> gce.DisksClient:
    """The library's client of disks."""
    options = ClientOptions(api_endpoint=cloud.url)
    return gce.DisksClient(credentials=AnonymousCredentials(), client_options=options)


@pytest.fixture
def instances(cloud: ComputeEngine) -> gce.InstancesClient:
    """The library's client of VMs."""
    options = ClientOptions(api_endpoint=cloud.url)
    return gce.InstancesClient(credentials=AnonymousCredentials(), client_options=options)


def test_a_blank_disk_is_made_in_its_zone_alone(
    cloud: ComputeEngine, disks: gce.DisksClient
) -> None:
    """CREATING, then READY; its name is taken there, and free elsewhere."""
    made = disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=BLANK)
    assert made.status == gce.Operation.Status.RUNNING
    assert disks.get(project=PROJECT, zone=ZONE, disk="blank").status == "CREATING"
    cloud.wait_until(lambda: disks.get(project=PROJECT, zone=ZONE, disk="blank").status == "READY")
    assert [one.name for one in disks.list(project=PROJECT, zone=ZONE)] == ["blank"]
    assert list(disks.list(project=PROJECT, zone=ELSEWHERE)) == []
    with pytest.raises(Conflict):
        disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=BLANK)
    with pytest.raises(BadRequest, match="type"):
        disks.insert_unary(project=PROJECT, zone=ELSEWHERE, disk_resource=BLANK)
    with pytest.raises(NotFound):
        disks.get(project=PROJECT, zone=ELSEWHERE, disk="blank")


def test_labels_change_only_with_their_fingerprint(
    cloud: ComputeEngine, disks: gce.DisksClient, instances: gce.InstancesClient
) -> None:
    """Of disks and VMs: whoever read older ones is refused."""
    running(cloud, 1, disk_spec())
    disk, vm = the_disk(cloud), cloud.model.machine("ss-digits-1")
    before = disks.get(project=PROJECT, zone=ZONE, disk=disk.name).label_fingerprint
    wanted = gce.ZoneSetLabelsRequest(labels={"team": "a"}, label_fingerprint=before)
    place = {"project": PROJECT, "zone": ZONE}
    disks.set_labels_unary(**place, resource=disk.name, zone_set_labels_request_resource=wanted)
    after = disks.get(**place, disk=disk.name)
    assert dict(after.labels) == {"team": "a"}
    with pytest.raises(PreconditionFailed):
        disks.set_labels_unary(**place, resource=disk.name, zone_set_labels_request_resource=wanted)
    change = gce.InstancesSetLabelsRequest(
        labels={"team": "b"}, label_fingerprint=vm.label_fingerprint
    )
    arguments = {**place, "instance": vm.name, "instances_set_labels_request_resource": change}
    instances.set_labels_unary(**arguments)
    assert dict(instances.get(**place, instance=vm.name).labels) == {"team": "b"}
    with pytest.raises(PreconditionFailed):
        instances.set_labels_unary(**arguments)


def test_a_disk_is_free_once_it_is_detached(
    cloud: ComputeEngine, disks: gce.DisksClient, instances: gce.InstancesClient
) -> None:
    """An attached one cannot be deleted; one that is deleted cannot be had."""
    running(cloud, 1, disk_spec())
    name, place = the_disk(cloud).name, {"project": PROJECT, "zone": ZONE}
    with pytest.raises(BadRequest, match="already being used by"):
        disks.delete_unary(**place, disk=name)
    instances.detach_disk_unary(**place, instance="ss-digits-1", device_name="ss-data")
    assert the_disk(cloud).users == ()
    with pytest.raises(BadRequest, match="device"):
        instances.detach_disk_unary(**place, instance="ss-digits-1", device_name="ss-data")
    disks.delete_unary(**place, disk=name)
    assert disks.get(**place, disk=name).status == "DELETING"


def test_what_the_library_does_not_know_is_refused(cloud: ComputeEngine) -> None:
    """A field, a name or a request id that Compute Engine would not take."""
    disk = free_disk(cloud)
    options = ClientOptions(api_endpoint=cloud.url)
    disks = gce.DisksClient(credentials=AnonymousCredentials(), client_options=options)
    bad = {
        "name": gce.Snapshot(name="Not A Name"),
        "labels": gce.Snapshot(name="fine", labels={"team": "No Capitals"}),
    }
    for snapshot in bad.values():
        with pytest.raises(BadRequest, match="name or labels"):
            disks.create_snapshot_unary(
                project=PROJECT, zone=ZONE, disk=disk.name, snapshot_resource=snapshot
            )
    request = gce.CreateSnapshotDiskRequest(
        project=PROJECT,
        zone=ZONE,
        disk=disk.name,
        request_id="no-uuid",
        snapshot_resource=gce.Snapshot(name="fine"),
    )
    with pytest.raises(BadRequest, match="UUID"):
        disks.create_snapshot_unary(request)
