"""The fleet on Compute Engine, against a server that enforces Compute Engine's rules."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from compute_harness import ComputeEngine, connected
from compute_rules import TEMPLATE
from fleet_contract import INTERVAL_END, ZONE, FleetContract, FleetHarness, only, running, spec
from google.cloud import compute_v1 as gce

from functions.adapters.compute_making import instance_of, template_name
from functions.adapters.compute_reading import Owned, read_vm
from functions.domain.lifecycle.vm import VmStatus
from functions.errors import InvalidInputError, UnavailableError


@pytest.fixture
def cloud() -> Iterator[ComputeEngine]:
    """A server and the adapter in front of it."""
    with connected() as cloud:
        yield cloud


class TestContract(FleetContract):
    """`ComputeEngineFleet` keeps the laws of all fleets."""

    @pytest.fixture
    def harness(self, cloud: ComputeEngine) -> FleetHarness:
        """The adapter over our server."""
        return cloud


def test_import_is_cheap() -> None:
    """Importing and building the adapter loads nothing of Google's libraries."""
    program = (
        "import sys; from functions.adapters.compute_engine import ComputeEngineFleet as F\n"
        f"F(project='p', instance_templates={{'default': '{TEMPLATE}'}}).close()\n"
        "slow = ('google.api_core', 'google.auth', 'google.cloud.', 'google.protobuf')\n"
        "print([name for name in sys.modules if name.startswith(slow)])"
    )
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.strip() == "[]"


def test_vm_is_the_template_with_the_spec_on_top(cloud: ComputeEngine) -> None:
    """What the spec does not say is as in the template; both VM and disk carry the labels."""
    wanted = replace(spec(), metadata={**spec().metadata, "ss-lease-ttl-s": "120"})
    cloud.fleet.insert(wanted, request_id="a")
    made = cloud.model.machine("ss-digits-1")
    assert made.machine_type == f"zones/{ZONE}/machineTypes/n2-standard-4"
    assert dict(made.labels) == {"team": "trainers", **wanted.labels}
    assert cloud.model.shelf.disk(ZONE, "ss-digits-1").labels == {
        "team": "trainers",
        **wanted.labels,
    }
    metadata = {item.key: item.value for item in made.metadata.items}
    assert metadata == {"startup-script": "#!/bin/bash\n", **wanted.metadata}
    assert made.disks[0].initialize_params.disk_size_gb == 30
    assert made.scheduling == gce.Scheduling(
        provisioning_model="SPOT",
        on_host_maintenance="TERMINATE",
        max_run_duration=gce.Duration(seconds=86_400),
        instance_termination_action="STOP",
        automatic_restart=False,
    )


@pytest.mark.parametrize(("asked_s", "given_s"), [(5, 30), (10**9, 120 * 86_400)])
def test_longest_run_fits_the_limits(cloud: ComputeEngine, asked_s: int, given_s: int) -> None:
    """A run longer or shorter than Compute Engine takes is cut to its limits, not refused."""
    operation = cloud.fleet.insert(spec(max_run_duration_s=asked_s), request_id="a")
    assert operation.failure is None
    scheduling = cloud.model.machine("ss-digits-1").scheduling
    assert scheduling.max_run_duration.seconds == given_s


def test_run_until_is_what_compute_engine_says(cloud: ComputeEngine) -> None:
    """Before it runs the earliest end is assumed; then Compute Engine states it."""
    cloud.fleet.insert(spec(max_run_duration_s=3600), request_id="a")
    vm = only(cloud)
    assert vm.created_at == cloud.model.clock.now()
    assert vm.run_until == vm.created_at + timedelta(hours=1)
    vm = running(cloud, spec(max_run_duration_s=3600))
    assert vm.run_until > vm.created_at + timedelta(hours=1)


def test_list_is_one_call(cloud: ComputeEngine) -> None:
    """VMs of all zones come with one call; further pages with one each."""
    for n, zone in enumerate((ZONE, "europe-west9-b", "europe-west6-b"), start=1):
        cloud.fleet.insert(spec(f"ss-digits-{n}", compute_zone=zone), request_id=f"{n}")
    assert len(cloud.fleet.list()) == 3
    assert cloud.model.calls["aggregated_list"] == 1
    cloud.model.page_size = 2
    assert len(cloud.fleet.list()) == 3
    assert cloud.model.calls["aggregated_list"] == 3


def test_template_is_read_once(cloud: ComputeEngine) -> None:
    """A second VM does not read the template again."""
    cloud.fleet.insert(spec(), request_id="a")
    cloud.fleet.insert(spec("ss-digits-2"), request_id="b")
    assert cloud.model.calls["get_template"] == 1


def test_vm_of_others_is_not_listed(cloud: ComputeEngine) -> None:
    """A VM without our label is none of ours, whatever its name and metadata."""
    cloud.fleet.insert(replace(spec(), labels={}), request_id="a")
    assert not cloud.fleet.list()
    assert cloud.model.filters == {"labels.managed-by=smartscheduler"}
    stray = cloud.model.machine("ss-digits-1")
    stray.labels = {**spec().labels, "managed-by": "somebody"}
    assert read_vm(stray, Owned("")) is None  # Nor would it be if the filter let it through.


def test_vm_that_lost_its_label_is_left_alone(cloud: ComputeEngine) -> None:
    """No interval end is written to a VM whose label was taken away since the list."""
    vm = running(cloud, spec())
    del cloud.model.machine(vm.name).labels["managed-by"]
    cloud.fleet.set_interval_end(vm, INTERVAL_END + timedelta(hours=1), request_id="b")
    assert cloud.model.calls["set_metadata"] == 0


@pytest.mark.parametrize(
    ("labels", "metadata", "said"),
    [
        ({"incarnation": "x7"}, {}, "label incarnation is 'x7', expected a whole number"),
        ({"job": ""}, {}, "label job is missing"),
        ({}, {"ss-interval-end": "soon"}, "ss-interval-end is 'soon', expected an ISO 8601"),
        ({}, {"ss-interval-end": "2024-03-05T06:00:00"}, "expected an offset"),
    ],
)
def test_malformed_vm_is_skipped_and_told(
    cloud: ComputeEngine,
    caplog: pytest.LogCaptureFixture,
    labels: dict[str, str],
    metadata: dict[str, str],
    said: str,
) -> None:
    """A VM that cannot be understood is logged with what to do, and hides no other."""
    odd = spec("ss-odd-1")
    odd = replace(odd, labels={**odd.labels, **labels}, metadata={**odd.metadata, **metadata})
    cloud.fleet.insert(odd, request_id="a")
    cloud.fleet.insert(spec(), request_id="b")
    assert only(cloud).name == "ss-digits-1"
    assert said in caplog.text
    assert f"gcloud compute instances delete ss-odd-1 --zone {ZONE}" in caplog.text


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("PENDING", VmStatus.PROVISIONING),
        ("PENDING_STOP", VmStatus.STOPPING),
        ("SUSPENDING", VmStatus.STOPPING),
        ("DEPROVISIONING", VmStatus.STOPPING),
        ("SUSPENDED", VmStatus.TERMINATED),
        ("STOPPED", VmStatus.TERMINATED),
        ("REPAIRING", VmStatus.STAGING),
        ("A_NEW_ONE", VmStatus.STAGING),
    ],
)
def test_status_stands_for_theirs(cloud: ComputeEngine, theirs: str, ours: VmStatus) -> None:
    """Every state of Compute Engine, even an unknown one, has one of ours."""
    cloud.fleet.insert(spec(), request_id="a")
    cloud.model.machine("ss-digits-1").status = theirs
    assert only(cloud).status is ours


def test_every_status_of_the_library_is_known(
    cloud: ComputeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """No state that the client library knows is unknown here."""
    cloud.fleet.insert(spec(), request_id="a")
    for status in gce.Instance.Status.__members__:
        if status != "UNDEFINED_STATUS":
            cloud.model.machine("ss-digits-1").status = status
            only(cloud)
    assert not caplog.records


def test_preempted_vm_went_down_then(cloud: ComputeEngine) -> None:
    """A preempted VM is listed as terminated, with the time."""
    vm = running(cloud, spec())
    cloud.model.preempt(vm.name)
    assert only(cloud).status is VmStatus.STOPPING
    cloud.wait_until(lambda: only(cloud).status is VmStatus.TERMINATED)
    assert only(cloud).terminated_at == cloud.model.clock.now()


def test_vm_started_again_is_not_down(cloud: ComputeEngine) -> None:
    """A stop before the last start is history."""
    running(cloud, spec())
    machine = cloud.model.machine("ss-digits-1")
    machine.last_stop_timestamp = "2026-03-01T00:00:00.000-08:00"
    assert only(cloud).terminated_at is None


def test_deleted_vm_takes_its_disk_along(cloud: ComputeEngine) -> None:
    """Though the template does not say so, no disk is left over."""
    vm = running(cloud, spec())
    cloud.fleet.delete(vm, request_id="b")
    cloud.wait_until(lambda: not cloud.fleet.list())
    assert not cloud.model.shelf.disks


def test_interval_end_leaves_other_metadata(cloud: ComputeEngine) -> None:
    """What others write meanwhile stays, and the interval end arrives."""
    vm = running(cloud, spec())
    cloud.model.faults.foreign_edits = 2
    cloud.fleet.set_interval_end(vm, INTERVAL_END + timedelta(hours=1), request_id="b")
    assert only(cloud).interval_end == INTERVAL_END + timedelta(hours=1)
    keys = [item.key for item in cloud.model.machine(vm.name).metadata.items]
    assert "startup-script" in keys
    assert sum(key.startswith("by-others") for key in keys) == 2


def test_quarrel_about_metadata_ends(cloud: ComputeEngine) -> None:
    """If others change the metadata again and again, it is given up for now."""
    vm = running(cloud, spec())
    cloud.model.faults.foreign_edits = 1000
    with pytest.raises(UnavailableError, match="5 times"):
        cloud.fleet.set_interval_end(vm, INTERVAL_END + timedelta(hours=1), request_id="b")
    assert cloud.model.calls["set_metadata"] == 5


def test_interval_end_that_is_set_is_not_written(cloud: ComputeEngine) -> None:
    """Nothing is written if it says so already; an old request does not undo a newer one."""
    vm = running(cloud, spec())
    cloud.fleet.set_interval_end(vm, INTERVAL_END, request_id="same")
    assert cloud.model.calls["set_metadata"] == 0
    later = INTERVAL_END + timedelta(hours=1)
    cloud.fleet.set_interval_end(vm, later, request_id="first")
    cloud.fleet.set_interval_end(vm, INTERVAL_END, request_id="second")
    cloud.fleet.set_interval_end(vm, later, request_id="first")
    assert only(cloud).interval_end == INTERVAL_END


def test_template_must_be_global_and_exist(cloud: ComputeEngine) -> None:
    """A template that is none is told by name: at once, or when the first VM is made."""
    unique = f"https://www.googleapis.com/compute/v1/{TEMPLATE}?uniqueId=4711"
    assert template_name(unique) == TEMPLATE
    for wrong in ("trainer-1", "projects/p/regions/r/instanceTemplates/t", f"{TEMPLATE}/x", ""):
        with pytest.raises(InvalidInputError, match="expected projects/PROJECT/global"):
            template_name(wrong)
    cloud.model.templates.clear()
    with pytest.raises(InvalidInputError, match="Apply Terraform"):
        cloud.fleet.insert(spec(), request_id="a")


def test_unbounded_vm_is_listed_with_a_warning(
    cloud: ComputeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """A VM without longest run is seen, so that no second one is made, and told of."""
    caplog.set_level(logging.WARNING)
    cloud.fleet.insert(spec(), request_id="a")
    del cloud.model.machine("ss-digits-1").scheduling
    vm = only(cloud)
    assert vm.run_until == vm.created_at + timedelta(days=120)
    assert "maxRunDuration" in caplog.text


def test_one_template_serves_all_regions() -> None:
    """The template names one region's subnetwork; the VM gets the one of its own region."""
    path = "projects/green/regions/{}/subnetworks/smartscheduler"
    interface = gce.NetworkInterface(subnetwork=path.format("europe-central2"), name="nic0")
    template = gce.InstanceProperties(network_interfaces=[interface])

    made = instance_of(spec(), template).network_interfaces

    assert [each.subnetwork for each in made] == [path.format(ZONE.rpartition("-")[0])]
    assert "name" not in made[0]


def test_a_template_that_the_deployment_lacks_is_named(cloud: ComputeEngine) -> None:
    """A job that asks for one is told which there are."""
    with pytest.raises(InvalidInputError, match=r"templates default, found 'gpu'"):
        cloud.fleet.insert(replace(spec(), template="gpu"), request_id="a")
