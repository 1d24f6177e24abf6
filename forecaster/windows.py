"""Cuts recorded hours into windows that end at an origin. Pure numpy, no torch, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from forecaster.series import HOUR, IntensityHistory

LEAST_RECORDED_H = 12
"""Of the last 24 h; with fewer the network would mostly see its own filling."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """Histories of several grid zones on one time axis, for training and backtests."""

    grid_zones: tuple[str, ...]
    start: datetime
    """Begin of the first hour."""
    gco2eq_per_kwh: NDArray[np.float32]
    """Shape (grid zones, hours); NaN where missing."""

    def index(self, time: datetime) -> int:
        """Return the column of the hour that starts at `time`; may lie outside the table."""
        return int((time - self.start) / HOUR)


def tabulate(histories: Mapping[str, IntensityHistory], grid_zones: Sequence[str]) -> Table:
    """Put the histories of `grid_zones` on one time axis; one without a history is all NaN.

    Raises:
        ValueError: If none of `grid_zones` has a history.
    """
    known = [histories[grid_zone] for grid_zone in grid_zones if grid_zone in histories]
    if not known:
        raise ValueError(
            f"expected a history of at least one of {', '.join(grid_zones)},"
            f" found those of {', '.join(histories) or 'none'}"
        )
    start = min(history.start for history in known)
    hours = int((max(history.end for history in known) - start) / HOUR)
    values = np.full((len(grid_zones), hours), np.nan, dtype=np.float32)
    for row, grid_zone in enumerate(grid_zones):
        if grid_zone in histories:
            values[row] = histories[grid_zone].window(start, hours)
    return Table(grid_zones=tuple(grid_zones), start=start, gco2eq_per_kwh=values)


def lookback(
    histories: Mapping[str, IntensityHistory],
    grid_zones: Sequence[str],
    origin: datetime,
    *,
    hours: int,
) -> NDArray[np.float32]:
    """Return the last `hours` before `origin`, shape (grid zones, hours); NaN where missing.

    It cuts each history at `origin` first, so no later value can come through.
    """
    values = np.full((len(grid_zones), hours), np.nan, dtype=np.float32)
    for row, grid_zone in enumerate(grid_zones):
        if grid_zone in histories:
            values[row] = histories[grid_zone].cut_before(origin).before(origin, hours)
    return values
