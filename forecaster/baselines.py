"""Forecasts that anyone could make; a model has to beat them. Pure numpy, no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecaster.climatology import Array, Climatology
from forecaster.features import CALENDAR_FEATURES, calendar, epoch_hour
from forecaster.series import IntensityHistory

DAY_H, WEEK_H = 24, 168

Baseline: TypeAlias = Callable[[IntensityHistory, datetime, int], Array]
"""From a history, an origin and a horizon (h) to gCO2eq/kWh, shape (horizon,), NaN if unknown."""


def repeat(history: IntensityHistory, origin: datetime, horizon_h: int, *, period_h: int) -> Array:
    """Return the last period before `origin`, over and over; NaN where it was not recorded."""
    return np.resize(history.before(origin, period_h).astype(np.float64), horizon_h)


def persistence(history: IntensityHistory, origin: datetime, horizon_h: int) -> Array:
    """Return the same hour of yesterday."""
    return repeat(history, origin, horizon_h, period_h=DAY_H)


def last_week(history: IntensityHistory, origin: datetime, horizon_h: int) -> Array:
    """Return the same hour of last week."""
    return repeat(history, origin, horizon_h, period_h=WEEK_H)


def usual(climatology: Climatology) -> Baseline:
    """Return the baseline that forecasts the climatology, whatever has been recorded."""

    def forecast(history: IntensityHistory, origin: datetime, horizon_h: int) -> Array:
        if history.grid_zone not in climatology:
            return np.full(horizon_h, np.nan)
        return climatology.profile_from(history.grid_zone, origin, horizon_h)[0]

    return forecast


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """One linear map per grid zone, from a week and the clock to the next day."""

    maps: Mapping[str, Array]
    """Shape (168 + calendar + 1, 24) each; of distances from the week's mean."""

    def __call__(self, history: IntensityHistory, origin: datetime, horizon_h: int) -> Array:
        """Forecast; hours beyond 24 repeat the first day."""
        weights = self.maps.get(history.grid_zone)
        week = history.before(origin, WEEK_H).astype(np.float64)
        if weights is None or not np.isfinite(week).any():
            return np.full(horizon_h, np.nan)
        inputs, mean = _inputs(week[None], np.array([epoch_hour(origin)]))
        return np.resize((inputs @ weights)[0] + mean[0, 0], horizon_h)


def fit_ridge(
    histories: Mapping[str, IntensityHistory], until: datetime, *, penalty: float = 1e-2
) -> Ridge:
    """Fit on all hours before `until`; a grid zone with fewer than four weeks gets no map.

    Args:
        histories: Recorded hours.
        until: No later hour is looked at.
        penalty: Weight of the squared map against the mean squared error.
    """
    maps: dict[str, Array] = {}
    for grid_zone, history in histories.items():
        known = history.cut_before(until)
        values = known.gco2eq_per_kwh.astype(np.float64)
        if len(values) < 4 * WEEK_H:
            continue
        cuts = sliding_window_view(values, WEEK_H + DAY_H)
        good = np.isfinite(cuts).all(axis=1)
        if good.sum() < WEEK_H:
            continue
        origins = epoch_hour(known.start) + WEEK_H + np.flatnonzero(good)
        inputs, mean = _inputs(cuts[good, :WEEK_H], origins)
        targets = cuts[good, WEEK_H:] - mean
        # Distances are in gCO2eq/kWh, so the penalty is taken relative to their variance.
        weight = penalty * len(inputs) * max(float(inputs[:, :WEEK_H].var()), 1e-6)
        ridge = np.r_[np.full(WEEK_H, weight), np.full(CALENDAR_FEATURES + 1, 1e-3)]
        gram = inputs.T @ inputs + np.diag(ridge)
        maps[grid_zone] = np.linalg.solve(gram, inputs.T @ targets)
    return Ridge(maps)


def _inputs(weeks: Array, origins: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return distances from each week's mean (0 where missing) and calendar; and the mean."""
    mean = np.nanmean(weeks, axis=1, keepdims=True)
    clock = calendar(origins).astype(np.float64)
    distance = np.nan_to_num(weeks - mean, nan=0.0)
    return np.concatenate([distance, clock, np.ones((len(weeks), 1))], axis=1), mean
