"""One flag for all reasons to stop: preemption, maintenance, signals, requests, the interval's end.

Which reason wins: of all that are heard before the trainer first sees the flag, the one that
leaves the least time (`URGENCY`); once seen it stays, so that trainer, progress and ledger
tell the same story.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Final

from vm_runtime.contract.clock import Clock
from vm_runtime.session import StopReason

_SLICE_S = 0.05

URGENCY: Final = (
    StopReason.PREEMPTED,
    StopReason.MAINTENANCE,
    StopReason.SIGNAL,
    StopReason.REQUESTED,
    StopReason.INTERVAL_END,
)
"""The most urgent first."""

NOTICE_S: Final = {
    StopReason.PREEMPTED: 30.0,
    StopReason.MAINTENANCE: 60.0,
    StopReason.SIGNAL: 110.0,
}
"""Real seconds that the machine stays up after it was heard; the others leave the VM's grace.

Compute Engine ends a Spot VM 30 s after its notice and tells of a host's maintenance 60 s
before (its documentation, "Spot VMs" and "Get live migration notices"; VMs with GPUs are told
an hour before); systemd kills the trainer 110 s after SIGTERM (`trainer.service`), as a VM
that is stopped gets some 120 s."""


def shortest_notice_s(*, is_spot: bool) -> float:
    """Return the real seconds in which a VM must be able to save its work."""
    return NOTICE_S[StopReason.PREEMPTED if is_spot else StopReason.SIGNAL]


class StopFlag:
    """Why training has to stop, asked before each step."""

    def __init__(self, clock: Clock, *, interval_end: datetime | None = None) -> None:
        """Take the clock and the interval's end; `None`: open-ended.

        Args:
            clock: the deployment's clock.
            interval_end: when the interval is over.
        """
        self._clock = clock
        self._interval_end = interval_end
        self._heard: list[tuple[StopReason, float]] = []
        self._seen: StopReason | None = None

    @property
    def interval_end(self) -> datetime | None:
        """When the interval is over, as last told."""
        return self._interval_end

    def move_interval_end(self, end: datetime) -> None:
        """Extend the interval or cut it short; without effect once it was seen to be over."""
        self._interval_end = end

    def raise_flag(self, reason: StopReason) -> None:
        """Ask to stop. Only appends, which is atomic: safe in a signal handler."""
        self._heard.append((reason, time.monotonic()))

    def reason(self) -> StopReason | None:
        """Return why to stop, `None` to go on."""
        if self._seen is None:
            if self._is_over():
                self.raise_flag(StopReason.INTERVAL_END)
            if self._heard:
                self._seen = min((reason for reason, _ in self._heard), key=URGENCY.index)
        return self._seen

    @property
    def since_s(self) -> float:
        """Real seconds since the first reason was heard, 0 without one."""
        return time.monotonic() - self._heard[0][1] if self._heard else 0.0

    @property
    def left_s(self) -> float | None:
        """Real seconds until the machine may be gone; `None`: no reason that says so."""
        now = time.monotonic()
        left = [NOTICE_S[why] - (now - at) for why, at in list(self._heard) if why in NOTICE_S]
        return min(left) if left else None

    def wait(self, duration_s: float) -> None:
        """Return after `duration_s` real seconds, or soon after a reason to stop appears.

        It polls: an event set in a signal handler could lock up in the very wait that the
        signal interrupted.
        """
        deadline = time.monotonic() + duration_s
        while self.reason() is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, _SLICE_S))

    def is_overdue(self, grace_s: float) -> bool:
        """Whether the interval's end passed more than `grace_s` ago, seconds on the clock."""
        end = self._interval_end
        return end is not None and self._clock.now() >= end + timedelta(seconds=grace_s)

    def _is_over(self) -> bool:
        return self._interval_end is not None and self._clock.now() >= self._interval_end

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Turn SIGTERM and SIGINT into the flag; a second SIGINT interrupts as usual.

        Works in the main thread only, as Python wants.
        """
        before: dict[signal.Signals, Callable[[int, FrameType | None], object] | int | None] = {}
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.raise_flag(StopReason.SIGNAL)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
