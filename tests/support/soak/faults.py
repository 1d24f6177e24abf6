"""What goes wrong in a schedule: drawn from its seed, and small enough to be read.

A fault is a line of a story. Removing one leaves the others as they are, which is what makes a
counter-example shrink.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong."""

    CALL = "call"
    """A call of one party fails, or the party dies or stands still at it."""
    MESSAGES = "messages"
    """Messages are lost, doubled, late."""
    FUNCTIONS_DOWN = "no function runs"
    HEARTBEAT_DOWN = "no heartbeat and no alarm"
    SOURCE_DOWN = "no carbon intensity"
    PREEMPT = "Spot VM is preempted"
    HOST_ERROR = "host of a VM breaks"
    SCRIPT_HANG = "script hangs"
    SCRIPT_FAILS = "script raises"
    KERNEL_HANG = "kernel of a VM hangs for ever"
    HUNG_AND_ALONE = "a VM hangs, and soon no function runs"
    VM_FREEZE = "VM stands still"
    CLOCK_STEP = "clock of a VM is set"
    FREEZE_AT_END = "VM stands still at the end of its interval"
    FREEZE_AT_CALL = "VM will stand still"
    CUT_OFF = "VM is cut off from the bucket"
    BAD_BOOT = "VMs cannot install the runtime"
    STOCK_OUT = "no capacity"
    QUOTA = "no quota"
    REFUSED = "operations fail for an unknown reason"
    SLOW_OPERATIONS = "operations are slow"
    TEMPLATE_DELETED = "instance template is deleted"
    VM_DELETED = "a person deletes a VM"
    LABEL_REMOVED = "a person takes the label off a VM"
    DISK_DELETED = "a person deletes a data disk that no VM has"
    SNAPSHOT_DELETED = "a person deletes a snapshot"
    NAME_TAKEN = "a person has the next VM's name"
    PAUSED = "a person pauses the job"
    CANCELLED = "a person cancels the job"
    RETRIED = "a person retries what failed"
    TICK_AGAIN = "a tick is triggered once more"
    SUBMITTED_TWICE = "a person submits the job again"


class How(StrEnum):
    """How a call goes wrong."""

    NOT_DONE = "gets 503, not done"
    DONE = "gets a time-out, done all the same"
    DENIED = "gets 403"
    DIES_BEFORE = "dies before"
    DIES_AFTER = "dies after"
    STANDS_BEFORE = "stands still before"
    STANDS_AFTER = "stands still after"


ON_VMS = {
    *(Kind.PREEMPT, Kind.HOST_ERROR, Kind.SCRIPT_HANG, Kind.SCRIPT_FAILS, Kind.KERNEL_HANG),
    *(Kind.VM_FREEZE, Kind.CLOCK_STEP, Kind.VM_DELETED, Kind.LABEL_REMOVED),
    *(Kind.FREEZE_AT_END, Kind.FREEZE_AT_CALL, Kind.CUT_OFF, Kind.HUNG_AND_ALONE),
}
"""What hits one VM that runs, the next one if none does."""

WAITS_S = 3600.0
"""Longest wait for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong."""

    kind: Kind
    at_s: float
    """From when on."""
    for_s: float = 0.0
    """For how long; 0: once."""
    party: str = ""
    """Of a call: which function, or `vm`."""
    call: str = ""
    """Of a call: which one; a prefix."""
    how: How = How.NOT_DONE
    chance: float = 1.0
    """Of each call or message while it lasts; of a message: to be lost."""
    number: float = 0.0
    """Which VM, how many seconds, which share: as the kind needs it."""
    place: str = ""
    """A region or compute zone; empty: everywhere."""

    @property
    def ends_s(self) -> float:
        """When it is over; what stands still does so longest."""
        stands = self.number if self.how in {How.STANDS_BEFORE, How.STANDS_AFTER} else 0.0
        lags = {Kind.MESSAGES, Kind.SLOW_OPERATIONS, Kind.HUNG_AND_ALONE}
        late = self.number if self.kind in lags else 0.0
        waits = WAITS_S if self.kind in ON_VMS else 0.0
        return self.at_s + self.for_s + stands + late + waits

    def __str__(self) -> str:
        """Return the line of a story."""
        what = [f"{clock(self.at_s)} {self.kind}"]
        if self.kind is Kind.CALL:
            what = [f"{clock(self.at_s)} {self.party} {self.how} {self.call or 'any call'}"]
        elif self.call:
            what.append(f"when it {self.how} {self.call}")
        if self.place:
            what.append(f"in {self.place}")
        if self.for_s:
            what.append(f"for {self.for_s / 60:.0f} min")
        if self.chance < 1:
            what.append(f"with chance {self.chance:.2f}")
        if self.number:
            what.append(f"({self.number:.0f})")
        return " ".join(what)


def clock(at_s: float) -> str:
    """Return a simulated time as `1d 02:03:04.5`."""
    days, rest = divmod(at_s, 86400)
    hours, rest = divmod(rest, 3600)
    return f"{days:.0f}d {hours:02.0f}:{rest // 60:02.0f}:{rest % 60:04.1f}"
