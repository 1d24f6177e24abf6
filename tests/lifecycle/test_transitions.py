"""What each action makes of the state: patience, blocks, and the last word to a person."""

from dataclasses import replace
from datetime import timedelta

import pytest
from simulated_clock import START

from functions.domain.lifecycle import transitions
from functions.domain.lifecycle.actions import DropTarget, Owner
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import Block, JobState, Phase, Purpose, Target
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm, VmStatus
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
END = START + 2 * HOUR
JOB = Job(
    job_id="digits",
    machine_type="e2-standard-8",
    power_w=250,
    allowed_regions=("europe-west3",),
    submitted_at=START,
)
TARGET = Target(
    incarnation=3,
    vm="ss-digits-3",
    compute_zone="europe-west3-b",
    purpose=Purpose.START,
    interval_start=START,
    interval_end=END,
    reserved_at=START - 3 * MINUTE,
)
VM = Vm(
    name="ss-digits-3",
    compute_zone="europe-west3-b",
    status=VmStatus.TERMINATED,
    job_id="digits",
    incarnation=3,
    created_at=START - 2 * MINUTE,
    interval_end=END,
    run_until=START + 30 * HOUR,
)
STATE = JobState(
    job_id="digits", incarnation=3, target=TARGET, fruitless_vms=1, step_at_reservation=50
)


def seen(state: JobState = STATE, *, step: int = 50) -> Observation:
    """Return an observation with a checkpoint of `step`."""
    latest = Latest(checkpoint_id=None, step=step, incarnation=3, updated_at=START)
    return Observation(
        now=END,
        timing=Timing(),
        job=JOB,
        state=state,
        plan=None,
        vms=(VM,),
        lease=None,
        progress=None,
        latest=latest,
        operation=None,
    )


def test_a_vm_without_a_new_checkpoint_makes_the_next_one_wait_twice_as_long() -> None:
    """Back-off doubles from `retry_after_s`."""
    state = transitions.removed(seen(), VM)

    assert (state.target, state.fruitless_vms) == (None, 2)
    assert state.not_before == END + 2 * MINUTE


def test_a_vm_with_a_new_checkpoint_restores_all_patience() -> None:
    """It achieved something: nothing is held against the next one."""
    waiting = replace(STATE, not_before=END, message="why it waits")

    state = transitions.removed(seen(waiting, step=51), VM)

    assert (state.fruitless_vms, state.not_before, state.message) == (0, None, "")


@pytest.mark.parametrize(
    ("interval_end", "fruitless"),
    [
        (START - MINUTE, 1),
        (START + 3 * MINUTE, 1),
        (START + 4 * MINUTE, 2),
        (END, 2),
        (END + HOUR, 2),
    ],
)
def test_a_vm_that_a_new_plan_called_off_before_it_could_train_costs_no_patience(
    interval_end: object, fruitless: int
) -> None:
    """A plan that changes its mind each hour must not fail the job."""
    state = transitions.removed(seen(), replace(VM, interval_end=interval_end))

    assert (state.target, state.fruitless_vms) == (None, fruitless)


def test_an_older_vm_changes_nothing() -> None:
    """Only the newest one is judged, and only once."""
    assert transitions.removed(seen(), replace(VM, incarnation=2)) == STATE
    done = replace(STATE, target=None)
    assert transitions.removed(seen(done), VM) == done


@pytest.mark.parametrize("step", [50, 51])
def test_the_last_word_of_a_job_that_is_over_stays(step: int) -> None:
    """Clearing up must not wipe out what a person has to read."""
    over = replace(STATE, phase=Phase.FAILED, message="grant the role")

    for state in (
        transitions.removed(seen(over, step=step), VM),
        transitions.dropped(
            seen(over, step=step),
            DropTarget(owner=Owner.START_VM, block=None, reason="job is failed"),
        ),
    ):
        assert (state.message, state.target, state.fruitless_vms) == ("grant the role", None, 1)


def test_a_block_is_remembered_until_it_ran_out() -> None:
    """Dropping adds it; the next reservation sweeps out the old ones."""
    old = Block(place="europe-west3-a", until=END, reason="full")
    new = Block(place="europe-west3-b", until=END + HOUR, reason="full")
    action = DropTarget(owner=Owner.START_VM, block=new, reason="full")

    state = transitions.dropped(seen(replace(STATE, blocked=(old,))), action)

    assert state.blocked == (old, new)
    assert (state.target, state.fruitless_vms, state.message) == (None, 1, "full")
