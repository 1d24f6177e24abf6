"""Fetches the recorded intensity of all grid zones and keeps every hour ever seen."""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from itertools import groupby

from forecaster.series import Basis, IntensityDay, IntensityHistory, IntensityHour, LeftOut
from functions.errors import IntensityUnavailableError, InvalidInputError, StaleStateError
from functions.handlers.documents import Documents, Versioned
from functions.ports import Ports
from vm_runtime.contract import object_names

_LOG = logging.getLogger(__name__)

LOOKBACK = timedelta(hours=168)
"""What the forecaster looks at."""

TRIES = 3
"""Writes of a day that another tick wrote meanwhile."""


def record_all(
    ports: Ports, grid_zones: Sequence[str], now: datetime
) -> tuple[dict[str, IntensityHistory], tuple[LeftOut, ...]]:
    """Fetch all grid zones at once, store what is new, and return what is known.

    A zone whose source fails now still has what was stored before.

    Returns:
        History of the last 168 hours by grid zone, and the grid zones without any.
    """
    with ThreadPoolExecutor(max_workers=len(grid_zones)) as pool:
        results = pool.map(lambda grid_zone: _record(ports, grid_zone, now), grid_zones)
        histories, left_out = {}, []
        for result in results:
            if isinstance(result, LeftOut):
                left_out.append(result)
            else:
                histories[result.grid_zone] = result
    return histories, tuple(left_out)


def _record(ports: Ports, grid_zone: str, now: datetime) -> IntensityHistory | LeftOut:
    trouble = "the source gave no hours"
    fetched: Sequence[IntensityHour] = ()
    try:
        fetched = ports.intensity.recent_hours(grid_zone, now)
        trouble = _store(ports, grid_zone, fetched) or trouble
    except IntensityUnavailableError as error:
        trouble = str(error)
        told = {"event": "intensity_missing", "grid_zone": grid_zone}
        _LOG.warning("%s: %s", grid_zone, error, extra=told)
    known = {hour.start: hour for hour in known_hours(ports, grid_zone, now - LOOKBACK, now)}
    # After a change of source the days of the old one stay as they are, and the new one's hours
    # of these days are in no file; they are all of one source, and so are what is known.
    known |= {hour.start: hour for hour in fetched if now - LOOKBACK <= hour.start < now}
    if not known:
        return LeftOut(grid_zone=grid_zone, reason=f"no recorded hour in 7 days: {trouble}")
    pairs = ((hour.start, hour.gco2eq_per_kwh) for hour in known.values())
    return IntensityHistory.from_hours(grid_zone, pairs)


def known_hours(
    ports: Ports, grid_zone: str, since: datetime, until: datetime
) -> list[IntensityHour]:
    """Return the stored hours of a grid zone that start in `[since, until)`, ascending.

    Only those of the present source: a series is never mixed. A day that cannot be read counts
    as not known, and is named in the log: it must not keep all jobs from their plans.
    """
    days = (until.date() - since.date()).days + 1
    found = [_day(ports, grid_zone, since.date() + timedelta(days=n)) for n in range(days)]
    hours = [
        hour
        for day in found
        if day is not None and day.source == ports.intensity.name
        for hour in day.hours
    ]
    return [hour for hour in hours if since <= hour.start < until]


def _day(ports: Ports, grid_zone: str, day: date) -> IntensityDay | None:
    try:
        return Documents(ports.store).peek(IntensityDay, object_names.intensity(grid_zone, day))
    except InvalidInputError as error:
        told = {"event": "intensity_unreadable", "grid_zone": grid_zone}
        _LOG.error("%s", error, extra=told)
        return None


def _store(ports: Ports, grid_zone: str, hours: Iterable[IntensityHour]) -> str:
    """Store each day for itself; return what was wrong with some, empty if nothing was."""
    trouble = ""
    for day, group in groupby(hours, key=lambda hour: hour.start.date()):
        try:
            _store_day(ports, grid_zone, day, list(group))
        except (IntensityUnavailableError, InvalidInputError) as error:
            trouble = str(error)
            told = {"event": "intensity_not_stored", "grid_zone": grid_zone}
            _LOG.warning("%s: %s", grid_zone, error, extra=told)
    return trouble


def _store_day(ports: Ports, grid_zone: str, day: date, hours: list[IntensityHour]) -> None:
    documents = Documents(ports.store)
    name = object_names.intensity(grid_zone, day)
    for _ in range(TRIES):
        found = documents.find(IntensityDay, name)
        merged = _merge(ports.intensity.name, grid_zone, day, hours, found)
        if found is not None and merged == found.document:
            return
        try:
            documents.write(name, merged, if_generation=found.generation if found else 0)
        except StaleStateError:
            continue
        return
    raise IntensityUnavailableError(f"{name}: changed under {TRIES} writes in a row; next tick")


def _merge(
    source: str,
    grid_zone: str,
    day: date,
    hours: list[IntensityHour],
    found: Versioned[IntensityDay] | None,
) -> IntensityDay:
    """A later value of an hour replaces the earlier one: publishers revise their estimates.

    Raises:
        InvalidInputError: what is stored came from another source; series are never mixed.
    """
    known = found.document if found else None
    if known is not None and known.source != source:
        raise InvalidInputError(
            f"{object_names.intensity(grid_zone, day)}: expected hours of {known.source!r}, found"
            f" {source!r}. Two sources differ in level: use another bucket or remove the folder."
        )
    by_start = {hour.start: hour for hour in (known.hours if known else ())}
    by_start.update({hour.start: hour for hour in hours})
    return IntensityDay(
        grid_zone=grid_zone,
        day=day,
        basis=Basis.LIFECYCLE,
        source=source,
        hours=tuple(by_start[start] for start in sorted(by_start)),
    )
