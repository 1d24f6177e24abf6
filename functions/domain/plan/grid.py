"""The minutes that a plan may use, cut into slots, and what a minute costs in each place."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

MINUTE = timedelta(minutes=1)
HOUR_MIN = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """Slots aligned to the clock, the first one cut at the start, the last one at the end."""

    start: datetime
    """Begin of the first slot, a whole minute; minutes count from here."""
    edges_min: NDArray[np.int64]
    """Ends of the slots after the leading 0, minutes, ascending, shape (slots + 1,)."""
    gco2eq_per_kwh: NDArray[np.float64]
    """Intensity, shape (slots, places)."""

    @property
    def minutes(self) -> int:
        """Length of all slots together."""
        return int(self.edges_min[-1])

    def at(self, minute: float) -> datetime:
        """Return the time that is `minute` minutes after the start."""
        return self.start + minute * MINUTE

    def slot_of(self, minute: int) -> int:
        """Return the slot that begins at `minute` or holds it."""
        return int(np.searchsorted(self.edges_min, minute, side="right")) - 1

    def minutes_until(self, time: datetime) -> int:
        """Return the whole minutes from the start to `time`, not below 0."""
        return max((time - self.start) // MINUTE, 0)

    def hours_of_intensity(self) -> NDArray[np.float64]:
        """Return the intensity summed up to each edge, gCO2eq/kWh x h, shape (slots + 1, places).

        What lies between two edges is linear: a difference times the power is an emission.
        """
        lengths_h = np.diff(self.edges_min)[:, None] / HOUR_MIN
        return np.vstack(
            [
                np.zeros((1, self.gco2eq_per_kwh.shape[1])),
                np.cumsum(lengths_h * self.gco2eq_per_kwh, axis=0),
            ]
        )

    def until(self, minute: int) -> "Grid":
        """Return the part before `minute`, which must be above 0."""
        slots = int(np.searchsorted(self.edges_min, minute, side="left"))
        edges = self.edges_min[: slots + 1].copy()
        edges[-1] = min(int(edges[-1]), minute)
        return Grid(start=self.start, edges_min=edges, gco2eq_per_kwh=self.gco2eq_per_kwh[:slots])

    def since(self, minute: int) -> "Grid":
        """Return the part from `minute` on, which must lie inside; minutes count from there."""
        slot = self.slot_of(minute)
        edges = self.edges_min[slot:] - minute
        edges[0] = 0
        return Grid(
            start=self.at(minute), edges_min=edges, gco2eq_per_kwh=self.gco2eq_per_kwh[slot:]
        )


def make_grid(
    start: datetime, end: datetime, slot_min: int, hourly: NDArray[np.float64], origin: datetime
) -> Grid:
    """Cut `[start, end)` into slots.

    Args:
        start: rounded down to the minute.
        end: rounded down to the minute; after `start`.
        slot_min: length of a slot, a divisor of 60.
        hourly: intensity from `origin` on, gCO2eq/kWh, shape (hours, places).
        origin: a full hour, not after `start`.
    """
    first, last = (start - origin) // MINUTE, (end - origin) // MINUTE
    inner = np.arange(first // slot_min + 1, -(-last // slot_min)) * slot_min
    edges = np.concatenate([[first], inner, [last]]).astype(np.int64)
    return Grid(
        start=origin + first * MINUTE,
        edges_min=edges - first,
        gco2eq_per_kwh=hourly[edges[:-1] // HOUR_MIN],
    )
