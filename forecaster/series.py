"""Words of the forecaster: recorded hours, and forecasts. Pure, no torch, no I/O."""

import dataclasses
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, AwareDatetime, Field

from forecaster.left_out import LeftOut as LeftOut  # noqa: PLC0414 - exported
from forecaster.left_out import document as document  # noqa: PLC0414 - same

HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH = 2000.0
"""Above it a value is a unit error, not a grid: lignite at its worst is about 1,500
(IPCC AR5 WG3 Annex III, life cycle, with the least efficient plants)."""


HOUR = timedelta(hours=1)


def _to_utc_hour(time: datetime) -> datetime:
    time = time.astimezone(UTC)
    if time.minute or time.second or time.microsecond:
        message = f"expected a full hour, found {time.isoformat()}"
        raise ValueError(message)
    return time


def checked_hour(time: datetime, *, of: str) -> datetime:
    """Return the full hour `time` in UTC.

    Raises:
        ValueError: If it has no time zone or is not a full hour; the message begins with `of`.
    """
    if time.tzinfo is None:
        raise ValueError(f"{of}: expected a time with its time zone, found {time.isoformat()}")
    try:
        return _to_utc_hour(time)
    except ValueError as error:
        raise ValueError(f"{of}: {error}") from error


UtcHour: TypeAlias = Annotated[AwareDatetime, AfterValidator(_to_utc_hour)]
"""An aware time at a full hour, in UTC."""

Intensity: TypeAlias = Annotated[float, Field(ge=0, le=HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH)]
"""Carbon intensity, gCO2eq/kWh."""


class Basis(StrEnum):
    """Which emissions are counted."""

    LIFECYCLE = "lifecycle"
    DIRECT = "direct"


@document
class IntensityHour:
    """Average carbon intensity of one hour of one grid zone, as recorded."""

    start: UtcHour
    """Begin of the hour."""
    gco2eq_per_kwh: Intensity
    """Average intensity, gCO2eq/kWh; a missing hour is absent, never 0."""
    estimated: bool = False
    """Whether the publisher estimated it."""


@document
class IntensityDay:
    """All hours of one UTC day of one grid zone that were ever fetched."""

    grid_zone: str
    """Electricity Maps zone key, such as `DE`."""
    day: date
    """The day, UTC."""
    basis: Basis
    """Accounting basis."""
    source: str
    """Who published it; says `simulated` where it is."""
    hours: tuple[IntensityHour, ...]
    """Ascending, without duplicates; missing hours are absent."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    def __post_init__(self) -> None:
        """Refuse hours that are out of order, doubled, or of another day."""
        starts = [hour.start for hour in self.hours]
        if starts != sorted(set(starts)):
            message = "hours: expected ascending hours without duplicates"
            raise ValueError(message)
        strangers = [start for start in starts if start.date() != self.day]
        if strangers:
            message = f"hours: expected hours of {self.day}, found {strangers[0].isoformat()}"
            raise ValueError(message)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IntensityHistory:
    """Recorded intensity of one grid zone, hour by hour; an hour without a value is NaN."""

    grid_zone: str
    """Electricity Maps zone key, such as `DE`."""
    start: datetime
    """Begin of the first hour, aware, a full hour; kept in UTC."""
    gco2eq_per_kwh: NDArray[np.float32]
    """Average intensity, gCO2eq/kWh, shape (hours,); NaN where missing. A read-only copy."""
    basis: Basis = Basis.LIFECYCLE
    """Accounting basis."""

    def __post_init__(self) -> None:
        """Refuse naive or uneven times and impossible values, and copy the values.

        Raises:
            ValueError: If one is found; the message names the grid zone and the first offence.
        """
        object.__setattr__(self, "start", checked_hour(self.start, of=self.grid_zone))
        values = np.array(self.gco2eq_per_kwh, dtype=np.float32)
        if values.ndim != 1:
            raise ValueError(f"{self.grid_zone}: expected shape (hours,), found {values.shape}")
        # A comparison with NaN is false, and a NaN is a gap, not an offence.
        wrong = np.flatnonzero((values < 0) | (values > HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH))
        if wrong.size:
            at = self.start + timedelta(hours=int(wrong[0]))
            raise ValueError(
                f"{self.grid_zone}: expected 0 to {HIGHEST_PLAUSIBLE_GCO2EQ_PER_KWH:.0f}"
                f" gCO2eq/kWh, found {values[wrong[0]]:g} at {at.isoformat()} ({wrong.size} such"
                " hours); check the unit and the column"
            )
        values.setflags(write=False)
        object.__setattr__(self, "gco2eq_per_kwh", values)

    @classmethod
    def from_hours(
        cls,
        grid_zone: str,
        hours: Iterable[tuple[datetime, float]],
        *,
        basis: Basis = Basis.LIFECYCLE,
    ) -> Self:
        """Order recorded `(begin of the hour, gCO2eq/kWh)` pairs; absent hours become NaN.

        Raises:
            ValueError: If there is no hour, a time is naive, uneven or there twice, or a value
                is impossible.
        """
        pairs = [(checked_hour(time, of=grid_zone), value) for time, value in hours]
        if not pairs:
            raise ValueError(f"{grid_zone}: expected at least one recorded hour, found none")
        start = min(time for time, _ in pairs)
        index = [int((time - start) / HOUR) for time, _ in pairs]
        counts = np.bincount(index)
        if counts.max() > 1:
            at = start + int(counts.argmax()) * HOUR
            raise ValueError(
                f"{grid_zone}: expected each hour once, found {at.isoformat()}"
                f" {counts.max()} times; remove the duplicates"
            )
        values = np.full(len(counts), np.nan, dtype=np.float32)
        values[index] = [value for _, value in pairs]
        return cls(grid_zone=grid_zone, start=start, gco2eq_per_kwh=values, basis=basis)

    @property
    def end(self) -> datetime:
        """End of the last hour."""
        return self.start + len(self.gco2eq_per_kwh) * HOUR

    def cut_before(self, origin: datetime) -> "PastHistory":
        """Return the hours that ended at `origin` or before: all that was knowable then.

        Raises:
            ValueError: If `origin` is naive or not a full hour.
        """
        origin = checked_hour(origin, of="origin")
        keep = int((origin - self.start) / HOUR)
        return PastHistory(
            grid_zone=self.grid_zone,
            start=min(self.start, origin),
            gco2eq_per_kwh=self.gco2eq_per_kwh[: max(keep, 0)],
            basis=self.basis,
            origin=origin,
        )

    def window(self, begin: datetime, hours: int) -> NDArray[np.float32]:
        """Return the `hours` values from `begin` on, shape (hours,); NaN outside the record."""
        first = int((checked_hour(begin, of="begin") - self.start) / HOUR)
        values = np.full(hours, np.nan, dtype=np.float32)
        low, high = max(first, 0), min(first + hours, len(self.gco2eq_per_kwh))
        if low < high:
            values[low - first : high - first] = self.gco2eq_per_kwh[low:high]
        return values

    def before(self, origin: datetime, hours: int) -> NDArray[np.float32]:
        """Return the last `hours` values before `origin`, shape (hours,), NaN where missing."""
        return self.window(origin - hours * HOUR, hours)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PastHistory(IntensityHistory):
    """What was knowable at `origin`; a value of this type cannot hold a later hour."""

    origin: datetime
    """Begin of the first hour that is to be forecast, aware, a full hour."""

    def __post_init__(self) -> None:
        """Refuse hours that end after `origin`, and all that a history refuses.

        Raises:
            ValueError: If one is found; the message names the grid zone and the first offence.
        """
        # `super()` without arguments does not know the class that `slots` makes anew.
        IntensityHistory.__post_init__(self)
        object.__setattr__(self, "origin", checked_hour(self.origin, of=self.grid_zone))
        if self.end > self.origin:
            late = max(self.start, self.origin)
            raise ValueError(
                f"{self.grid_zone}: expected hours before the origin {self.origin.isoformat()},"
                f" found {late.isoformat()}: it was not knowable then; cut the history before it"
            )


class Method(StrEnum):
    """How the forecast of a grid zone was made, best first."""

    TCN = "tcn"
    CLIMATOLOGY = "climatology"


@document
class ZoneForecast:
    """Forecast of one grid zone; entry i is the hour that starts at origin + i hours."""

    grid_zone: str
    """Electricity Maps zone key."""
    p10: tuple[Intensity, ...]
    """10 % quantile, gCO2eq/kWh, one per hour of the horizon."""
    p50: tuple[Intensity, ...]
    """Median."""
    p90: tuple[Intensity, ...]
    """90 % quantile."""
    method: Method
    """How the hours of the network's horizon were made; what lies beyond is climatology."""
    history_h: Annotated[int, Field(ge=0)]
    """Recorded hours among the last 168 before the origin that it rests on."""

    def __post_init__(self) -> None:
        """Refuse quantiles of different length or order."""
        if not len(self.p10) == len(self.p50) == len(self.p90) > 0:
            message = (
                "p10, p50, p90: expected the same length above 0, found"
                f" {len(self.p10)}, {len(self.p50)}, {len(self.p90)}"
            )
            raise ValueError(message)
        triples = enumerate(zip(self.p10, self.p50, self.p90, strict=True))
        crossed = [i for i, (low, mid, high) in triples if not low <= mid <= high]
        if crossed:
            message = f"expected p10 <= p50 <= p90, found otherwise {crossed[0]} h after the origin"
            raise ValueError(message)


@document
class Forecast:
    """Forecast of all grid zones from one origin; lead time 1 is the hour that starts there."""

    origin: UtcHour
    """When it was made, and the begin of its first hour."""
    zones: tuple[ZoneForecast, ...]
    """One per grid zone that could be forecast."""
    left_out: tuple[LeftOut, ...] = ()
    """Grid zones that could not."""
    basis: Basis = Basis.LIFECYCLE
    """Accounting basis."""
    model_version: str
    """Fingerprint of the model's artifact."""
    source: str
    """Where the history came from; says `simulated` where it is."""
    schema_version: Literal[1] = 1
    """Version of this document."""

    @property
    def horizon_h(self) -> int:
        """Hours that all zones cover."""
        return min((len(zone.p50) for zone in self.zones), default=0)

    @property
    def end(self) -> datetime:
        """End of the last hour that all zones cover."""
        return self.origin + timedelta(hours=self.horizon_h)

    def zone(self, grid_zone: str) -> ZoneForecast | None:
        """Return the forecast of `grid_zone`, `None` if there is none."""
        return next((zone for zone in self.zones if zone.grid_zone == grid_zone), None)
