"""The fleet on Compute Engine, against a server that enforces Compute Engine's rules."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from compute_model import PROJECT, TEMPLATE, ComputeModel, Trouble
from compute_server import serving
from fleet_contract import INTERVAL_END, ZONE, FleetContract, FleetHarness, only, running, spec
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1 as gce
from manual_clock import ManualClock

from functions.adapters.compute_calls import Patience
from functions.adapters.compute_engine import ComputeEngineFleet
from functions.adapters.compute_errors import Fault, failure_kind
from functions.adapters.compute_reading import template_name
from functions.domain.lifecycle.vm import FailureKind, VmStatus
from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError

# Tests that answer 503 for ever wait this long in all.
HASTE = Patience(attempt_s=5.0, total_s=0.3, pause_s=0.01)


class ComputeEngine:
    """The adapter, our server, and its faults."""

    def __init__(self, model: ComputeModel, url: str) -> None:
        """Connect."""
        self.model = model
        self.fleet = fleet_at(url)

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Move the clock until `look` holds."""
        for _ in range(100):
            if look():
                return
            self.model.clock.move(10)
        raise AssertionError("expected it within 1,000 simulated seconds")

    def run_out_of_stock(self, compute_zone: str) -> None:
        """Leave a compute zone without capacity."""
        self.model.faults.stock_outs.add(compute_zone)

    def use_up_quota(self, region: str) -> None:
        """Leave a region without quota."""
        self.model.faults.quota.add(region)

    def slow_down(self) -> None:
        """Make operations take hours."""
        self.model.faults.slow_operations_s = 7200

    def meet(self, verb: str, status: int, reason: str = "", **more: object) -> None:
        """Let the next call of a method meet trouble."""
        self.model.faults.troubles.append(Trouble(verb, status, reason, **more))  # type: ignore[arg-type]


def fleet_at(url: str, **arguments: object) -> ComputeEngineFleet:
    """Return the adapter, pointed at a server."""
    wanted: dict[str, object] = {
        "project": PROJECT,
        "source_instance_template": TEMPLATE,
        "patience": HASTE,
        **arguments,
    }
    credentials = AnonymousCredentials()
    return ComputeEngineFleet(endpoint=url, credentials=credentials, **wanted)  # type: ignore[arg-type]


@contextmanager
def connected() -> Iterator[ComputeEngine]:
    """A server and the adapter in front of it."""
    with serving(model := ComputeModel(ManualClock())) as url:
        cloud = ComputeEngine(model, url)
        yield cloud
        cloud.fleet.close()


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
        f"F(project='p', source_instance_template='{TEMPLATE}').close()\n"
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
    assert cloud.model.disks[ZONE, "ss-digits-1"] == {"team": "trainers", **wanted.labels}
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
    assert not cloud.model.disks


def test_list_without_some_zones_is_no_list(cloud: ComputeEngine) -> None:
    """A VM that is only not seen must not be made a second time."""
    cloud.model.faults.unreachable = ["zones/europe-west9-b"]
    with pytest.raises(UnavailableError, match="europe-west9-b"):
        cloud.fleet.list()


@pytest.mark.parametrize("verb", ["aggregated_list", "get_operation", "insert", "stop", "delete"])
@pytest.mark.parametrize("after_effect", [False, True])
def test_one_lost_answer_is_not_noticed(
    cloud: ComputeEngine, verb: str, *, after_effect: bool
) -> None:
    """A single 503 is repeated with the same request id, and has one effect."""
    cloud.meet(verb, 503, after_effect=after_effect)
    operation = cloud.fleet.insert(spec(), request_id="a")
    assert operation.failure is None
    cloud.fleet.operation(operation.name, ZONE)
    vm = running(cloud, spec())
    cloud.fleet.stop(vm, request_id="stop")
    cloud.fleet.delete(vm, request_id="delete")
    cloud.wait_until(lambda: not cloud.fleet.list())
    assert not cloud.model.faults.troubles


@pytest.mark.parametrize("status", [429, 500, 503])
def test_lasting_silence_is_bounded(cloud: ComputeEngine, status: int) -> None:
    """A service that stays away is given up after a while."""
    for _ in range(1000):
        cloud.meet("aggregated_list", status)
    with pytest.raises(UnavailableError, match=f"{status}.*tried again"):
        cloud.fleet.list()
    assert 1 < cloud.model.calls["aggregated_list"] < 100


def test_answer_that_never_comes_is_not_waited_for() -> None:
    """Each attempt has a time-out; nobody listening is the same."""
    with serving(model := ComputeModel(ManualClock())) as url:
        model.faults.silence_s = 0.3
        slow = fleet_at(url, patience=Patience(attempt_s=0.05, total_s=0.1, pause_s=0.01))
        with pytest.raises(UnavailableError, match="timed out"):
            slow.list()
        slow.close()
    with pytest.raises(UnavailableError, match="Compute Engine"):
        fleet_at("http://127.0.0.1:9").list()


@pytest.mark.parametrize(
    "call",
    [
        lambda cloud, _: cloud.fleet.list(),
        lambda cloud, _: cloud.fleet.insert(spec("ss-digits-2"), request_id="new"),
        lambda cloud, _: cloud.fleet.operation("operation-1", ZONE),
        lambda cloud, vm: cloud.fleet.stop(vm, request_id="s"),
        lambda cloud, vm: cloud.fleet.delete(vm, request_id="d"),
        lambda cloud, vm: cloud.fleet.set_interval_end(vm, vm.created_at, request_id="i"),
    ],
    ids=["aggregated_list", "insert", "get_operation", "stop", "delete", "get"],
)
def test_missing_right_is_named(
    cloud: ComputeEngine,
    call: Callable[[ComputeEngine, object], object],
    request: pytest.FixtureRequest,
) -> None:
    """Without a right every call says which one to grant."""
    vm = running(cloud, spec())
    cloud.meet(request.node.callspec.id, 403, "forbidden")
    with pytest.raises(PermissionDeniedError, match=r"compute\.\w+\.\w+.*grant"):
        call(cloud, vm)


@pytest.mark.parametrize(
    ("status", "reason", "message", "failure"),
    [
        (403, "quotaExceeded", "Quota 'GPUS_ALL_REGIONS' exceeded", FailureKind.QUOTA),
        (403, "", "Location X is not found or access is unauthorized", FailureKind.STOCK_OUT),
        (400, "resourceNotReady", "is not ready", FailureKind.STOCK_OUT),
        (400, "invalid", "machine type does not exist in zone", FailureKind.OTHER),
        (404, "notFound", "was not found", FailureKind.OTHER),
        (503, "", "", None),
    ],
)
def test_refused_insert_is_a_failed_operation(
    cloud: ComputeEngine, status: int, reason: str, message: str, failure: FailureKind | None
) -> None:
    """A refusal says what it rules out, and its operation can be looked up as any other."""
    cloud.meet("insert", status, reason, message=message)
    operation = cloud.fleet.insert(spec(), request_id="a")
    assert operation.failure is failure
    assert message in operation.message
    if failure is not None:
        assert operation.done
        assert cloud.fleet.operation(operation.name, ZONE).failure is failure


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_not_now_is_tried_again(cloud: ComputeEngine, verb: str) -> None:
    """A change that is refused for now is transient."""
    vm = running(cloud, spec())
    cloud.meet(verb, 400, "resourceNotReady")
    with pytest.raises(UnavailableError, match="RESOURCE_NOT_READY"):
        getattr(cloud.fleet, verb)(vm, request_id="b")


def test_too_many_calls_are_no_quota(cloud: ComputeEngine) -> None:
    """A 403 for the rate of calls passes by itself."""
    cloud.meet("insert", 403, "rateLimitExceeded")
    with pytest.raises(UnavailableError, match="RATE_LIMIT_EXCEEDED"):
        cloud.fleet.insert(spec(), request_id="a")


def test_failed_operation_says_where_there_is_capacity(cloud: ComputeEngine) -> None:
    """A stock-out keeps what Compute Engine says of other zones."""
    cloud.run_out_of_stock(ZONE)
    operation = cloud.fleet.insert(spec(), request_id="a")
    cloud.wait_until(lambda: cloud.fleet.operation(operation.name, ZONE).done)
    assert "there-b" in cloud.fleet.operation(operation.name, ZONE).message


def test_operation_that_finds_the_vm_made_has_not_failed(cloud: ComputeEngine) -> None:
    """That the name exists may surface in the operation too."""
    cloud.model.faults.failing["insert"] = ("RESOURCE_ALREADY_EXISTS", "exists")
    operation = cloud.fleet.insert(spec(), request_id="a")
    cloud.wait_until(lambda: cloud.fleet.operation(operation.name, ZONE).done)
    assert cloud.fleet.operation(operation.name, ZONE).failure is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", FailureKind.STOCK_OUT),
        ("REGION_RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
        ("RESOURCE_POOL_EXHAUSTED", FailureKind.STOCK_OUT),
        ("GPU_STOCKOUT", FailureKind.STOCK_OUT),
        ("insufficientCapacity", FailureKind.STOCK_OUT),
        ("UNSUPPORTED_OPERATION", FailureKind.STOCK_OUT),
        ("RESOURCE_NOT_READY", FailureKind.STOCK_OUT),
        ("RESOURCE_OPERATION_RATE_EXCEEDED", FailureKind.STOCK_OUT),
        ("QUOTA_EXCEEDED", FailureKind.QUOTA),
        ("quotaExceeded", FailureKind.QUOTA),
        ("SUBNET_NOT_FOUND_FOR_VPC", FailureKind.QUOTA),
        ("IAM_PERMISSION_DENIED", FailureKind.DENIED),
        ("PERMISSIONS_ERROR", FailureKind.DENIED),
        ("VPC_NOT_FOUND", FailureKind.DENIED),
        ("forbidden", FailureKind.DENIED),
        ("RESOURCE_NOT_FOUND", FailureKind.OTHER),
        ("INTERNAL_ERROR", FailureKind.OTHER),
    ],
)
def test_code_rules_out(code: str, kind: FailureKind) -> None:
    """Each code of operations and calls rules out what practice says, and no more."""
    assert failure_kind([Fault(code)]) is kind


def test_most_specific_of_several_counts() -> None:
    """A stock-out among other complaints is a stock-out; a small disk is nobody's capacity."""
    both = [Fault("INTERNAL_ERROR"), Fault("FORBIDDEN"), Fault("ZONE_RESOURCE_POOL_EXHAUSTED_X")]
    assert failure_kind(both) is FailureKind.STOCK_OUT
    small = Fault("invalid", "Disk size: 5 GB cannot be smaller than the image size (10 GB)")
    assert failure_kind([small]) is FailureKind.DENIED


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
