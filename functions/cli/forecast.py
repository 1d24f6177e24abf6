"""Shows how clean the grids will be: from the bucket, from recorded hours, or asked for now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from forecaster.series import HOUR, Forecast, IntensityHistory, LeftOut, ZoneForecast
from functions.cli.plan import time_of
from functions.cli.strip import heat_strip, look_of
from functions.cli.suggest import known_zones
from functions.errors import InvalidInputError
from functions.handlers.overview import newest_forecast
from functions.report.timeline import Cell, HeatMap, Mark, Row
from vm_runtime.contract.codec import encode
from vm_runtime.storage import open_store

STALE = timedelta(hours=3)
"""A forecast is made each hour; an older one means that something stands still."""
_STRIP_H = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options; what is `None` was not given."""

    zones: tuple[str, ...]
    bucket: str | None
    history: Path | None
    live: bool
    at: str | None
    hours: int
    as_json: bool
    plot: Path | None


def run(asked: Asked) -> None:
    """Print the forecast.

    Raises:
        InvalidInputError: an option is wrong, or there is nothing to forecast from.
        IntensityUnavailableError: the source has no data now.
    """
    zones = known_zones(asked.zones)
    now = datetime.now(UTC)
    found = shortened(_found(asked, zones, now), zones, asked.hours)
    if not found.zones:
        reasons = "; ".join(f"{each.grid_zone}: {each.reason}" for each in found.left_out)
        raise InvalidInputError(
            f"forecast: expected some of {', '.join(zones)}, found none"
            f" ({reasons or 'not in this forecast'})."
        )
    if asked.as_json:
        typer.echo(encode(found))
    else:
        _show(found, now, asked)
    if asked.plot is not None:
        from functions.cli.pictures import draw_forecast  # noqa: PLC0415 - needs matplotlib

        draw_forecast(asked.plot, found)


def shortened(forecast: Forecast, zones: Sequence[str], hours: int) -> Forecast:
    """Return the forecast of these grid zones only, and of no more than `hours`."""
    return replace(
        forecast,
        zones=tuple(
            replace(each, p10=each.p10[:hours], p50=each.p50[:hours], p90=each.p90[:hours])
            for each in forecast.zones
            if each.grid_zone in zones
        ),
        left_out=tuple(each for each in forecast.left_out if each.grid_zone in zones),
    )


def heat_of(forecast: Forecast, now: datetime, begin: int, end: int) -> HeatMap:
    """Return the medians of the hours `[begin, end)` of the forecast."""
    rows = [
        Row(
            grid_zone=each.grid_zone,
            cells=tuple(
                Cell(gco2eq_per_kwh=value, actual=False, mark=Mark.NONE)
                for value in each.p50[begin:end]
            ),
        )
        for each in forecast.zones
    ]
    return HeatMap(start=forecast.origin + begin * HOUR, now=now, rows=tuple(rows))


def _found(asked: Asked, zones: Sequence[str], now: datetime) -> Forecast:
    if asked.history is not None and asked.live:
        raise InvalidInputError("--live: expected no --history with it, found both. Give one.")
    if asked.at is not None and asked.history is None:
        raise InvalidInputError("--at: expected --history with it, found none. Leave one out.")
    if asked.history is not None:
        return _from_history(asked.history, zones, asked)
    if asked.live:
        return _from_source(zones, now, asked.hours)
    if asked.bucket is None:
        raise InvalidInputError(
            "forecast: expected --bucket URL (the deployment's), --history DIR (recorded hours) or"
            " --live (ask the source now), found none of them. Give one."
        )
    found = newest_forecast(open_store(asked.bucket), now)
    if found is None:
        raise InvalidInputError(
            f"--bucket: expected a forecast in {asked.bucket}, found none. It is made at the next"
            " full hour by the deployment's `forecast`."
        )
    return found


def _from_history(folder: Path, zones: Sequence[str], asked: Asked) -> Forecast:
    from forecaster.history import HistoryFileError  # noqa: PLC0415 - only with --history
    from functions.local.recorded import read_record  # noqa: PLC0415 - same

    try:
        record = read_record(folder)
    except (HistoryFileError, OSError) as error:
        raise InvalidInputError(f"--history: {error}.") from error
    known = {zone: h for zone, h in record.histories.items() if zone in zones}
    if not known:
        raise InvalidInputError(
            f"--history {folder}: expected hours of some of {', '.join(zones)}, found those of"
            f" {', '.join(record.histories) or 'none'}."
        )
    if asked.at is not None:
        origin = time_of(asked.at, of="--at").replace(minute=0, second=0, microsecond=0)
    else:
        origin = max(history.end for history in known.values())
    past = {zone: history.cut_before(origin) for zone, history in known.items()}
    return _made(past, origin, asked.hours, record.attribution)


def _from_source(zones: Sequence[str], now: datetime, hours: int) -> Forecast:
    from functions.cli.sources import ask_all, chosen_source  # noqa: PLC0415 - only with --live

    source = chosen_source(None)
    with Console(stderr=True).status("asking, and again where it does not answer ..."):
        found = ask_all(source, zones, now)
    histories = {
        zone: IntensityHistory.from_hours(zone, ((h.start, h.gco2eq_per_kwh) for h in each))
        for zone, each in found.items()
        if not isinstance(each, str) and each
    }
    silent = tuple(
        LeftOut(grid_zone=zone, reason=each)
        for zone, each in found.items()
        if isinstance(each, str)
    )
    if not histories:
        raise InvalidInputError(
            "--live: expected hours of some grid zone, found none."
            f" {' '.join(each.reason for each in silent[:1])}"
        )
    origin = now.replace(minute=0, second=0, microsecond=0)
    made = _made(histories, origin, hours, source.name)
    return replace(made, left_out=(*made.left_out, *silent))


def _made(
    histories: Mapping[str, IntensityHistory], origin: datetime, hours: int, source: str
) -> Forecast:
    from functions.adapters.tcn import TcnForecaster  # noqa: PLC0415 - loads torch

    with Console(stderr=True).status("forecasting ..."):
        return TcnForecaster().forecast(histories, origin, horizon_h=hours, source=source)


def _show(found: Forecast, now: datetime, asked: Asked) -> None:
    console = Console(highlight=False)
    look = look_of(console)
    console.print(Text(f"Carbon intensity from {found.origin:%a %Y-%m-%d %H:%M} UTC, median"))
    length = max(len(each.p50) for each in found.zones)
    for begin in range(0, length, _STRIP_H):
        heat = heat_of(found, now, begin, begin + _STRIP_H)
        notes = {each.grid_zone: _cleanest(each, found, begin) for each in found.zones}
        console.print(heat_strip(heat, look, notes=notes))
    for text in _remarks(found, now, is_stored=asked.history is None):
        console.print(Text(look.plain(text)))


def _cleanest(zone: ZoneForecast, found: Forecast, begin: int) -> str:
    values = zone.p50[begin : begin + _STRIP_H]
    if not values:
        return ""
    best = min(range(len(values)), key=lambda i: values[i])
    at = found.origin + (begin + best) * HOUR
    return f"{at:%H:%M} {values[best]:4.0f} of {min(values):.0f}-{max(values):.0f}"


def _remarks(found: Forecast, now: datetime, *, is_stored: bool) -> Iterator[str]:
    yield "Right of each line: the cleanest hour, its gCO2eq/kWh, and of what range."
    if is_stored and now - found.origin > STALE:
        age_h = (now - found.origin) / HOUR
        yield (
            f"Caution: made {age_h:.0f} h ago. Does the deployment's `forecast` run?"
            " `smartscheduler doctor` looks."
        )
    for each in found.left_out:
        yield f"left out: {each.grid_zone}: {each.reason}"
    methods = sorted({each.method.value for each in found.zones})
    yield f"Source: {found.source}. Model {found.model_version} ({', '.join(methods)})."
