"""The rules of `decide`, one by one: which action, and whose."""

from dataclasses import replace

import pytest
from job_at_noon import (
    DE,
    FI,
    FR,
    HOUR,
    LEASE,
    MINUTE,
    NOON,
    decided,
    interval,
    latest,
    plan,
    progress,
    seen,
    target,
    vm,
)

from functions.domain.lifecycle.actions import (
    Close,
    Delete,
    DropTarget,
    Insert,
    MakePlan,
    Owner,
    Reserve,
    SetIntervalEnd,
    StopByForce,
)
from functions.domain.lifecycle.decide import decide
from functions.domain.lifecycle.state import Block, JobState, Phase, Purpose
from functions.domain.lifecycle.vm import FailureKind, Operation, VmStatus
from vm_runtime.contract.progress import RunState


def test_all_is_well_nothing_to_do() -> None:
    """A VM where the plan wants it, until when the plan wants it, is left alone."""
    assert decide(seen(vm())) is None


def test_a_job_without_plan_is_planned_before_anything_is_made() -> None:
    """A new or resumed job does not wait for the next full hour."""
    decided(seen(plan=None), MakePlan, Owner.START_VM)


def test_a_vm_that_runs_is_not_stopped_for_want_of_a_plan() -> None:
    """A job that was resumed before its VM had gone trains on while it is planned."""
    decided(seen(vm(), plan=None), MakePlan, Owner.START_VM)


def test_an_interval_without_vm_reserves_one() -> None:
    """The name is written down before anything is made."""
    action = decided(seen(), Reserve, Owner.START_VM)

    assert (action.compute_zone, action.interval_end) == (DE, NOON + 2 * HOUR)


def test_a_vm_is_booted_ahead_by_the_lead_and_not_earlier() -> None:
    """`boot_lead_s` is 3 minutes."""
    assert isinstance(decide(seen(now=NOON - 2 * MINUTE)), Reserve)
    assert decide(seen(now=NOON - 4 * MINUTE)) is None


def test_a_reserved_vm_is_inserted() -> None:
    """The reservation is the truth; the insert follows from it, as often as needed."""
    state = JobState(job_id="digits", incarnation=1, target=target())

    decided(seen(state=state), Insert, Owner.START_VM)


def test_an_operation_under_way_is_waited_for() -> None:
    """Nothing is repeated while Compute Engine works."""
    state = JobState(job_id="digits", incarnation=1, target=target(operation="op"))
    operation = Operation(name="op", compute_zone=DE, done=False)

    assert decide(seen(state=state, operation=operation)) is None


@pytest.mark.parametrize(
    ("failure", "place"),
    [(FailureKind.STOCK_OUT, DE), (FailureKind.QUOTA, "europe-west3"), (FailureKind.OTHER, DE)],
)
def test_a_failed_operation_blocks_its_place(failure: FailureKind, place: str) -> None:
    """A stock-out rules out the zone, a quota the region."""
    state = JobState(job_id="digits", incarnation=1, target=target(operation="op"))
    operation = Operation(name="op", compute_zone=DE, done=True, failure=failure)

    action = decided(seen(state=state, operation=operation), DropTarget, Owner.START_VM)

    assert action.block is not None
    assert action.block.place == place
    assert action.is_fruitless is (failure is FailureKind.OTHER)


def test_a_missing_right_ends_the_job_with_its_message() -> None:
    """Trying again would not help: a person must grant it."""
    state = JobState(job_id="digits", incarnation=1, target=target(operation="op"))
    operation = Operation(
        name="op", compute_zone=DE, done=True, failure=FailureKind.DENIED, message="no role"
    )

    action = decided(seen(state=state, operation=operation), Close, Owner.STOP_VM)

    assert action.phase is Phase.FAILED
    assert "no role" in action.reason


@pytest.mark.parametrize(
    ("blocked", "expected"),
    [
        ([DE], "europe-west3-a"),
        (["europe-west3"], FI),
        (["europe-west3", "europe-north1"], None),
    ],
)
def test_no_capacity_next_zone_then_next_place_then_pause(
    blocked: list[str], expected: str | None
) -> None:
    """Design 6, in this order."""
    blocks = tuple(Block(place=place, until=NOON + HOUR, reason="full") for place in blocked)
    action = decide(seen(state=JobState(job_id="digits", blocked=blocks)))

    assert (action.compute_zone if isinstance(action, Reserve) else None) == expected


def test_a_block_that_ran_out_blocks_no_more() -> None:
    """A place is tried again after `block_s`."""
    blocks = (Block(place=DE, until=NOON, reason="full"),)

    action = decided(seen(state=JobState(job_id="digits", blocked=blocks)), Reserve, Owner.START_VM)

    assert action.compute_zone == DE


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.CANCELLED])
def test_what_a_person_wants_to_rest_is_told_to_stop_and_not_made_anew(phase: Phase) -> None:
    """With a checkpoint first: its interval ends now. What is down goes; nothing is made."""
    state = JobState(job_id="digits", phase=phase, incarnation=1, closed_at=NOON)
    stopping = vm(interval_end=NOON)
    down = vm(status=VmStatus.TERMINATED)

    action = decided(seen(vm(), state=state), SetIntervalEnd, Owner.STOP_VM)
    assert action.end == NOON
    assert decide(seen(stopping, state=state)) is None
    decided(seen(stopping, state=state, now=NOON + 6 * MINUTE), StopByForce, Owner.STOP_VM)
    decided(seen(down, state=state), Delete, Owner.STOP_VM)
    assert decide(seen(state=state, plan=None)) is None


def test_a_vm_on_order_is_given_up_when_the_job_is_paused() -> None:
    """If it comes all the same, it is told to stop at once."""
    state = JobState(job_id="digits", phase=Phase.PAUSED, incarnation=1, target=target())

    action = decided(seen(state=state), DropTarget, Owner.START_VM)
    assert "paused" in action.reason
    decided(seen(vm(), state=state), SetIntervalEnd, Owner.STOP_VM)


def test_the_deployments_clock_says_when_a_cancelled_job_was_over() -> None:
    """A person's clock may be off; the receipt rests on that time."""
    state = JobState(job_id="digits", phase=Phase.CANCELLED, message="cancelled by a person")

    action = decided(seen(vm(), state=state), Close, Owner.STOP_VM)

    assert (action.phase, action.reason) == (Phase.CANCELLED, "cancelled by a person")


def test_a_paused_job_whose_last_checkpoint_is_the_final_one_is_finished() -> None:
    """It was about to end when it was paused."""
    state = JobState(job_id="digits", phase=Phase.PAUSED, incarnation=1)

    action = decided(seen(state=state, latest=latest(9, finished=True)), Close, Owner.STOP_VM)

    assert action.phase is Phase.FINISHED


def test_the_target_of_a_move_is_made_while_the_source_trains() -> None:
    """Create before delete; move_vm owns it."""
    action = decided(seen(vm(), lease=LEASE, now=NOON + 118 * MINUTE), Reserve, Owner.MOVE_VM)

    assert (action.compute_zone, action.interval_start) == (FR, NOON + 2 * HOUR)


def test_without_capacity_for_the_move_the_source_stays() -> None:
    """Design 6: stay, before pausing."""
    blocks = tuple(
        Block(place=place, until=NOON + 5 * HOUR, reason="full")
        for place in ("europe-west9", "europe-north1")
    )
    state = JobState(job_id="digits", incarnation=1, blocked=blocks)

    action = decide(seen(vm(), state=state, lease=LEASE, now=NOON + 118 * MINUTE))

    assert isinstance(action, SetIntervalEnd)
    assert action.end == NOON + 3 * HOUR


def test_the_source_is_told_to_stop_only_once_its_successor_runs() -> None:
    """Until then it trains on."""
    replanned = plan(interval(NOON, NOON + 2 * HOUR, FR))
    source, successor = vm(1, DE), vm(2, FR)
    booting = replace(successor, status=VmStatus.STAGING)

    assert decide(seen(source, booting, plan=replanned)) is None
    action = decided(seen(source, successor, plan=replanned), SetIntervalEnd, Owner.MOVE_VM)
    assert (action.vm, action.end) == (source, NOON)


def test_a_source_that_is_down_is_kept_until_its_successor_runs() -> None:
    """Nothing is deleted before its successor runs."""
    source = vm(1, DE, status=VmStatus.TERMINATED)
    successor = vm(2, FR, status=VmStatus.STAGING)
    replanned = plan(interval(NOON, NOON + 2 * HOUR, FR))
    state = JobState(job_id="digits", incarnation=2, target=target(2, FR, purpose=Purpose.MOVE))

    assert decide(seen(source, successor, plan=replanned, state=state)) is None
    running = replace(successor, status=VmStatus.RUNNING)
    action = decided(seen(source, running, plan=replanned, state=state), Delete, Owner.MOVE_VM)
    assert action.vm is source


def test_a_new_plan_extends_a_running_interval() -> None:
    """By metadata, without a new VM; start_vm owns it."""
    action = decided(
        seen(vm(), plan=plan(interval(NOON, NOON + 5 * HOUR, DE))),
        SetIntervalEnd,
        Owner.START_VM,
    )

    assert action.end == NOON + 5 * HOUR


def test_an_extension_ends_before_compute_engine_stops_the_vm() -> None:
    """A VM must have checkpointed by then; another one goes on."""
    action = decided(
        seen(vm(run_until=NOON + 3 * HOUR), plan=plan(interval(NOON, NOON + 5 * HOUR, DE))),
        SetIntervalEnd,
        Owner.START_VM,
    )

    assert action.end == NOON + 3 * HOUR - 15 * MINUTE


def test_a_new_plan_cuts_a_running_interval_short() -> None:
    """stop_vm owns what ends earlier."""
    shorter = plan(interval(NOON, NOON + HOUR, DE), interval(NOON + 9 * HOUR, NOON + 10 * HOUR, DE))

    action = decided(seen(vm(), plan=shorter), SetIntervalEnd, Owner.STOP_VM)

    assert action.end == NOON + HOUR


def test_a_new_plan_pauses_a_running_job() -> None:
    """The VM is told to stop now."""
    later = plan(interval(NOON + 6 * HOUR, NOON + 8 * HOUR, DE))

    action = decided(seen(vm(), plan=later), SetIntervalEnd, Owner.STOP_VM)

    assert action.end == NOON


def test_a_vm_that_did_not_go_is_stopped_by_force() -> None:
    """Five minutes after its interval's end."""
    late = vm(interval_end=NOON - 6 * MINUTE)

    decided(seen(late), StopByForce, Owner.STOP_VM)


def test_a_silent_vm_is_stopped_by_force_unless_it_holds_the_lease() -> None:
    """Neither report nor lease for 15 minutes."""
    silent = vm(created_at=NOON - 20 * MINUTE)

    decided(seen(silent), StopByForce, Owner.STOP_VM)
    assert decide(seen(silent, lease=LEASE)) is None


def test_a_finished_job_is_closed_then_cleared() -> None:
    """First no VM may be made any more, then what is up is told to go, then removed."""
    done = latest(100, finished=True)
    closed = JobState(job_id="digits", phase=Phase.FINISHED, incarnation=1, closed_at=NOON)

    action = decided(seen(vm(), latest=done), Close, Owner.STOP_VM)
    assert action.phase is Phase.FINISHED
    decided(seen(vm(), latest=done, state=closed), SetIntervalEnd, Owner.STOP_VM)
    down = vm(status=VmStatus.TERMINATED)
    decided(seen(down, latest=done, state=closed), Delete, Owner.STOP_VM)
    assert decide(seen(latest=done, state=closed)) is None


def test_a_report_of_being_finished_is_not_enough() -> None:
    """Only the committed pointer counts: a superseded VM may say anything."""
    assert decide(seen(vm(), progress=progress(RunState.FINISHED))) is None


def test_a_script_that_fails_too_often_ends_the_job_with_its_message() -> None:
    """`max_failures` in a row."""
    failed = progress(RunState.FAILED, failures_in_a_row=3, message="KeyError: 'x'")

    action = decided(seen(progress=failed), Close, Owner.STOP_VM)

    assert (action.phase, action.reason) == (Phase.FAILED, "KeyError: 'x'")
    twice = replace(failed, failures_in_a_row=2)
    assert isinstance(decide(seen(progress=twice)), Reserve)


def test_after_a_fruitless_vm_the_next_one_waits() -> None:
    """Back-off: no VM is made before `not_before`."""
    state = JobState(job_id="digits", not_before=NOON + MINUTE)

    assert decide(seen(state=state)) is None
    assert isinstance(decide(seen(state=state, now=NOON + MINUTE)), Reserve)


def test_no_successor_before_it_is_booked_what_the_last_vm_achieved() -> None:
    """A VM that hung and is being stopped must count, or one after the other would be made."""
    state = JobState(job_id="digits", incarnation=1, target=target())

    assert decide(seen(vm(status=VmStatus.STOPPING), state=state)) is None
    assert isinstance(decide(seen(vm(status=VmStatus.TERMINATED), state=state)), Delete)
    assert isinstance(decide(seen(state=replace(state, target=None))), Reserve)


def test_the_end_of_an_interval_is_not_worth_a_start() -> None:
    """What is left must be longer than what a start costs, or the start is pure overhead."""
    single = plan(
        interval(NOON, NOON + 2 * HOUR, DE), interval(NOON + 9 * HOUR, NOON + 10 * HOUR, DE)
    )

    assert decide(seen(plan=single, now=NOON + 117 * MINUTE)) is None


def test_the_last_interval_is_open_to_the_end_of_its_slot() -> None:
    """A few minutes of work left must not need a VM an hour, for ever."""
    short = plan(interval(NOON, NOON + 4 * MINUTE, DE))

    action = decided(seen(plan=short, now=NOON + 10 * MINUTE), Reserve, Owner.START_VM)

    assert action.interval_end == NOON + HOUR


def test_a_reservation_that_nobody_wants_any_more_is_dropped() -> None:
    """A new plan came before the insert."""
    state = JobState(job_id="digits", incarnation=1, target=target(1, FR))

    decided(seen(state=state), DropTarget, Owner.START_VM)


def test_an_operation_that_never_ends_is_given_up() -> None:
    """After ten minutes its place is blocked; what it may make later is removed."""
    old = target(operation="op", reserved_at=NOON - 11 * MINUTE)
    state = JobState(job_id="digits", incarnation=1, target=old)
    operation = Operation(name="op", compute_zone=DE, done=False)

    action = decided(seen(state=state, operation=operation), DropTarget, Owner.START_VM)

    assert action.block is not None


def test_a_vm_that_is_already_in_the_next_best_place_goes_on() -> None:
    """The next interval's place is full and its fallback is here: no other VM is made."""
    going = plan(
        interval(NOON, NOON + 2 * HOUR, DE, FI),
        interval(NOON + 2 * HOUR, NOON + 3 * HOUR, FR, DE),
    )
    full = Block(place="europe-west9", until=NOON + 5 * HOUR, reason="full")
    state = JobState(job_id="digits", incarnation=1, blocked=(full,))

    action = decided(
        seen(vm(), plan=going, state=state, lease=LEASE, now=NOON + 118 * MINUTE),
        SetIntervalEnd,
        Owner.START_VM,
    )

    assert action.end == NOON + 3 * HOUR


def test_a_vm_that_must_end_soon_anyway_does_not_keep_its_successor_away() -> None:
    """Compute Engine would stop it: another one is made for the next interval."""
    going = plan(
        interval(NOON, NOON + 2 * HOUR, DE, FI),
        interval(NOON + 2 * HOUR, NOON + 3 * HOUR, FR, DE),
    )
    full = Block(place="europe-west9", until=NOON + 5 * HOUR, reason="full")
    state = JobState(job_id="digits", incarnation=1, blocked=(full,))
    bound = vm(run_until=NOON + 2 * HOUR + 15 * MINUTE)

    action = decided(
        seen(bound, plan=going, state=state, lease=LEASE, now=NOON + 118 * MINUTE),
        Reserve,
        Owner.MOVE_VM,
    )

    assert action.compute_zone == DE


def test_an_extension_comes_before_any_stop() -> None:
    """The plan stays after all: a source that ends in a minute cannot wait for the heartbeat."""
    stays = plan(interval(NOON, NOON + 4 * HOUR, DE))
    source, successor = vm(1, DE, interval_end=NOON + 2 * MINUTE), vm(2, FR)

    first = decided(
        seen(source, successor, plan=stays, now=NOON + MINUTE), SetIntervalEnd, Owner.START_VM
    )
    assert (first.vm, first.end) == (source, NOON + 4 * HOUR)
    extended = replace(source, interval_end=first.end)
    second = decided(
        seen(extended, successor, plan=stays, now=NOON + MINUTE), SetIntervalEnd, Owner.STOP_VM
    )
    assert second.vm is successor


def test_a_job_that_fails_without_a_word_still_says_where_to_look() -> None:
    """A final phase always tells a person something."""
    mute = progress(RunState.FAILED, failures_in_a_row=3)

    assert decided(seen(progress=mute), Close, Owner.STOP_VM).reason


def test_a_vm_that_was_made_and_is_gone_counts_as_a_try() -> None:
    """Its name may be taken, or the list lag behind: without a wait it would loop."""
    state = JobState(job_id="digits", incarnation=1, target=target(operation="op"))
    operation = Operation(name="op", compute_zone=DE, done=True)

    action = decided(seen(state=state, operation=operation), DropTarget, Owner.START_VM)

    assert action.is_fruitless


def test_patience_ends_only_when_no_vm_is_left_that_may_yet_achieve_something() -> None:
    """The last try is waited for; then the job is given up, with what was said last."""
    tired = JobState(job_id="digits", incarnation=1, fruitless_vms=8, message="disk full")

    assert decide(seen(vm(), state=tired)) is None
    assert "disk full" in decided(seen(state=tired), Close, Owner.STOP_VM).reason
