"""Climatology anchored at what is known: goes on where a forecast ends. Pure numpy."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from forecaster.climatology import P90_IN_SPREADS, Array, Climatology, bounded
from forecaster.series import HOUR, IntensityHistory

ANCHOR_H = 6
"""Hours of the end of what is known over which the anchor is averaged."""
SLOW_H = 168
"""A week: how long the level of the recent past is looked at."""
LEVEL_LASTS_H = 240.0
"""Time in which the recent level loses all but 1/e: weather regimes last 5 to 15 days."""
FASTEST = 0.8
"""Least autocorrelation used, so that the transition is smooth even where little is known."""
MOST_SPREADS = 4.0
"""An anchor further from the profile than this is cut: levels shift, but not for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Where a grid zone stands against its climatology, in spreads."""

    now: float = 0.0
    """At the end of what is known."""
    level: float = 0.0
    """Over the week before; 0 where unknown."""
    half_width: float = P90_IN_SPREADS
    """Of p90 above p50 at the end of what is known; the usual spread where unknown."""


def level_of(climatology: Climatology, history: IntensityHistory, origin: datetime) -> float:
    """Return the mean distance from the climatology over the recorded hours of last week."""
    return _mean_distance(climatology, history.grid_zone, history.before(origin, SLOW_H), origin)


def anchor_at(
    climatology: Climatology,
    grid_zone: str,
    quantiles: tuple[Array, Array, Array],
    end: datetime,
    *,
    level: float,
) -> Anchor:
    """Return the anchor at the `end` of a forecast; its quantiles have shape (hours,)."""
    low, mid, high = (values[-ANCHOR_H:] for values in quantiles)
    _, spread = climatology.profile_from(grid_zone, end - len(mid) * HOUR, len(mid))
    return Anchor(
        now=_mean_distance(climatology, grid_zone, mid, end),
        level=level,
        half_width=float(np.mean((high - low) / 2 / spread)),
    )


def anchor_in_history(
    climatology: Climatology, history: IntensityHistory, origin: datetime
) -> Anchor:
    """Return the anchor at `origin` of a grid zone that has but a few recorded hours."""
    level = level_of(climatology, history, origin)
    recent = history.before(origin, 24)
    now = _mean_distance(climatology, history.grid_zone, recent, origin) or level
    return Anchor(now=now, level=level)


def extend(
    climatology: Climatology, grid_zone: str, begin: datetime, hours: int, *, anchor: Anchor
) -> tuple[Array, Array, Array]:
    """Return p10, p50, p90 of the `hours` hours from `begin` on, where the anchor is.

    The distance at the anchor fades with the grid zone's own autocorrelation into that of
    the recent level, and this, more slowly, into the climatology; the width grows likewise.
    """
    mean, spread = climatology.profile_from(grid_zone, begin, hours)
    ahead = np.arange(1, hours + 1)
    fade = max(float(climatology.autocorrelation[climatology.index(grid_zone)]), FASTEST) ** ahead
    level = anchor.level * np.exp(-ahead / LEVEL_LASTS_H)
    middle = mean + spread * (level + (anchor.now - anchor.level) * fade)
    width = np.sqrt((anchor.half_width * fade) ** 2 + P90_IN_SPREADS**2 * (1 - fade**2))
    return bounded(middle, spread * width)


def _mean_distance(
    climatology: Climatology, grid_zone: str, values: Array | np.ndarray, end: datetime
) -> float:
    begin = end - len(values) * HOUR
    mean, spread = climatology.profile_from(grid_zone, begin, len(values))
    distance = (np.asarray(values, dtype=np.float64) - mean) / spread
    there = distance[np.isfinite(distance)]
    return float(np.clip(there.mean(), -MOST_SPREADS, MOST_SPREADS)) if there.size else 0.0
