"""The part of `decide` that prefers to start a stopped VM to making a new one. Pure."""

from dataclasses import replace

from functions.domain.lifecycle import making
from functions.domain.lifecycle.actions import OWNER_OF, Action, DropTarget, Insert, Reserve, Start
from functions.domain.lifecycle.observation import Observation, sleeps
from functions.domain.lifecycle.parking import sleeper_for
from functions.domain.lifecycle.state import Target
from functions.domain.lifecycle.vm import Vm


def make_vm(seen: Observation) -> Action | None:
    """Reserve a VM as `making` does; the stopped one if it is where the interval is wanted."""
    action = making.make_vm(seen)
    if not isinstance(action, Reserve):
        return action
    wanted = next((i for i in seen.intervals if i.start == action.interval_start), None)
    vm = sleeper_for(seen, wanted) if wanted is not None else None
    if vm is None:
        return action
    reason = f"{action.reason}; {vm.name} is there and starts sooner than a new one"
    return replace(action, compute_zone=vm.compute_zone, sleeper=vm, reason=reason)


def settle_pending(seen: Observation) -> Action | None:
    """Bring a reserved VM into being, or give it up."""
    action = making.settle_pending(seen)
    target = seen.pending
    if target is None or not target.restarts:
        return action
    vm = next((vm for vm in seen.vms if sleeps(seen.state, vm)), None)
    if isinstance(action, DropTarget) and not _is_only_unseen(seen, target):
        return action
    if vm is None:
        reason = f"{target.vm} was to be started and is gone"
        return DropTarget(owner=OWNER_OF[target.purpose], block=None, reason=reason)
    if isinstance(action, Insert):
        return _start(vm, target)
    return None if isinstance(action, DropTarget) else action


def _start(vm: Vm, target: Target) -> Start:
    reason = f"{vm.name} as incarnation {target.incarnation} in {target.compute_zone}"
    return Start(owner=OWNER_OF[target.purpose], vm=vm, target=target, reason=reason)


def _is_only_unseen(seen: Observation, target: Target) -> bool:
    """Whether its start has worked, and the list of VMs is from before: the next look sees it."""
    operation = seen.operation
    worked = operation is not None and operation.done and operation.failure is None
    waited_s = (seen.now - target.reserved_at).total_seconds()
    return worked and waited_s <= seen.timing.operation_timeout_s
