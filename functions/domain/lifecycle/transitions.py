"""What each action makes of the job's state. Pure: `handlers.perform` writes the result."""

from dataclasses import replace
from datetime import timedelta

from functions.domain.lifecycle.actions import Close, DropTarget, Reserve
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import DataDisk, JobState, Sleeper, Target
from functions.domain.lifecycle.vm import Vm
from vm_runtime.contract.instance import vm_name


def reserved(seen: Observation, action: Reserve) -> JobState:
    """Give out the next incarnation, with name and place, before anything is made."""
    incarnation = seen.state.incarnation + 1
    target = Target(
        incarnation=incarnation,
        vm=action.sleeper.name if action.sleeper else vm_name(seen.job.job_id, incarnation),
        compute_zone=action.compute_zone,
        purpose=action.purpose,
        interval_start=action.interval_start,
        interval_end=action.interval_end,
        reserved_at=seen.now,
        restarts=action.sleeper is not None,
    )
    state = replace(
        seen.state,
        incarnation=incarnation,
        target=target,
        step_at_reservation=seen.step,
        blocked=tuple(block for block in seen.state.blocked if seen.now < block.until),
    )
    if not _needs_first_disk(seen, action):
        return state
    number = state.disks_named + 1
    disk = DataDisk(number=number, compute_zone=action.compute_zone)
    return replace(state, disk=disk, disks_named=number)


def _needs_first_disk(seen: Observation, action: Reserve) -> bool:
    """Whether the data disk is to be made with the VM: there is none, or only a name elsewhere."""
    disk = seen.state.disk
    if seen.job.keep_disk is None or disk is None:
        return seen.job.keep_disk is not None
    is_a_name = not disk.is_made and seen.data_disk is None
    return is_a_name and disk.compute_zone != action.compute_zone


def dropped(seen: Observation, action: DropTarget) -> JobState:
    """Forget the reserved VM; remember the blocked place."""
    state = replace(seen.state, target=None)
    if action.never_ran and state.disk is not None and not state.disk.is_made:
        state = replace(state, disk=None)  # The empty disk made with it is nobody's, if it is left.
    if not state.phase.may_run:
        return state  # Its message says why it rests or is over, and what to do.
    state = replace(state, message=action.reason)
    if action.block is not None:
        state = replace(state, blocked=(*state.blocked, action.block))
    return _judged(seen, state) if action.is_fruitless else state


def removed(seen: Observation, vm: Vm) -> JobState:
    """Book the end of a VM: only the newest one changes the state, and only once."""
    state = seen.state
    if state.target is None or state.target.incarnation != vm.incarnation:
        return state
    had_a_chance = _had_a_chance(seen, state.target, vm)
    state = replace(state, target=None)
    if not had_a_chance or state.phase.is_final:
        return state
    # The message of a job that rests says why; its VM still counts.
    return (
        replace(_judged(seen, state), message=state.message)
        if not state.phase.may_run
        else (_judged(seen, state))
    )


def kept(seen: Observation, vm: Vm) -> JobState:
    """Book the end of a VM's run, and remember the VM for the next one."""
    stopped_at = vm.terminated_at or seen.now
    return replace(removed(seen, vm), sleeper=Sleeper(vm=vm.name, stopped_at=stopped_at))


def closed(seen: Observation, action: Close) -> JobState:
    """Enter a final phase; a data disk that is on its way stays where it is."""
    state = replace(seen.state, disk_move=None)
    return replace(state, phase=action.phase, message=action.reason, closed_at=seen.now)


def _had_a_chance(seen: Observation, target: Target, vm: Vm) -> bool:
    """Whether it was free to train at all: a new plan may have called it off before."""
    start = max(target.interval_start, vm.created_at)
    was_called_off = vm.interval_end < target.interval_end
    return not was_called_off or (vm.interval_end - start).total_seconds() > (seen.job.start_s)


def _judged(seen: Observation, state: JobState) -> JobState:
    """Judge the newest VM, now gone, by what is committed since it was reserved."""
    if seen.step > state.step_at_reservation:
        return replace(state, fruitless_vms=0, not_before=None, message="")
    return _one_more_fruitless(seen, state)


def _one_more_fruitless(seen: Observation, state: JobState) -> JobState:
    """Make the next VM wait: twice as long for each one in a row that achieved nothing."""
    count = state.fruitless_vms + 1
    wait_s = seen.timing.retry_after_s * 2 ** (count - 1)
    return replace(state, fruitless_vms=count, not_before=seen.now + timedelta(seconds=wait_s))
