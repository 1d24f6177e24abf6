"""The temporal convolutional network: windows in, quantiles out. Knows tensors, no time, no files.

Shape suffixes: B origins, Z grid zones, L lookback hours, H horizon hours, C channels,
F clock or calendar features, K state, M members, Q quantiles. All grid zones of an origin are
forecast together: each has its window read by the same convolutions, and hears of the others.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from forecaster.features import CALENDAR_FEATURES, LEAD_COLUMNS
from forecaster.linear_path import RECENT_H, LinearPath, recent_means
from forecaster.series import document

HOURS_PER_DAY = 24
SHORT_HISTORIES_H = (24, 48, 96)
"""What is recorded when a store is young: the first answer, and some days later."""
DAYS_SHOWN = 7
"""Recorded days whose same hour is shown for each hour ahead."""
SMALLEST_SPREAD = 0.02
"""Of the window's mean; keeps a constant window from being divided by zero."""
VOICE = 8
"""Numbers by which a grid zone is heard in one way."""
CORRECTION_AT_START = 0.3
"""A member starts near the same hours of the days before."""
LINEAR_SHARE_OF_A_DAY, LINEAR_SHARE_OF_ALL = 0.9, 0.65
"""Of the linear paths in the median, with a day of history and with a whole lookback; the
members have the rest."""

YESTERDAY_WAITS = 0.7
"""To the power of the hours since the origin, what yesterday's share in the median still lacks: of
the next hours the last recorded one says more."""

FADES_BY = 0.97
"""Of what the last recorded hour is off, an hour: about the grids' own autocorrelation."""

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


@document
class ModelConfig:
    """Shape of the network; all that is needed, with the weights, to build it again."""

    grid_zones: Positive
    """How many grid zones have an embedding and a linear path of their own."""
    neighbours: tuple[int, ...] = ()
    """Indices of the grid zones whose recent hours inform the forecasts of the others."""
    horizon_h: Positive = 48
    """Hours ahead, whole days."""
    kernels: tuple[Annotated[int, Field(gt=1)], ...] = (6, 2, 2, 7)
    """Kernel size of each block; a block's dilation is the product of those before it."""
    members: Positive = 2
    """Networks whose forecasts are averaged."""
    channels: Positive = 48
    """Of the residual stream."""
    embedding: Positive = 8
    """Numbers that describe a grid zone."""
    voices: Positive = 4
    """Ways in which a grid zone hears the others."""
    lead_features: Positive = 12
    """Numbers that the network hands on for each hour ahead."""
    dropout: Share = 0.2
    """Share of the head's activations dropped in training; half of it in the blocks."""

    def __post_init__(self) -> None:
        """Refuse a lookback or horizon that is not made of whole days, and strange neighbours."""
        for name, hours in (("kernels", self.lookback_h), ("horizon_h", self.horizon_h)):
            if hours % HOURS_PER_DAY:
                message = (
                    f"{name}: expected the hours to be a multiple of 24 h (the lookback is the"
                    f" product of the kernels), found {hours}"
                )
                raise ValueError(message)
        if not all(0 <= row < self.grid_zones for row in self.neighbours):
            message = (
                f"neighbours: expected indices below {self.grid_zones}, found {self.neighbours}"
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
    that reach the last hour are disjoint groups of `kernel` positions kept by the block
    before. A linear map of each group computes the convolution there and nowhere else.
    """

    def __init__(self, channels_in: int, channels: int, *, kernel: int, dropout: float) -> None:
        """Create a block that keeps every `kernel`-th position."""
        super().__init__()
        self.kernel = kernel
        self.convolution = nn.Linear(channels_in * kernel, channels)
        self.mix = nn.Linear(channels, channels)
        self.shortcut: nn.Module = (
            nn.Identity() if channels_in == channels else nn.Linear(channels_in, channels)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_nlc: Tensor, shared_nlc: Tensor | float = 0.0) -> Tensor:
        """Return shape (N, L / kernel, channels).

        Args:
            x_nlc: N windows, or states of the block before.
            shared_nlc: Added before the first activation.
        """
        windows, hours, channels = x_nlc.shape
        groups = x_nlc.reshape(windows, hours // self.kernel, self.kernel * channels)
        last = x_nlc[:, self.kernel - 1 :: self.kernel]
        inner = functional.gelu(self.convolution(groups) + shared_nlc)
        out: Tensor = self.shortcut(last) + self.dropout(functional.gelu(self.mix(inner)))
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """Windows on one scale, and what reverses it."""

    values_bzl: Tensor
    """Each window less its mean and divided by its spread, gaps filled."""
    recorded_bzl: Tensor
    """1 where recorded, 0 where filled."""
    mean_bz: Tensor
    """gCO2eq/kWh, of the recorded hours."""
    spread_bz: Tensor
    """gCO2eq/kWh."""
    known_bz: Tensor
    """1 where at least a day's worth of hours is recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class Clocks:
    """What the clock says about the hours of a window and those ahead."""

    past_blf: Tensor
    """Calendar of the lookback."""
    origin_bf: Tensor
    """Clock of the first hour ahead."""
    ahead_bhf: Tensor
    """Clock of the hours ahead, `LEAD_COLUMNS` of it."""


class Member(nn.Module):
    """One network of the ensemble: forecasts, and tells how far off it may be.

    It knows nothing of the linear path: what is learnt apart errs apart, and the mean gains.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Create it with random weights."""
        super().__init__()
        self.config = config
        width, lead = config.channels, LEAD_COLUMNS.stop
        self.embedding = nn.Embedding(config.grid_zones, config.embedding)
        self.anchor = nn.Linear(config.lookback_h, config.horizon_h, bias=False)
        self.calendar = nn.Linear(CALENDAR_FEATURES * config.kernels[0], width, bias=False)
        self.blocks = nn.ModuleList(
            Block(2 if i == 0 else width, width, kernel=kernel, dropout=config.dropout / 2)
            for i, kernel in enumerate(config.kernels)
        )
        state = len(config.kernels) * width
        heard = VOICE * config.voices
        self.say = nn.Linear(state + len(RECENT_H), heard)
        self.hear = nn.Parameter(torch.zeros(config.grid_zones, config.grid_zones, config.voices))
        self.to_lead = nn.Sequential(
            nn.Linear(state + config.embedding + 2 + heard, 128),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(128, config.horizon_h * config.lead_features),
        )
        last = nn.Linear(width, 3)
        self.to_quantiles = nn.Sequential(
            nn.Linear(config.lead_features + lead + config.embedding + DAYS_SHOWN + 3, width),
            nn.GELU(),
            last,
        )
        with torch.no_grad():
            self.anchor.weight.copy_(same_hours(config))
            last.weight[0] *= CORRECTION_AT_START
            last.bias[0] = 0.0

    def forward(self, normal: Normal, clocks: Clocks, informs_bz: Tensor) -> Tensor:
        """Return normalised quantiles, ascending, shape (B, Z, H, Q).

        Args:
            normal: Windows.
            clocks: Of the windows' hours and those ahead.
            informs_bz: 1 where others may hear of the grid zone.
        """
        anchor_bzh = self.anchor(normal.values_bzl)
        batch, zones, horizon = anchor_bzh.shape
        history_bzk = self._history(normal, clocks.past_blf)
        heard_bzk = self._heard(history_bzk, normal, informs_bz)
        zone_bze = self.embedding.weight.expand(batch, -1, -1)
        # Relative spread tells a calm window from a wild one, which normalising hides.
        wild_bz1 = torch.log(normal.spread_bz / normal.mean_bz.clamp(min=1.0)).unsqueeze(2)
        share_bz1 = normal.recorded_bzl.mean(-1, keepdim=True)
        lead = self.to_lead(
            torch.cat([history_bzk, zone_bze, wild_bz1, share_bz1, heard_bzk], dim=2)
        )

        def each_hour(x_bzk: Tensor) -> Tensor:
            return x_bzk.unsqueeze(2).expand(-1, -1, horizon, -1)

        out_bzhq = self.to_quantiles(
            torch.cat(
                [
                    lead.view(batch, zones, horizon, -1),
                    clocks.ahead_bhf.unsqueeze(1).expand(-1, zones, -1, -1),
                    each_hour(zone_bze),
                    self._same_hour(normal.values_bzl),
                    anchor_bzh.unsqueeze(-1),
                    each_hour(share_bz1),
                ],
                dim=3,
            )
        )
        middle = anchor_bzh + out_bzhq[..., 0]
        below, above = functional.softplus(out_bzhq[..., 1:]).unbind(-1)
        return torch.stack([middle - below, middle, middle + above], dim=-1)

    def _history(self, normal: Normal, past_blf: Tensor) -> Tensor:
        """Return each block's state at the last hour, side by side, shape (B, Z, K)."""
        batch, zones, hours = normal.values_bzl.shape
        kernel = self.config.kernels[0]
        # The calendar is the same for all grid zones: its part is computed once.
        shared = self.calendar(past_blf.reshape(batch, hours // kernel, -1))
        x_nlc = torch.stack([normal.values_bzl, normal.recorded_bzl], dim=-1).flatten(0, 1)
        last: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            x_nlc = block(x_nlc, shared.repeat_interleave(zones, dim=0) if i == 0 else 0.0)
            last.append(x_nlc[:, -1])
        return torch.cat(last, dim=1).view(batch, zones, -1)

    def _heard(self, history_bzk: Tensor, normal: Normal, informs_bz: Tensor) -> Tensor:
        """Return what each grid zone hears of the others, shape (B, Z, voices * VOICE)."""
        said = torch.cat([history_bzk, recent_means(normal.values_bzl)], dim=2)
        voices = functional.gelu(self.say(said)) * informs_bz.unsqueeze(2)
        by_voice = voices.view(*voices.shape[:2], self.config.voices, VOICE)
        return torch.einsum("zyv,byvc->bzvc", self.hear, by_voice).flatten(2)

    def _same_hour(self, values_bzl: Tensor) -> Tensor:
        """Return the same hour of the last days and their mean, shape (B, Z, H, days + 1)."""
        days = min(DAYS_SHOWN, values_bzl.shape[-1] // HOURS_PER_DAY)
        recent = values_bzl[..., -days * HOURS_PER_DAY :]
        recent = recent.reshape(*values_bzl.shape[:2], days, HOURS_PER_DAY)
        mean = recent.mean(2, keepdim=True)
        # A lookback of fewer days shows its mean in place of the others.
        before = mean.expand(-1, -1, DAYS_SHOWN - days, -1)
        same = torch.cat([before, recent, mean], dim=2).transpose(2, 3)
        return same.repeat(1, 1, self.config.horizon_h // HOURS_PER_DAY, 1)


class Tcn(nn.Module):
    """Forecasts the quantiles 10, 50 and 90 % of the hours ahead of all grid zones at once."""

    width_pzhq: Tensor
    yesterday_z: Tensor
    informs_z: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Create the network; the linear paths start as "same hour yesterday"."""
        super().__init__()
        self.config = config
        # One for each of `history_lengths`: a day says less than a week, and other things.
        self.linear = nn.ModuleList(
            LinearPath(
                grid_zones=config.grid_zones,
                neighbours=config.neighbours,
                hours=(config.lookback_h, config.horizon_h),
            )
            for _ in history_lengths(config)
        )
        informs = torch.zeros(config.grid_zones)
        informs[list(config.neighbours)] = 1.0
        self.register_buffer("informs_z", informs, persistent=False)
        self.members = nn.ModuleList(Member(config) for _ in range(config.members))
        # How much wider than learned the interval is, below and above, found on held-out hours
        # for each of `history_lengths`.
        lengths = len(history_lengths(config))
        width = torch.ones(lengths, config.grid_zones, config.horizon_h, 2)
        self.register_buffer("width_pzhq", width)
        # How much yesterday counts in the median, found likewise: of use where little is known.
        self.register_buffer("yesterday_z", torch.zeros(config.grid_zones))

    def forward(self, recorded_bzl: Tensor, clocks: Clocks) -> Tensor:
        """Forecast.

        Args:
            recorded_bzl: Recorded intensity, gCO2eq/kWh, NaN where missing.
            clocks: Of the same origins.

        Returns:
            gCO2eq/kWh, not below 0, shape (B, Z, H, Q), ascending along Q.
        """
        normal = normalise(recorded_bzl, bridge=True)
        low, mid, high = self.each_member(normal, clocks).mean(0).unbind(-1)
        linear_bzh = self.linear_median(recorded_bzl, clocks)
        linear_bzh = (linear_bzh - normal.mean_bz[..., None]) / normal.spread_bz[..., None]
        middle = mid + self._linear_share(normal)[..., None] * (linear_bzh - mid)
        yesterday_bzl = normal.values_bzl[..., -HOURS_PER_DAY:]
        yesterday_bzh = yesterday_bzl.repeat(1, 1, self.config.horizon_h // HOURS_PER_DAY)
        comes_h = 1 - YESTERDAY_WAITS ** torch.arange(self.config.horizon_h)
        middle = middle + self.yesterday_z[:, None] * comes_h * (yesterday_bzh - middle)
        shares_pbz = self.length_shares(normal)
        width_bzhq = torch.einsum("pbz,pzhq->bzhq", shares_pbz, self.width_pzhq)
        below, above = (torch.stack([mid - low, high - mid], dim=-1) * width_bzhq).unbind(-1)
        return reverse(torch.stack([middle - below, middle, middle + above], dim=-1), normal)

    def linear_median(self, recorded_bzl: Tensor, clocks: Clocks) -> Tensor:
        """Return what the linear paths forecast, gCO2eq/kWh, shape (B, Z, H).

        Each path sees just the hours that it was fitted for; more would mislead it.
        """
        lengths = history_lengths(self.config)
        shares_pbz = between(history_of(torch.isfinite(recorded_bzl)), lengths)
        out_bzh = torch.zeros(*recorded_bzl.shape[:2], self.config.horizon_h)
        for path, length, share_bz in zip(self.linear, lengths, shares_pbz, strict=True):
            if not share_bz.any():
                continue
            shown_bzl = recorded_bzl.clone()
            shown_bzl[..., : recorded_bzl.shape[-1] - length] = float("nan")
            normal = normalise(shown_bzl, bridge=True)
            found_bzh = path(normal.values_bzl, normal.known_bz, clocks.origin_bf)
            in_units = found_bzh * normal.spread_bz[..., None] + normal.mean_bz[..., None]
            out_bzh = out_bzh + share_bz[..., None] * in_units
        return out_bzh

    def length_shares(self, normal: Normal) -> Tensor:
        """Return by how much each of `history_lengths` counts, shape (P, B, Z)."""
        return between(history_of(normal.recorded_bzl > 0), history_lengths(self.config))

    def _linear_share(self, normal: Normal) -> Tensor:
        """Return the share of the linear paths in the median, shape (B, Z)."""
        most = max(self.config.lookback_h - HOURS_PER_DAY, 1)
        more = ((history_of(normal.recorded_bzl > 0) - HOURS_PER_DAY) / most).clamp(0.0, 1.0)
        return LINEAR_SHARE_OF_A_DAY + more * (LINEAR_SHARE_OF_ALL - LINEAR_SHARE_OF_A_DAY)

    def each_member(self, normal: Normal, clocks: Clocks) -> Tensor:
        """Return the normalised quantiles of each member, shape (M, B, Z, H, Q)."""
        informs_bz = normal.known_bz * self.informs_z
        return torch.stack([member(normal, clocks, informs_bz) for member in self.members])


def normalise(recorded_bzl: Tensor, *, bridge: bool = False) -> Normal:
    """Subtract each window's own mean and divide by its own spread, over recorded hours.

    A missing hour takes the mean of the same hour of the window's other days, or of the
    window if none is recorded, and is 0 in the mask.

    Args:
        recorded_bzl: gCO2eq/kWh, NaN where missing.
        bridge: Whether hours missing since the first recorded one also take what the
            recorded hours beside them are off that mean. What forecasts does; what is
            trained does not, so that it learns to heed the mask.
    """
    seen = torch.isfinite(recorded_bzl)
    mask = seen.to(recorded_bzl.dtype)
    raw = torch.where(seen, recorded_bzl, torch.zeros_like(recorded_bzl))
    found = mask.sum(-1, keepdim=True)
    count = found.clamp(min=1.0)
    mean = raw.sum(-1, keepdim=True) / count
    offset = (raw - mean) * mask
    spread = torch.sqrt(offset.square().sum(-1, keepdim=True) / count)
    spread = torch.maximum(spread, SMALLEST_SPREAD * mean).clamp(min=SMALLEST_SPREAD)
    scaled = offset / spread
    by_day = (*scaled.shape[:-1], -1, HOURS_PER_DAY)
    days_mask, days_scaled = mask.reshape(by_day), scaled.reshape(by_day)
    same_hour = days_scaled.sum(-2, keepdim=True) / days_mask.sum(-2, keepdim=True).clamp(min=1.0)
    filled = torch.where(days_mask > 0, days_scaled, same_hour).flatten(-2)
    if bridge:
        usual = same_hour.expand_as(days_scaled).flatten(-2)
        filled = torch.where(seen, filled, usual + bridged(filled - usual, seen))
    return Normal(
        values_bzl=filled,
        recorded_bzl=mask,
        mean_bz=mean[..., 0],
        spread_bz=spread[..., 0],
        known_bz=(found[..., 0] >= HOURS_PER_DAY).to(mask.dtype),
    )


def bridged(offset_bzl: Tensor, seen_bzl: Tensor) -> Tensor:
    """Return the offsets of recorded hours, carried to the hours that are missing.

    Between two recorded hours it goes straight from one to the other; after the last it
    fades; before the first there is none.
    """
    hours = seen_bzl.shape[-1]
    place = torch.arange(hours).expand_as(seen_bzl)
    before = torch.where(seen_bzl, place, torch.full_like(place, -1)).cummax(-1).values
    after = torch.where(seen_bzl, place, torch.full_like(place, hours))
    after = after.flip(-1).cummin(-1).values.flip(-1)
    started, ends = before >= 0, after >= hours
    since = (place - before).to(offset_bzl.dtype)
    left = offset_bzl.gather(-1, before.clamp(min=0))
    right = offset_bzl.gather(-1, after.clamp(max=hours - 1))
    straight = left + (right - left) * since / (after - before).clamp(min=1)
    carried = torch.where(ends, left * FADES_BY**since, straight)
    return torch.where(started, carried, torch.zeros_like(carried))


def reverse(normalised: Tensor, normal: Normal) -> Tensor:
    """Return gCO2eq/kWh, not below 0, for normalised values of shape (..., B, Z, H, Q)."""
    spread, mean = normal.spread_bz[..., None, None], normal.mean_bz[..., None, None]
    return torch.relu(normalised * spread + mean)


def history_lengths(config: ModelConfig) -> tuple[int, ...]:
    """Return the lengths of history, hours, for which there is a linear path, shortest first."""
    lookback = config.lookback_h
    return (*(hours for hours in SHORT_HISTORIES_H if hours < lookback), lookback)


def history_of(seen_bzl: Tensor) -> Tensor:
    """Return the hours since the first recorded one, gaps included, shape (B, Z)."""
    return (seen_bzl.cumsum(-1) > 0).float().sum(-1)


def between(history_bz: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Return by how much each length counts for so many hours of history, shape (P, B, Z).

    A length counts from half-way between the one before and itself on, and alone from itself
    on: what is fitted for more hours than are there does badly.
    """
    places = [torch.ones_like(history_bz)]
    for short, long in itertools.pairwise(lengths):
        half_way = (short + long) / 2
        above = ((history_bz - half_way) / (long - half_way)).clamp(0.0, 1.0)
        places = [*places[:-1], places[-1] * (1 - above), above]
    return torch.stack(places)


def same_hours(config: ModelConfig) -> Tensor:
    """Return the map that takes half of the last day and half of those before, shape (H, L)."""
    weight_hl = torch.zeros(config.horizon_h, config.lookback_h)
    lead = torch.arange(config.horizon_h)
    days = config.lookback_h // HOURS_PER_DAY
    for day in range(days):
        share = 0.5 if day == days - 1 else 0.5 / max(days - 1, 1)
        weight_hl[lead, day * HOURS_PER_DAY + lead % HOURS_PER_DAY] = share
    return weight_hl
