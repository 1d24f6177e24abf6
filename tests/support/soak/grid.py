"""Carbon intensity that jumps from hour to hour, and a forecast that changes its mind."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

from forecaster.series import Forecast, IntensityHour, Method, ZoneForecast
from functions.errors import IntensityUnavailableError
from soak.faults import Kind

if TYPE_CHECKING:
    from soak.world import World

HOUR = timedelta(hours=1)


class Grid:
    """Source and forecaster in one: many worlds live through the same hours."""

    name = "simulated jumps"

    def __init__(self, world: "World") -> None:
        """Be away when the world's faults say so."""
        self._world = world

    def recent_hours(self, grid_zone: str, now: datetime) -> Sequence[IntensityHour]:
        """Return the last 24 hours."""
        if self._world.is_on(Kind.SOURCE_DOWN):
            raise IntensityUnavailableError(f"{grid_zone}: 503 from the source")
        end = now.replace(minute=0, second=0, microsecond=0)
        return _day_before(grid_zone, end)

    def forecast(
        self, histories: Iterable[str], origin: datetime, *, horizon_h: int, source: str
    ) -> Forecast:
        """Forecast with an error that changes with the origin."""
        zones = tuple(_foreseen(grid_zone, origin, horizon_h) for grid_zone in histories)
        return Forecast(origin=origin, zones=zones, model_version="jumps", source=source)


@cache
def _value(grid_zone: str, start: datetime) -> float:
    """Return clean or dirty hours: what lies between would seldom be worth a move."""
    dice = random.Random(f"{grid_zone}{start}")
    return dice.choice((30, 600)) * dice.uniform(0.7, 1.3)


@cache
def _hour(grid_zone: str, start: datetime) -> IntensityHour:
    return IntensityHour(start=start, gco2eq_per_kwh=_value(grid_zone, start))


@cache
def _day_before(grid_zone: str, end: datetime) -> Sequence[IntensityHour]:
    return [_hour(grid_zone, end - n * HOUR) for n in range(24, 0, -1)]


@cache
def _foreseen(grid_zone: str, origin: datetime, horizon_h: int) -> ZoneForecast:
    dice = random.Random(f"{grid_zone}{origin}")
    hours = (origin + lead * HOUR for lead in range(horizon_h))
    p50 = tuple(_value(grid_zone, hour) * dice.uniform(0.7, 1.3) for hour in hours)
    return ZoneForecast(
        grid_zone=grid_zone,
        p10=tuple(0.9 * value for value in p50),
        p50=p50,
        p90=tuple(1.1 * value for value in p50),
        method=Method.TCN,
        history_h=24,
    )
