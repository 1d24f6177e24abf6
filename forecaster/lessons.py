"""What of the recorded hours is learnt from: which span, on what scale, who informs whom."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from forecaster.model import HOURS_PER_DAY
from forecaster.series import Basis, IntensityHistory
from forecaster.windows import Table, tabulate

RECORDED_ENOUGH = 0.9
"""Share of the hours that a neighbour must have: one that is mostly missing teaches nothing."""


def tabulate_lessons(
    histories: Mapping[str, IntensityHistory], begin: datetime, end: datetime
) -> Table:
    """Return the hours of [begin, end) of all grid zones that have any before `end`."""
    known = {zone: history.cut_before(end) for zone, history in histories.items()}
    known = {zone: history for zone, history in known.items() if history.gco2eq_per_kwh.size}
    table = tabulate(known, sorted(known))
    skip = max(table.index(begin), 0)
    return Table(
        grid_zones=table.grid_zones,
        start=max(table.start, begin),
        gco2eq_per_kwh=np.ascontiguousarray(table.gco2eq_per_kwh[:, skip:]),
    )


def without_last(table: Table, hours: int) -> Table:
    """Return `table` without its last `hours`."""
    return dataclasses.replace(table, gco2eq_per_kwh=table.gco2eq_per_kwh[:, :-hours])


def one_basis(histories: Mapping[str, IntensityHistory]) -> Basis:
    """Return the accounting basis of all `histories`.

    Raises:
        ValueError: If they have more than one.
    """
    found = {history.basis for history in histories.values()}
    if len(found) != 1:
        raise ValueError(f"expected histories of one accounting basis, found {sorted(found)}")
    return found.pop()


def persistence_error(table: Table) -> NDArray[np.float64]:
    """Return each grid zone's mean absolute change from day to day, gCO2eq/kWh; at least 0.1.

    Raises:
        ValueError: If a grid zone has no two days.
    """
    values = table.gco2eq_per_kwh.astype(np.float64)
    change = np.abs(values[:, HOURS_PER_DAY:] - values[:, :-HOURS_PER_DAY])
    counts = np.isfinite(change).sum(axis=1)
    if not counts.all():
        raise ValueError(
            "expected at least two recorded days of each grid zone, found none of"
            f" {', '.join(np.array(table.grid_zones)[counts == 0])}; leave it out"
        )
    error: NDArray[np.float64] = np.nansum(change, axis=1) / counts
    return np.maximum(error, 0.1)


def neighbours_in(table: Table, *, never: tuple[str, ...] = ()) -> tuple[int, ...]:
    """Return the rows of the grid zones that may inform others: recorded nearly throughout."""
    share = np.isfinite(table.gco2eq_per_kwh).mean(axis=1)
    return tuple(
        row
        for row, grid_zone in enumerate(table.grid_zones)
        if grid_zone not in never and share[row] > RECORDED_ENOUGH
    )
