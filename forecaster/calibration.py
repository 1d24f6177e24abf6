"""Finds on held-out hours what a network cannot know of itself from hours that it has seen.

How wide the intervals have to be, by grid zone, lead time and history, and where yesterday says
something that it does not. Split conformal prediction: the learned distances of p10 and p90
from the median are multiplied so that a tenth of the held-out outcomes lies beyond each.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from forecaster.batches import Windows, cut
from forecaster.model import HOURS_PER_DAY, Tcn, history_lengths
from forecaster.prediction import predict
from forecaster.windows import Table

EVERY_H = 5
"""Every fifth hour is an origin: it has no factor in common with 24, so all hours of day come."""
BLOCK_H = 12
"""Lead times that share a factor."""
BEYOND = 0.9
"""Share of outcomes that each side of the interval has to hold, with the other side open."""
LEAST, MOST = 0.7, 3.0
"""Factors beyond these say that the held-out days were strange rather than how to go on."""
SMALLEST_WIDTH = 1e-6
ORIGINS_AT_ONCE = 64
YESTERDAY_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4)
CLEARLY_BETTER = 0.99
"""Of the error without yesterday."""


def calibrate(model: Tcn, table: Table, *, hours: int) -> None:
    """Set `yesterday_z` and `width_pzhq` of `model` to what suits held-out hours.

    Args:
        model: Trained on what comes before; is changed.
        table: Histories; its last `hours` are held out.
        hours: How many, at least those of a horizon.
    """
    config = model.config
    end = table.gco2eq_per_kwh.shape[1] - config.horizon_h + 1
    origins = np.arange(max(end - hours + config.horizon_h, config.lookback_h), end, EVERY_H)
    windows = cut(table, origins, config=config)
    by_share = {}
    for share in YESTERDAY_SHARES:
        model.yesterday_z.fill_(share)
        by_share[share] = _errors(_predict_all(model, windows), windows.targets_bzh)
    shares = [_best_share(by_share, row) for row in range(config.grid_zones)]
    model.yesterday_z.copy_(torch.tensor(shares))
    model.width_pzhq.fill_(1.0)
    factors = [
        _factors(_predict_all(model, _shortened(windows, length)), windows.targets_bzh)
        for length in history_lengths(config)
    ]
    model.width_pzhq.copy_(torch.from_numpy(np.stack(factors)))


def _shortened(windows: Windows, hours: int) -> Windows:
    """Return `windows` with only the last `hours` of each."""
    recorded = windows.recorded_bzl.copy()
    recorded[..., : recorded.shape[-1] - hours] = np.nan
    return dataclasses.replace(windows, recorded_bzl=recorded)


def _best_share(by_share: Mapping[float, NDArray[np.float64]], row: int) -> float:
    """Return yesterday's share with the least error, 0 unless another is clearly better."""
    best = min(by_share, key=lambda share: float(by_share[share][row]))
    clearly = by_share[best][row] < CLEARLY_BETTER * by_share[0.0][row]
    return best if clearly else 0.0


def _errors(forecasts: NDArray[np.float32], outcomes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return each grid zone's mean absolute error of the first day, NaN where none is recorded."""
    error = np.abs(forecasts[..., 1] - outcomes)[..., :HOURS_PER_DAY].astype(np.float64)
    there = np.isfinite(error)
    counts = there.sum(axis=(0, 2)).astype(np.float64)
    counts[counts == 0] = np.nan
    mean: NDArray[np.float64] = np.where(there, error, 0.0).sum(axis=(0, 2)) / counts
    return mean


def _predict_all(model: Tcn, windows: Windows) -> NDArray[np.float32]:
    parts = np.array_split(
        np.arange(len(windows.epoch_hours)), len(windows.epoch_hours) // ORIGINS_AT_ONCE + 1
    )
    return np.concatenate(
        [predict(model, windows.recorded_bzl[i], windows.epoch_hours[i]) for i in parts]
    )


def _factors(forecasts: NDArray[np.float32], outcomes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the factors by which the outcomes are just within, shape (Z, H, 2)."""
    low, mid, high = np.moveaxis(forecasts.astype(np.float64), -1, 0)
    below = (mid - outcomes) / np.maximum(mid - low, SMALLEST_WIDTH)
    above = (outcomes - mid) / np.maximum(high - mid, SMALLEST_WIDTH)
    _, zones, horizon = outcomes.shape
    factors = np.ones((zones, horizon, 2), dtype=np.float32)
    for row in range(zones):
        for begin in range(0, horizon, BLOCK_H):
            block = (slice(None), row, slice(begin, begin + BLOCK_H))
            for side, distance in enumerate((below[block], above[block])):
                there = distance[np.isfinite(distance)]
                if there.size:
                    wanted = np.quantile(there, BEYOND)
                    factors[row, begin : begin + BLOCK_H, side] = np.clip(wanted, LEAST, MOST)
    return factors
