"""Time as an argument: the system's clock, and one that runs faster for the demo."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

CLOCK_VARIABLE = "SMARTSCHEDULER_CLOCK"
"""Environment variable that holds a `ScaledClock` as JSON; unset: the system's clock."""


class Clock(Protocol):
    """Tells the time; every process of one deployment sees the same time."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        ...

    def wait_s(self, duration_s: float) -> float:
        """Convert a duration on this clock to real seconds, for time-outs and sleeps."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present time, aware, in UTC."""
        return datetime.now(UTC)

    def wait_s(self, duration_s: float) -> float:
        """Return `duration_s` itself: one second is one second."""
        return duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaledClock:
    """A clock that runs `speed` times as fast as the machine's, from an anchor on.

    All processes on one machine that share the three numbers see the same time.
    """

    real_anchor_s: float
    """Unix time at which the clock started, seconds."""
    simulated_anchor_s: float
    """Unix time that it showed at that moment, seconds."""
    speed: float
    """Simulated seconds per real second, above 0."""

    def __post_init__(self) -> None:
        """Refuse a clock that stands still or runs backwards."""
        if not self.speed > 0:
            message = f"expected a clock speed above 0, found {self.speed}"
            raise ValueError(message)

    def now(self) -> datetime:
        """Return the present simulated time, aware, in UTC."""
        elapsed_s = time.time() - self.real_anchor_s
        return datetime.fromtimestamp(self.simulated_anchor_s, UTC) + timedelta(
            seconds=elapsed_s * self.speed
        )

    def wait_s(self, duration_s: float) -> float:
        """Return the real seconds that `duration_s` simulated seconds take."""
        return duration_s / self.speed

    def to_json(self) -> str:
        """Return the value for `CLOCK_VARIABLE`."""
        return json.dumps(asdict(self))


def clock_from(environment: Mapping[str, str]) -> Clock:
    """Return the clock that `environment` names, the system's if it names none.

    Raises:
        ValueError: `CLOCK_VARIABLE` is set but does not hold a `ScaledClock`.
    """
    text = environment.get(CLOCK_VARIABLE)
    if not text:
        return SystemClock()
    try:
        return ScaledClock(**json.loads(text))
    except (TypeError, ValueError) as error:
        message = f"expected {CLOCK_VARIABLE} to hold a ScaledClock, found {text!r}: {error}"
        raise ValueError(message) from error
