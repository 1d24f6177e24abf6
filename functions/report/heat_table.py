"""The heat strip of a page: grid zones x hours as a table that is read, heard and printed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forecaster.series import HOUR, Forecast
from functions.domain.regions import REGIONS
from functions.report.documents import JobDocuments
from functions.report.shades import STOPS, Scale
from functions.report.timeline import Cell, Mark, earliest_forecast_of, heat_map

_TICK_H = 6
_LABEL_COLUMNS = 4
_KINDS = {Mark.DONE: "ran", Mark.NOW: "now", Mark.PLANNED: "planned", Mark.NONE: ""}
_PLACES = {region.grid_zone: f"{region.place} ({region.name})" for region in REGIONS.values()}
_HINT = "Point at an hour, touch it, or use the arrow keys."


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """One hour of one grid zone."""

    kind: str
    """Class of its look: where the job is, and whether it is the first hour of the forecast."""
    style: str
    told: str
    """In words, with all that is known."""
    short: str
    """For who hears the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatRow:
    """One grid zone."""

    grid_zone: str
    place: str
    cells: tuple[HeatCell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatTable:
    """What is shown, with its legend."""

    caption: str
    ticks: tuple[str, ...]
    rows: tuple[HeatRow, ...]
    low: str
    high: str
    is_job: bool
    ramp: str = ", ".join(STOPS)
    hint: str = _HINT


def job_heat(documents: JobDocuments) -> HeatTable:
    """Return the strip of a job: recorded or newest forecast, the first forecast, and the way."""
    heat = heat_map(documents)
    scale = Scale(low=heat.span[0], high=heat.span[1])
    rows = []
    for row in heat.rows:
        cells: list[HeatCell] = []
        for hour, cell in zip(heat.hours, row.cells, strict=True):
            first = earliest_forecast_of(documents.forecasts, row.grid_zone, hour)
            is_edge = bool(cells) and not cell.actual and row.cells[len(cells) - 1].actual
            cells.append(_job_cell(row.grid_zone, hour, cell, first, scale, is_edge=is_edge))
        rows.append(
            HeatRow(grid_zone=row.grid_zone, place=_place(row.grid_zone), cells=tuple(cells))
        )
    return HeatTable(
        caption=(
            "Grid zones by hour. Each cell: above, recorded (right of the line: forecast);"
            " below, what the first plan foresaw"
        ),
        ticks=_ticks(heat.hours),
        rows=tuple(rows),
        low=f"{heat.span[0]:.0f}",
        high=f"{heat.span[1]:.0f}",
        is_job=True,
    )


def grid_heat(forecast: Forecast, now: datetime, *, hours: int = 24) -> HeatTable:
    """Return the strip of all grid zones, the cleanest one first."""
    zones = sorted(forecast.zones, key=lambda zone: sum(zone.p50[:hours]) / len(zone.p50[:hours]))
    values = [value for zone in zones for value in zone.p50[:hours]]
    scale = Scale(low=min(values, default=0.0), high=max(values, default=1.0))
    times = [forecast.origin + i * HOUR for i in range(max(len(z.p50[:hours]) for z in zones))]
    rows = tuple(
        HeatRow(
            grid_zone=zone.grid_zone,
            place=_place(zone.grid_zone),
            cells=tuple(
                HeatCell(
                    kind="at" if time <= now < time + HOUR else "",
                    style=f"background: {scale.colour(middle)}",
                    told=(
                        f"{_place(zone.grid_zone)}, {_hour(time)}: {middle:.0f} gCO2eq/kWh"
                        f" ({low:.0f} to {high:.0f})"
                    ),
                    short=f"{middle:.0f}",
                )
                for time, low, middle, high in zip(
                    times, zone.p10[:hours], zone.p50[:hours], zone.p90[:hours], strict=False
                )
            ),
        )
        for zone in zones
    )
    return HeatTable(
        caption="Forecast, gCO2eq/kWh, the cleanest grid zone first; framed: now",
        ticks=_ticks(times),
        rows=rows,
        low=f"{scale.low:.0f}",
        high=f"{scale.high:.0f}",
        is_job=False,
    )


def _job_cell(  # noqa: PLR0913 - what one cell shows
    zone: str,
    hour: datetime,
    cell: Cell,
    first: tuple[float, float, float] | None,
    scale: Scale,
    *,
    is_edge: bool,
) -> HeatCell:
    kind = " ".join(part for part in (_KINDS[cell.mark], "edge" if is_edge else "") if part)
    told = f"{zone} {_place(zone)}, {_hour(hour)}: "
    if cell.gco2eq_per_kwh is None:
        unknown = f"{kind} unknown".strip()
        return HeatCell(kind=unknown, style="", told=f"{told}not known", short="not known")
    word = "recorded" if cell.actual else "forecast"
    told += f"{cell.gco2eq_per_kwh:.0f} gCO2eq/kWh {word}"
    above = below = scale.colour(cell.gco2eq_per_kwh)
    if first is not None:
        below = scale.colour(first[1])
        told += f", foreseen {first[1]:.0f} ({first[0]:.0f} to {first[2]:.0f})"
    told += f"; {cell.mark.value} here" if cell.mark else ""
    return HeatCell(
        kind=kind,
        style=f"background: linear-gradient({above} 74%, {below} 74%)",
        told=told,
        short=f"{cell.gco2eq_per_kwh:.0f}{' ' + cell.mark.value if cell.mark else ''}",
    )


def _ticks(hours: Sequence[datetime]) -> tuple[str, ...]:
    # A label is as wide as some columns: at the right edge it would stick out.
    return tuple(
        ""
        if hour.hour % _TICK_H or len(hours) - i < _LABEL_COLUMNS
        else f"{hour:%-d %b}"
        if hour.hour == 0
        else f"{hour:%H:%M}"
        for i, hour in enumerate(hours)
    )


def _hour(time: datetime) -> str:
    return f"{time:%a %-d %b %H:%M} UTC"


def _place(zone: str) -> str:
    return _PLACES.get(zone, zone)
