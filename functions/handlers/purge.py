"""Removes all that the control plane made in a project: what `terraform destroy` cannot know of.

Only VMs, disks and snapshots with our labels are ever listed, and so only these are removed.
Nothing in the bucket is touched. Whatever is there again is removed again, until nothing is left.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from uuid import uuid4

from functions.domain.lifecycle.disk import Disk, DiskStatus, Snapshot
from functions.domain.lifecycle.vm import Vm
from functions.errors import PermissionDeniedError, SchedulerError
from functions.ports import DiskFleet, VmFleet

T = TypeVar("T", Disk, Snapshot)

LOOK_EVERY_S = 5.0
"""A VM goes within half a minute or two, a disk within seconds."""

ASK_AGAIN_AFTER = 12
"""Looks, a minute: an operation may fail after its call has worked, and nobody looks at it."""


class Kind(StrEnum):
    """What can be removed, in the order in which it goes."""

    VM = "VM"
    DISK = "disk"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of ours."""

    kind: Kind
    name: str
    place: str
    """Compute zone; snapshots are `global`."""
    status: str
    job_id: str
    resource: Vm | Disk | Snapshot

    @property
    def key(self) -> tuple[Kind, str, str]:
        """What it is known by, whatever its status."""
        return self.kind, self.place, self.name

    @property
    def what(self) -> str:
        """Kind and name, for people."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Stock:
    """What is there."""

    things: tuple[Thing, ...]
    hidden: dict[Kind, SchedulerError]
    """Kinds that could not be listed, and why."""


@dataclass(frozen=True, slots=True)
class Left:
    """Something that could not be removed."""

    thing: Thing
    reason: str
    error: SchedulerError | None = None
    """Of the last call about it, if that failed."""


class Purge:
    """One purge; to be run again as often as one likes."""

    def __init__(self, fleet: VmFleet, disks: DiskFleet) -> None:
        """Take where VMs, disks and snapshots are."""
        self._fleet, self._disks = fleet, disks
        self._ours: set[str] = set()
        """VMs that were seen: a disk may name one as its user that has just gone."""
        self._looks: Counter[tuple[Kind, str, str]] = Counter()
        """How often something was seen that could go."""
        self._refused: dict[tuple[Kind, str, str], SchedulerError] = {}
        """Why a call failed the last time."""
        self._denied: dict[Kind, PermissionDeniedError] = {}
        """Kinds for which a right is missing: not asked for again."""

    def look(self) -> Stock:
        """Return all that is there, VMs first; their boot disks go with them and are left out.

        Raises:
            SchedulerError: not even VMs could be listed.
        """
        vms = self._fleet.list()
        hidden: dict[Kind, SchedulerError] = {}
        disks = _listed(self._disks.disks, Kind.DISK, hidden)
        snapshots = _listed(self._disks.snapshots, Kind.SNAPSHOT, hidden)
        places = {(vm.compute_zone, vm.name) for vm in vms}
        things = [_of_vm(vm) for vm in vms]
        things += [_of_disk(one) for one in disks if (one.compute_zone, one.name) not in places]
        things += [_of_snapshot(one) for one in snapshots]
        return Stock(tuple(things), hidden)

    def run(
        self,
        *,
        patience_s: float,
        sleep: Callable[[float], None],
        on_look: Callable[[Stock], None] = lambda _stock: None,
    ) -> tuple[Left, ...]:
        """Remove all of it and wait until it is gone; return what is left, and why.

        Running VMs go without a checkpoint: what they did since the last one is lost. A disk goes
        once no VM has it.

        Args:
            patience_s: so long at most.
            sleep: waits so many seconds.
            on_look: told after each look what is there.
        """
        waited_s = 0.0
        while True:
            stock = self.look()
            on_look(stock)
            self._ours |= {thing.name for thing in stock.things if thing.kind is Kind.VM}
            goes_on = [self._remove(thing) for thing in stock.things]
            if not any(goes_on) or waited_s >= patience_s:
                return tuple(self._left(one, waited_s) for one in stock.things)
            sleep(LOOK_EVERY_S)
            waited_s += LOOK_EVERY_S

    def _remove(self, thing: Thing) -> bool:
        """Ask for its removal; return whether to look again is of any use."""
        users = set(thing.resource.users) if isinstance(thing.resource, Disk) else set()
        if thing.kind in self._denied or users - self._ours:
            return False
        if users or thing.status == DiskStatus.DELETING:
            return True
        looks = self._looks[thing.key]
        self._looks[thing.key] += 1
        if looks % ASK_AGAIN_AFTER and thing.key not in self._refused:
            return True
        try:
            self._delete(thing.resource)
        except PermissionDeniedError as error:
            self._denied[thing.kind] = error
            return False
        except SchedulerError as error:
            self._refused[thing.key] = error
        else:
            self._refused.pop(thing.key, None)
        return True

    def _delete(self, resource: Vm | Disk | Snapshot) -> None:
        request_id = str(uuid4())
        match resource:
            case Vm():
                self._fleet.delete(resource, request_id=request_id)
            case Disk():
                self._disks.delete_disk(resource, request_id=request_id)
            case Snapshot():
                self._disks.delete_snapshot(resource, request_id=request_id)

    def _left(self, thing: Thing, waited_s: float) -> Left:
        error = self._denied.get(thing.kind) or self._refused.get(thing.key)
        return Left(thing, str(error) if error else _why(thing, self._ours, waited_s), error)


def _why(thing: Thing, ours: set[str], waited_s: float) -> str:
    users = thing.resource.users if isinstance(thing.resource, Disk) else ()
    strangers = sorted(set(users) - ours)
    if strangers:
        whose = "which is not SmartScheduler's: detach it"
        return f"it is attached to {', '.join(strangers)}, {whose}"
    if users:
        return f"it is attached to {', '.join(users)}, which is still there"
    return f"asked to go, and still {thing.status} after {waited_s:.0f} s"


def _listed(
    look: Callable[[], Sequence[T]], kind: Kind, hidden: dict[Kind, SchedulerError]
) -> Sequence[T]:
    """List disks or snapshots; VMs must go even if those cannot be seen."""
    try:
        return look()
    except SchedulerError as error:
        hidden[kind] = error
        return ()


def _of_vm(vm: Vm) -> Thing:
    return Thing(Kind.VM, vm.name, vm.compute_zone, vm.status, vm.job_id, vm)


def _of_disk(disk: Disk) -> Thing:
    return Thing(Kind.DISK, disk.name, disk.compute_zone, disk.status, disk.job_id, disk)


def _of_snapshot(snapshot: Snapshot) -> Thing:
    name, status = snapshot.name, snapshot.status
    return Thing(Kind.SNAPSHOT, name, "global", status, snapshot.job_id, snapshot)
