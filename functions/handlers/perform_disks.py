"""Carries out actions on data disks: calls that may be repeated, states that are swapped.

What is to be made is named in the state before it is asked for, and what is given away is written
there before it is; only what no state names is deleted.
"""

from dataclasses import replace
from typing import assert_never

from functions.domain.lifecycle import disk_transitions as becomes
from functions.domain.lifecycle.actions import (
    AdoptDisk,
    AttachDisk,
    CopyDisk,
    DeleteDisk,
    DeleteSnapshot,
    DiskAction,
    GiveUpDiskMove,
    MissDisk,
    MoveDisk,
    NoteDisk,
    TakeSnapshot,
)
from functions.domain.lifecycle.disk import DataDiskSpec, DiskStatus
from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.vm import Operation
from functions.handlers.request_ids import request_id
from functions.ports import Ports
from vm_runtime.contract.instance import (
    DATA_DISK,
    MANAGED_BY,
    Label,
    data_disk_name,
    deployment_label,
    snapshot_name,
)
from vm_runtime.contract.job import KeepDisk


def perform_on_disk(  # noqa: C901 - one line for each action
    ports: Ports, seen: Observation, action: DiskAction
) -> JobState | None:
    """Do it and return the state to be written, `None` if it stays as it is.

    `AttachDisk` only becomes a state here: `attach` follows once that is written.

    Raises:
        TransientError: a service did not answer; the effect may or may not have happened.
        PermissionDeniedError: a right is missing.
    """
    state: JobState | None = None
    match action:
        case NoteDisk():
            state = becomes.noted(seen)
        case MoveDisk():
            state = becomes.moving(seen, action)
        case AdoptDisk():
            state = becomes.adopted(seen)
        case GiveUpDiskMove():
            state = becomes.stays(seen, action)
        case TakeSnapshot():
            state = becomes.asked(seen, action, _take_snapshot(ports, seen, action))
        case CopyDisk():
            state = becomes.asked(seen, action, _copy(ports, seen, action))
        case MissDisk():
            state = _missed(ports, seen)
        case AttachDisk():
            state = becomes.given(seen, action)
        case DeleteDisk():
            name = action.disk.name
            ports.disks.delete_disk(action.disk, request_id=_id(seen, name, "delete"))
        case DeleteSnapshot():
            name = action.snapshot.name
            ports.disks.delete_snapshot(action.snapshot, request_id=_id(seen, name, "delete"))
        case _:
            assert_never(action)
    return state


def attach(ports: Ports, seen: Observation, action: AttachDisk) -> None:
    """Attach the disk to the VM, of which the state says so already.

    Raises:
        InvalidInputError: that VM can never have it.
        TransientError, PermissionDeniedError: as `perform_on_disk`.
    """
    request = _id(seen, action.vm.name, f"attach-{action.disk.name}")
    ports.disks.attach(action.disk, action.vm, request_id=request)


def disk_for(ports: Ports, seen: Observation, compute_zone: str) -> DataDiskSpec | None:
    """Return the data disk that a VM is made with; `None`: it has none, or gets it later."""
    wanted, disk, found = seen.job.keep_disk, seen.state.disk, seen.data_disk
    if wanted is None or disk is None or seen.state.disk_move is not None:
        return None
    if disk.compute_zone != compute_zone or (found is None and disk.is_made):
        return None
    spec = _spec(ports, seen, wanted, number=disk.number, compute_zone=compute_zone)
    if found is None:
        return spec
    is_free = found.status is DiskStatus.READY and not found.users
    return replace(spec, exists=True, size_gb=found.size_gb) if is_free else None


def _take_snapshot(ports: Ports, seen: Observation, action: TakeSnapshot) -> Operation:
    name = snapshot_name(seen.job.job_id, action.number)
    request = _id(seen, name, "snapshot")
    return ports.disks.take_snapshot(action.disk, name, _labels(ports, seen), request_id=request)


def _copy(ports: Ports, seen: Observation, action: CopyDisk) -> Operation:
    # Never smaller than the source, whoever made that larger.
    size_gb, kind = action.snapshot.disk_size_gb, seen.job.keep_disk
    wanted = replace(kind or KeepDisk(size_gb=size_gb), size_gb=size_gb)
    spec = _spec(ports, seen, wanted, number=action.number, compute_zone=action.compute_zone)
    return ports.disks.copy_disk(spec, action.snapshot, request_id=_id(seen, spec.name, "copy"))


def _missed(ports: Ports, seen: Observation) -> JobState | None:
    """Look again: what was listed may be older than the state that names the disk."""
    disk = seen.state.disk
    name = data_disk_name(seen.job.job_id, disk.number) if disk else ""
    if disk is None or any(each.name == name for each in ports.disks.disks()):
        return None
    reason = (
        f"expected its data disk {name} in {disk.compute_zone}, found none: somebody deleted it,"
        " or the job was cancelled."
        " What was on it is lost, the checkpoints are not. If the script can go on without it,"
        " retry the job: it gets an empty one"
    )
    return becomes.lost(seen, reason)


def _spec(
    ports: Ports, seen: Observation, wanted: KeepDisk, *, number: int, compute_zone: str
) -> DataDiskSpec:
    return DataDiskSpec(
        name=data_disk_name(seen.job.job_id, number),
        compute_zone=compute_zone,
        size_gb=wanted.size_gb,
        type=wanted.type,
        labels=_labels(ports, seen),
    )


def _labels(ports: Ports, seen: Observation) -> dict[str, str]:
    return {
        Label.MANAGED_BY: MANAGED_BY,
        Label.DEPLOYMENT: deployment_label(ports.store.url),
        Label.JOB: seen.job.job_id,
        Label.INCARNATION: str(seen.state.incarnation),
        Label.ROLE: DATA_DISK,
    }


def _id(seen: Observation, name: str, verb: str) -> str:
    return request_id(seen.now, seen.timing, name, verb)
