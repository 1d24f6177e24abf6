"""What the clock alone says about an hour. Pure numpy; knows no history and no grid zone."""

from datetime import UTC, datetime

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
