"""What was recorded, and what was forecast of it, hour by hour, as arrays."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ANCHOR_LASTS = 0.9
"""Share of an observed error that is believed to be still there an hour later.

Of 0.8, 0.9 and 0.95 it saved most with forecasts every 6 hours, 2024-01 to 2024-06 (docs).
"""
P10, P50, P90 = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """All grid zones on one time axis; hour 0 is the first that a job may use."""

    grid_zones: tuple[str, ...]
    actual: Floats
    """Recorded intensity, gCO2eq/kWh, shape (zones, hours), no gaps."""
    forecasts: NDArray[np.float32]
    """Quantiles 10, 50, 90 %, gCO2eq/kWh, shape (origins, zones, lead hours, 3)."""
    every_h: int = 1
    """Hours from one origin to the next; the first origin is hour 0."""
    _last: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse gaps and shapes that do not belong together.

        Raises:
            ValueError: one is found.
        """
        zones = len(self.grid_zones)
        if self.actual.shape[0] != zones or self.forecasts.shape[1] != zones:
            raise ValueError(
                f"expected {zones} zones, found {self.actual.shape[0]} recorded and"
                f" {self.forecasts.shape[1]} forecast"
            )
        if not np.isfinite(self.actual).all():
            raise ValueError("actual: expected recorded hours without gaps, found some missing")
        object.__setattr__(self, "_last", np.cumsum(self.actual, axis=1))

    def seen(self, hours: Ints, places: Ints, ahead_h: int) -> Floats:
        """Return the newest forecast at each of `hours`, for the hours from there on.

        Between two forecasts the last one is moved by its error in the hour just recorded, which
        fades: what is observed is never left unused.

        Args:
            hours: present hour of each job, shape (jobs,).
            places: zones of each job, shape (jobs, places).
            ahead_h: hours to return; beyond the forecast's end its last day is repeated.

        Returns:
            Shape (jobs, places, ahead_h, 3).
        """
        origins = hours // self.every_h
        late = hours - origins * self.every_h
        leads = late[:, None] + np.arange(ahead_h)
        length = self.forecasts.shape[2]
        over = np.maximum(leads - (length - 1), 0)
        leads = leads - -(-over // 24) * 24
        found = self.forecasts[origins[:, None, None], places[:, :, None], leads[:, None, :]]
        quantiles: Floats = found.astype(np.float64)
        behind = np.flatnonzero(late)
        if behind.size:
            at, lead = hours[behind] - 1, late[behind] - 1
            told = self.forecasts[origins[behind, None], places[behind], lead[:, None], P50]
            error = self.actual[places[behind], at[:, None]] - told
            fading = ANCHOR_LASTS ** np.arange(1, ahead_h + 1)
            quantiles[behind] += (error[:, :, None] * fading)[..., None]
            np.maximum(quantiles, 0.0, out=quantiles)
        return quantiles

    def emitted(self, places: Ints, begin_min: Ints, end_min: Ints) -> Floats:
        """Return intensity x time between two minutes, gCO2eq/kWh x h, shape of the arguments."""
        return self._until(places, end_min) - self._until(places, begin_min)

    def _until(self, places: Ints, minute: Ints) -> Floats:
        hour = minute // 60
        last = self.actual.shape[1] - 1
        before = np.where(hour > 0, self._last[places, np.clip(hour - 1, 0, last)], 0.0)
        part: Floats = before + (minute % 60) / 60 * self.actual[places, np.minimum(hour, last)]
        return part
