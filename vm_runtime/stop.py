"""One flag for all reasons to stop: signals, preemption, the interval's end."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType

from vm_runtime.contract.clock import Clock
from vm_runtime.session import StopReason

_SLICE_S = 0.05


class StopFlag:
    """Why training has to stop, asked before each step. The first reason stays."""

    def __init__(self, clock: Clock, *, interval_end: datetime | None = None) -> None:
        """Take the clock and the interval's end; `None`: open-ended.

        Args:
            clock: the deployment's clock.
            interval_end: when the interval is over.
        """
        self._clock = clock
        self._interval_end = interval_end
        self._reason: StopReason | None = None

    @property
    def interval_end(self) -> datetime | None:
        """When the interval is over, as last told."""
        return self._interval_end

    def move_interval_end(self, end: datetime) -> None:
        """Extend the interval or cut it short; without effect once it was seen to be over."""
        self._interval_end = end

    def raise_flag(self, reason: StopReason) -> None:
        """Ask to stop. Only assigns: safe in a signal handler."""
        self._reason = self._reason or reason

    def reason(self) -> StopReason | None:
        """Return why to stop, `None` to go on."""
        if self._reason is None and self._is_over():
            self._reason = StopReason.INTERVAL_END
        return self._reason

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
