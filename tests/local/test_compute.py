"""The compute service: states of its VMs, and what happens to the processes inside."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleet_contract import spec
from local_world import START, Machines, is_alive, make_world, said
from waiting import until

from functions.domain.lifecycle.vm import FailureKind, VmSpec, VmStatus
from functions.local.compute import Compute
from functions.local.events import EventKind
from functions.local.faults import Faults
from functions.local.refusal import RefusedError
from functions.local.vm_states import (
    Delays,
    Fate,
    VmRecord,
    advance,
    after_power_failure,
    enter,
)

NAME, ZONE = "ss-digits-1", "europe-west3-a"


def status(compute: Compute) -> VmStatus | None:
    """Return the state of the only VM, `None` if there is none."""
    found = compute.list()
    return found[0].status if found else None


def run(compute: Compute, wanted: VmSpec | None = None, *, folder: Path) -> str:
    """Insert a VM, wait until its guest is up, and return its log."""
    compute.insert(wanted or spec(), request_id="insert")
    log = folder / f"{NAME}.log"
    until(lambda: log.exists() and "up" in log.read_text())
    return log.read_text()


def test_states_follow_each_other(machines: Machines, tmp_path: Path) -> None:
    """A VM goes through all states in Compute Engine's order and takes its time."""
    world = make_world(tmp_path)
    compute = machines.make(world, delays=Delays())
    operation = compute.insert(spec(), request_id="insert")
    until(lambda: status(compute) is VmStatus.RUNNING)
    assert compute.operation(operation.name, ZONE).done
    compute.stop_vm(NAME, ZONE, request_id="stop")
    until(lambda: status(compute) is VmStatus.TERMINATED)
    events = [event for event in world.log.since() if event.kind is EventKind.VM]
    assert [event.text.split()[0] for event in events] == [
        "PROVISIONING",
        "STAGING",
        "RUNNING",
        "STOPPING",
        "TERMINATED",
    ]
    assert events[2].at - events[0].at >= timedelta(seconds=40)
    assert events[4].at - events[3].at >= timedelta(seconds=20)


def test_guest_sees_its_metadata_and_environment(machines: Machines, tmp_path: Path) -> None:
    """The guest runs as its own process, with name and place from its metadata server."""
    compute = machines.make(make_world(tmp_path))
    log = run(compute, folder=tmp_path)
    assert f"up {NAME} projects/1/zones/{ZONE} {compute.pid(NAME)}" in log


def test_guest_that_ends_is_powered_off(machines: Machines, tmp_path: Path) -> None:
    """A guest that ends by itself leaves a TERMINATED VM with the time of it."""
    world = make_world(tmp_path)
    compute = machines.make(world)
    compute.insert(spec(job="done"), request_id="insert")
    until(lambda: status(compute) is VmStatus.TERMINATED)
    (record,) = compute.list()
    assert record.terminated_at is not None
    assert record.terminated_at > record.created_at
    assert any("exit 3" in text for text in said(world, EventKind.VM))


def test_preemption_gives_notice(machines: Machines, tmp_path: Path) -> None:
    """A preempted guest sees it in its metadata, gets SIGTERM, and the VM is TERMINATED."""
    compute = machines.make(make_world(tmp_path))
    run(compute, folder=tmp_path)
    compute.preempt(NAME)
    assert status(compute) is VmStatus.STOPPING
    until(lambda: status(compute) is VmStatus.TERMINATED)
    assert "SIGTERM, preempted TRUE" in (tmp_path / f"{NAME}.log").read_text()


def test_preemption_does_not_wait_for_ever(machines: Machines, tmp_path: Path) -> None:
    """A guest that ignores SIGTERM is killed, not before 0.3 real seconds."""
    compute = machines.make(make_world(tmp_path))
    run(compute, spec(job="stubborn"), folder=tmp_path)
    pid, begin_s = compute.pid(NAME), time.monotonic()
    compute.preempt(NAME)
    until(lambda: not is_alive(pid))
    assert time.monotonic() - begin_s >= 0.3
    until(lambda: status(compute) is VmStatus.TERMINATED)


def test_preemption_without_notice(machines: Machines, tmp_path: Path) -> None:
    """Without notice the guest is simply gone."""
    compute = machines.make(make_world(tmp_path))
    run(compute, folder=tmp_path)
    compute.preempt(NAME, without_notice=True)
    until(lambda: status(compute) is VmStatus.TERMINATED)
    assert "SIGTERM" not in (tmp_path / f"{NAME}.log").read_text()


def test_kill_takes_the_workers_too(machines: Machines, tmp_path: Path) -> None:
    """No process that a guest has started outlives its VM."""
    compute = machines.make(make_world(tmp_path))
    log = run(compute, spec(job="worker"), folder=tmp_path)
    worker = int(log.partition("worker ")[2].split()[0])
    assert is_alive(worker)
    compute.kill(NAME)
    until(lambda: not is_alive(worker))
    until(lambda: status(compute) is VmStatus.TERMINATED)


def test_only_a_running_vm_can_be_preempted(machines: Machines, tmp_path: Path) -> None:
    """Preemption of a VM that does not run says what there is."""
    compute = machines.make(make_world(tmp_path))
    with pytest.raises(LookupError, match=NAME):
        compute.preempt(NAME)


def test_longest_run_ends_a_guest(machines: Machines, tmp_path: Path) -> None:
    """After max_run_duration the guest gets SIGTERM, whatever it does."""
    world = make_world(tmp_path)
    compute = machines.make(world)
    run(compute, spec(max_run_duration_s=600), folder=tmp_path)
    until(lambda: status(compute) is VmStatus.TERMINATED)
    assert "SIGTERM" in (tmp_path / f"{NAME}.log").read_text()
    assert any("max_run_duration" in text for text in said(world, EventKind.VM))


def test_stock_out_surfaces_in_the_operation(machines: Machines, tmp_path: Path) -> None:
    """A stock-out is accepted first; then the operation fails and the VM disappears."""
    faults = Faults(stock_outs=frozenset({"europe-west3"}))
    compute = machines.make(make_world(tmp_path, faults))
    operation = compute.insert(spec(), request_id="insert")
    assert (operation.done, status(compute)) == (False, VmStatus.PROVISIONING)
    until(lambda: compute.operation(operation.name, ZONE).done)
    done = compute.operation(operation.name, ZONE)
    assert done.failure is FailureKind.STOCK_OUT
    assert ZONE in done.message
    assert status(compute) is None


def test_failing_insert_surfaces_in_the_operation(machines: Machines, tmp_path: Path) -> None:
    """An insert may fail for no reason of ours."""
    compute = machines.make(make_world(tmp_path, Faults(failing_inserts=1.0)))
    operation = compute.insert(spec(), request_id="insert")
    until(lambda: compute.operation(operation.name, ZONE).done)
    assert compute.operation(operation.name, ZONE).failure is FailureKind.OTHER
    assert status(compute) is None


def test_slow_insert_ends_at_last(machines: Machines, tmp_path: Path) -> None:
    """A slow operation is not done when others are, but it makes its VM."""
    world = make_world(tmp_path, Faults(slow_insert_s=200.0))
    compute = machines.make(world)
    operation = compute.insert(spec(), request_id="insert")
    until(lambda: world.clock.now() - START > timedelta(seconds=100))
    assert not compute.operation(operation.name, ZONE).done
    until(lambda: compute.operation(operation.name, ZONE).done)
    assert status(compute) is VmStatus.RUNNING


def test_vm_stopped_before_it_runs(machines: Machines, tmp_path: Path) -> None:
    """A VM that is deleted while it is made never runs, and its operation ends failed."""
    compute = machines.make(make_world(tmp_path, Faults(slow_insert_s=7200.0)))
    operation = compute.insert(spec(), request_id="insert")
    compute.delete(NAME, ZONE, request_id="delete")
    until(lambda: status(compute) is None)
    assert compute.operation(operation.name, ZONE).failure is FailureKind.OTHER
    assert not (tmp_path / f"{NAME}.log").exists()


def test_name_is_taken_until_deleted(machines: Machines, tmp_path: Path) -> None:
    """A second VM of the name is refused in its zone, as on Compute Engine."""
    compute = machines.make(make_world(tmp_path))
    compute.insert(spec(), request_id="a")
    with pytest.raises(RefusedError, match="exists") as caught:
        compute.insert(spec(), request_id="b")
    assert (caught.value.status, caught.value.reason) == (409, "alreadyExists")


def test_stop_leaves_no_process(machines: Machines, tmp_path: Path) -> None:
    """A power failure ends all guests; the records still say RUNNING."""
    compute = machines.make(make_world(tmp_path))
    run(compute, folder=tmp_path)
    pid = compute.pid(NAME)
    compute.stop()
    assert not is_alive(pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    (record,), _, requests = compute.saved()
    assert record.status is VmStatus.RUNNING
    assert "insert" in requests


def record(state: VmStatus, *, is_deleting: bool = False, fate: Fate = Fate.RUNS) -> VmRecord:
    """Return a VM that came into `state` at the start."""
    made = VmRecord(
        name=NAME,
        compute_zone=ZONE,
        machine_type="n2",
        labels={},
        metadata={},
        max_run_duration_s=3600.0,
        operation="operation",
        created_at=START,
        since=START,
        fate=fate,
        is_deleting=is_deleting,
    )
    return enter(made, state, START)


@pytest.mark.parametrize(
    ("before", "elapsed_s", "has_power", "after"),
    [
        (record(VmStatus.PROVISIONING), 19, False, VmStatus.PROVISIONING),
        (record(VmStatus.PROVISIONING), 20, False, VmStatus.STAGING),
        (record(VmStatus.PROVISIONING, fate=Fate.STOCK_OUT), 20, False, None),
        (record(VmStatus.STAGING), 20, False, VmStatus.RUNNING),
        (record(VmStatus.RUNNING), 3599, True, VmStatus.RUNNING),
        (record(VmStatus.RUNNING), 3600, True, VmStatus.STOPPING),
        (record(VmStatus.RUNNING), 0, False, VmStatus.TERMINATED),
        (record(VmStatus.STOPPING), 3600, True, VmStatus.STOPPING),
        (record(VmStatus.STOPPING), 19, False, VmStatus.STOPPING),
        (record(VmStatus.STOPPING), 20, False, VmStatus.TERMINATED),
        (record(VmStatus.STOPPING, is_deleting=True), 20, False, None),
        (record(VmStatus.TERMINATED), 10**6, False, VmStatus.TERMINATED),
    ],
)
def test_transitions(
    before: VmRecord, elapsed_s: int, *, has_power: bool, after: VmStatus | None
) -> None:
    """Each state is left when it is due, and for the right one."""
    now = START + timedelta(seconds=elapsed_s)
    found = advance(before, now, has_power=has_power, delays=Delays())
    assert (found.status if found else None) is after


def test_power_failure_terminates_what_ran() -> None:
    """After a power failure of the host what had power is TERMINATED, the rest as it was."""
    at = datetime(2024, 3, 6, tzinfo=UTC)
    ran = after_power_failure(record(VmStatus.RUNNING), at)
    assert (ran.status, ran.terminated_at) == (VmStatus.TERMINATED, at)
    made = record(VmStatus.PROVISIONING)
    assert after_power_failure(made, at) is made
