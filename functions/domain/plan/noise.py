"""How much of a difference between two places is no more than the forecast's own noise."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BELIEF = 0.25
"""How many half widths of the sum a move must gain by a new forecast.

Measured (docs/simulation.md): a fifth fewer moves for at most 0.006 of the oracle's saving; with
0.5 it is half of the moves for 0.013.
"""
AGAIN = 0.5
"""Of its overhead a move must gain so much beyond paying for it."""


def noise(here: NDArray[Any], there: NDArray[Any]) -> Floats:
    """Return the half width of the sum of differences between two places, gCO2eq/kWh x h.

    Hours and places are taken as independent, so half widths add by their squares.

    Args:
        here: quantiles 10, 50 and 90 % of the hours, shape (..., hours, 3).
        there: the same of the other place.
    """
    half = [(each[..., 2] - each[..., 0]) / 2 for each in (here, there)]
    width: Floats = np.sqrt((half[0] ** 2 + half[1] ** 2).sum(axis=-1))
    return width
