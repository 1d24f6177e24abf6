"""Grid zones x hours: intensity of each cell, and the way that the job takes through them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from forecaster.series import HOUR, Forecast
from functions.domain.regions import grid_zone_of
from functions.report.documents import JobDocuments

SHORTEST_H = 12
LONGEST_H = 36
"""36 hours at two characters each, and the labels, fill 80 columns."""


class Mark(StrEnum):
    """Where the job is in a cell."""

    NONE = ""
    DONE = "ran"
    NOW = "runs now"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One hour in one grid zone."""

    gco2eq_per_kwh: float | None
    """Recorded where `actual`, else the forecast's median; `None`: neither is known."""
    actual: bool
    """Whether it was recorded."""
    mark: Mark
    """Where the job is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All hours of one grid zone."""

    grid_zone: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """What is shown: rows of equal length."""

    start: datetime
    """Begin of the first hour, UTC."""
    now: datetime
    rows: tuple[Row, ...]

    @property
    def hours(self) -> tuple[datetime, ...]:
        """Begins of the hours."""
        count = len(self.rows[0].cells) if self.rows else 0
        return tuple(self.start + i * HOUR for i in range(count))

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest intensity, gCO2eq/kWh; (0, 1) if none is known."""
        known = [
            cell.gco2eq_per_kwh
            for row in self.rows
            for cell in row.cells
            if cell.gco2eq_per_kwh is not None
        ]
        return (min(known), max(known)) if known else (0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A time in one place."""

    grid_zone: str
    compute_zone: str
    start: datetime
    end: datetime

    def touches(self, hour: datetime) -> bool:
        """Whether it overlaps the hour that begins at `hour`."""
        return self.start < hour + HOUR and hour < self.end


def floor_hour(time: datetime) -> datetime:
    """Return the full hour at or before `time`."""
    return time.replace(minute=0, second=0, microsecond=0)


def ran(documents: JobDocuments) -> tuple[Stretch, ...]:
    """Return where and when the job's VMs have really run, ascending."""
    return tuple(
        Stretch(
            grid_zone=grid_zone_of(entry.compute_zone),
            compute_zone=entry.compute_zone,
            start=entry.started_at,
            end=entry.updated_at,
        )
        for entry in documents.ledger
    )


def planned(documents: JobDocuments) -> tuple[Stretch, ...]:
    """Return what is ahead of `read_at` by the plan in force, ascending."""
    plan, now = documents.plan, documents.read_at
    if plan is None or (documents.state is not None and not documents.state.phase.may_run):
        return ()
    return tuple(
        Stretch(
            grid_zone=interval.grid_zone,
            compute_zone=interval.compute_zone,
            start=max(interval.start, now),
            end=interval.end,
        )
        for interval in plan.intervals
        if interval.end > now
    )


def heat_map(documents: JobDocuments) -> HeatMap:
    """Return the hours from the submission to the end of run and plan, 12 to 36 of them.

    If they are more than 36, the last ones are shown.
    """
    done, ahead = ran(documents), planned(documents)
    start = floor_hour(documents.job.submitted_at)
    ends = [_looked_until(documents), *(s.end for s in (*done, *ahead))]
    count = max(SHORTEST_H, -((start - max(ends)) // HOUR))
    if count > LONGEST_H:
        start, count = start + (count - LONGEST_H) * HOUR, LONGEST_H
    hours = [start + i * HOUR for i in range(count)]
    rows = tuple(
        Row(
            grid_zone=zone,
            cells=tuple(_cell(documents, zone, hour, done, ahead) for hour in hours),
        )
        for zone in documents.grid_zones
    )
    return HeatMap(start=start, now=documents.read_at, rows=rows)


def earliest_forecast_of(
    forecasts: tuple[Forecast, ...], grid_zone: str, hour: datetime
) -> tuple[float, float, float] | None:
    """Return p10, p50, p90 of the first forecast that covers the hour: what was planned by."""
    return forecast_of(forecasts[::-1], grid_zone, hour)


def _looked_until(documents: JobDocuments) -> datetime:
    """Return now, or when the job was over: a year later its hours are still what matters."""
    state = documents.state
    if state is not None and state.phase.is_final and state.closed_at is not None:
        return min(state.closed_at, documents.read_at)
    return documents.read_at


def forecast_of(
    forecasts: tuple[Forecast, ...], grid_zone: str, hour: datetime
) -> tuple[float, float, float] | None:
    """Return p10, p50, p90 of the newest forecast that covers the hour, gCO2eq/kWh."""
    for forecast in reversed(forecasts):
        zone = forecast.zone(grid_zone)
        lead = (hour - forecast.origin) // HOUR
        if zone is not None and 0 <= lead < len(zone.p50):
            return zone.p10[lead], zone.p50[lead], zone.p90[lead]
    return None


def _cell(
    documents: JobDocuments,
    zone: str,
    hour: datetime,
    done: tuple[Stretch, ...],
    ahead: tuple[Stretch, ...],
) -> Cell:
    recorded = documents.actual.get(zone, {}).get(hour)
    foreseen = forecast_of(documents.forecasts, zone, hour)
    value = recorded.gco2eq_per_kwh if recorded else foreseen[1] if foreseen else None
    mark = _mark(documents.read_at, zone, hour, done, ahead)
    return Cell(gco2eq_per_kwh=value, actual=recorded is not None, mark=mark)


def _mark(
    now: datetime,
    zone: str,
    hour: datetime,
    done: tuple[Stretch, ...],
    ahead: tuple[Stretch, ...],
) -> Mark:
    here = hour <= now < hour + timedelta(hours=1)
    will = any(s.grid_zone == zone and s.touches(hour) for s in ahead)
    has = any(s.grid_zone == zone and s.touches(hour) for s in done)
    if here and will:
        return Mark.NOW
    if has:
        return Mark.DONE
    return Mark.PLANNED if will else Mark.NONE
