"""What goes wrong on the Compute Engine of the tests, and where."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to the next call of a method."""

    verb: str
    status: int
    reason: str = ""
    message: str = "scripted"
    after_effect: bool = False
    """The call works, and only its answer is replaced."""
    page: str = ""
    """Only to the call for this page of a list."""


@dataclass
class ComputeFaults:
    """What goes wrong, and where."""

    stock_outs: set[str] = field(default_factory=set)
    """Compute zones without capacity: surfaces in the operation."""
    quota: set[str] = field(default_factory=set)
    """Regions without quota: refused at once with 403."""
    slow_operations_s: float = 0.0
    """How much longer operations take."""
    instance_quota: dict[str, int] = field(default_factory=dict)
    """How many VMs that are not down a region may have; no more are made."""
    snapshots_fail: bool = False
    """Whether snapshots end as FAILED."""
    failing: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Operations of a verb that end with this code and message."""
    troubles: deque[Trouble] = field(default_factory=deque)
    """What happens to the next calls, one each."""
    foreign_edits: int = 0
    """How often somebody else changes the metadata between a get and the next setMetadata."""
    silence_s: float = 0.0
    """Real seconds before any answer."""
    unreachable: list[str] = field(default_factory=list)
    """Zones that a list does without."""
