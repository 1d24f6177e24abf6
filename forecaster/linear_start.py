"""Fits the network's linear path in closed form, so that training starts from there."""

import numpy as np
import torch
from torch import Tensor

from forecaster.batches import cut, usable_pairs
from forecaster.model import ModelConfig, normalise, same_hour_yesterday
from forecaster.windows import Table

EVERY = 5
"""Origins used: each fifth hour. It has no factor in common with 24, so all hours of day come."""
PENALTY = 0.01
"""Pull towards "same hour yesterday", against the mean square of normalised values, which is 1."""


def fit_linear_paths(table: Table, config: ModelConfig) -> Tensor:
    """Return the least-squares map from a normalised window to the hours ahead.

    Windows count by their spread, since errors are counted in gCO2eq/kWh. A grid zone with
    fewer windows than the map has inputs keeps "same hour yesterday".

    Returns:
        Shape (grid zones, horizon, lookback).

    Raises:
        ValueError: If there is no whole window at all.
    """
    pairs = usable_pairs(table, config)
    yesterday = same_hour_yesterday(config).double()
    paths = yesterday.repeat(config.grid_zones, 1, 1)
    channels = [(row,) for row in range(config.grid_zones)]
    for row in range(config.grid_zones):
        own = pairs[pairs[:, 0] == row][::EVERY]
        if len(own) < config.lookback_h:
            continue
        batch = cut(table, own, channels=channels, config=config)
        values, _, mean, spread = normalise(torch.from_numpy(batch.windows).double())
        weight = (spread / spread.mean()).unsqueeze(1)
        inputs = values[:, 0] * weight
        ahead = (torch.from_numpy(batch.targets).double() - mean.unsqueeze(1)) / spread.unsqueeze(1)
        pull = PENALTY * float(np.square(weight.numpy()).sum())
        gram = inputs.T @ inputs + pull * torch.eye(config.lookback_h, dtype=torch.float64)
        sides = inputs.T @ (ahead * weight) + pull * yesterday.T
        paths[row] = torch.linalg.solve(gram, sides).T
    return paths.float()
