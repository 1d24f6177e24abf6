"""The part of `decide` that steers VMs which run: extend, cut short, hand over. Pure."""

from datetime import datetime

from functions.domain.lifecycle.actions import Action, Owner, SetIntervalEnd
from functions.domain.lifecycle.making import RUN_MARGIN, free_zone, serves
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.vm import Vm, VmStatus
from functions.domain.plan.document import PlannedInterval


def hand_over(seen: Observation) -> Action | None:
    """Tell older VMs to stop once a newer one is up and its interval has begun.

    Until then the older one trains on: its successor is not yet there.
    """
    current = seen.current
    if current is None or not seen.alive:
        return None
    newest, *older = seen.alive
    if newest.status is not VmStatus.RUNNING or not serves(seen, newest.compute_zone, current):
        return None
    for vm in older:
        if vm.interval_end > seen.now:
            reason = f"{newest.name} is up and takes over"
            return SetIntervalEnd(owner=Owner.MOVE_VM, vm=vm, end=seen.now, reason=reason)
    return None


def follow_plan(seen: Observation) -> Action | None:
    """Make each running VM's interval end what the plan says."""
    if not seen.state.phase.may_run:
        return None
    # One that was told to stop is stopping and cannot be called back.
    vms = [vm for vm in seen.alive if vm.interval_end > seen.now]
    actions = [action for vm in vms if (action := _steer(seen, vm)) is not None]
    # So to extend one that is about to stop is more urgent than to stop one too late.
    actions.sort(key=lambda action: action.end <= action.vm.interval_end)
    return actions[0] if actions else None


def _steer(seen: Observation, vm: Vm) -> SetIntervalEnd | None:
    interval = _interval_for(seen, vm)
    return _stop_unless_needed(seen, vm) if interval is None else _retime(seen, vm, interval)


def _interval_for(seen: Observation, vm: Vm) -> PlannedInterval | None:
    for interval in (seen.current, seen.upcoming):
        if interval is not None and serves(seen, vm.compute_zone, interval):
            return interval
    return None


def _retime(seen: Observation, vm: Vm, interval: PlannedInterval) -> SetIntervalEnd | None:
    if _newer_serves(seen, vm, interval):
        return None
    # What Compute Engine would cut off without a checkpoint is left to the next VM.
    end = min(_end_for(seen, vm, interval), vm.run_until - RUN_MARGIN)
    if vm.interval_end == end:
        return None
    later = end > vm.interval_end
    return SetIntervalEnd(
        owner=Owner.START_VM if later else Owner.STOP_VM,
        vm=vm,
        end=end,
        reason=f"the plan now {'extends' if later else 'ends'} it at {end:%d %b %H:%M}",
    )


def _newer_serves(seen: Observation, vm: Vm, interval: PlannedInterval) -> bool:
    return any(
        other.incarnation > vm.incarnation and serves(seen, other.compute_zone, interval)
        for other in seen.alive
    )


def _end_for(seen: Observation, vm: Vm, interval: PlannedInterval) -> datetime:
    """The interval's end; the next one's if the VM is right for that too, or none else can be."""
    following = seen.upcoming
    if following is None or following.start != interval.end:
        return interval.end
    is_next_place = serves(seen, vm.compute_zone, following)
    if not is_next_place and free_zone(seen, following) is not None:
        return interval.end
    return following.end


def _stop_unless_needed(seen: Observation, vm: Vm) -> SetIntervalEnd | None:
    """A VM in the wrong place trains on until its successor is up; if none is due it stops."""
    wanted = seen.current or seen.upcoming
    if wanted is None:
        reason = "the plan pauses the job"
    elif any(serves(seen, other.compute_zone, wanted) for other in seen.alive if other is not vm):
        if vm.incarnation < seen.alive[0].incarnation:
            return None  # `hand_over` stops it once its successor is up.
        reason = "another VM runs where the plan wants it"
    elif free_zone(seen, wanted) is None:
        if vm.interval_end == wanted.end:
            return None
        reason = "no capacity where the plan wants it: it stays"
        return SetIntervalEnd(owner=Owner.MOVE_VM, vm=vm, end=wanted.end, reason=reason)
    else:
        return None
    return SetIntervalEnd(owner=Owner.STOP_VM, vm=vm, end=seen.now, reason=reason)
