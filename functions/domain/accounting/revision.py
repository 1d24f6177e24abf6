"""How a total differs from the one before, to the last gram."""

from collections.abc import Iterable
from datetime import datetime

from functions.domain.accounting.parts import ReceiptRow, Revision

_Cell = tuple[datetime, str]


def revision_of(
    rows: Iterable[ReceiptRow], before: Iterable[ReceiptRow] | None, *, now: datetime
) -> Revision:
    """Return the revision that `rows` make after `before`, `None` if they are the first.

    Its three changes add up to the difference of the two totals.
    """
    energies, levels, total = _added(rows)
    revision = Revision(
        made_at=now,
        emissions_gco2eq=total,
        missing_hours=sum(level is None for level, _ in levels.values()),
        estimated_hours=sum(is_estimated for _, is_estimated in levels.values()),
    )
    if before is None:
        return revision
    _, old_levels, old_total = _added(before)
    published = revised = 0.0
    for cell, (level, _) in levels.items():
        if level is None or cell not in old_levels:
            continue
        old_level = old_levels[cell][0]
        if old_level is None:
            published += energies[cell] * level
        else:
            revised += energies[cell] * (level - old_level)
    return Revision(
        made_at=now,
        emissions_gco2eq=total,
        missing_hours=revision.missing_hours,
        estimated_hours=revision.estimated_hours,
        published_gco2eq=published,
        revised_gco2eq=revised,
        booked_gco2eq=total - old_total - published - revised,
    )


def is_news(revision: Revision, last: Revision) -> bool:
    """Whether anything but the time differs from the revision before."""
    return (
        revision.emissions_gco2eq != last.emissions_gco2eq
        or revision.missing_hours != last.missing_hours
        or revision.estimated_hours != last.estimated_hours
    )


def _added(
    rows: Iterable[ReceiptRow],
) -> tuple[dict[_Cell, float], dict[_Cell, tuple[float | None, bool]], float]:
    """Return energy and intensity by hour and grid zone, and the total emissions."""
    energies: dict[_Cell, float] = {}
    levels: dict[_Cell, tuple[float | None, bool]] = {}
    total = 0.0
    for row in rows:
        cell = row.hour, row.grid_zone
        energies[cell] = energies.get(cell, 0.0) + row.energy_kwh
        levels[cell] = row.gco2eq_per_kwh, row.estimated
        total += row.emissions_gco2eq or 0.0
    return energies, levels, total
