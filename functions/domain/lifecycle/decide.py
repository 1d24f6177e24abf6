"""`decide`: from what is and what should be to the one next step. Pure.

Order matters: what ends a job comes first, then what burns on, then who may train, then what
is down (booking it decides how long the next VM has to wait), then what is missing, a plan before
a VM: the VM that runs trains on meanwhile, and is only then told of the new plan. What no one
needs any more is removed last.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from functions.domain.lifecycle import disks, left_over, parking, running, starting
from functions.domain.lifecycle.actions import (
    Action,
    Close,
    Delete,
    Keep,
    MakePlan,
    Owner,
    SetIntervalEnd,
    StopByForce,
)
from functions.domain.lifecycle.observation import Observation, sleeps
from functions.domain.lifecycle.state import Phase, Purpose
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm, VmStatus


def decide(seen: Observation) -> Action | None:
    """Return the one next step for the job, `None` if all is as it should be.

    Each action names the function that owns it; the other two leave it alone.
    """
    rules: tuple[Callable[[Observation], Action | None], ...] = (
        _close,
        _end_what_burns_on,
        _clear_out_what_may_not_run,
        starting.settle_pending,
        running.hand_over,
        _remove_what_is_down,
        disks.bring_disk,
        _make_plan,
        starting.make_vm,
        running.follow_plan,
        left_over.remove_left_over,
    )
    for rule in rules:
        action = rule(seen)
        if action is not None:
            return action
    return None


def _close(seen: Observation) -> Action | None:
    state = seen.state
    if state.phase.is_final and state.closed_at is None:
        # Cancelled by a person, whose clock may be off: the deployment's says when it was over.
        return Close(owner=Owner.STOP_VM, phase=state.phase, reason=state.message)
    if state.phase.is_final:
        return None
    if seen.has_finished:
        return Close(owner=Owner.STOP_VM, phase=Phase.FINISHED, reason="training is complete")
    if seen.has_failed_for_good:
        message = seen.progress.message if seen.progress else ""
        reason = message or f"the script failed {seen.job.max_failures} times; see the VM's log"
        return Close(owner=Owner.STOP_VM, phase=Phase.FAILED, reason=reason)
    if seen.state.fruitless_vms >= seen.timing.max_fruitless_vms and not seen.alive:
        last = seen.state.message or "it ended"
        reason = (
            f"{seen.state.fruitless_vms} VMs in a row made no new checkpoint. Look at the VM's"
            f" serial console and the script's log, mend it, and: smartscheduler retry"
            f" {seen.job.job_id} (--source if the script was mended). It resumes from step"
            f" {seen.step}. The last of them: {last}."
        )
        return Close(owner=Owner.STOP_VM, phase=Phase.FAILED, reason=reason)
    return None


def stop_overdue(now: datetime, timing: Timing, vms: Sequence[Vm]) -> StopByForce | None:
    """Return the stop of a VM that is up too long after its interval's end, if there is one.

    It needs no document of the job: it holds even if those are gone or cannot be read.
    """
    grace = timedelta(seconds=timing.force_stop_after_s)
    for vm in vms:
        if vm.is_alive and now > vm.interval_end + grace:
            late_s = (now - vm.interval_end).total_seconds()
            reason = f"still up {late_s:.0f} s after its interval's end"
            return StopByForce(owner=Owner.STOP_VM, vm=vm, reason=reason)
    return None


def _end_what_burns_on(seen: Observation) -> Action | None:
    overdue = stop_overdue(seen.now, seen.timing, seen.vms)
    if overdue is not None:
        return overdue
    for vm in seen.vms:
        if vm.is_alive and seen.is_silent(vm):
            reason = f"no report and no lease for more than {seen.timing.silence_s:.0f} s"
            return StopByForce(owner=Owner.STOP_VM, vm=vm, reason=reason)
    return None


def _clear_out_what_may_not_run(seen: Observation) -> Action | None:
    if seen.state.phase.may_run:
        return None
    for vm in seen.alive:
        if vm.interval_end > seen.now:
            return SetIntervalEnd(
                owner=Owner.STOP_VM, vm=vm, end=seen.now, reason=f"job is {seen.state.phase}"
            )
    return None


def _remove_what_is_down(seen: Observation) -> Action | None:
    """Delete VMs that are off; a moved job's source only once its successor runs."""
    down = [vm for vm in seen.vms if vm.status is VmStatus.TERMINATED]
    newest = max((vm.incarnation for vm in seen.vms), default=0)
    for vm in sorted(down, key=lambda vm: vm.incarnation):
        if parking.is_kept(seen, vm):
            if sleeps(seen.state, vm):
                continue
            return Keep(owner=Owner.STOP_VM, vm=vm, reason="the next interval is here, and soon")
        moved = vm.incarnation < newest or _is_moving(seen)
        if moved and not _successor_runs(seen, newest) and seen.state.phase.may_run:
            continue
        owner = Owner.MOVE_VM if moved else Owner.STOP_VM
        return Delete(owner=owner, vm=vm, reason="it is down; all it knew is in the bucket")
    return None


def _is_moving(seen: Observation) -> bool:
    return seen.pending is not None and seen.pending.purpose is Purpose.MOVE


def _successor_runs(seen: Observation, newest: int) -> bool:
    if _is_moving(seen):
        return False
    successor = next(vm for vm in seen.vms if vm.incarnation == newest)
    return successor.status in {VmStatus.RUNNING, VmStatus.TERMINATED}


def _make_plan(seen: Observation) -> Action | None:
    if not seen.state.phase.may_run or seen.plan is not None:
        return None
    return MakePlan(owner=Owner.START_VM, reason="it has no plan")
