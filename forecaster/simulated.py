"""Simulates recorded hours around the climatology, for demos without data. Seeded, pure."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from forecaster.climatology import Array, Climatology
from forecaster.series import IntensityHistory

SMALLEST_SHARE_OF_MEAN = 0.1
MOST_SPREADS = 2.5
"""Beyond it a residual is cut: the profile's spread is not normal enough to go further."""
SMALLEST_EIGENVALUE = 1e-6


def simulate_history(
    climatology: Climatology,
    grid_zones: Sequence[str],
    start: datetime,
    hours: int,
    seed: int,
) -> dict[str, IntensityHistory]:
    """Draw `hours` hours from `start` on: the profile plus a correlated residual.

    The residual of each grid zone goes back to its mean (autoregressive of order one, as
    the recorded one does), and moves with those of the grid zones it is correlated with.
    More hours with the same seed begin with the same hours. The values are simulated:
    whoever shows them says so.

    Args:
        climatology: Where the profile comes from.
        grid_zones: Each must have a profile; the draw depends on the set and its order.
        start: Begin of the first hour.
        hours: How many, above 0.
        seed: Same seed, same bits.

    Raises:
        KeyError: If a grid zone has no profile.
        ValueError: If `hours` is not above 0 or `start` is naive or not a full hour.
    """
    if hours <= 0:
        raise ValueError(f"hours: expected above 0, found {hours}")
    rows = [climatology.index(grid_zone) for grid_zone in grid_zones]
    keep = climatology.autocorrelation[rows]
    mixing = _root(climatology.correlation[np.ix_(rows, rows)])
    shocks = np.random.default_rng(seed).standard_normal((hours, len(rows))) @ mixing.T
    residual = np.empty_like(shocks)
    residual[0] = shocks[0]
    # The factor keeps the variance at 1 at every hour.
    fresh = np.sqrt(1 - keep**2)
    for hour in range(1, hours):
        residual[hour] = keep * residual[hour - 1] + fresh * shocks[hour]
    simulated = {}
    for column, grid_zone in enumerate(grid_zones):
        mean, spread = climatology.profile_from(grid_zone, start, hours)
        cut = np.clip(residual[:, column], -MOST_SPREADS, MOST_SPREADS)
        simulated[grid_zone] = IntensityHistory(
            grid_zone=grid_zone,
            start=start,
            gco2eq_per_kwh=np.maximum(mean + spread * cut, SMALLEST_SHARE_OF_MEAN * mean).astype(
                np.float32
            ),
            basis=climatology.basis,
        )
    return simulated


def _root(correlation: Array) -> Array:
    """Return a lower triangle whose square is the nearest valid correlation matrix."""
    # Correlations over different spans need not fit together: one could be impossible.
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    valid = (vectors * np.maximum(values, SMALLEST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(valid))
    root: Array = np.linalg.cholesky(valid / np.outer(scale, scale))
    return root
