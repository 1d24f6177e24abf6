"""Makes forecasts as if in the past, and what the baselines would have said, to be scored.

Each forecast sees only what was recorded before its origin; the baselines are fitted on the
hours before the first origin. `forecaster.scores` says how good they were.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forecaster.baselines import Baseline, fit_baselines, past_weeks
from forecaster.climatology import Array
from forecaster.series import HOUR, IntensityHistory, Method, ZoneForecast, checked_hour

if TYPE_CHECKING:
    from forecaster.inference import Forecaster

DAY_H = 24
QUANTILES = 3
"""p10, p50, p90."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZoneTrial:
    """All forecasts of one grid zone, beside the baselines and what came."""

    grid_zone: str
    actual: Array
    """gCO2eq/kWh, shape (origins, horizon); NaN where not recorded."""
    quantiles: Array
    """p10, p50, p90, shape (origins, 3, horizon); NaN where there was no forecast."""
    baselines: Mapping[str, Array]
    """By name, shape (origins, horizon) each; NaN where unknown."""
    by_network: NDArray[np.bool_]
    """Which forecasts the network made, the others being climatology; shape (origins,)."""

    @property
    def there(self) -> NDArray[np.bool_]:
        """What can be scored fairly: a forecast, a yesterday and an outcome."""
        known = np.isfinite(self.actual) & np.isfinite(self.baselines["persistence"])
        return known & np.isfinite(self.quantiles[:, 1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """All forecasts of one backtest."""

    begin: datetime
    end: datetime
    origins: tuple[datetime, ...]
    """When the forecasts were made, ascending, UTC."""
    zones: tuple[ZoneTrial, ...]
    """One per grid zone that has something to score."""
    not_scored: tuple[str, ...]
    """Grid zones that have not."""
    horizon_h: int
    model_version: str


def run_backtest(  # noqa: PLR0913 - all but two are options
    forecaster: "Forecaster",
    histories: Mapping[str, IntensityHistory],
    *,
    begin: datetime,
    end: datetime,
    hours: Sequence[int] = (0,),
    horizon_h: int = DAY_H,
    leave_out: Collection[str] = (),
    on_origin: Callable[[datetime], None] = lambda _origin: None,
) -> Trial:
    """Forecast from some hours of each day of [begin, end), from what was recorded before.

    Args:
        forecaster: What is tried.
        histories: Recorded hours, before and in the span.
        begin: 00:00 UTC of the first day.
        end: 00:00 UTC after the last day.
        hours: Hours of the day (UTC) at which forecasts are made.
        horizon_h: How far each goes, 1 to 168.
        leave_out: Grid zones that serve as neighbours but are not scored.
        on_origin: Called after each origin, to show progress.

    Raises:
        ValueError: If the span is empty or not of whole days, an hour is none, or nothing in
            the span can be scored.
    """
    origins = _origins(begin, end, hours)
    scored = [zone for zone in histories if zone not in leave_out]
    made: dict[str, list[ZoneForecast | None]] = {zone: [] for zone in scored}
    for origin in origins:
        forecast = forecaster.forecast(histories, origin, horizon_h=horizon_h, source="backtest")
        by_zone = {zone.grid_zone: zone for zone in forecast.zones}
        for zone, list_of in made.items():
            list_of.append(by_zone.get(zone))
        on_origin(origin)
    baselines = fit_baselines({zone: histories[zone] for zone in scored}, origins[0])
    zones = [
        _zone_trial(histories[zone], origins, made[zone], baselines, horizon_h) for zone in scored
    ]
    there = tuple(zone for zone in zones if zone.there.any())
    if not there:
        raise ValueError(
            f"expected recorded hours from {begin.date()} to {end.date()}, found none to score"
        )
    return Trial(
        begin=begin,
        end=end,
        origins=origins,
        zones=there,
        not_scored=tuple(zone.grid_zone for zone in zones if not zone.there.any()),
        horizon_h=horizon_h,
        model_version=forecaster.version,
    )


def _origins(begin: datetime, end: datetime, hours: Sequence[int]) -> tuple[datetime, ...]:
    begin, end = checked_hour(begin, of="begin"), checked_hour(end, of="end")
    days = (end - begin) // timedelta(days=1)
    if days < 1 or begin.hour or end.hour:
        raise ValueError(
            f"expected whole days, begin before end, found {begin.isoformat()} to {end.isoformat()}"
        )
    wrong = [hour for hour in hours if not 0 <= hour < DAY_H]
    if wrong or not hours:
        raise ValueError(f"hours: expected some of 0 to 23, found {wrong or 'none'}")
    return tuple(
        begin + timedelta(days=day) + hour * HOUR
        for day in range(days)
        for hour in sorted(set(hours))
    )


def _zone_trial(
    history: IntensityHistory,
    origins: Sequence[datetime],
    made: Sequence[ZoneForecast | None],
    baselines: Mapping[str, Baseline],
    horizon_h: int,
) -> ZoneTrial:
    weeks = past_weeks(history, origins)
    missing = np.full((QUANTILES, horizon_h), np.nan)
    quantiles = [missing if zone is None else (zone.p10, zone.p50, zone.p90) for zone in made]
    return ZoneTrial(
        grid_zone=history.grid_zone,
        actual=np.array([history.window(o, horizon_h) for o in origins], dtype=np.float64),
        quantiles=np.array(quantiles, dtype=np.float64),
        baselines={name: baseline(weeks, horizon_h) for name, baseline in baselines.items()},
        by_network=np.array([zone is not None and zone.method is Method.TCN for zone in made]),
    )
