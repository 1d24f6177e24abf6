"""The rules of data disks, one by one: what is done next, and what must not be done."""

from dataclasses import replace
from datetime import timedelta

import pytest
from job_at_noon import DE, FI, FR, HOUR, JOB, LEASE, MINUTE, NOON, seen, target, vm

from functions.domain.lifecycle import disk_transitions as becomes
from functions.domain.lifecycle.actions import (
    AdoptDisk,
    AttachDisk,
    CopyDisk,
    DeleteDisk,
    DeleteSnapshot,
    GiveUpDiskMove,
    MissDisk,
    MoveDisk,
    NoteDisk,
    Owner,
    SetIntervalEnd,
    TakeSnapshot,
)
from functions.domain.lifecycle.disk import Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.disks import bring_disk
from functions.domain.lifecycle.left_over import remove_left_over, why_boot_disk_goes
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import Block, DataDisk, DiskMove, JobState, Phase, Purpose
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmStatus
from vm_runtime.contract.job import KeepDisk

KEEPING = replace(JOB, keep_disk=KeepDisk(size_gb=100))
MOVE = DiskMove(number=2, compute_zone=FR, began_at=NOON - MINUTE)
DONE = Operation(name="operation-1", compute_zone=DE, done=True)
OLD = vm(1, status=VmStatus.TERMINATED, interval_end=NOON, terminated_at=NOON - MINUTE)
NEW = vm(2, FR, interval_end=NOON + 3 * HOUR)
READY, MAKING, FAILED = DiskStatus.READY, DiskStatus.MAKING, DiskStatus.FAILED


def disk(number: int = 1, zone: str = DE, **changes: object) -> Disk:
    """Return a data disk that is whole and free."""
    plain = Disk(
        name=f"ss-digits-{number}-data",
        compute_zone=zone,
        status=READY,
        disk_id=f"disk {number}",
        size_gb=100,
        job_id="digits",
        incarnation=1,
        is_data=True,
        created_at=NOON - 2 * HOUR,
        last_attached_at=NOON - HOUR,
    )
    return replace(plain, **changes)


def snapshot(**changes: object) -> Snapshot:
    """Return the snapshot of disk 1 from which disk 2 is made."""
    plain = Snapshot(
        name="ss-digits-2-snapshot",
        status=READY,
        snapshot_id="snapshot 2",
        source_disk_id="disk 1",
        disk_size_gb=100,
        job_id="digits",
        created_at=NOON,
    )
    return replace(plain, **changes)


def copy(**changes: object) -> Disk:
    """Return disk 2 in France, as it was made from that snapshot."""
    return disk(2, FR, **{"source_snapshot_id": "snapshot 2", "last_attached_at": None, **changes})


def look(
    *vms: Vm,
    disks: tuple[Disk, ...] = (disk(),),
    snapshots: tuple[Snapshot, ...] = (),
    operation: Operation | None = None,
    **state: object,
) -> Observation:
    """Return an observation of a job whose data disk is number 1, in Germany."""
    known = DataDisk(number=1, compute_zone=DE, is_made=True)
    plain = JobState(job_id="digits", incarnation=2, disk=known, disks_named=2)
    return seen(
        *vms,
        job=KEEPING,
        state=replace(plain, **state),
        disks=disks,
        snapshots=snapshots,
        disk_operation=operation,
    )


# A disk in the same compute zone


def test_a_running_vm_without_the_disk_gets_it() -> None:
    """In its own compute zone, when nobody has it."""
    here = vm(2)
    action = bring_disk(look(here))
    assert isinstance(action, AttachDisk)
    assert (action.owner, action.vm, action.disk) == (Owner.START_VM, here, disk())


def test_a_disk_is_not_free_while_a_vm_has_it() -> None:
    """Up, down, or nobody's that we know: two VMs must not write to it, and GCE refuses it."""
    for user in ("ss-digits-1", "somebody"):
        taken = disk(users=(user,))
        assert bring_disk(look(vm(2), disks=(taken,))) is None
        assert bring_disk(look(OLD, vm(2), disks=(taken,))) is None
        assert bring_disk(look(vm(1), vm(2), disks=(taken,))) is None


@pytest.mark.parametrize("status", [MAKING, FAILED, DiskStatus.DELETING])
def test_a_disk_that_is_not_ready_is_not_used(status: DiskStatus) -> None:
    """Neither attached nor copied."""
    half = (disk(status=status),)
    assert bring_disk(look(vm(2), disks=half)) is None
    assert bring_disk(look(OLD, NEW, disks=half)) is None
    assert bring_disk(look(OLD, NEW, disks=half, disk_move=MOVE)) is None


@pytest.mark.parametrize("status", [VmStatus.PROVISIONING, VmStatus.STAGING])
def test_a_disk_is_attached_to_a_vm_that_runs(status: VmStatus) -> None:
    """Before that the attachment may be lost."""
    assert bring_disk(look(vm(2, status=status))) is None


def test_a_vm_that_has_the_disk_needs_nothing() -> None:
    """It trains."""
    assert bring_disk(look(vm(2), disks=(disk(users=("ss-digits-2",)),))) is None


def test_that_a_vm_ran_with_the_disk_is_noted_once() -> None:
    """From then on it may hold what the job needs; before that it is surely empty."""
    first = DataDisk(number=1, compute_zone=DE)
    with_it = disk(users=("ss-digits-2",))
    observation = look(vm(2), disks=(with_it,), disk=first)
    action = bring_disk(observation)
    assert isinstance(action, NoteDisk)
    assert becomes.noted(observation).disk == replace(first, is_made=True)

    assert bring_disk(look(vm(2, status=VmStatus.STAGING), disks=(with_it,), disk=first)) is None
    assert bring_disk(look(vm(2), disks=(with_it,))) is None
    other = disk(users=("ss-digits-1",))
    assert not isinstance(bring_disk(look(vm(2), disks=(other,), disk=first)), NoteDisk)


def test_a_disk_that_is_gone_is_missed_only_if_it_was_there() -> None:
    """One that is made together with its VM shows up a little later."""
    assert isinstance(bring_disk(look(vm(2), disks=())), MissDisk)
    first = DataDisk(number=1, compute_zone=DE)
    assert bring_disk(look(vm(2), disks=(), disk=first)) is None
    # One of that name in another compute zone, or without the role, is another one.
    assert isinstance(bring_disk(look(vm(2), disks=(disk(zone=FI),))), MissDisk)
    assert isinstance(bring_disk(look(vm(2), disks=(disk(is_data=False),))), MissDisk)


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.CANCELLED, Phase.FAILED])
def test_for_a_job_that_rests_no_disk_is_brought(phase: Phase) -> None:
    """No VM of it is to run."""
    assert bring_disk(look(vm(2), phase=phase)) is None
    assert bring_disk(look(OLD, NEW, phase=phase)) is None


# A disk in another compute zone


def test_a_disk_moves_once_its_vm_is_off() -> None:
    """The source may still write as long as it is up, whatever it was told."""
    mine = (disk(users=(OLD.name,)),)
    action = bring_disk(look(OLD, NEW, disks=mine))
    assert isinstance(action, MoveDisk)
    assert (action.owner, action.compute_zone) == (Owner.MOVE_VM, FR)

    for status in set(VmStatus) - {VmStatus.TERMINATED}:
        writing = replace(OLD, status=status)
        assert bring_disk(look(writing, NEW, disks=mine)) is None
        moving = look(writing, NEW, disks=mine, disk_move=MOVE)
        assert not isinstance(bring_disk(moving), TakeSnapshot)
    assert bring_disk(look(OLD, NEW, disks=(disk(users=(OLD.name, "somebody")),))) is None


def test_a_disk_does_not_move_to_where_it_could_not_go_before() -> None:
    """A VM to which the disk cannot come only costs: it is sent away, once."""
    block = Block(place=FR, until=NOON + HOUR, reason="full")
    action = bring_disk(look(OLD, NEW, blocked=(block,)))
    assert isinstance(action, SetIntervalEnd)
    assert (action.vm, action.end) == (NEW, NOON)
    told = replace(NEW, interval_end=NOON)
    assert bring_disk(look(OLD, told, blocked=(block,))) is None


def test_the_steps_of_a_move_follow_each_other() -> None:
    """Snapshot, copy, adoption; each only when what it needs is whole."""
    mine = disk(users=(OLD.name,))
    take = bring_disk(look(OLD, NEW, disks=(mine,), disk_move=MOVE))
    assert isinstance(take, TakeSnapshot)
    assert (take.owner, take.disk, take.number) == (Owner.MOVE_VM, mine, 2)

    half = snapshot(status=MAKING)
    assert bring_disk(look(OLD, NEW, snapshots=(half,), disk_move=MOVE)) is None
    make = bring_disk(look(OLD, NEW, snapshots=(snapshot(),), disk_move=MOVE))
    assert isinstance(make, CopyDisk)
    assert (make.number, make.compute_zone, make.snapshot) == (2, FR, snapshot())

    made = (mine, copy(status=MAKING))
    assert bring_disk(look(OLD, NEW, disks=made, snapshots=(snapshot(),), disk_move=MOVE)) is None
    whole = look(OLD, NEW, disks=(mine, copy()), snapshots=(snapshot(),), disk_move=MOVE)
    assert isinstance(bring_disk(whole), AdoptDisk)
    after = becomes.adopted(whole)
    assert after.disk == DataDisk(number=2, compute_zone=FR, is_made=True)
    assert after.disk_move is None


@pytest.mark.parametrize(
    ("odd_copy", "odd_snapshot", "odd_source"),
    [
        (copy(status=FAILED), snapshot(), disk()),
        (copy(source_snapshot_id="another"), snapshot(), disk()),
        (copy(source_snapshot_id=""), snapshot(), disk()),
        (copy(size_gb=99), snapshot(), disk()),
        (copy(), snapshot(source_disk_id="another"), disk()),
        (copy(), snapshot(), disk(last_attached_at=NOON)),
        (copy(), snapshot(), disk(last_attached_at=NOON + MINUTE)),
        (copy(), None, disk()),
    ],
)
def test_a_copy_that_cannot_be_trusted_is_not_adopted(
    odd_copy: Disk, odd_snapshot: Snapshot | None, odd_source: Disk
) -> None:
    """The source stays the truth, and the place is blocked."""
    shots = (odd_snapshot,) if odd_snapshot else ()
    observation = look(OLD, NEW, disks=(odd_source, odd_copy), snapshots=shots, disk_move=MOVE)
    action = bring_disk(observation)
    assert isinstance(action, GiveUpDiskMove)
    assert action.block is not None
    after = becomes.stays(observation, action)
    assert (after.disk, after.disk_move) == (observation.state.disk, None)
    assert after.blocks(FR, NOON) is not None


def test_nothing_is_made_from_a_snapshot_of_something_else() -> None:
    """Or of one that failed."""
    for odd in (snapshot(source_disk_id="another"), snapshot(status=FAILED)):
        action = bring_disk(look(OLD, NEW, snapshots=(odd,), disk_move=MOVE))
        assert isinstance(action, GiveUpDiskMove)


def test_what_was_asked_for_is_waited_for_and_asked_for_again_only_if_it_is_gone() -> None:
    """An operation under way, or one that nobody can see, is no reason to ask twice."""
    asked = replace(MOVE, snapshot_operation="operation-1", copy_operation="operation-1")
    for shots, kind in (((), TakeSnapshot), ((snapshot(),), CopyDisk)):
        for operation in (None, replace(DONE, done=False)):
            waiting = look(OLD, NEW, snapshots=shots, operation=operation, disk_move=asked)
            assert bring_disk(waiting) is None
        gone = look(OLD, NEW, snapshots=shots, operation=DONE, disk_move=asked)
        assert isinstance(bring_disk(gone), kind)
        failed = replace(DONE, failure=FailureKind.STOCK_OUT)
        full = look(OLD, NEW, snapshots=shots, operation=failed, disk_move=asked)
        assert isinstance(bring_disk(full), GiveUpDiskMove)


def test_patience_with_a_move_ends() -> None:
    """The old disk is as it was."""
    limit = timedelta(seconds=Timing().disk_move_timeout_s)
    for late, kind in ((MINUTE, GiveUpDiskMove), (-MINUTE, TakeSnapshot)):
        move = replace(MOVE, began_at=NOON - limit - late)
        assert isinstance(bring_disk(look(OLD, NEW, disk_move=move)), kind)


def test_a_move_to_where_nobody_wants_it_any_more_is_given_up_without_a_block() -> None:
    """The place did nothing wrong. What is on order counts for more than what is up."""
    elsewhere = look(OLD, vm(3, FI), disk_move=MOVE)
    action = bring_disk(elsewhere)
    assert isinstance(action, GiveUpDiskMove)
    assert action.block is None
    assert becomes.stays(elsewhere, action).blocked == ()
    ordered = look(OLD, NEW, disk_move=MOVE, target=target(3, FI, purpose=Purpose.MOVE))
    assert isinstance(bring_disk(ordered), GiveUpDiskMove)
    # With no VM at all it goes on: the next one is made where the disk then is.
    assert isinstance(bring_disk(look(OLD, disk_move=MOVE)), TakeSnapshot)


def test_a_vm_that_waits_for_its_disk_is_not_taken_for_one_that_hangs() -> None:
    """It can neither report nor take the lease before it has it."""
    silent = replace(NEW, created_at=NOON - 2 * HOUR)
    assert not look(OLD, silent).is_silent(silent)
    its_own = disk(2, FR, users=(silent.name,))
    known = DataDisk(number=2, compute_zone=FR, is_made=True)
    having = look(OLD, silent, disks=(its_own,), disk=known)
    assert having.is_silent(silent)
    just_given = replace(known, given_to=silent.name, given_at=NOON - MINUTE)
    assert not look(OLD, silent, disks=(its_own,), disk=just_given).is_silent(silent)
    held = replace(having, lease=replace(LEASE, incarnation=silent.incarnation))
    assert not held.is_silent(silent)


# What each step writes down


def test_a_copy_gets_a_number_that_nothing_had_before() -> None:
    """And what is on the source counts from then on, whether a VM was seen with it or not."""
    first = DataDisk(number=1, compute_zone=DE)
    observation = look(OLD, NEW, disk=first)
    action = MoveDisk(owner=Owner.MOVE_VM, compute_zone=FR, reason="")
    after = becomes.moving(observation, action)
    assert after.disk_move == DiskMove(number=3, compute_zone=FR, began_at=NOON)
    assert (after.disks_named, after.disk) == (3, replace(first, is_made=True))


def test_who_gets_the_disk_is_written_down_before() -> None:
    """So its silence is counted from then on, and the disk is never given up for an empty one."""
    here = vm(2)
    observation = look(here, disk=DataDisk(number=1, compute_zone=DE))
    action = bring_disk(observation)
    assert isinstance(action, AttachDisk)
    wanted = DataDisk(number=1, compute_zone=DE, is_made=True, given_to=here.name, given_at=NOON)
    assert becomes.given(observation, action).disk == wanted


@pytest.mark.parametrize(
    ("failure", "place"), [(FailureKind.QUOTA, "europe-west9"), (FailureKind.OTHER, FR)]
)
def test_a_step_that_is_refused_leaves_the_disk_where_it_is(
    failure: FailureKind, place: str
) -> None:
    """A quota rules out the region."""
    observation = look(OLD, NEW, snapshots=(snapshot(),), disk_move=MOVE)
    step = bring_disk(observation)
    assert isinstance(step, CopyDisk)
    after = becomes.asked(observation, step, replace(DONE, failure=failure))
    assert (after.disk, after.disk_move) == (observation.state.disk, None)
    assert [block.place for block in after.blocked] == [place]


def test_a_missing_right_ends_the_job_and_keeps_its_disk() -> None:
    """A person grants it, and retries."""
    observation = look(OLD, NEW, disk_move=MOVE)
    step = bring_disk(observation)
    assert isinstance(step, TakeSnapshot)
    after = becomes.asked(observation, step, replace(DONE, failure=FailureKind.DENIED))
    assert (after.phase, after.disk) == (Phase.FAILED, observation.state.disk)


def test_each_operation_is_remembered_as_what_it_is() -> None:
    """The snapshot's is in the source's compute zone, the copy's in its own."""
    observation = look(OLD, NEW, disk_move=MOVE)
    begun = replace(DONE, done=False)
    step = bring_disk(observation)
    assert isinstance(step, TakeSnapshot)
    wanted = replace(MOVE, snapshot_operation="operation-1")
    assert becomes.asked(observation, step, begun).disk_move == wanted
    later = replace(observation, snapshots=(snapshot(),))
    make = bring_disk(later)
    assert isinstance(make, CopyDisk)
    assert becomes.asked(later, make, begun).disk_move == replace(
        MOVE, copy_operation="operation-1"
    )


def test_a_lost_disk_ends_the_job_and_its_retry_begins_with_an_empty_one() -> None:
    """What was on it cannot be had again."""
    after = becomes.lost(look(vm(2), disks=(), disk_move=MOVE), "gone")
    assert (after.phase, after.message, after.disk) == (Phase.FAILED, "gone", None)
    assert (after.disk_move, after.disks_named) == (None, 2)


# What is left over


def test_what_the_job_needs_is_never_removed() -> None:
    """Its disk, the copy on its way, the snapshot between them."""
    needed = look(OLD, NEW, disks=(disk(), copy()), snapshots=(snapshot(),), disk_move=MOVE)
    assert remove_left_over(needed) is None
    assert (
        remove_left_over(replace(needed, state=replace(needed.state, phase=Phase.FAILED))) is None
    )


def test_what_the_job_has_left_behind_is_removed() -> None:
    """The old disk first, then the snapshot."""
    moved = look(
        NEW,
        disks=(disk(), copy(users=(NEW.name,))),
        snapshots=(snapshot(),),
        disk=DataDisk(number=2, compute_zone=FR, is_made=True),
    )
    action = remove_left_over(moved)
    assert isinstance(action, DeleteDisk)
    assert (action.owner, action.disk) == (Owner.STOP_VM, disk())
    after = replace(moved, disks=moved.disks[1:])
    assert isinstance(remove_left_over(after), DeleteSnapshot)


def test_an_attached_disk_is_not_removed_and_none_is_asked_for_twice() -> None:
    """Whatever the state says: a VM may be writing to it."""
    gone = DataDisk(number=2, compute_zone=FR, is_made=True)
    for odd in (disk(users=("ss-digits-1",)), disk(status=DiskStatus.DELETING)):
        assert remove_left_over(look(disks=(odd,), disk=gone)) is None
    going = snapshot(status=DiskStatus.DELETING)
    assert remove_left_over(look(disks=(), snapshots=(going,), disk=gone)) is None


def test_what_was_named_after_the_state_was_read_is_left_alone() -> None:
    """The list may be newer than the state that says whose it is."""
    new = look(disks=(disk(3),), snapshots=(snapshot(name="ss-digits-3-snapshot"),))
    assert remove_left_over(new) is None
    named = replace(new, state=replace(new.state, disks_named=3))
    assert isinstance(remove_left_over(named), DeleteDisk)
    strange = look(disks=(disk(name="ss-digits-data"),), snapshots=(snapshot(name="mine"),))
    assert remove_left_over(strange) is None


@pytest.mark.parametrize(
    ("phase", "goes"),
    [
        (Phase.FINISHED, True),
        (Phase.CANCELLED, True),
        (Phase.FAILED, False),
        (Phase.PAUSED, False),
        (Phase.ACTIVE, False),
    ],
)
def test_the_disk_of_a_job_that_is_over_goes_unless_it_may_be_tried_again(
    phase: Phase,
    goes: bool,  # noqa: FBT001
) -> None:
    """`retry` may need it; a paused one will."""
    over = look(phase=phase, closed_at=NOON)
    assert isinstance(remove_left_over(over), DeleteDisk) is goes
    shots = look(disks=(), snapshots=(snapshot(),), phase=phase, disk_move=MOVE)
    assert isinstance(remove_left_over(shots), DeleteSnapshot) is goes


def test_a_boot_disk_goes_when_its_vm_is_long_gone() -> None:
    """What is just being made looks the same."""
    timing, boot = Timing(), disk(name="ss-digits-1", is_data=False)
    young = replace(boot, created_at=NOON - timedelta(seconds=timing.orphan_after_s))
    assert why_boot_disk_goes(NOON, timing, boot, [])
    assert not why_boot_disk_goes(NOON, timing, young, [])
    assert not why_boot_disk_goes(NOON, timing, boot, [OLD])
    assert isinstance(remove_left_over(look(disks=(disk(), boot))), DeleteDisk)
    assert remove_left_over(look(disks=(disk(), replace(boot, users=("x",))))) is None
