"""Forecasts that anyone could make; a model has to beat them. Pure numpy, no torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecaster.climatology import Array, Climatology, fit_climatology
from forecaster.features import CALENDAR_FEATURES, EPOCH, calendar, epoch_hour
from forecaster.series import HOUR, IntensityHistory

DAY_H, WEEK_H = 24, 168
YEAR = timedelta(days=365)

BASELINES = ("persistence", "last_week", "ridge", "climatology")
"""All of them, by the names of their scores."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PastWeeks:
    """The week before each of many origins: all that a baseline gets to see of a grid zone."""

    grid_zone: str
    origins: NDArray[np.int64]
    """Hours since 1970-01-01 00:00 UTC, shape (origins,)."""
    gco2eq_per_kwh: Array
    """Of the 168 h before each origin, shape (origins, 168); NaN where missing."""


Baseline: TypeAlias = Callable[[PastWeeks, int], Array]
"""From weeks and a horizon (h) to gCO2eq/kWh, shape (origins, horizon), NaN if unknown."""


def past_weeks(history: IntensityHistory, origins: Sequence[datetime]) -> PastWeeks:
    """Return the week before each origin, and nothing of what came after.

    Raises:
        ValueError: If an origin is naive or not a full hour.
    """
    weeks = [history.cut_before(origin).before(origin, WEEK_H) for origin in origins]
    return PastWeeks(
        grid_zone=history.grid_zone,
        origins=np.array([epoch_hour(origin) for origin in origins], dtype=np.int64),
        gco2eq_per_kwh=np.array(weeks, dtype=np.float64).reshape(len(origins), WEEK_H),
    )


def persistence(weeks: PastWeeks, horizon_h: int) -> Array:
    """Return the same hour of yesterday; further on, the same day again."""
    return _repeated(weeks.gco2eq_per_kwh[:, -DAY_H:], horizon_h)


def last_week(weeks: PastWeeks, horizon_h: int) -> Array:
    """Return the same hour of last week."""
    return _repeated(weeks.gco2eq_per_kwh, horizon_h)


def usual(climatology: Climatology) -> Baseline:
    """Return the baseline that forecasts the climatology, whatever has been recorded."""

    def forecast(weeks: PastWeeks, horizon_h: int) -> Array:
        if weeks.grid_zone not in climatology:
            return np.full((len(weeks.origins), horizon_h), np.nan)
        profiles = [
            climatology.profile_from(weeks.grid_zone, EPOCH + int(origin) * HOUR, horizon_h)[0]
            for origin in weeks.origins
        ]
        return np.array(profiles).reshape(len(weeks.origins), horizon_h)

    return forecast


def fit_baselines(
    histories: Mapping[str, IntensityHistory], until: datetime
) -> dict[str, Baseline]:
    """Return all baselines, fitted on the hours before `until`.

    The climatology needs a year of a grid zone, the ridge four weeks; elsewhere they say NaN.
    """
    known = {zone: history.cut_before(until) for zone, history in histories.items()}
    # Less than a year has no month to compare with.
    old = {z: h for z, h in known.items() if h.gco2eq_per_kwh.size and h.end - h.start >= YEAR}
    return {
        "persistence": persistence,
        "last_week": last_week,
        "ridge": fit_ridge(known, until),
        "climatology": usual(fit_climatology(old)) if old else _unknown,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """One linear map per grid zone, from a week and the clock to the next day."""

    maps: Mapping[str, Array]
    """Shape (168 + calendar + 1, 24) each; of distances from the week's mean."""

    def __call__(self, weeks: PastWeeks, horizon_h: int) -> Array:
        """Forecast; hours beyond 24 repeat the first day."""
        weights = self.maps.get(weeks.grid_zone)
        made = np.full((len(weeks.origins), DAY_H), np.nan)
        there = np.isfinite(weeks.gco2eq_per_kwh).any(axis=1)
        if weights is not None and there.any():
            inputs, mean = _inputs(weeks.gco2eq_per_kwh[there], weeks.origins[there])
            made[there] = inputs @ weights + mean
        return _repeated(made, horizon_h)


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


def _unknown(weeks: PastWeeks, horizon_h: int) -> Array:
    return np.full((len(weeks.origins), horizon_h), np.nan)


def _repeated(first: Array, horizon_h: int) -> Array:
    """Return rows of `horizon_h` hours that repeat the rows of `first` over and over."""
    times = -(-horizon_h // first.shape[1])
    return np.tile(first, (1, times))[:, :horizon_h]


def _inputs(weeks: Array, origins: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return distances from each week's mean (0 where missing) and calendar; and the mean."""
    mean = np.nanmean(weeks, axis=1, keepdims=True)
    clock = calendar(origins).astype(np.float64)
    distance = np.nan_to_num(weeks - mean, nan=0.0)
    return np.concatenate([distance, clock, np.ones((len(weeks), 1))], axis=1), mean
