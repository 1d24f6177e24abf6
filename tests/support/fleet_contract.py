"""The laws of the port `VmFleet`, for every implementation of it.

Inherit `FleetContract` and give it a fixture `harness`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmSpec, VmStatus
from functions.ports import VmFleet
from vm_runtime.contract.instance import MANAGED_BY, Attribute, Label

ZONE = "europe-west3-a"
INTERVAL_END = datetime(2024, 3, 5, 6, tzinfo=UTC)


class FleetHarness(Protocol):
    """A fleet, and the hands of the world around it."""

    @property
    def fleet(self) -> VmFleet:
        """The implementation under test, without any VM."""
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

    def slow_down(self) -> None:
        """Make operations take simulated hours."""
        ...


def spec(
    name: str = "ss-digits-1",
    *,
    compute_zone: str = ZONE,
    job: str = "digits",
    max_run_duration_s: int = 86_400,
) -> VmSpec:
    """Return a spec as the control plane makes it."""
    return VmSpec(
        name=name,
        compute_zone=compute_zone,
        machine_type="n2-standard-4",
        labels={Label.MANAGED_BY: MANAGED_BY, Label.JOB: job, Label.INCARNATION: "7"},
        metadata={Attribute.JOB: job, Attribute.INTERVAL_END: INTERVAL_END.isoformat()},
        max_run_duration_s=max_run_duration_s,
    )


def only(harness: FleetHarness) -> Vm:
    """Return the only VM."""
    (vm,) = harness.fleet.list()
    return vm


def running(harness: FleetHarness, wanted: VmSpec) -> Vm:
    """Insert a VM and wait until it runs."""
    harness.fleet.insert(wanted, request_id=f"insert-{wanted.name}")
    harness.wait_until(lambda: any(vm.status is VmStatus.RUNNING for vm in harness.fleet.list()))
    return next(vm for vm in harness.fleet.list() if vm.name == wanted.name)


def stopped(harness: FleetHarness) -> Vm:
    """Insert a VM, stop it and wait until it is down."""
    vm = running(harness, spec())
    harness.fleet.stop(vm, request_id="stop")
    harness.wait_until(lambda: only(harness).status is VmStatus.TERMINATED)
    return only(harness)


def restart_metadata(vm: Vm) -> dict[str, str]:
    """Return what a start gives a VM."""
    assert vm.terminated_at is not None
    return {
        Attribute.INCARNATION: "8",
        Attribute.INTERVAL_END: (INTERVAL_END + timedelta(hours=3)).isoformat(),
        Attribute.STARTED_AT: vm.terminated_at.isoformat(),
    }


def finished(harness: FleetHarness, operation: Operation) -> Operation:
    """Wait until an operation is done, and return it."""
    if operation.done:
        return operation
    fleet = harness.fleet
    harness.wait_until(lambda: fleet.operation(operation.name, operation.compute_zone).done)
    return fleet.operation(operation.name, operation.compute_zone)


class FleetContract:
    """Laws of `VmFleet`."""

    def test_inserted_vm_shows_what_it_was_made_with(self, harness: FleetHarness) -> None:
        """A VM is listed with job, incarnation, place and interval end of its spec."""
        vm = running(harness, spec())
        assert (vm.name, vm.compute_zone, vm.job_id, vm.incarnation, vm.interval_end) == (
            "ss-digits-1",
            ZONE,
            "digits",
            7,
            INTERVAL_END,
        )
        assert vm.is_alive
        assert vm.terminated_at is None

    def test_insert_ends_without_failure(self, harness: FleetHarness) -> None:
        """The operation of an insert with capacity ends without failure."""
        done = finished(harness, harness.fleet.insert(spec(), request_id="a"))
        assert (done.done, done.failure) == (True, None)

    def test_repeated_request_is_the_first_one(self, harness: FleetHarness) -> None:
        """The same request id returns the first operation and makes no second VM."""
        first = harness.fleet.insert(spec(), request_id="a")
        again = harness.fleet.insert(spec(), request_id="a")
        assert again.name == first.name
        assert len(harness.fleet.list()) == 1

    def test_name_that_exists_is_done(self, harness: FleetHarness) -> None:
        """An insert of a name that exists is a done operation and changes nothing."""
        before = running(harness, spec())
        operation = harness.fleet.insert(spec(), request_id="b")
        assert (operation.done, operation.failure) == (True, None)
        assert only(harness) == before

    def test_unknown_operation_is_done(self, harness: FleetHarness) -> None:
        """An operation that nobody knows is done without failure."""
        found = harness.fleet.operation("operation-of-another-life", ZONE)
        assert (found.done, found.failure) == (True, None)

    def test_stock_out_leaves_no_vm(self, harness: FleetHarness) -> None:
        """Without capacity the operation fails, at once or later, and no VM is left."""
        harness.run_out_of_stock(ZONE)
        done = finished(harness, harness.fleet.insert(spec(), request_id="a"))
        assert done.failure is FailureKind.STOCK_OUT
        assert not harness.fleet.list()

    def test_stock_out_is_of_one_compute_zone(self, harness: FleetHarness) -> None:
        """A zone of the same region with capacity still gives a VM."""
        harness.run_out_of_stock(ZONE)
        vm = running(harness, spec(compute_zone="europe-west3-b"))
        assert vm.compute_zone == "europe-west3-b"

    def test_quota_leaves_no_vm(self, harness: FleetHarness) -> None:
        """Without quota the operation fails, at once or later, and no VM is left."""
        harness.use_up_quota("europe-west3")
        done = finished(harness, harness.fleet.insert(spec(), request_id="a"))
        assert done.failure is FailureKind.QUOTA
        assert not harness.fleet.list()

    def test_insert_does_not_wait(self, harness: FleetHarness) -> None:
        """An insert returns while its operation is still under way."""
        harness.slow_down()
        operation = harness.fleet.insert(spec(), request_id="a")
        assert not harness.fleet.operation(operation.name, ZONE).done

    def test_stopped_vm_is_terminated(self, harness: FleetHarness) -> None:
        """A stopped VM ends TERMINATED, is still listed, and says when it went down."""
        vm = running(harness, spec())
        harness.fleet.stop(vm, request_id="stop")
        harness.wait_until(lambda: only(harness).status is VmStatus.TERMINATED)
        terminated_at = only(harness).terminated_at
        assert terminated_at is not None
        assert terminated_at >= vm.created_at

    def test_stopping_twice_is_fine(self, harness: FleetHarness) -> None:
        """Stopping a VM that is down changes nothing."""
        vm = running(harness, spec())
        harness.fleet.stop(vm, request_id="stop")
        harness.wait_until(lambda: only(harness).status is VmStatus.TERMINATED)
        before = only(harness)
        harness.fleet.stop(vm, request_id="stop again")
        assert only(harness) == before

    def test_stopped_vm_starts_again_as_another_incarnation(self, harness: FleetHarness) -> None:
        """Same name and place; incarnation, begin and interval end are those it was given."""
        vm = stopped(harness)
        metadata = restart_metadata(vm)
        done = finished(harness, harness.fleet.start(vm, metadata, request_id="start"))
        harness.wait_until(lambda: only(harness).status is VmStatus.RUNNING)
        again = only(harness)
        assert (done.failure, again.name, again.compute_zone) == (None, vm.name, vm.compute_zone)
        assert (again.incarnation, again.interval_end) == (8, INTERVAL_END + timedelta(hours=3))
        assert (again.created_at, again.terminated_at) == (vm.terminated_at, None)
        assert again.run_until > vm.terminated_at

    def test_repeated_start_is_the_first_one(self, harness: FleetHarness) -> None:
        """The same request id returns the first operation."""
        vm = stopped(harness)
        first = harness.fleet.start(vm, restart_metadata(vm), request_id="start")
        again = harness.fleet.start(vm, restart_metadata(vm), request_id="start")
        assert again.name == first.name

    def test_start_without_capacity_leaves_the_vm_stopped(self, harness: FleetHarness) -> None:
        """A stopped VM is no reservation; when it went down is still known."""
        vm = stopped(harness)
        harness.run_out_of_stock(ZONE)
        done = finished(harness, harness.fleet.start(vm, restart_metadata(vm), request_id="start"))
        assert done.failure is FailureKind.STOCK_OUT
        after = only(harness)
        assert (after.status, after.terminated_at) == (VmStatus.TERMINATED, vm.terminated_at)

    def test_start_without_quota_fails(self, harness: FleetHarness) -> None:
        """As an insert does."""
        vm = stopped(harness)
        harness.use_up_quota("europe-west3")
        done = finished(harness, harness.fleet.start(vm, restart_metadata(vm), request_id="start"))
        assert done.failure is FailureKind.QUOTA

    def test_start_of_a_vm_that_is_gone_is_done(self, harness: FleetHarness) -> None:
        """The control plane sees that it is gone, and makes another."""
        vm = stopped(harness)
        harness.fleet.delete(vm, request_id="delete")
        harness.wait_until(lambda: not harness.fleet.list())
        done = harness.fleet.start(vm, restart_metadata(vm), request_id="start")
        assert (done.done, done.failure) == (True, None)

    def test_a_vm_started_again_can_be_stopped_again(self, harness: FleetHarness) -> None:
        """And says when it went down the second time."""
        vm = stopped(harness)
        harness.fleet.start(vm, restart_metadata(vm), request_id="start")
        harness.wait_until(lambda: only(harness).status is VmStatus.RUNNING)
        harness.fleet.stop(only(harness), request_id="stop again")
        harness.wait_until(lambda: only(harness).status is VmStatus.TERMINATED)
        second = only(harness).terminated_at
        assert second is not None
        assert vm.terminated_at is not None
        assert second > vm.terminated_at

    def test_deleted_vm_is_gone(self, harness: FleetHarness) -> None:
        """A deleted VM disappears, and its name is free."""
        vm = running(harness, spec())
        harness.fleet.delete(vm, request_id="delete")
        harness.wait_until(lambda: not harness.fleet.list())
        harness.fleet.insert(spec(), request_id="insert again")
        assert only(harness).name == vm.name

    def test_calls_on_a_vm_that_is_gone_are_fine(self, harness: FleetHarness) -> None:
        """Stop, delete and a new interval end do not mind that the VM is gone."""
        vm = running(harness, spec())
        harness.fleet.delete(vm, request_id="delete")
        harness.wait_until(lambda: not harness.fleet.list())
        harness.fleet.stop(vm, request_id="1")
        harness.fleet.delete(vm, request_id="2")
        harness.fleet.set_interval_end(vm, INTERVAL_END, request_id="3")
        assert not harness.fleet.list()

    def test_interval_end_changes(self, harness: FleetHarness) -> None:
        """A new interval end shows in the list, and nothing else changes."""
        vm = running(harness, spec())
        later = INTERVAL_END + timedelta(hours=2)
        harness.fleet.set_interval_end(vm, later, request_id="later")
        assert only(harness).interval_end == later
        assert only(harness).status is VmStatus.RUNNING

    def test_longest_run_is_enforced(self, harness: FleetHarness) -> None:
        """A VM goes down after its longest run, though nobody asks for it."""
        running(harness, spec(max_run_duration_s=300))
        harness.wait_until(lambda: only(harness).status is VmStatus.TERMINATED)
