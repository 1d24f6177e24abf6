"""What happened in the embedded cloud, for a person: kept, written to a file, handed on."""

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from vm_runtime.contract.base import Utc, document
from vm_runtime.contract.clock import Clock
from vm_runtime.contract.codec import encode

_KEPT = 20_000


class EventKind(StrEnum):
    """What kind of thing happened."""

    MESSAGE_PUBLISHED = "message-published"
    MESSAGE_DELIVERED = "message-delivered"
    MESSAGE_SUPERSEDED = "message-superseded"
    DEAD_LETTER = "dead-letter"
    TICK = "tick"
    VM = "vm"
    FAULT = "fault"
    FUNCTION_ERROR = "function-error"
    CLOUD = "cloud"


@document
class Event:
    """One line of the journal."""

    at: Utc
    """Simulated time."""
    kind: EventKind
    """Kind."""
    subject: str
    """VM, subscription or job that it is about."""
    text: str
    """What happened, for a person."""


Listener = Callable[[Event], None]


class EventLog:
    """The journal; listeners are called in the thread where it happened and must be quick."""

    def __init__(self, file: Path, clock: Clock) -> None:
        """Append to `file`, with times of `clock`."""
        self._file = file
        self._clock = clock
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()

    def say(self, kind: EventKind, subject: str, text: str) -> None:
        """Note that something happened now."""
        with self._lock:
            event = Event(at=self._clock.now(), kind=kind, subject=subject, text=text)
            line = b" ".join(encode(event).split(b"\n")) + b"\n"
            self._events.append(event)
            with self._file.open("ab") as file:
                file.write(line)
            listeners = list(self._listeners)
        for listener in listeners:
            listener(event)

    def since(self, at: datetime | None = None) -> list[Event]:
        """Return the events of this run at or after `at`, oldest first."""
        with self._lock:
            return [event for event in self._events if at is None or event.at >= at]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each further event; returns how to end that."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe
