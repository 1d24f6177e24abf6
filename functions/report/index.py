"""All jobs and the grids now, as one HTML page without any library's code: small, made hourly."""

from dataclasses import dataclass
from datetime import timedelta

from jinja2 import Environment, PackageLoader, StrictUndefined

from forecaster.series import HOUR, Forecast, LeftOut
from functions._version import __version__
from functions.domain.overview import JobLine, Overview
from functions.domain.regions import grid_zone_of
from functions.report.heat_table import grid_heat
from functions.report.rounding import rounded
from functions.report.tables import at_text

_STALE = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    job_id: str
    phase: str
    percent: int | None
    steps: str
    place: str
    deadline: str
    grams: str
    message: str


def render_index(overview: Overview) -> str:
    """Return the page; it needs no network and, without a script, loses nothing but the readout."""
    environment = Environment(
        loader=PackageLoader("functions.report", ""), autoescape=True, undefined=StrictUndefined
    )
    forecast = overview.forecast
    has_zones = forecast is not None and bool(forecast.zones)
    return environment.get_template("index.html").render(
        read_at=at_text(overview.read_at),
        source=forecast.source if forecast else "",
        simulated=forecast is not None and "simulated" in forecast.source.lower(),
        stale=_stale(overview),
        strip=grid_heat(forecast, overview.read_at) if forecast and has_zones else None,
        cleanest=_cleanest(overview) if has_zones else "",
        left_out=[f"No forecast for {z.grid_zone}: {z.reason}" for z in _left_out(forecast)],
        jobs=[_row(line) for line in overview.jobs],
        told=_told(overview),
        version=__version__,
    )


def _left_out(forecast: Forecast | None) -> tuple[LeftOut, ...]:
    return forecast.left_out if forecast else ()


def _stale(overview: Overview) -> str:
    forecast = overview.forecast
    if forecast is None or overview.read_at - forecast.origin <= _STALE:
        return ""
    return (
        f"The newest forecast is of {at_text(forecast.origin)} UTC: does the deployment's forecast"
        " run? smartscheduler doctor looks."
    )


def _cleanest(overview: Overview) -> str:
    """Return which grids are cleanest in the present hour, or the first one of the forecast."""
    forecast = overview.forecast
    if forecast is None:
        return ""
    lead = max((overview.read_at - forecast.origin) // HOUR, 0)
    now = sorted(
        (zone.p50[lead], zone.grid_zone) for zone in forecast.zones if lead < len(zone.p50)
    )
    if not now:
        return ""
    (best, zone), (worst, dirty) = now[0], now[-1]
    return (
        f"Cleanest in this hour: {zone} with {best:.0f} gCO2eq/kWh; dirtiest: {dirty} with"
        f" {worst:.0f}."
    )


def _told(overview: Overview) -> str:
    shown, total = len(overview.jobs), overview.total
    active = sum(not line.is_over for line in overview.jobs)
    more = f"; the {shown} that changed last are shown" if shown < total else ""
    return f"{total} job{'' if total == 1 else 's'}, {active} not over{more}"


def _row(line: JobLine) -> _Row:
    deadline = line.job.effective_deadline if line.job else None
    share, place = line.share_done, line.compute_zone
    return _Row(
        job_id=line.job_id,
        phase=line.phase,
        percent=None if share is None else round(100 * share),
        steps=line.steps,
        place=f"{grid_zone_of(place)} ({place})" if place else "-",
        deadline=at_text(deadline) if deadline else "-",
        grams="-" if line.emissions_gco2eq is None else rounded(line.emissions_gco2eq),
        message=line.message,
    )
