"""Runs the network on recorded hours and the clock: numpy in, numpy out. Torch alone."""

import numpy as np
import torch
from numpy.typing import NDArray

from forecaster.features import LEAD_COLUMNS, calendar, clock
from forecaster.model import Clocks, ModelConfig, Tcn


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

    Args:
        model: Ready for inference.
        recorded_bzl: The lookback, gCO2eq/kWh, NaN where missing.
        epoch_hours: The origins, hours since 1970, shape (B,).

    Returns:
        p10, p50, p90, gCO2eq/kWh, shape (B, Z, H, 3).
    """
    with torch.inference_mode():
        out = model(torch.from_numpy(recorded_bzl), clocks_at(epoch_hours, model.config))
    quantiles: NDArray[np.float32] = out.numpy()
    return quantiles
