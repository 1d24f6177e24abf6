"""The rule of eco4cast 0.0.8, to compare with: absolute threshold, then the cleanest zone.

Its `IntervalGenerator`, parameter by parameter and fault by fault: hours are chosen by a moving
mean that leaves out the last hour of each window, deadline and overheads are not known to it, and
hours above the threshold are not used at all. It plans 24 hours; here it does so day after day.
"""

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.problem import Floats

MAX_EMISSION_VALUE = 180.0
"""Highest mean of a window, gCO2eq/kWh."""
CO2_DELTA_TO_MOVE = 30.0
"""By how much another zone must be cleaner to move there, gCO2eq/kWh."""
MIN_INTERVAL_SIZE_H = 1
MAX_WINDOW_SIZE_H = 3
DAY_H = 24
NOWHERE = -1


def threshold_places(hourly: Floats, current: int) -> list[int]:
    """Return the place of each hour by the rule, `NOWHERE` for a pause.

    Args:
        hourly: intensity, gCO2eq/kWh, shape (hours, places).
        current: place where the VM is taken to be.
    """
    chosen: list[int] = []
    for begin in range(0, len(hourly), DAY_H):
        day = hourly[begin : begin + DAY_H].T
        places = _of_day(day, current)
        chosen += places
        used = [place for place in places if place != NOWHERE]
        current = used[-1] if used else current
    return chosen


def _of_day(day: Floats, current: int) -> list[int]:
    clean = _clean_hours(day).T.tolist()
    chosen = []
    for possible, values in zip(clean, day.T.tolist(), strict=True):
        places = [place for place, is_clean in enumerate(possible) if is_clean]
        if not places:
            chosen.append(NOWHERE)
            continue
        if len(places) > 1:
            values[current] -= CO2_DELTA_TO_MOVE
        current = min(places, key=values.__getitem__)
        chosen.append(current)
    # The generator ends its last interval at the begin of the last hour, which is never used.
    return [*chosen[:-1], NOWHERE]


def _clean_hours(day: Floats) -> NDArray[np.bool_]:
    """Return which hours the moving means admit, shape (places, hours)."""
    hours = day.shape[1]
    clean = np.zeros(day.shape, dtype=bool)
    for size in range(MIN_INTERVAL_SIZE_H + 1, MIN_INTERVAL_SIZE_H + MAX_WINDOW_SIZE_H):
        sums, counts = day.copy(), np.minimum(np.arange(hours, 0, -1), size)
        for ahead in range(1, min(size, hours)):
            sums[:, :-ahead] += day[:, ahead:]
        below = sums / counts < MAX_EMISSION_VALUE
        for ahead in range(min(size - 1, hours)):
            clean[:, ahead:] |= below[:, : hours - ahead]
    return clean
