"""What goes wrong on request: the faults of the embedded cloud, drawn from a seed."""

import random
import threading
from typing import Annotated

from pydantic import Field

from vm_runtime.contract.base import NonNegative, document

Fraction = Annotated[float, Field(ge=0, le=1)]


@document
class Faults:
    """Which faults to inject; fractions are chances per message, tick or call."""

    duplicate: Fraction = 0.0
    """Messages delivered twice to each subscription."""
    drop: Fraction = 0.0
    """Deliveries lost for good: the bus breaks its word, the heartbeat has to mend it."""
    delay_s: NonNegative = 0.0
    """Each delivery waits up to so many REAL seconds, which also shuffles them."""
    double_ticks: Fraction = 0.0
    """Ticks of the scheduler sent twice."""
    stock_outs: frozenset[str] = frozenset()
    """Compute zones and regions without capacity; surfaces in the operation."""
    quota_exceeded: frozenset[str] = frozenset()
    """Regions whose quota is used up; the call to insert is refused."""
    denied: bool = False
    """Whether inserts are forbidden."""
    failing_inserts: Fraction = 0.0
    """Insert operations that fail for no reason of ours; the VM disappears."""
    slow_insert_s: NonNegative = 0.0
    """Provisioning takes so much longer, simulated seconds."""
    unavailable: Fraction = 0.0
    """Calls to the compute service that are refused with 503 and do nothing."""
    lost_responses: Fraction = 0.0
    """Calls to the compute service that succeed, and are answered with 503."""


class FaultBox:
    """The faults in force, which may change while the cloud runs, and the dice."""

    def __init__(self, faults: Faults, *, seed: int) -> None:
        """Take the faults and the seed of the dice."""
        self.present = faults
        self._random = random.Random(seed)  # noqa: S311 - to be repeatable, not secret
        self._lock = threading.Lock()

    def hits(self, fraction: float) -> bool:
        """Throw the dice; 0 never hits, 1 always does."""
        with self._lock:
            return self._random.random() < fraction

    def delay_s(self) -> float:
        """Return how long a delivery is held back, real seconds."""
        with self._lock:
            return self._random.random() * self.present.delay_s
