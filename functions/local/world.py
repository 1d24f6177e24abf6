"""What all parts of the embedded cloud share."""

import secrets
from dataclasses import dataclass, field

from pydantic import SecretStr

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
    key: SecretStr = field(default_factory=lambda: SecretStr(secrets.token_urlsafe(32)))
    """What each call of this start must show."""
