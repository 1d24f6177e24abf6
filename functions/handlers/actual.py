"""Reads back what was published: the hours that a receipt rests on, of one source and basis."""

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from forecaster.series import Basis, IntensityDay, IntensityHour
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names

_LOG = logging.getLogger(__name__)

NO_SOURCE = "no source yet"
"""Printed where nothing was published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActualHours:
    """Hours by grid zone, all of one source and basis."""

    hours: dict[str, dict[datetime, IntensityHour]]
    source: str
    basis: Basis


def read_actual(
    documents: Documents, grid_zones: Iterable[str], since: datetime, until: datetime
) -> ActualHours:
    """Return the stored hours that start in `[since, until)`.

    Sources differ in level, so they are never mixed: where several have hours, the one with the
    most counts, and the hours of the others are missing.
    """
    days = [day for zone in grid_zones for day in _days(documents, zone, since, until)]
    counts: Counter[tuple[str, Basis]] = Counter()
    for day in days:
        counts[day.source, day.basis] += len(day.hours)
    ranked = sorted(counts, key=lambda each: (-counts[each], each))
    source, basis = ranked[0] if ranked else (NO_SOURCE, Basis.LIFECYCLE)
    hours: dict[str, dict[datetime, IntensityHour]] = {}
    for day in days:
        if (day.source, day.basis) == (source, basis):
            found = {hour.start: hour for hour in day.hours if since <= hour.start < until}
            hours.setdefault(day.grid_zone, {}).update(found)
    return ActualHours(hours=hours, source=source, basis=basis)


def _days(
    documents: Documents, grid_zone: str, since: datetime, until: datetime
) -> Iterable[IntensityDay]:
    """Yield the days that are stored; one that cannot be read counts as not known."""
    for number in range((until.date() - since.date()).days + 1):
        name = object_names.intensity(grid_zone, since.date() + timedelta(days=number))
        try:
            found = documents.peek(IntensityDay, name)
        except InvalidInputError as error:
            told = {"event": "intensity_unreadable", "grid_zone": grid_zone}
            _LOG.error("%s", error, extra=told)
            continue
        if found is not None:
            yield found
