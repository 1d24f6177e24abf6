"""What the clock alone says about an hour. Pure numpy; knows no history and no grid zone.

`calendar` describes each hour of a window briefly; `clock` describes one hour richly, so
that a linear map of it can follow the day's shape through weekdays and seasons.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecaster.series import HOUR, checked_hour

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""
SATURDAY = 5
YEAR_H = 24 * 365.2425

CALENDAR_FEATURES = 9
"""Columns of `calendar`."""
DAY_WAVES, YEAR_WAVES = 3, 2
"""Harmonics of the day and of the year in `clock`."""
HOUR_COLUMNS = slice(0, 2 * DAY_WAVES)
YEAR_COLUMNS = slice(HOUR_COLUMNS.stop, HOUR_COLUMNS.stop + 2 * YEAR_WAVES)
LEAD_COLUMNS = slice(0, YEAR_COLUMNS.stop + 7)
"""Of `clock`, without the products: hour of day, time of year, day of week."""
CLOCK_FEATURES = LEAD_COLUMNS.stop + 2 * DAY_WAVES * (2 * YEAR_WAVES + 7) + 1
"""Columns of `clock`."""


def epoch_hour(time: datetime) -> int:
    """Return the hours since 1970-01-01 00:00 UTC.

    Raises:
        ValueError: If `time` is naive or not a full hour.
    """
    return int((checked_hour(time, of="time") - EPOCH) / HOUR)


def is_weekend(epoch_hours: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which hours are on a Saturday or Sunday, UTC."""
    weekend: NDArray[np.bool_] = (epoch_hours // 24 + EPOCH_WEEKDAY) % 7 >= SATURDAY
    return weekend


def calendar(epoch_hours: NDArray[np.int64]) -> NDArray[np.float32]:
    """Describe hours by time of day (4), day of week (3) and time of year (2), all in [-1, 1].

    Args:
        epoch_hours: Any shape (...).

    Returns:
        Shape (..., CALENDAR_FEATURES).
    """
    hours = np.asarray(epoch_hours, dtype=np.int64)
    day = 2 * np.pi * (hours % 24) / 24
    week = 2 * np.pi * ((hours // 24 + EPOCH_WEEKDAY) % 7) / 7
    year = 2 * np.pi * (hours % YEAR_H) / YEAR_H
    columns = [
        *(np.sin(day), np.cos(day), np.sin(2 * day), np.cos(2 * day)),
        *(np.sin(week), np.cos(week), is_weekend(hours)),
        *(np.sin(year), np.cos(year)),
    ]
    return np.stack([np.asarray(column, dtype=np.float32) for column in columns], axis=-1)


def clock(epoch_hours: NDArray[np.int64]) -> NDArray[np.float32]:
    """Describe hours by harmonics of day and year, day of week, their products, and 1.

    The products let the shape of the day differ between seasons and between weekdays.
    Harmonics have a mean square of 1.

    Args:
        epoch_hours: Any shape (...).

    Returns:
        Shape (..., CLOCK_FEATURES).
    """
    hours = np.asarray(epoch_hours, dtype=np.int64)
    of_day = _waves(hours % 24 / 24, DAY_WAVES)
    of_year = _waves(hours % YEAR_H / YEAR_H, YEAR_WAVES)
    weekday = np.eye(7)[(hours // 24 + EPOCH_WEEKDAY) % 7]
    seasonal = of_day[..., :, None] * of_year[..., None, :]
    weekly = of_day[..., :, None] * weekday[..., None, :]
    flat = (*hours.shape, -1)
    columns = [of_day, of_year, weekday, seasonal.reshape(flat), weekly.reshape(flat)]
    return np.concatenate([*columns, np.ones((*hours.shape, 1))], axis=-1).astype(np.float32)


def _waves(phase: NDArray[np.floating[Any]], count: int) -> NDArray[np.float64]:
    """Return sine and cosine of the first `count` harmonics, shape (..., 2 * count)."""
    angles = 2 * np.pi * phase[..., None] * np.arange(1, count + 1)
    pairs = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    waves: NDArray[np.float64] = np.sqrt(2) * pairs.reshape(*phase.shape, 2 * count)
    return waves
