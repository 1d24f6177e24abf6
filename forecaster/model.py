"""The temporal convolutional network: windows in, quantiles out. Knows tensors, no time, no files.

Shape suffixes: B windows, C channels, L lookback hours, H horizon hours, F calendar
features, Q quantiles. Channel 0 is the grid zone itself, the others are its neighbours.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from forecaster.features import CALENDAR_FEATURES
from forecaster.series import document

HOURS_PER_DAY = 24
SMALLEST_SPREAD = 0.02
"""Of the window's mean; keeps a constant window from being divided by zero."""

Positive = Annotated[int, Field(gt=0)]


@document
class ModelConfig:
    """Shape of the network; all that is needed, with the weights, to build it again."""

    grid_zones: Positive
    """How many grid zones have an embedding and a linear path of their own."""
    neighbours: Annotated[int, Field(ge=0)] = 3
    """Other grid zones that come as channels."""
    horizon_h: Positive = 24
    """Hours ahead."""
    kernels: tuple[Annotated[int, Field(gt=1)], ...] = (6, 2, 2, 7)
    """Kernel size of each block; a block's dilation is the product of those before it."""
    channels: Positive = 64
    """Of the residual stream."""
    embedding: Positive = 8
    """Numbers that describe a grid zone."""
    lead_features: Positive = 16
    """Numbers that the network hands on for each hour ahead."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the head's activations dropped in training."""

    def __post_init__(self) -> None:
        """Refuse a lookback that is not made of whole days."""
        if self.lookback_h % HOURS_PER_DAY:
            message = (
                "kernels: expected their product, the lookback, to be a multiple of 24 h,"
                f" found {self.lookback_h}"
            )
            raise ValueError(message)

    @property
    def lookback_h(self) -> int:
        """Hours that the network looks back: its receptive field, exactly."""
        return math.prod(self.kernels)

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilation of each block, hours."""
        return tuple(math.prod(self.kernels[:i]) for i in range(len(self.kernels)))


class Block(nn.Module):
    """A causal dilated convolution with a residual connection, at the positions that matter.

    Each block's dilation is the product of the kernel sizes before it, so the positions
    that reach the last hour are disjoint groups, and a convolution of stride `kernel`
    over the positions kept by the block before computes exactly these.
    """

    def __init__(self, channels_in: int, channels: int, *, kernel: int) -> None:
        """Create a block that keeps every `kernel`-th position."""
        super().__init__()
        self.kernel = kernel
        self.convolution = nn.Conv1d(channels_in, channels, kernel, stride=kernel)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.shortcut: nn.Module = (
            nn.Identity() if channels_in == channels else nn.Conv1d(channels_in, channels, 1)
        )

    def forward(self, x_bcl: Tensor) -> Tensor:
        """Return shape (B, channels, L / kernel)."""
        last = x_bcl[..., self.kernel - 1 :: self.kernel]
        inner = functional.gelu(self.convolution(x_bcl))
        out: Tensor = self.shortcut(last) + functional.gelu(self.mix(inner))
        return out


class Tcn(nn.Module):
    """Forecasts the quantiles 10, 50 and 90 % of the hours after a window."""

    def __init__(self, config: ModelConfig) -> None:
        """Create the network; the linear path starts as "same hour yesterday"."""
        super().__init__()
        self.config = config
        width, horizon = config.channels, config.horizon_h
        past = 2 * (1 + config.neighbours) + CALENDAR_FEATURES
        self.embedding = nn.Embedding(config.grid_zones, config.embedding)
        self.blocks = nn.ModuleList(
            Block(past if i == 0 else width, width, kernel=kernel)
            for i, kernel in enumerate(config.kernels)
        )
        depth = len(config.kernels)
        self.to_lead = nn.Sequential(
            nn.Linear(depth * width + config.embedding + 1, 2 * width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(2 * width, horizon * config.lead_features),
        )
        self.to_quantiles = nn.Sequential(
            nn.Linear(config.lead_features + CALENDAR_FEATURES + config.embedding, width),
            nn.GELU(),
            nn.Linear(width, 3),
        )
        self.linear_shared = nn.Parameter(same_hour_yesterday(config))
        self.linear_own = nn.Parameter(
            torch.zeros(config.grid_zones, horizon, config.lookback_h),
        )

    def start_linear(self, paths: Tensor) -> None:
        """Set the linear paths, shape (grid zones, H, L), before training."""
        with torch.no_grad():
            self.linear_shared.copy_(paths.mean(0))
            self.linear_own.copy_(paths - paths.mean(0))

    def forward(self, windows_bcl: Tensor, zones_b: Tensor, calendar_btf: Tensor) -> Tensor:
        """Forecast.

        Args:
            windows_bcl: Recorded intensity, gCO2eq/kWh, NaN where missing.
            zones_b: Index of the grid zone.
            calendar_btf: Of the lookback and the hours ahead, shape (B, L + H, F).

        Returns:
            gCO2eq/kWh, not below 0, shape (B, H, Q), ascending along Q.
        """
        values_bcl, seen_bcl, mean_b, spread_b = normalise(windows_bcl)
        lookback = self.config.lookback_h
        past_bfl = calendar_btf[:, :lookback].transpose(1, 2)
        zone_be = self.embedding(zones_b)
        history_bk = self._history(torch.cat([values_bcl, seen_bcl, past_bfl], dim=1))
        # Relative spread tells a calm window from a wild one, which normalising hides.
        wild_b1 = torch.log(spread_b / mean_b.clamp(min=1.0)).unsqueeze(1)
        lead_bk = self.to_lead(torch.cat([history_bk, zone_be, wild_b1], dim=1))
        lead_bhk = lead_bk.view(-1, self.config.horizon_h, self.config.lead_features)
        zone_bhe = zone_be.unsqueeze(1).expand(-1, self.config.horizon_h, -1)
        ahead_bhf = calendar_btf[:, lookback:]
        out_bhq = self.to_quantiles(torch.cat([lead_bhk, ahead_bhf, zone_bhe], dim=2))
        linear_bh = functional.linear(values_bcl[:, 0], self.linear_shared) + torch.einsum(
            "bl,bhl->bh", values_bcl[:, 0], self.linear_own[zones_b]
        )
        middle_bh = linear_bh + out_bhq[..., 0]
        below_bh, above_bh = functional.softplus(out_bhq[..., 1:]).unbind(-1)
        quantiles_bhq = torch.stack([middle_bh - below_bh, middle_bh, middle_bh + above_bh], dim=-1)
        return torch.relu(quantiles_bhq * spread_b[:, None, None] + mean_b[:, None, None])

    def _history(self, x_bcl: Tensor) -> Tensor:
        """Return each block's state at the last hour, side by side, shape (B, depth * width)."""
        last: list[Tensor] = []
        for block in self.blocks:
            x_bcl = block(x_bcl)
            last.append(x_bcl[..., -1])
        return torch.cat(last, dim=1)


def normalise(windows_bcl: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Subtract each channel's own mean and divide by its own spread, over recorded hours.

    A missing hour takes the mean of the same hour of the window's other days, or of the
    window if none is recorded, and is 0 in the mask.

    Returns:
        Values and mask (1 where recorded), shape (B, C, L); and of channel 0 the mean and
        the spread, gCO2eq/kWh, shape (B,), to reverse it.
    """
    seen = torch.isfinite(windows_bcl)
    mask = seen.to(windows_bcl.dtype)
    raw = torch.where(seen, windows_bcl, torch.zeros_like(windows_bcl))
    count = mask.sum(-1, keepdim=True).clamp(min=1.0)
    mean = raw.sum(-1, keepdim=True) / count
    offset = (raw - mean) * mask
    spread = torch.sqrt(offset.square().sum(-1, keepdim=True) / count)
    spread = torch.maximum(spread, SMALLEST_SPREAD * mean).clamp(min=SMALLEST_SPREAD)
    scaled = offset / spread
    by_day = (*scaled.shape[:-1], -1, HOURS_PER_DAY)
    days_mask, days_scaled = mask.reshape(by_day), scaled.reshape(by_day)
    same_hour = days_scaled.sum(-2, keepdim=True) / days_mask.sum(-2, keepdim=True).clamp(min=1.0)
    filled = torch.where(days_mask > 0, days_scaled, same_hour).flatten(-2)
    return filled, mask, mean[:, 0, 0], spread[:, 0, 0]


def same_hour_yesterday(config: ModelConfig) -> Tensor:
    """Return the linear path that repeats the last day, shape (H, L)."""
    weight_hl = torch.zeros(config.horizon_h, config.lookback_h)
    lead = torch.arange(config.horizon_h)
    weight_hl[lead, config.lookback_h - HOURS_PER_DAY + lead % HOURS_PER_DAY] = 1.0
    return weight_hl
