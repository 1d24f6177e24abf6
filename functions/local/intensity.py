"""The port `IntensitySource` on the embedded cloud: recorded hours, or simulated ones."""

import math
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from forecaster.climatology.profile import load_climatology
from forecaster.history import HistoryFileError
from forecaster.series import HOUR, IntensityHistory, IntensityHour
from forecaster.simulated import simulate_history
from functions.errors import IntensityUnavailableError, InvalidInputError
from functions.local.recorded import Record, read_record

LOOKBACK_H = 168

_loading = threading.Lock()
"""Two threads that ask at once must not read the same 400,000 lines each."""


class LocalIntensity:
    """The last 168 hours before now, from a folder or drawn from the climatology."""

    def __init__(self, *, history: str, seed: int) -> None:
        """Take a folder of recorded hours or its packed file, empty for simulated, and the seed."""
        self._record = Path(history) if history else None
        self._seed = seed

    @property
    def name(self) -> str:
        """Source and basis as printed beside numbers; says `simulated` where it is."""
        if self._record is None:
            return f"simulated (seed {self._seed}), life-cycle average"
        return f"recorded, {_recorded(self._record).attribution}, life-cycle average"

    def recent_hours(self, grid_zone: str, now: datetime) -> Sequence[IntensityHour]:
        """Return the recorded of the 168 hours before the one that `now` is in, ascending.

        Raises:
            IntensityUnavailableError: there are none; the message says what there is.
            InvalidInputError: the folder's files cannot be read.
        """
        end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        begin = end - LOOKBACK_H * HOUR
        with _loading:
            found = [
                hour
                for history in self._histories(grid_zone, begin, end)
                for hour in _hours(history, begin, end)
            ]
        if not found:
            raise IntensityUnavailableError(
                f"{grid_zone}: expected hours from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M},"
                f" found none ({self.name}). Start the demo within the recorded time."
            )
        return found

    def _histories(
        self, grid_zone: str, begin: datetime, end: datetime
    ) -> Sequence[IntensityHistory]:
        if self._record is None:
            last = end - timedelta(seconds=1)
            years = [_simulated(year, self._seed) for year in range(begin.year, last.year + 1)]
        else:
            years = [_recorded(self._record).histories]
        return [year[grid_zone] for year in years if grid_zone in year]


@cache
def _recorded(path: Path) -> Record:
    try:
        return read_record(path)
    except HistoryFileError as error:
        raise InvalidInputError(f"intensity: {error}") from error


@cache
def _simulated(year: int, seed: int) -> Mapping[str, IntensityHistory]:
    """Return a calendar year of all grid zones: an hour is the same whenever it is asked for."""
    climatology = load_climatology()
    start = datetime(year, 1, 1, tzinfo=UTC)
    hours = (datetime(year + 1, 1, 1, tzinfo=UTC) - start) // HOUR
    # A seed of its own for each year: one year must not repeat the one before.
    year_seed = abs(seed) * 10_000 + year
    return simulate_history(climatology, climatology.grid_zones, start, hours, year_seed)


def _hours(history: IntensityHistory, begin: datetime, end: datetime) -> list[IntensityHour]:
    values = history.window(begin, (end - begin) // HOUR)
    return [
        IntensityHour(start=begin + index * HOUR, gco2eq_per_kwh=float(value))
        for index, value in enumerate(values)
        if not math.isnan(value)
    ]
