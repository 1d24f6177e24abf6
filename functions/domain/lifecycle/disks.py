"""The part of `decide` that brings a job's data disk to where its VM is. Pure.

A persistent disk is in one compute zone. It goes to another by a snapshot, taken while no VM
runs with it, and a copy made from that. Until the copy is verified and written into the state
the source is the truth: any failure before leaves it as it was (docs/adr: keep-disk).
"""

from functions.domain.lifecycle.actions import (
    Action,
    AdoptDisk,
    AttachDisk,
    Close,
    CopyDisk,
    GiveUpDiskMove,
    MissDisk,
    MoveDisk,
    NoteDisk,
    Owner,
    SetIntervalEnd,
    TakeSnapshot,
)
from functions.domain.lifecycle.disk import Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.making import block_of
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import DiskMove, Phase
from functions.domain.lifecycle.vm import FailureKind, Operation, Vm, VmStatus


def bring_disk(seen: Observation) -> Action | None:
    """Return the next step towards the newest VM having the data disk."""
    if seen.job.keep_disk is None or seen.state.disk is None or seen.state.phase.is_final:
        return None
    newest = seen.alive[0] if seen.alive else None
    found = seen.data_disk
    if found is not None and newest is not None and _is_news(seen, found, newest):
        return NoteDisk(owner=Owner.START_VM, reason=f"{newest.name} runs with {found.name}")
    if seen.state.disk_move is not None:
        return _go_on(seen, seen.state.disk_move)
    if newest is None or not seen.lacks_disk(newest) or not seen.state.phase.may_run:
        return None
    return _fetch(seen, newest, found)


def _is_news(seen: Observation, disk: Disk, vm: Vm) -> bool:
    known = seen.state.disk
    is_noted = known is not None and known.is_made
    return not is_noted and vm.status is VmStatus.RUNNING and vm.name in disk.users


def _fetch(seen: Observation, vm: Vm, disk: Disk | None) -> Action | None:
    """Return the first step for a VM without the disk: attach it, or have it copied."""
    if disk is None:
        return _miss(seen)
    if not _is_free(seen, disk):
        return _give_up_on_strangers(seen, vm, disk)
    if vm.compute_zone != disk.compute_zone:
        return _have_copied(seen, vm, disk)
    if vm.status is not VmStatus.RUNNING:
        return None
    reason = f"{vm.name} waits for it"
    return AttachDisk(owner=Owner.START_VM, vm=vm, disk=disk, reason=reason)


def _give_up_on_strangers(seen: Observation, vm: Vm, disk: Disk) -> Close | None:
    """A disk that a VM has which is not ours, or not any more, never comes by itself.

    Not at once: a VM of ours may have been made since the VMs were listed.
    """
    strangers = set(disk.users) - {each.name for each in seen.vms}
    waited_s = (seen.now - vm.created_at).total_seconds()
    if not strangers or waited_s <= seen.timing.silence_s:
        return None
    reason = (
        f"its data disk {disk.name} in {disk.compute_zone} is attached to"
        f" {', '.join(sorted(strangers))}, which is not managed by SmartScheduler, or has lost its"
        f" labels. Detach the disk or delete that VM, and: smartscheduler retry {seen.job.job_id}"
    )
    return Close(owner=Owner.STOP_VM, phase=Phase.FAILED, reason=reason)


def _miss(seen: Observation) -> MissDisk | None:
    known = seen.state.disk
    if known is None or not known.is_made:
        return None  # A disk that is made together with its VM shows up a little later.
    reason = f"data disk {known.number} is not listed in {known.compute_zone}"
    return MissDisk(owner=Owner.START_VM, reason=reason)


def _have_copied(seen: Observation, vm: Vm, disk: Disk) -> MoveDisk | SetIntervalEnd | None:
    if seen.state.blocks(vm.compute_zone, seen.now) is not None:
        return _send_away(seen, vm)
    reason = f"{vm.name} in {vm.compute_zone} waits for {disk.name} of {disk.compute_zone}"
    return MoveDisk(owner=Owner.MOVE_VM, compute_zone=vm.compute_zone, reason=reason)


def _send_away(seen: Observation, vm: Vm) -> SetIntervalEnd | None:
    """A VM to which the disk cannot come only costs; the next one is made elsewhere."""
    if vm.interval_end <= seen.now:
        return None
    reason = f"its data disk cannot come to {vm.compute_zone} now"
    return SetIntervalEnd(owner=Owner.STOP_VM, vm=vm, end=seen.now, reason=reason)


def _is_free(seen: Observation, disk: Disk) -> bool:
    """Whether it is whole and no VM that may still write has it.

    A VM that is down still holds it in its own compute zone, until it is deleted; a snapshot
    can be taken all the same.
    """
    if disk.status is not DiskStatus.READY:
        return False
    newest = seen.alive[0] if seen.alive else None
    is_near = newest is not None and newest.compute_zone == disk.compute_zone
    down = {vm.name for vm in seen.vms if vm.status is VmStatus.TERMINATED}
    return not disk.users if is_near else set(disk.users) <= down


def _go_on(seen: Observation, move: DiskMove) -> Action | None:
    wanted = _where_wanted(seen)
    if wanted is not None and wanted != move.compute_zone:
        reason = f"it is wanted in {wanted}, no longer in {move.compute_zone}"
        return GiveUpDiskMove(owner=Owner.MOVE_VM, block=None, reason=reason)
    waited_s = (seen.now - move.began_at).total_seconds()
    if waited_s > seen.timing.disk_move_timeout_s:
        return _give_up(seen, move, f"its copy is not ready after {waited_s:.0f} s")
    copy, source = seen.disk_of(move), seen.data_disk
    if source is None:
        return _miss(seen)
    if copy is not None:
        return _verify(seen, move, copy, source)
    if seen.snapshot is None:
        return _take_snapshot(seen, move, source)
    return _copy(seen, move, seen.snapshot, source)


def _where_wanted(seen: Observation) -> str | None:
    if seen.pending is not None:
        return seen.pending.compute_zone
    return seen.alive[0].compute_zone if seen.alive else None


def _take_snapshot(seen: Observation, move: DiskMove, source: Disk) -> Action | None:
    if not _is_free(seen, source):
        return None
    reason = f"{source.name} is free to be copied to {move.compute_zone}"
    step = TakeSnapshot(owner=Owner.MOVE_VM, disk=source, number=move.number, reason=reason)
    return _unless_asked(seen, move, move.snapshot_operation, step)


def _copy(seen: Observation, move: DiskMove, snapshot: Snapshot, source: Disk) -> Action | None:
    if snapshot.status is DiskStatus.FAILED:
        return _give_up(seen, move, f"{snapshot.name} failed")
    if snapshot.status is not DiskStatus.READY:
        return None
    if snapshot.source_disk_id != source.disk_id:
        return _give_up(seen, move, f"{snapshot.name} shows another disk than {source.name}")
    step = CopyDisk(
        owner=Owner.MOVE_VM,
        snapshot=snapshot,
        number=move.number,
        compute_zone=move.compute_zone,
        reason=f"{snapshot.name} is ready",
    )
    return _unless_asked(seen, move, move.copy_operation, step)


def _unless_asked(
    seen: Observation, move: DiskMove, asked: str | None, step: TakeSnapshot | CopyDisk
) -> Action | None:
    """Return the step; not while its operation is under way, nor if that has failed.

    One that is done without failure and left nothing (somebody deleted it) is asked for again.
    """
    operation = seen.disk_operation
    if asked is None:
        return step
    if operation is None or not operation.done:
        return None
    return step if operation.failure is None else give_up_copy(seen, move, operation)


def give_up_copy(seen: Observation, move: DiskMove, operation: Operation) -> GiveUpDiskMove | Close:
    """Return what to do about a snapshot or a copy that Compute Engine did not make."""
    reason = f"{operation.failure} for {move.compute_zone}: {operation.message}"
    if operation.failure is FailureKind.DENIED:
        return Close(owner=Owner.STOP_VM, phase=Phase.FAILED, reason=f"data disk: {reason}")
    return _give_up(seen, move, reason, operation.failure or FailureKind.OTHER)


def _verify(seen: Observation, move: DiskMove, copy: Disk, source: Disk) -> Action | None:
    """Return the adoption of a copy that is whole, of our snapshot, and not outdated."""
    snapshot = seen.snapshot
    if copy.status is DiskStatus.FAILED:
        return _give_up(seen, move, f"{copy.name} failed")
    if copy.status is not DiskStatus.READY:
        return None
    if snapshot is None:
        return _give_up(seen, move, f"the snapshot of {copy.name} is gone: it cannot be verified")
    problems = []
    if copy.source_snapshot_id != snapshot.snapshot_id:
        problems.append(f"{copy.name} was not made from {snapshot.name}")
    if snapshot.source_disk_id != source.disk_id:
        problems.append(f"{snapshot.name} shows another disk than {source.name}")
    if copy.size_gb < source.size_gb:
        problems.append(f"{copy.name} has {copy.size_gb} GB, {source.name} {source.size_gb} GB")
    # A VM that was asked for long ago may have come since, and written.
    attached_at = source.last_attached_at
    if attached_at is not None and attached_at >= snapshot.created_at:
        problems.append(f"{source.name} was attached again after the snapshot")
    if problems:
        return _give_up(seen, move, "; ".join(problems))
    return AdoptDisk(
        owner=Owner.MOVE_VM,
        reason=f"{copy.name} in {copy.compute_zone} is a whole copy of {source.name}",
    )


def _give_up(
    seen: Observation,
    move: DiskMove,
    reason: str,
    failure: FailureKind = FailureKind.STOCK_OUT,
) -> GiveUpDiskMove:
    """The disk stays, and the place is not tried again for a while."""
    said = f"data disk: {reason}"
    block = block_of(seen, move.compute_zone, said, failure)
    return GiveUpDiskMove(owner=Owner.MOVE_VM, block=block, reason=said)
