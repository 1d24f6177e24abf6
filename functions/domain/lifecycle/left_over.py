"""The part of `decide` that finds disks and snapshots which the job does not need. Pure.

Only what carries our labels is ever listed. A number that the state has not given out yet is
left alone: the state that was read may be older than what was listed.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from functions.domain.lifecycle.actions import DeleteDisk, DeleteSnapshot, Owner
from functions.domain.lifecycle.disk import Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import JobState, Phase
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm

_NUMBER = re.compile(r"-(\d+)-(?:data|snapshot)$")


def remove_left_over(seen: Observation) -> DeleteDisk | DeleteSnapshot | None:
    """Return the deletion of one disk or snapshot that the job does not need any more."""
    for disk in seen.disks:
        if disk.is_data:
            reason = _why_not(seen, disk)
        else:
            reason = why_boot_disk_goes(seen.now, seen.timing, disk, seen.vms)
        if reason and not disk.users and disk.status is not DiskStatus.DELETING:
            return DeleteDisk(owner=Owner.STOP_VM, disk=disk, reason=reason)
    for snapshot in seen.snapshots:
        if snapshot.status is not DiskStatus.DELETING and _is_done_with(seen.state, snapshot):
            reason = "nothing is to be made from it any more"
            return DeleteSnapshot(owner=Owner.STOP_VM, snapshot=snapshot, reason=reason)
    return None


def _why_not(seen: Observation, disk: Disk) -> str:
    state = seen.state
    number = _number(disk.name)
    if number is None or number > state.disks_named:
        return ""
    if _needs_no_disk(state):
        return f"the job is {state.phase}"
    if state.disk is not None and state.disk.number == number:
        return ""
    if state.disk_move is not None and state.disk_move.number == number:
        return ""
    return f"the job's data disk is {state.disk.number}, not {number}" if state.disk else "unused"


def _is_done_with(state: JobState, snapshot: Snapshot) -> bool:
    number, move = _number(snapshot.name), state.disk_move
    if number is None or number > state.disks_named:
        return False
    return _needs_no_disk(state) or move is None or move.number != number


def _needs_no_disk(state: JobState) -> bool:
    """A job that failed may be tried again: what is on its disk is kept for that."""
    return state.phase.is_final and state.phase is not Phase.FAILED


def why_boot_disk_goes(now: datetime, timing: Timing, disk: Disk, vms: Iterable[Vm]) -> str:
    """Return why a boot disk is not needed; empty if its VM is there or may be just coming."""
    if any(vm.name == disk.name for vm in vms) or not is_old(now, timing, disk.created_at):
        return ""
    return "its VM is gone"


def is_old(now: datetime, timing: Timing, since: datetime) -> bool:
    """Whether it is there for so long that nobody is just making it."""
    return now - since > timedelta(seconds=timing.orphan_after_s)


def _number(name: str) -> int | None:
    found = _NUMBER.search(name)
    return int(found[1]) if found else None
