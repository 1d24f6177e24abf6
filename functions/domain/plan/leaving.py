"""When what runs may leave its place: for more than the forecast's own noise, never for less."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BELIEF = 0.25
"""How many half widths of the sum a move must gain by a new forecast.

Measured (docs/simulation.md): against none, up to two fifths fewer moves for at most 0.01 of the
oracle's saving; with 0.5 it is up to half of the moves for 0.03.
"""
AGAIN = 0.5
"""Of its overhead a move must gain so much beyond paying for it."""
SOON_MIN = 90
"""A move within it is carried out, or begun, before there is a newer plan."""


def least_gain(here: NDArray[Any], there: NDArray[Any], *, move_h: float) -> float:
    """Return what a move must gain beyond all that it costs, gCO2eq/kWh x h.

    Hours and places are taken as independent, so half widths add by their squares.

    Args:
        here: quantiles 10, 50 and 90 % of the hours from the move on, shape (hours, 3).
        there: the same of the other place; of hours that only one has nothing is said.
        move_h: overhead of a move, hours.
    """
    hours = min(len(here), len(there))
    half = [(each[:hours, 2] - each[:hours, 0]) / 2 for each in (here, there)]
    noise = np.sqrt((half[0] ** 2 + half[1] ** 2).sum())
    return float(BELIEF * noise + AGAIN * move_h * there[0, 1])


def left_for(spans: Iterable[tuple[object, float, float]], here: object) -> int | None:
    """Return which of `spans` is the one in another place for which `here` is given up soon.

    Stopping here to start there later counts too: a start is cheaper than a move, but not a
    reason to leave. Soon is before the next plan: a VM is made some minutes ahead.

    Args:
        spans: of a plan, ascending: place, begin and end, minutes from now.
        here: the place in which a VM runs.
    """
    until = 0.0
    for index, (place, begin, end) in enumerate(spans):
        if until > SOON_MIN:
            return None
        if place != here:
            return index
        if begin > until:
            return None
        until = end
    return None
