"""What the control plane can do for a job: one action at a time, each owned by one function."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from functions.domain.lifecycle.disk import Disk, Snapshot
from functions.domain.lifecycle.state import Block, Phase, Purpose, Target
from functions.domain.lifecycle.vm import Vm


class Owner(StrEnum):
    """The function that carries an action out; the other two ignore it."""

    STOP_VM = "stop_vm"
    MOVE_VM = "move_vm"
    START_VM = "start_vm"


OWNER_OF = {Purpose.START: Owner.START_VM, Purpose.MOVE: Owner.MOVE_VM}
"""Who makes a VM, by its purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePlan:
    """Plan a job that has no plan, on the present hour's forecast: do not wait for the next."""

    owner: Owner
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Write the next incarnation's name and place into the state, before anything is made."""

    owner: Owner
    purpose: Purpose
    compute_zone: str
    interval_start: datetime
    interval_end: datetime
    reason: str
    sleeper: Vm | None = None
    """The stopped VM to be started instead of a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Ask Compute Engine to start the stopped VM under its new incarnation."""

    owner: Owner
    vm: Vm
    target: Target
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Book the lifetime of a VM that is down, and keep it for the next interval."""

    owner: Owner
    vm: Vm
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Ask Compute Engine for the reserved VM."""

    owner: Owner
    target: Target
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTarget:
    """Forget a reserved VM that will not come, and remember why its place is blocked."""

    owner: Owner
    block: Block | None
    reason: str
    is_fruitless: bool = False
    """Whether it counts as a try that achieved nothing: not so if a place was merely full."""
    never_ran: bool = False
    """Whether its operation failed: then no VM ran, and nothing is on the disk made with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetIntervalEnd:
    """Tell a VM when to stop: later, earlier, or now."""

    owner: Owner
    vm: Vm
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopByForce:
    """Power off a VM that did not go by itself."""

    owner: Owner
    vm: Vm
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Book the lifetime of a VM that is down, then delete it."""

    owner: Owner
    vm: Vm
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Bring the job to a final phase: from now on no VM is made for it."""

    owner: Owner
    phase: Phase
    reason: str
    """Kept as the state's message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteDisk:
    """Remember that a VM ran with the data disk: it is never given up for an empty one."""

    owner: Owner
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveDisk:
    """Write into the state that the data disk is to go to another compute zone."""

    owner: Owner
    compute_zone: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeSnapshot:
    """Ask for the snapshot of the data disk, whose VM is down."""

    owner: Owner
    disk: Disk
    number: int
    """Of the copy to be made from it."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDisk:
    """Ask for the new data disk, from the snapshot."""

    owner: Owner
    snapshot: Snapshot
    number: int
    """Of the copy."""
    compute_zone: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptDisk:
    """Write into the state that the copy, now verified, is the job's data disk."""

    owner: Owner
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUpDiskMove:
    """Leave the data disk where it is, and remember why the other place is blocked."""

    owner: Owner
    block: Block | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachDisk:
    """Attach the data disk to the VM that waits for it."""

    owner: Owner
    vm: Vm
    disk: Disk
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MissDisk:
    """Look once more for a data disk that is not listed; the job fails if it is gone."""

    owner: Owner
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteDisk:
    """Delete a disk that no job needs."""

    owner: Owner
    disk: Disk
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteSnapshot:
    """Delete a snapshot that no job needs."""

    owner: Owner
    snapshot: Snapshot
    reason: str


DiskAction: TypeAlias = (
    NoteDisk
    | MoveDisk
    | TakeSnapshot
    | CopyDisk
    | AdoptDisk
    | GiveUpDiskMove
    | AttachDisk
    | MissDisk
    | DeleteDisk
    | DeleteSnapshot
)

Action: TypeAlias = (
    MakePlan
    | Reserve
    | Insert
    | Start
    | DropTarget
    | SetIntervalEnd
    | StopByForce
    | Keep
    | Delete
    | Close
    | DiskAction
)
