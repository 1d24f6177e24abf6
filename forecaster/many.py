"""Forecasts from many origins at once, for replays of the past: the same numbers, in chunks.

One by one a half year of hourly origins takes minutes; the network is asked for hundreds of
windows at a time here, and what follows its hours is computed for all origins together.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecaster.ahead import ANCHOR_H, FASTEST, LEVEL_LASTS_H, MOST_SPREADS, SLOW_H
from forecaster.baselines import WEEK_H, Baseline, PastWeeks
from forecaster.climatology import P90_IN_SPREADS, Array, Climatology, bounded
from forecaster.features import epoch_hour
from forecaster.inference import Forecaster
from forecaster.prediction import predict
from forecaster.series import HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH, HOUR, IntensityHistory

CHUNK = 128
"""Origins at a time: enough to keep the processor busy, little enough for its caches."""

Many = NDArray[np.float32]
"""Quantiles 10, 50, 90 %, gCO2eq/kWh, shape (origins, grid zones, hours, 3)."""


def forecast_many(  # noqa: PLR0913 - what is forecast, from when, how far
    forecaster: Forecaster,
    histories: Mapping[str, IntensityHistory],
    grid_zones: Sequence[str],
    first: datetime,
    *,
    origins: int,
    every_h: int,
    horizon_h: int,
    on_part: Callable[[float], None] = lambda _share: None,
) -> Many:
    """Forecast `grid_zones` from `first` and every `every_h` hours after it.

    Args:
        forecaster: its network makes the first hours, its climatology the others.
        histories: recorded hours by grid zone; each origin sees only those before it.
        grid_zones: all recorded without a gap from 168 h before `first` on.
        first: the first origin, an aware full hour.
        origins: how many.
        every_h: hours between two origins.
        horizon_h: hours ahead.
        on_part: called with the share that is newly done, to show progress.

    Raises:
        ValueError: a grid zone is unknown to network or climatology, or has gaps.
    """
    _check(forecaster, histories, grid_zones, first, (origins - 1) * every_h)
    steps = np.arange(origins) * every_h
    day = _by_network(forecaster, histories, grid_zones, first=first, steps=steps, on_part=on_part)
    made = day.shape[2]
    if horizon_h <= made:
        return day[:, :, :horizon_h]
    found = np.empty((origins, len(grid_zones), horizon_h, 3), dtype=np.float32)
    found[:, :, :made] = day
    for row, grid_zone in enumerate(grid_zones):
        found[:, row, made:] = _beyond(
            _climatology(forecaster, grid_zone),
            histories[grid_zone],
            day[:, row].astype(np.float64),
            first=first,
            steps=steps,
            hours=horizon_h - made,
        )
    return found


def baseline_many(  # noqa: PLR0913 - as above
    baseline: Baseline,
    histories: Mapping[str, IntensityHistory],
    grid_zones: Sequence[str],
    first: datetime,
    *,
    origins: int,
    every_h: int,
    horizon_h: int,
) -> Many:
    """Forecast by a baseline; it has no quantiles, so all three are equal."""
    found = np.empty((origins, len(grid_zones), horizon_h, 3), dtype=np.float32)
    steps = np.arange(origins) * every_h
    for row, grid_zone in enumerate(grid_zones):
        known = histories[grid_zone].window(first - WEEK_H * HOUR, WEEK_H + int(steps[-1]))
        weeks = PastWeeks(
            grid_zone=grid_zone,
            origins=epoch_hour(first) + steps,
            gco2eq_per_kwh=sliding_window_view(known.astype(np.float64), WEEK_H)[steps],
        )
        found[:, row] = baseline(weeks, horizon_h)[..., None]
    return np.clip(found, 0.0, HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)


def _check(
    forecaster: Forecaster,
    histories: Mapping[str, IntensityHistory],
    grid_zones: Sequence[str],
    first: datetime,
    hours: int,
) -> None:
    lookback = forecaster.manifest.model.lookback_h
    for grid_zone in grid_zones:
        if grid_zone not in forecaster.manifest.grid_zones:
            known = ", ".join(forecaster.manifest.grid_zones)
            raise ValueError(
                f"expected grid zones that the network knows ({known}), found {grid_zone}"
            )
        seen = histories[grid_zone].window(first - lookback * HOUR, lookback + hours)
        if not np.isfinite(seen).all():
            begin = first - lookback * HOUR
            raise ValueError(
                f"{grid_zone}: expected every hour from {begin:%Y-%m-%d %H:%M} on, found"
                f" {int((~np.isfinite(seen)).sum())} missing; begin later or leave it out"
            )


def _climatology(forecaster: Forecaster, grid_zone: str) -> Climatology:
    if forecaster.climatology is None or grid_zone not in forecaster.climatology:
        raise ValueError(f"expected a climatology of {grid_zone}, found none; ask for fewer hours")
    return forecaster.climatology


def _by_network(  # noqa: PLR0913 - as above
    forecaster: Forecaster,
    histories: Mapping[str, IntensityHistory],
    grid_zones: Sequence[str],
    *,
    first: datetime,
    steps: NDArray[np.int64],
    on_part: Callable[[float], None],
) -> Many:
    known, lookback = forecaster.manifest.grid_zones, forecaster.manifest.model.lookback_h
    begin = first - lookback * HOUR
    hours = lookback + int(steps[-1])
    values = np.full((len(known), hours), np.nan, dtype=np.float32)
    for row, grid_zone in enumerate(known):
        if grid_zone in histories:
            values[row] = histories[grid_zone].window(begin, hours)
    windows = sliding_window_view(values, lookback, axis=1)
    rows = [known.index(grid_zone) for grid_zone in grid_zones]
    parts = []
    for start in range(0, len(steps), CHUNK):
        part = steps[start : start + CHUNK]
        cut = np.ascontiguousarray(windows[:, part].transpose(1, 0, 2))
        parts.append(predict(forecaster.model, cut, epoch_hour(first) + part)[:, rows])
        on_part(len(part) / len(steps))
    return np.concatenate(parts).clip(0.0, HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)


def _beyond(  # noqa: PLR0913 - as above
    climatology: Climatology,
    history: IntensityHistory,
    day: Array,
    *,
    first: datetime,
    steps: NDArray[np.int64],
    hours: int,
) -> Array:
    """Do what `ahead.anchor_at` and `ahead.extend` do, for all origins; shape (.., hours, 3)."""
    zone, made = history.grid_zone, day.shape[1]
    span = SLOW_H + int(steps[-1]) + made + hours
    mean, spread = climatology.profile_from(zone, first - SLOW_H * HOUR, span)
    known = history.window(first - SLOW_H * HOUR, SLOW_H + int(steps[-1])).astype(np.float64)
    distance = (known - mean[: len(known)]) / spread[: len(known)]
    week = sliding_window_view(distance, SLOW_H)[steps].mean(axis=1)
    level = np.clip(week, -MOST_SPREADS, MOST_SPREADS)[:, None]
    last = SLOW_H + steps[:, None] + np.arange(made - ANCHOR_H, made)
    tail = day[:, -ANCHOR_H:]
    now = ((tail[..., 1] - mean[last]) / spread[last]).mean(axis=1)
    now = np.clip(now, -MOST_SPREADS, MOST_SPREADS)[:, None]
    half = ((tail[..., 2] - tail[..., 0]) / 2 / spread[last]).mean(axis=1)[:, None]
    ahead = np.arange(1, hours + 1)
    fade = max(float(climatology.autocorrelation[climatology.index(zone)]), FASTEST) ** ahead
    lasting = level * np.exp(-ahead / LEVEL_LASTS_H)
    later = SLOW_H + steps[:, None] + made + np.arange(hours)
    middle = mean[later] + spread[later] * (lasting + (now - level) * fade)
    width = np.sqrt((half * fade) ** 2 + P90_IN_SPREADS**2 * (1 - fade**2))
    return np.stack(bounded(middle, spread[later] * width), axis=-1)
