"""What is usual: mean and spread of each grid zone by month, kind of day and hour (UTC).

Pure numpy. It stands in where there is no recent history, goes on where a forecast ends,
and drives the simulated history of the demo.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from forecaster.features import epoch_hour, is_weekend
from forecaster.series import HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH, Basis, IntensityHistory

MONTHS, KINDS_OF_DAY, HOURS = 12, 2, 24
CELLS = MONTHS * KINDS_OF_DAY * HOURS
P90_IN_SPREADS = 1.2816
"""The 90 % quantile of the normal distribution."""
SMALLEST_SPREAD = 0.01
"""Of the mean: no cell is certain."""
STRONGEST_AUTOCORRELATION = 0.999
"""So that the simulation comes back to the mean."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Climatology:
    """The usual intensity of some grid zones, gCO2eq/kWh."""

    grid_zones: tuple[str, ...]
    """In the order of the arrays."""
    mean: Array
    """Shape (grid zones, month, workday or weekend, hour UTC)."""
    spread: Array
    """Standard deviation, same shape."""
    autocorrelation: Array
    """Of the standardized residual with that of the hour before, shape (grid zones,)."""
    correlation: Array
    """Of the residuals of two grid zones in the same hour, shape (grid zones, grid zones)."""
    basis: Basis = Basis.LIFECYCLE
    """Accounting basis."""
    spans: Mapping[str, str] = field(default_factory=dict)
    """From when to when each grid zone was recorded."""

    def __contains__(self, grid_zone: object) -> bool:
        """Tell whether `grid_zone` has a profile."""
        return grid_zone in self.grid_zones

    def index(self, grid_zone: str) -> int:
        """Return the row of `grid_zone`.

        Raises:
            KeyError: If it has no profile.
        """
        if grid_zone not in self.grid_zones:
            raise KeyError(
                f"expected a grid zone with a profile ({', '.join(self.grid_zones)}),"
                f" found {grid_zone}"
            )
        return self.grid_zones.index(grid_zone)

    def profile(self, grid_zone: str, hours: Sequence[datetime]) -> tuple[Array, Array]:
        """Return the mean and the spread of the hours that begin at `hours`, shape (hours,).

        Raises:
            KeyError: If `grid_zone` has no profile.
            ValueError: If an hour is naive or not a full hour.
        """
        return self._at(grid_zone, np.array([epoch_hour(hour) for hour in hours], dtype=np.int64))

    def profile_from(self, grid_zone: str, begin: datetime, hours: int) -> tuple[Array, Array]:
        """Return the mean and the spread of the `hours` hours from `begin` on, shape (hours,).

        Raises:
            KeyError: If `grid_zone` has no profile.
            ValueError: If `begin` is naive or not a full hour.
        """
        return self._at(grid_zone, epoch_hour(begin) + np.arange(hours, dtype=np.int64))

    def _at(self, grid_zone: str, epoch_hours: NDArray[np.int64]) -> tuple[Array, Array]:
        row, cells = self.index(grid_zone), cells_of(epoch_hours)
        return self.mean[row].reshape(-1)[cells], self.spread[row].reshape(-1)[cells]

    def quantiles(self, grid_zone: str, hours: Sequence[datetime]) -> tuple[Array, Array, Array]:
        """Return p10, p50 and p90 of the hours that begin at `hours`, shape (hours,).

        Raises:
            KeyError: If `grid_zone` has no profile.
            ValueError: If an hour is naive or not a full hour.
        """
        mean, spread = self.profile(grid_zone, hours)
        return bounded(mean, P90_IN_SPREADS * spread)


def bounded(middle: Array, half_width: Array) -> tuple[Array, Array, Array]:
    """Return p10, p50 and p90 within what is plausible, never crossed."""
    low, mid, high = (
        np.clip(value, 0.0, HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)
        for value in (middle - half_width, middle, middle + half_width)
    )
    return low, mid, high


def cells_of(epoch_hours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cell (month, kind of day, hour) of each hour, an index below `CELLS`."""
    months = epoch_hours.astype("datetime64[h]").astype("datetime64[M]").astype(np.int64) % MONTHS
    kinds = is_weekend(epoch_hours).astype(np.int64)
    return (months * KINDS_OF_DAY + kinds) * HOURS + epoch_hours % HOURS


def fit_climatology(histories: Mapping[str, IntensityHistory]) -> Climatology:
    """Compute the climatology of recorded hours.

    A cell without a recorded hour takes the statistics of its hour of day over all months.

    Raises:
        ValueError: If there is no history, one has an hour of day without a value, or they
            are not of one accounting basis.
    """
    bases = {history.basis for history in histories.values()}
    if len(bases) != 1:
        raise ValueError(f"expected histories of one accounting basis, found {sorted(bases)}")
    grid_zones = tuple(sorted(histories))
    profiles = [_profile(histories[grid_zone]) for grid_zone in grid_zones]
    residuals = {
        grid_zone: _residual(histories[grid_zone], mean, spread)
        for grid_zone, (mean, spread) in zip(grid_zones, profiles, strict=True)
    }
    shape = (len(grid_zones), MONTHS, KINDS_OF_DAY, HOURS)
    return Climatology(
        grid_zones=grid_zones,
        mean=np.stack([mean for mean, _ in profiles]).reshape(shape),
        spread=np.stack([spread for _, spread in profiles]).reshape(shape),
        autocorrelation=np.array(
            [
                np.clip(_correlation(z.gap[1:], z.gap[:-1]), 0.0, STRONGEST_AUTOCORRELATION)
                for z in residuals.values()
            ]
        ),
        correlation=np.array(
            [[_overlap(residuals[a], residuals[b]) for b in grid_zones] for a in grid_zones]
        ),
        basis=bases.pop(),
        spans={
            zone: f"{histories[zone].start:%Y-%m-%d} to {histories[zone].end:%Y-%m-%d}"
            for zone in grid_zones
        },
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Residual:
    first: int
    """Epoch hour of the first value."""
    gap: Array
    """Standardized distance from the mean, NaN where missing."""


def _hours(history: IntensityHistory) -> NDArray[np.int64]:
    return epoch_hour(history.start) + np.arange(len(history.gco2eq_per_kwh), dtype=np.int64)


def _profile(history: IntensityHistory) -> tuple[Array, Array]:
    values = history.gco2eq_per_kwh.astype(np.float64)
    there = np.isfinite(values)
    cells, values = cells_of(_hours(history))[there], values[there]
    by_hour = np.bincount(cells % HOURS, minlength=HOURS)
    if not by_hour.all():
        raise ValueError(
            f"{history.grid_zone}: expected recorded values at each hour of the day,"
            f" found none at {int(np.flatnonzero(by_hour == 0)[0]):02d}:00 UTC"
        )
    mean, spread = _moments(cells, values, CELLS)
    of_hour_mean, of_hour_spread = _moments(cells % HOURS, values, HOURS)
    empty = np.isnan(mean)
    hour_of_cell = np.arange(CELLS) % HOURS
    mean[empty] = of_hour_mean[hour_of_cell][empty]
    spread[empty] = of_hour_spread[hour_of_cell][empty]
    return mean, np.maximum(spread, SMALLEST_SPREAD * np.maximum(mean, 1.0))


def _moments(cells: NDArray[np.int64], values: Array, size: int) -> tuple[Array, Array]:
    counts = np.bincount(cells, minlength=size).astype(np.float64)
    counts[counts == 0] = np.nan
    mean = np.bincount(cells, weights=values, minlength=size) / counts
    square = np.bincount(cells, weights=(values - mean[cells]) ** 2, minlength=size) / counts
    return mean, np.sqrt(square)


def _residual(history: IntensityHistory, mean: Array, spread: Array) -> _Residual:
    hours = _hours(history)
    cells = cells_of(hours)
    return _Residual(
        int(hours[0]), (history.gco2eq_per_kwh.astype(np.float64) - mean[cells]) / spread[cells]
    )


def _correlation(a: Array, b: Array) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < HOURS or a[both].std() == 0 or b[both].std() == 0:
        return 0.0
    return float(np.corrcoef(a[both], b[both])[0, 1])


def _overlap(a: _Residual, b: _Residual) -> float:
    if a is b:
        return 1.0
    first = max(a.first, b.first)
    last = min(a.first + len(a.gap), b.first + len(b.gap))
    if last <= first:
        return 0.0
    return _correlation(
        a.gap[first - a.first : last - a.first], b.gap[first - b.first : last - b.first]
    )
