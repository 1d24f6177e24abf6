"""What each action on the data disk makes of the job's state. Pure."""

from dataclasses import replace

from functions.domain.lifecycle.actions import (
    AttachDisk,
    Close,
    CopyDisk,
    GiveUpDiskMove,
    MoveDisk,
    Owner,
    TakeSnapshot,
)
from functions.domain.lifecycle.disks import give_up_copy
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import DataDisk, DiskMove, JobState, Phase
from functions.domain.lifecycle.transitions import closed
from functions.domain.lifecycle.vm import Operation


def noted(seen: Observation) -> JobState:
    """A VM ran with the data disk."""
    return replace(seen.state, disk=replace(_disk(seen), is_made=True))


def moving(seen: Observation, action: MoveDisk) -> JobState:
    """Give out the number of the copy, before anything is made; what is there may be needed."""
    number = seen.state.disks_named + 1
    move = DiskMove(number=number, compute_zone=action.compute_zone, began_at=seen.now)
    disk = replace(_disk(seen), is_made=True)
    return replace(seen.state, disk=disk, disk_move=move, disks_named=number)


def asked(seen: Observation, action: TakeSnapshot | CopyDisk, operation: Operation) -> JobState:
    """Remember the operation that makes the snapshot or the copy, or that it was refused."""
    move = _move(seen)
    if operation.done and operation.failure is not None:
        refused = give_up_copy(seen, move, operation)
        return closed(seen, refused) if isinstance(refused, Close) else stays(seen, refused)
    if isinstance(action, CopyDisk):
        return replace(seen.state, disk_move=replace(move, copy_operation=operation.name))
    return replace(seen.state, disk_move=replace(move, snapshot_operation=operation.name))


def adopted(seen: Observation) -> JobState:
    """The copy is the truth from now on; source and snapshot are nobody's any more."""
    move = _move(seen)
    disk = DataDisk(number=move.number, compute_zone=move.compute_zone, is_made=True)
    return replace(seen.state, disk=disk, disk_move=None)


def stays(seen: Observation, action: GiveUpDiskMove) -> JobState:
    """The data disk stays where it is; copy and snapshot, if any, are nobody's."""
    state = replace(seen.state, disk_move=None, message=action.reason)
    if action.block is None:
        return state
    return replace(state, blocked=(*state.blocked, action.block))


def given(seen: Observation, action: AttachDisk) -> JobState:
    """Write down who gets the data disk, before it is attached."""
    disk = replace(_disk(seen), is_made=True, given_to=action.vm.name, given_at=seen.now)
    return replace(seen.state, disk=disk)


def lost(seen: Observation, reason: str) -> JobState:
    """The data disk is gone: if the job is tried again, its next VM gets an empty one."""
    close = Close(owner=Owner.STOP_VM, phase=Phase.FAILED, reason=reason)
    return replace(closed(seen, close), disk=None, disk_move=None)


def _disk(seen: Observation) -> DataDisk:
    assert seen.state.disk is not None  # noqa: S101 - no action on a disk without one
    return seen.state.disk


def _move(seen: Observation) -> DiskMove:
    assert seen.state.disk_move is not None  # noqa: S101 - no step of a move without one
    return seen.state.disk_move
