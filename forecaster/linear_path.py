"""The linear path beside the network: one map per grid zone from a window to the hours ahead.

It sees the grid zone's own hours, a few means of the recent hours of all grid zones, and the
clock at the origin. `linear_start` fits it in closed form. Shape suffixes as in `model`.
"""

import torch
from torch import Tensor, nn

from forecaster.features import CLOCK_FEATURES, HOUR_COLUMNS, YEAR_COLUMNS

RECENT_H = (2, 6, 24, 72)
"""Spans before the origin of which the means are taken: now, this morning, today, these days."""
TURNS = (
    *range(HOUR_COLUMNS.start, HOUR_COLUMNS.start + 4),
    *range(YEAR_COLUMNS.start, YEAR_COLUMNS.start + 2),
)
"""Columns of the clock by which the effect of the own recent means changes: two harmonics of
the day and one of the year."""


def recent_means(values_bzl: Tensor) -> Tensor:
    """Return the means over `RECENT_H` before the origin, shape (B, Z, spans)."""
    return torch.stack([values_bzl[..., -hours:].mean(-1) for hours in RECENT_H], dim=-1)


def own_inputs(values_bzl: Tensor, clock_bf: Tensor) -> Tensor:
    """Return a grid zone's hours, then its recent means turned by the clock, shape (B, Z, I)."""
    recent_bzr = recent_means(values_bzl)
    turned = [recent_bzr * clock_bf[:, None, column, None] for column in TURNS]
    return torch.cat([values_bzl, *turned], dim=-1)


class LinearPath(nn.Module):
    """A linear map from a normalised window to the hours ahead, for each grid zone its own."""

    neighbour_z: Tensor

    def __init__(
        self, *, grid_zones: int, neighbours: tuple[int, ...], hours: tuple[int, int]
    ) -> None:
        """Create the map; it starts as "same hour yesterday".

        Args:
            grid_zones: How many.
            neighbours: Indices of the grid zones whose recent means the others see.
            hours: Lookback and horizon.
        """
        super().__init__()
        lookback, horizon = hours
        self.own = nn.Parameter(torch.zeros(grid_zones, horizon, lookback + self.turned_inputs()))
        self.others = nn.Parameter(torch.zeros(grid_zones, horizon, grid_zones * len(RECENT_H)))
        self.clock = nn.Parameter(torch.zeros(grid_zones, horizon, CLOCK_FEATURES))
        informs = torch.zeros(grid_zones)
        informs[list(neighbours)] = 1.0
        self.register_buffer("neighbour_z", informs, persistent=False)
        lead = torch.arange(horizon)
        with torch.no_grad():
            self.own[:, lead, lookback - 24 + lead % 24] = 1.0

    @staticmethod
    def turned_inputs() -> int:
        """Return how many of the own inputs are turned recent means; they come last."""
        return len(RECENT_H) * len(TURNS)

    def others_inputs(self, values_bzl: Tensor, known_bz: Tensor) -> Tensor:
        """Return the neighbours' recent means, shape (B, Z * spans).

        Normalised values have mean 0: a neighbour that is not known tells nothing by it.
        """
        informs_bz1 = (known_bz * self.neighbour_z.to(known_bz.dtype)).unsqueeze(-1)
        return (recent_means(values_bzl) * informs_bz1).flatten(1)

    def forward(self, values_bzl: Tensor, known_bz: Tensor, clock_bf: Tensor) -> Tensor:
        """Return the hours ahead as normalised values, shape (B, Z, H).

        Args:
            values_bzl: Normalised, without gaps.
            known_bz: 1 where the grid zone has recorded hours enough, else 0.
            clock_bf: Of the origin.
        """
        own_bzh = torch.einsum("bzi,zhi->bzh", own_inputs(values_bzl, clock_bf), self.own)
        others_bi = self.others_inputs(values_bzl, known_bz)
        shared_bi = torch.cat([others_bi, clock_bf], dim=1)
        weight_zhi = torch.cat([self.others, self.clock], dim=2)
        return own_bzh + torch.einsum("bi,zhi->bzh", shared_bi, weight_zhi)
