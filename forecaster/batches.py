"""Draws training windows at random, with the faults that live data have. Pure numpy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from forecaster.features import calendar, epoch_hour
from forecaster.model import HOURS_PER_DAY, ModelConfig
from forecaster.series import document
from forecaster.windows import Table

LATEST_ZONE_H = 8
"""The latest grid zone is about 6 h behind (CA-QC)."""


@document
class Faults:
    """How often a training window is damaged as live data are; probabilities."""

    short: float = 0.15
    """Only the last 24 to 167 h are there, as when the store is young."""
    late: float = 0.15
    """The grid zone's last hours are not there yet."""
    gap: float = 0.1
    """Some hours in the middle are missing."""
    lost_neighbour: float = 0.1
    """A neighbour is not there at all, each."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Windows to learn from."""

    windows: NDArray[np.float32]
    """gCO2eq/kWh, shape (batch, channels, lookback); NaN where missing."""
    zones: NDArray[np.int64]
    """Index of the grid zone, shape (batch,)."""
    calendar: NDArray[np.float32]
    """Of lookback and horizon, shape (batch, lookback + horizon, features)."""
    targets: NDArray[np.float32]
    """gCO2eq/kWh, shape (batch, horizon); NaN where missing."""


def usable_pairs(table: Table, config: ModelConfig) -> NDArray[np.int64]:
    """List the (grid zone, column of the origin) with a day before and all hours after.

    Returns:
        Shape (pairs, 2).

    Raises:
        ValueError: If there is none.
    """
    seen = np.isfinite(table.gco2eq_per_kwh).cumsum(axis=1)
    seen = np.pad(seen, ((0, 0), (1, 0)))
    origins = np.arange(config.lookback_h, table.gco2eq_per_kwh.shape[1] - config.horizon_h + 1)
    ahead = seen[:, origins + config.horizon_h] - seen[:, origins]
    before = seen[:, origins] - seen[:, origins - config.lookback_h]
    pairs = np.argwhere((ahead == config.horizon_h) & (before >= HOURS_PER_DAY))
    if not len(pairs):
        raise ValueError(
            f"expected at least {config.lookback_h + config.horizon_h} recorded hours in a row"
            f" to learn from, found none in {table.gco2eq_per_kwh.shape[1]} h"
        )
    pairs[:, 1] += config.lookback_h
    return pairs


def cut(
    table: Table,
    pairs: NDArray[np.int64],
    *,
    channels: Sequence[Sequence[int]],
    config: ModelConfig,
) -> Batch:
    """Cut the windows and targets of `pairs`, shape (batch, 2).

    Args:
        table: Histories.
        pairs: Grid zone and column of the origin.
        channels: For each grid zone, itself and its neighbours.
        config: Says how long.
    """
    lookback, horizon = config.lookback_h, config.horizon_h
    slices = sliding_window_view(table.gco2eq_per_kwh, lookback + horizon, axis=1)
    zones, starts = pairs[:, 0], pairs[:, 1] - lookback
    rows = np.asarray(channels, dtype=np.int64)[zones]
    cuts = slices[rows, starts[:, None]]
    hours = epoch_hour(table.start) + starts[:, None] + np.arange(lookback + horizon)
    return Batch(
        windows=cuts[..., :lookback].copy(),
        zones=zones,
        calendar=calendar(hours),
        targets=cuts[:, 0, lookback:].copy(),
    )


def damage(
    windows: NDArray[np.float32], faults: Faults, *, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a copy of `windows` with values removed at random, as live data lack them."""
    batch, channels, hours = windows.shape
    since = np.arange(hours)[::-1]  # 0 for the last hour
    short = np.where(
        rng.random(batch) < faults.short, rng.integers(HOURS_PER_DAY, hours + 1, batch), hours
    )[:, None, None]
    late = np.where(
        rng.random((batch, channels)) < faults.late,
        rng.integers(1, LATEST_ZONE_H + 1, (batch, channels)),
        0,
    )[..., None]
    begin = rng.integers(0, hours, (batch, channels))[..., None]
    length = np.where(
        rng.random((batch, channels)) < faults.gap,
        rng.integers(1, HOURS_PER_DAY + 1, (batch, channels)),
        0,
    )[..., None]
    lost = rng.random((batch, channels)) < faults.lost_neighbour
    lost[:, 0] = False
    gone = (since >= short) | (since < late) | lost[..., None]
    gone |= (since >= begin) & (since < begin + length)
    return np.where(gone, np.float32(np.nan), windows)


def draw_batches(  # noqa: PLR0913 - each is a different thing
    table: Table,
    *,
    channels: Sequence[Sequence[int]],
    config: ModelConfig,
    faults: Faults,
    batch_size: int,
    seed: int,
) -> Iterator[Batch]:
    """Draw batches for ever, the same for the same seed."""
    rng = np.random.default_rng(seed)
    pairs = usable_pairs(table, config)
    while True:
        batch = cut(
            table,
            pairs[rng.integers(0, len(pairs), batch_size)],
            channels=channels,
            config=config,
        )
        yield Batch(
            windows=damage(batch.windows, faults, rng=rng),
            zones=batch.zones,
            calendar=batch.calendar,
            targets=batch.targets,
        )
