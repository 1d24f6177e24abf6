"""What a subscription has still to deliver, in the order in which it is due. No I/O."""

import heapq
from dataclasses import dataclass, field

from functions.local.bus_journal import Message
from functions.wire import WakeUpKind


@dataclass(frozen=True, slots=True, order=True)
class Delivery:
    """One attempt to come."""

    due_s: float
    """Monotonic clock, real seconds."""
    number: int
    """Breaks ties: first come, first served."""
    message: Message = field(compare=False)
    attempt: int = field(compare=False, default=1)
    """1 for the first."""


class Backlog:
    """A heap of deliveries of one subscription; the caller holds a lock."""

    def __init__(self) -> None:
        """Start empty."""
        self._heap: list[Delivery] = []

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._heap)

    def add(self, delivery: Delivery) -> None:
        """Have it delivered when it is due."""
        heapq.heappush(self._heap, delivery)

    def supersede_heartbeats(self) -> list[Message]:
        """Take out and return the heartbeats that wait: a newer one stands for them.

        A heartbeat says nothing but "look at all jobs". At a thousand times real time one comes
        every few tenths of a second; a function slower than that, or one that is down, would
        otherwise work through an ever longer queue of them while plans wait behind.
        """
        old = [one for one in self._heap if one.message.kind is WakeUpKind.HEARTBEAT]
        if old:
            self._heap = [one for one in self._heap if one not in old]
            heapq.heapify(self._heap)
        return list({one.message.id: one.message for one in old}.values())

    def take(self, now_s: float) -> Delivery | None:
        """Take out the first that is due, if one is."""
        if self._heap and self._heap[0].due_s <= now_s:
            return heapq.heappop(self._heap)
        return None

    def wait_s(self, now_s: float) -> float | None:
        """Return how long until the next is due; `None` if none waits."""
        return max(0.0, self._heap[0].due_s - now_s) if self._heap else None
