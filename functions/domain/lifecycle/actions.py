"""What the control plane can do for a job: one action at a time, each owned by one function."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

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


Action: TypeAlias = (
    MakePlan | Reserve | Insert | DropTarget | SetIntervalEnd | StopByForce | Delete | Close
)
