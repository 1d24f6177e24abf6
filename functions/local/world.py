"""What all parts of the embedded cloud share."""

from dataclasses import dataclass

from functions.local.events import EventLog
from functions.local.faults import FaultBox
from vm_runtime.contract.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Time, chance, and where to say what happened."""

    clock: Clock
    """Simulated time."""
    log: EventLog
    """The journal."""
    faults: FaultBox
    """What goes wrong."""
