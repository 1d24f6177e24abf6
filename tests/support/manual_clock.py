"""A clock that a test moves by hand."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ManualClock:
    """A `Clock` that stands still until it is moved."""

    def __init__(self, now: datetime = START, *, offset_s: float = 0.0) -> None:
        """Show `now`, plus an offset."""
        self._now = now
        self.offset_s = offset_s
        """How far it is ahead of the true time, seconds."""

    def now(self) -> datetime:
        """Return the time shown."""
        return self._now + timedelta(seconds=self.offset_s)

    def wait_s(self, duration_s: float) -> float:
        """Return the duration itself."""
        return duration_s

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
