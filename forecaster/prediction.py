"""Runs the network on recorded hours and the clock: numpy in, numpy out. Torch alone."""

import numpy as np
import torch
from numpy.typing import NDArray

from forecaster.features import LEAD_COLUMNS, calendar, clock
from forecaster.model import Clocks, ModelConfig, Tcn

LATEST_H = 12
"""A grid zone whose record ended longer ago is not late but missing."""


def clocks_at(epoch_hours: NDArray[np.int64], config: ModelConfig) -> Clocks:
    """Return what the clock says around origins, hours since 1970, shape (B,)."""
    past = epoch_hours[:, None] + np.arange(-config.lookback_h, 0)
    ahead = clock(epoch_hours[:, None] + np.arange(config.horizon_h))
    return Clocks(
        past_blf=torch.from_numpy(calendar(past)),
        origin_bf=torch.from_numpy(clock(epoch_hours)),
        ahead_bhf=torch.from_numpy(np.ascontiguousarray(ahead[..., LEAD_COLUMNS])),
    )


def predict(
    model: Tcn, recorded_bzl: NDArray[np.float32], epoch_hours: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Forecast all grid zones of some origins.

    A grid zone that is late is forecast from the end of its own record: what is missing is
    forecast, too, instead of filled in.

    Args:
        model: Ready for inference.
        recorded_bzl: The lookback, gCO2eq/kWh, NaN where missing.
        epoch_hours: The origins, hours since 1970, shape (B,).

    Returns:
        p10, p50, p90, gCO2eq/kWh, shape (B, Z, H, 3).
    """
    quantiles = _run(model, recorded_bzl, epoch_hours)
    late_bz = late_by(recorded_bzl)
    for hours in np.unique(late_bz[late_bz > 0]):
        origins = (late_bz == hours).any(axis=1)
        moved = np.full_like(recorded_bzl[origins], np.nan)
        moved[..., hours:] = recorded_bzl[origins][..., :-hours]
        earlier = _run(model, moved, epoch_hours[origins] - hours)
        late = np.argwhere(late_bz == hours)
        # What lies behind the earlier horizon stays as the network says from the origin.
        row_of = np.cumsum(origins) - 1
        quantiles[late[:, 0], late[:, 1], :-hours] = earlier[row_of[late[:, 0]], late[:, 1], hours:]
    return quantiles


def late_by(recorded_bzl: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the hours that are missing at the end, shape (B, Z); 0 for more than `LATEST_H`."""
    seen = np.isfinite(recorded_bzl[..., ::-1])
    missing = np.where(seen.any(axis=-1), seen.argmax(axis=-1), 0)
    return np.where(missing <= LATEST_H, missing, 0)


def _run(
    model: Tcn, recorded_bzl: NDArray[np.float32], epoch_hours: NDArray[np.int64]
) -> NDArray[np.float32]:
    with torch.inference_mode():
        out = model(torch.from_numpy(recorded_bzl), clocks_at(epoch_hours, model.config))
    quantiles: NDArray[np.float32] = out.numpy()
    return quantiles
