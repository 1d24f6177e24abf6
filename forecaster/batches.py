"""Draws training windows at random, with the faults that live data have. Pure numpy."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecaster.features import epoch_hour
from forecaster.model import HOURS_PER_DAY, ModelConfig
from forecaster.series import document
from forecaster.windows import LEAST_RECORDED_H, Table

LATEST_ZONE_H = 8
"""The latest grid zone is about 6 h behind (CA-QC)."""
LOST_AT_ONCE = 0.5
"""Share of the grid zones that are gone when some are lost."""


@document
class Faults:
    """How often training windows are damaged as live data are; probabilities."""

    short: float = 0.15
    """Only the last 24 h or more are there, as when the store is young; all grid zones."""
    late: float = 0.1
    """A grid zone's last hours are not there yet."""
    gap: float = 0.07
    """Some hours of a grid zone are missing."""
    lost: float = 0.15
    """Half of the grid zones are not there at all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """What is known at some origins, and what came after; shapes as in `model`."""

    recorded_bzl: NDArray[np.float32]
    """gCO2eq/kWh, NaN where missing."""
    targets_bzh: NDArray[np.float32]
    """gCO2eq/kWh, NaN where missing or not to be learnt from."""
    epoch_hours: NDArray[np.int64]
    """The origins, hours since 1970, shape (B,)."""


def usable_origins(table: Table, config: ModelConfig) -> NDArray[np.int64]:
    """List the columns with a whole lookback before and a whole horizon from there on.

    Raises:
        ValueError: If there is none, or no grid zone is recorded around any.
    """
    hours = table.gco2eq_per_kwh.shape[1]
    needed = config.lookback_h + config.horizon_h
    recorded = np.isfinite(table.gco2eq_per_kwh)
    if hours < needed or not recorded.any():
        raise ValueError(
            f"expected at least {needed} recorded hours in a row to learn from, found none in"
            f" {hours} h"
        )
    return np.arange(config.lookback_h, hours - config.horizon_h + 1, dtype=np.int64)


def cut(table: Table, origins: NDArray[np.int64], *, config: ModelConfig) -> Windows:
    """Cut the windows around `origins`, columns of the table, shape (batch,)."""
    lookback, horizon = config.lookback_h, config.horizon_h
    slices = sliding_window_view(table.gco2eq_per_kwh, lookback + horizon, axis=1)
    cuts = slices[:, origins - lookback].transpose(1, 0, 2)
    return Windows(
        recorded_bzl=cuts[..., :lookback].copy(),
        targets_bzh=cuts[..., lookback:].copy(),
        epoch_hours=epoch_hour(table.start) + origins,
    )


def damage(windows: Windows, faults: Faults, *, rng: np.random.Generator) -> Windows:
    """Return `windows` with hours removed at random, as live data lack them.

    A grid zone that has too little left to be forecast has no targets either.
    """
    recorded = windows.recorded_bzl
    batch, zones, hours = recorded.shape
    each = (batch, zones)
    since = np.arange(hours)[::-1]  # 0 for the last hour
    short = np.where(rng.random(batch) < faults.short, _lengths(batch, hours, rng), hours)
    late = np.where(rng.random(each) < faults.late, rng.integers(1, LATEST_ZONE_H + 1, each), 0)
    begin = rng.integers(0, hours, each)[..., None]
    length = np.where(rng.random(each) < faults.gap, rng.integers(1, HOURS_PER_DAY + 1, each), 0)
    lost = (rng.random(each) < LOST_AT_ONCE) & (rng.random((batch, 1)) < faults.lost)
    gone = (since >= short[:, None, None]) | (since < late[..., None]) | lost[..., None]
    gone |= (since >= begin) & (since < begin + length[..., None])
    left = np.where(gone, np.float32(np.nan), recorded)
    usable = np.isfinite(left[..., -HOURS_PER_DAY:]).sum(axis=-1) >= LEAST_RECORDED_H
    targets = np.where(usable[..., None], windows.targets_bzh, np.float32(np.nan))
    return dataclasses.replace(windows, recorded_bzl=left, targets_bzh=targets)


def draw_batches(
    table: Table, *, config: ModelConfig, faults: Faults, batch_size: int, seed: int
) -> Iterator[Windows]:
    """Draw batches of origins for ever, the same for the same seed."""
    rng = np.random.default_rng(seed)
    origins = usable_origins(table, config)
    while True:
        chosen = origins[rng.integers(0, len(origins), batch_size)]
        yield damage(cut(table, chosen, config=config), faults, rng=rng)


def _lengths(batch: int, hours: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw lengths of a short history: whole first days often, since a store begins with them."""
    any_length = rng.integers(HOURS_PER_DAY, hours + 1, batch)
    days = HOURS_PER_DAY * rng.integers(1, max(hours // HOURS_PER_DAY // 2, 1) + 1, batch)
    lengths: NDArray[np.int64] = np.where(rng.random(batch) < 1 / 3, days, any_length)
    return lengths
