"""The part of `decide` that makes VMs: where, when, and what if it does not work. Pure."""

from datetime import timedelta

from functions.domain.lifecycle.actions import (
    OWNER_OF,
    Action,
    Close,
    DropTarget,
    Insert,
    Owner,
    Reserve,
)
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import Block, Phase, Purpose, Target
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm
from functions.domain.plan.document import PlannedInterval
from functions.domain.regions import region_of, zones_with_machine

RUN_MARGIN = timedelta(minutes=15)
"""From a VM's last possible interval's end until Compute Engine stops it (promise 4)."""


def settle_pending(seen: Observation) -> Action | None:
    """Bring a reserved VM into being, or give it up."""
    target = seen.pending
    if target is None:
        return None
    owner = OWNER_OF[target.purpose]
    why_not = _obsolete(seen, target)
    if why_not:
        return DropTarget(owner=owner, block=None, reason=why_not)
    if target.operation is None:
        return Insert(
            owner=owner, target=target, reason=f"{target.purpose} in {target.compute_zone}"
        )
    if seen.operation is None or not seen.operation.done:
        waited = seen.now - target.reserved_at
        if waited.total_seconds() > seen.timing.operation_timeout_s:
            reason = f"its operation is not done after {waited.total_seconds():.0f} s"
            return DropTarget(owner=owner, block=_block(seen, target, reason), reason=reason)
        return None
    return give_up(seen, target, seen.operation)


def _obsolete(seen: Observation, target: Target) -> str:
    if not seen.state.phase.may_run:
        return f"job is {seen.state.phase}"
    if seen.now >= target.interval_end:
        return "its interval is over"
    wanted = [i for i in (seen.current, seen.upcoming) if i is not None]
    if not any(serves(seen, target.compute_zone, interval) for interval in wanted):
        return f"the plan does not want {target.compute_zone} any more"
    return ""


def give_up(seen: Observation, target: Target, operation: Operation) -> DropTarget | Close:
    """Return what to do about a reserved VM whose operation is done without a VM to show."""
    owner = OWNER_OF[target.purpose]
    if operation.failure is None:
        # Made and gone, or its name is somebody else's: it counts as a try, lest it loop.
        reason = f"{target.vm} was made and is gone, or its name is taken"
        return DropTarget(owner=owner, block=None, reason=reason, is_fruitless=True)
    reason = f"{operation.failure} in {target.compute_zone}: {operation.message}"
    if operation.failure is FailureKind.DENIED:
        return Close(owner=Owner.STOP_VM, phase=Phase.FAILED, reason=reason)
    return DropTarget(
        owner=owner,
        block=_block(seen, target, reason, operation.failure),
        reason=reason,
        is_fruitless=operation.failure is FailureKind.OTHER,
        never_ran=True,
    )


def _block(
    seen: Observation, target: Target, reason: str, failure: FailureKind = FailureKind.STOCK_OUT
) -> Block:
    return block_of(seen, target.compute_zone, reason, failure)


def block_of(
    seen: Observation, compute_zone: str, reason: str, failure: FailureKind = FailureKind.STOCK_OUT
) -> Block:
    """A quota rules out the region, anything else the compute zone."""
    is_quota = failure is FailureKind.QUOTA
    place = compute_zone.rpartition("-")[0] if is_quota else compute_zone
    until = seen.now + timedelta(seconds=seen.timing.block_s)
    return Block(place=place, until=until, reason=reason)


def make_vm(seen: Observation) -> Action | None:
    """Reserve a VM for the interval that runs or is about to, if none serves it."""
    if not seen.state.phase.may_run or seen.pending is not None:
        return None
    if _is_unjudged(seen):
        return None
    if seen.state.not_before is not None and seen.now < seen.state.not_before:
        return None
    for interval in (seen.current, seen.upcoming):
        if interval is None or _is_served(seen, interval) or not _is_worth_a_start(seen, interval):
            continue
        zone = free_zone(seen, interval)
        if zone is None:
            continue
        purpose = Purpose.MOVE if seen.alive else Purpose.START
        return Reserve(
            owner=OWNER_OF[purpose],
            purpose=purpose,
            compute_zone=zone,
            interval_start=interval.start,
            interval_end=interval.end,
            reason=f"the plan wants {interval.grid_zone} until {interval.end:%H:%M}",
        )
    return None


def _is_unjudged(seen: Observation) -> bool:
    """Whether the newest VM is on its way down, and it is not booked yet what it achieved.

    A successor made now would take its place in the state: a VM that hangs would never count
    as fruitless, and one after the other would be made.
    """
    target = seen.state.target
    return target is not None and any(
        vm.incarnation == target.incarnation and not vm.is_alive for vm in seen.vms
    )


def _is_worth_a_start(seen: Observation, interval: PlannedInterval) -> bool:
    """What is left of the interval must be longer than what a start costs."""
    left = interval.end - max(seen.now, interval.start)
    return left.total_seconds() > seen.job.start_s


def free_zone(seen: Observation, interval: PlannedInterval) -> str | None:
    """Return where to make the VM: planned zone, its region's others, then the fallbacks."""
    for primary in (interval.compute_zone, *interval.fallbacks):
        for zone in _zones(seen, primary):
            if seen.state.blocks(zone, seen.now) is None:
                return zone
    return None


def serves(seen: Observation, compute_zone: str, interval: PlannedInterval) -> bool:
    """Whether a VM in `compute_zone` is where the interval should run.

    The planned region is right; so is a fallback while everything before it is blocked.
    """
    for primary in (interval.compute_zone, *interval.fallbacks):
        zones = _zones(seen, primary)
        if compute_zone in zones:
            return True
        if any(seen.state.blocks(zone, seen.now) is None for zone in zones):
            return False
    return False


def _zones(seen: Observation, primary: str) -> tuple[str, ...]:
    """The planned zone, then the others of its region that have the machine: same grid.

    First of all the one with the data disk: there it need not be copied.
    """
    having = zones_with_machine(region_of(primary), seen.job.machine_type)
    home = seen.state.disk.compute_zone if seen.state.disk else primary
    first = home if home in having else primary
    return tuple(dict.fromkeys((first, primary, *having)))


def _is_served(seen: Observation, interval: PlannedInterval) -> bool:
    return any(_stays_for(seen, vm, interval) for vm in seen.alive)


def _stays_for(seen: Observation, vm: Vm, interval: PlannedInterval) -> bool:
    """A VM that is told to stop before the interval begins does not serve it.

    Unless it runs until then and can be told to go on: that is cheaper than another one.
    """
    if not serves(seen, vm.compute_zone, interval):
        return False
    goes_on = (
        seen.current is not None
        and seen.current.end == interval.start
        and vm.interval_end > seen.now
        and serves(seen, vm.compute_zone, seen.current)
        and vm.run_until - RUN_MARGIN > interval.start
    )
    return goes_on or vm.interval_end > max(seen.now, interval.start)
