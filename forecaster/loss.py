"""The loss: pinball, each grid zone's errors on its own scale. Knows tensors and nothing else."""

import torch
from torch import Tensor

from forecaster.model import HOURS_PER_DAY

QUANTILES = (0.1, 0.5, 0.9)
QUANTILE_WEIGHTS = (0.5, 1.0, 0.5)
"""The median counts most: it is what plans are made from."""
LATER_DAYS_COUNT = 0.3
"""Of an hour of the first day: plans are made anew each hour, so the first day is acted on."""


def pinball(forecast: Tensor, target_bzh: Tensor, scale_z: Tensor) -> Tensor:
    """Return the mean weighted quantile loss over recorded targets.

    Args:
        forecast: gCO2eq/kWh, shape (..., B, Z, H, Q).
        target_bzh: gCO2eq/kWh, NaN where missing.
        scale_z: Each grid zone's unit, gCO2eq/kWh.
    """
    there = torch.isfinite(target_bzh)
    target = torch.where(there, target_bzh, torch.zeros_like(target_bzh))
    over = (target.unsqueeze(-1) - forecast) / scale_z[:, None, None]
    levels, weights = torch.tensor(QUANTILES), torch.tensor(QUANTILE_WEIGHTS)
    loss = (torch.maximum(levels * over, (levels - 1) * over) * weights).sum(-1)
    counts = there * _day_weights(target_bzh.shape[-1])
    per_forecast = (loss * counts).sum(dim=(-3, -2, -1)) / counts.sum().clamp(min=1)
    return per_forecast.mean()


def _day_weights(horizon_h: int) -> Tensor:
    first_day = torch.arange(horizon_h) < HOURS_PER_DAY
    return torch.where(first_day, 1.0, LATER_DAYS_COUNT)
