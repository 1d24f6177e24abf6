"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

START = datetime(2024, 3, 5, 0, 0, tzinfo=UTC)


class SimulatedClock:
    """The deployment's clock in a simulated world."""

    def __init__(self, start: datetime = START) -> None:
        """Show `start`."""
        self._now = start

    def now(self) -> datetime:
        """Return the simulated time."""
        return self._now

    def wait_s(self, duration_s: float) -> float:
        """One second is one second."""
        return duration_s

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self._now += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return self._now.timestamp()


class SkewedClock:
    """Another machine's clock, that much ahead of the true one."""

    def __init__(self, true: SimulatedClock, ahead_s: float) -> None:
        """Follow `true`."""
        self._true, self._ahead = true, timedelta(seconds=ahead_s)

    def now(self) -> datetime:
        """Return what this machine shows."""
        return self._true.now() + self._ahead

    def wait_s(self, duration_s: float) -> float:
        """One second is one second."""
        return duration_s

    def monotonic(self) -> float:
        """Return seconds that never step back."""
        return self._true.monotonic()
