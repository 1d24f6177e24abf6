"""When a VM that is down is kept, when it is started again, and when it goes after all."""

from dataclasses import replace
from datetime import datetime

import pytest
from job_at_noon import (
    DE,
    FI,
    FR,
    HOUR,
    JOB,
    MINUTE,
    NOON,
    decided,
    interval,
    latest,
    plan,
    seen,
    target,
    vm,
)

from functions.domain.lifecycle import transitions
from functions.domain.lifecycle.actions import (
    Delete,
    DropTarget,
    Insert,
    Keep,
    Owner,
    Reserve,
    Start,
)
from functions.domain.lifecycle.decide import decide
from functions.domain.lifecycle.disk import Disk, DiskStatus
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import (
    Block,
    DataDisk,
    DiskMove,
    JobState,
    Phase,
    Purpose,
    Sleeper,
    Target,
)
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmStatus
from vm_runtime.contract.job import KeepDisk

DOWN = NOON - 2 * MINUTE
STOPPED = vm(status=VmStatus.TERMINATED, terminated_at=DOWN)
SLEEPER = Sleeper(vm="ss-digits-1", stopped_at=DOWN)
HERE = plan(interval(NOON - HOUR, NOON + 2 * HOUR, DE, FI))
OPERATION = Operation(name="operation-1", compute_zone=DE, done=True)


def just_down(**state: object) -> Observation:
    """Return the look after a VM powered off with a new checkpoint, in an interval of its place."""
    plain = JobState(job_id="digits", incarnation=1, target=target(), step_at_reservation=10)
    return seen(STOPPED, state=replace(plain, **state), plan=HERE, latest=latest(20))


def asleep(*vms: Vm, **state: object) -> Observation:
    """Return the look after it was booked and kept."""
    plain = JobState(job_id="digits", incarnation=1, sleeper=SLEEPER)
    return seen(*(vms or (STOPPED,)), state=replace(plain, **state), plan=HERE, latest=latest(20))


def restart(**changes: object) -> Target:
    """Return the reservation of its start."""
    return target(2, vm="ss-digits-1", restarts=True, reserved_at=NOON - MINUTE, **changes)


def ordered(*vms: Vm, operation: Operation | None = None) -> Observation:
    """Return the look after its start was reserved, and asked for if there is an operation."""
    reserved = restart(operation=operation.name if operation else None)
    state = asleep(target=reserved, incarnation=2, step_at_reservation=10).state
    return seen(
        *(vms or (STOPPED,)), state=state, plan=HERE, latest=latest(20), operation=operation
    )


def with_disk(observation: Observation, *users: str, **state: object) -> Observation:
    """Give the job a data disk."""
    disk = Disk(
        name="ss-digits-1-data",
        compute_zone=DE,
        status=DiskStatus.READY,
        disk_id="1",
        size_gb=100,
        job_id="digits",
        incarnation=1,
        is_data=True,
        created_at=NOON - HOUR,
        users=users,
    )
    known = DataDisk(number=1, compute_zone=DE, is_made=True)
    return replace(
        observation,
        job=replace(JOB, keep_disk=KeepDisk(size_gb=100)),
        disks=(disk,),
        state=replace(observation.state, disk=known, disks_named=2, **state),
    )


def test_a_vm_that_is_wanted_again_soon_is_booked_and_kept() -> None:
    """It costs its boot disk; a new one costs boot and environment."""
    action = decided(just_down(), Keep, Owner.STOP_VM)

    after = transitions.kept(just_down(), action.vm)
    assert (after.sleeper, after.target) == (SLEEPER, None)
    assert after.fruitless_vms == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"latest": latest(10)}, "it made no new checkpoint"),
        ({"latest": None}, "it made none at all"),
        ({"plan": plan(interval(NOON, NOON + 2 * HOUR, FR))}, "the next interval is elsewhere"),
        ({"plan": plan(interval(NOON + 2 * HOUR, NOON + 3 * HOUR, DE))}, "it begins too late"),
        ({"plan": plan(interval(NOON - HOUR, NOON + 2 * MINUTE, DE))}, "it is over too soon"),
        ({"plan": plan()}, "no interval is left"),
        ({"vms": (replace(STOPPED, terminated_at=None),)}, "it is not known when it went down"),
    ],
)
def test_a_vm_is_deleted_if(changes: dict[str, object], why: str) -> None:
    """In all other cases it goes, as ever."""
    # The last interval counts as open to the end of its slot: a slot of 15 minutes keeps it short.
    job = replace(JOB, slot_minutes=15)
    action = decide(replace(just_down(), job=job, **changes))

    if "too soon" in why:
        later = replace(just_down(), job=job, now=NOON + 14 * MINUTE, **changes)
        action = decide(later)
    assert isinstance(action, Delete), why


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.CANCELLED, Phase.FINISHED, Phase.FAILED])
def test_a_kept_vm_is_deleted_when_its_job_rests(phase: Phase) -> None:
    """Else its disk would be paid for, for nothing."""
    decided(asleep(phase=phase, closed_at=NOON), Delete, Owner.STOP_VM)


def test_a_blocked_place_keeps_no_vm() -> None:
    """It could not be started there."""
    block = Block(place=DE, until=NOON + HOUR, reason="")
    decided(asleep(blocked=(block,)), Delete, Owner.STOP_VM)


def test_a_kept_vm_is_reserved_under_the_next_incarnation_with_its_own_name() -> None:
    """The fencing token grows as for a new VM; name and place are those of the first run."""
    observation = asleep()
    action = decided(observation, Reserve, Owner.START_VM)

    after = transitions.reserved(observation, action)
    assert action.sleeper == STOPPED
    assert after.target is not None
    assert (after.incarnation, after.target.incarnation) == (2, 2)
    assert (after.target.vm, after.target.compute_zone) == (STOPPED.name, DE)
    assert (after.target.restarts, after.target.purpose) == (True, Purpose.START)


def test_it_is_kept_through_a_gap_that_pays_and_started_ahead_of_its_end() -> None:
    """50 minutes at most for this machine (docs/adr); the boot's lead comes on top."""
    gap = plan(interval(NOON + 40 * MINUTE, NOON + 3 * HOUR, DE))

    assert decide(replace(asleep(), plan=gap)) is None
    decided(replace(asleep(), plan=gap, now=NOON + 38 * MINUTE), Reserve, Owner.START_VM)


def test_a_vm_that_was_up_since_is_not_the_one_that_sleeps() -> None:
    """Whoever started it by hand: its run is not booked, and it is judged as any other."""
    later = replace(STOPPED, terminated_at=DOWN + MINUTE)
    action = decide(asleep(later))
    assert not isinstance(action, Reserve) or action.sleeper is None


def test_only_a_vm_where_the_interval_is_wanted_is_started() -> None:
    """A stopped VM is no reason to train on dirtier electricity."""
    elsewhere = replace(asleep(), plan=plan(interval(NOON - HOUR, NOON + 2 * HOUR, FR)))
    decided(elsewhere, Delete, Owner.STOP_VM)


def test_while_another_vm_is_up_it_is_not_started() -> None:
    """That one trains or is on its way: at most one."""
    action = decide(asleep(STOPPED, vm(2)))
    assert not isinstance(action, Reserve | Start)


def test_what_was_reserved_is_started() -> None:
    """By start_vm, in its place."""
    action = decided(ordered(), Start, Owner.START_VM)
    assert (action.vm, action.target.incarnation) == (STOPPED, 2)


@pytest.mark.parametrize("done", [False, True])
def test_a_start_that_was_asked_for_is_waited_for(done: bool) -> None:  # noqa: FBT001
    """Not done, or done and the list of VMs is from before: the next look sees it."""
    observation = ordered(operation=replace(OPERATION, done=done))
    assert decide(observation) is None


@pytest.mark.parametrize(
    ("failure", "place"),
    [(FailureKind.STOCK_OUT, DE), (FailureKind.QUOTA, "europe-west3"), (FailureKind.OTHER, DE)],
)
def test_a_start_that_is_refused_blocks_its_place(failure: FailureKind, place: str) -> None:
    """A stopped VM is no reservation; the next one is made as if it were not there."""
    refused = replace(OPERATION, failure=failure)
    observation = ordered(operation=refused)
    action = decided(observation, DropTarget, Owner.START_VM)

    assert action.block is not None
    assert action.block.place == place
    after = transitions.dropped(observation, action)
    decided(replace(observation, state=after), Delete, Owner.STOP_VM)


def test_a_start_whose_vm_is_gone_is_dropped() -> None:
    """A person deleted it: another is made, no place is blocked."""
    observation = replace(ordered(), vms=())
    action = decided(observation, DropTarget, Owner.START_VM)

    assert action.block is None
    after = replace(observation, state=transitions.dropped(observation, action))
    reserve = decided(after, Reserve, Owner.START_VM)
    assert reserve.sleeper is None


def test_a_start_that_worked_and_is_never_seen_is_given_up() -> None:
    """After the time-out for operations."""
    late = replace(ordered(operation=OPERATION), now=NOON + HOUR)
    decided(late, DropTarget, Owner.START_VM)


def test_a_vm_that_runs_again_is_on_order_no_more() -> None:
    """Its new incarnation in the metadata, and its power, say so."""
    up = replace(STOPPED, status=VmStatus.RUNNING, incarnation=2, terminated_at=None)
    assert ordered(up).pending is None
    # After setMetadata and before the start it has the incarnation, and is down as before.
    told = replace(STOPPED, incarnation=2)
    assert ordered(told).pending is not None
    decided(ordered(told), Start, Owner.START_VM)


def test_the_second_run_of_a_vm_is_judged_like_the_first() -> None:
    """Down again with a new checkpoint: kept anew; without: deleted, and counted."""
    again = replace(STOPPED, incarnation=2, terminated_at=NOON - MINUTE)
    observation = ordered(again)
    decided(observation, Keep, Owner.STOP_VM)

    state = replace(observation.state, step_at_reservation=20)
    fruitless = replace(observation, state=state)
    decided(fruitless, Delete, Owner.STOP_VM)
    assert transitions.removed(fruitless, again).fruitless_vms == 1


def test_with_keep_disk_only_a_vm_that_has_the_disk_is_kept() -> None:
    """Started without it, it would wait for it; and a disk on its way elsewhere must stay free."""
    decided(with_disk(just_down(), STOPPED.name), Keep, Owner.STOP_VM)
    decided(with_disk(asleep(), STOPPED.name), Reserve, Owner.START_VM)
    decided(with_disk(just_down()), Delete, Owner.STOP_VM)

    move = DiskMove(number=2, compute_zone=FR, began_at=NOON)
    moving = with_disk(just_down(), STOPPED.name, disk_move=move)
    assert not isinstance(decide(moving), Keep)


def test_a_reserved_start_is_not_turned_into_an_insert() -> None:
    """Its name is that of the stopped VM: an insert would only meet that name."""
    for at in (NOON, NOON + MINUTE, NOON + 30 * MINUTE):
        moment: datetime = at
        assert not isinstance(decide(replace(ordered(), now=moment)), Insert)
