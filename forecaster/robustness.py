"""How much accuracy is lost when hours are: the network scored on damaged inputs.

The faults are those of live data: a young store, grid zones that publish late, gaps, grid
zones that are not there. The outcomes are never damaged, and nothing is filled in.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecaster.batches import Windows, cut
from forecaster.climatology import Array
from forecaster.model import HOURS_PER_DAY, Tcn
from forecaster.prediction import predict
from forecaster.scores import rank_correlations, skill
from forecaster.windows import Table

ORIGINS_AT_ONCE = 64
PUBLISHED_LATE_H: Mapping[str, int] = {"CA-QC": 6, "BR-CS": 5}
"""By how much grid zones are late (electricitymaps-contrib, config/zones, `parsers` delays)."""

Fault = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.bool_]]
"""From recorded hours (B, Z, L) to those that are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """How good forecasts of the first day were under a fault, means over grid zones."""

    fault: str
    """What was missing."""
    skill: float
    """Share of the error of "same hour yesterday", from whole data, that is gone."""
    own_skill: float
    """Mean of the grid zones' own skills."""
    rank_correlation: float
    """Spearman's, of the hours within the day."""
    coverage: float
    """Share of outcomes within [p10, p90]."""


def faults(grid_zones: Sequence[str], lookback_h: int) -> dict[str, Fault]:
    """Return faults by name, from none to heavy."""
    since = np.arange(lookback_h)[::-1]

    def only_last(hours: int) -> Fault:
        return lambda recorded, _rng: np.broadcast_to(since >= hours, recorded.shape)

    def late(recorded: NDArray[np.float32], _rng: np.random.Generator) -> NDArray[np.bool_]:
        hours = np.array([PUBLISHED_LATE_H.get(zone, 0) for zone in grid_zones])
        return np.broadcast_to(since < hours[:, None], recorded.shape)

    def all_late(recorded: NDArray[np.float32], _rng: np.random.Generator) -> NDArray[np.bool_]:
        return np.broadcast_to(since < max(PUBLISHED_LATE_H.values()), recorded.shape)

    def single_hours(share: float) -> Fault:
        return lambda recorded, rng: rng.random(recorded.shape) < share

    def a_gap(recorded: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.bool_]:
        each = recorded.shape[:2]
        begin = rng.integers(0, lookback_h, each)[..., None]
        length = rng.integers(1, HOURS_PER_DAY + 1, each)[..., None]
        return (since >= begin) & (since < begin + length)

    return {
        "nothing": only_last(lookback_h),
        "all but the last 96 h": only_last(96),
        "all but the last 48 h": only_last(48),
        "all but the last 24 h": only_last(24),
        "what late grid zones lack": late,
        "the last 6 h of all": all_late,
        "a tenth of all hours": single_hours(0.1),
        "three tenths of all hours": single_hours(0.3),
        "a gap of up to a day in each": a_gap,
    }


def measure(model: Tcn, table: Table, origins: NDArray[np.int64], *, seed: int = 0) -> list[Loss]:
    """Score forecasts from `origins`, columns of `table`, under each fault.

    Args:
        model: The network.
        table: Its grid zones, in its order.
        origins: Columns; at least a lookback before and a horizon after each.
        seed: Of random faults.
    """
    windows = cut(table, origins, config=model.config)
    found = [
        _loss(name, _forecast(model, windows, fault, seed), windows)
        for name, fault in faults(table.grid_zones, model.config.lookback_h).items()
    ]
    return [*found, _loss("all other grid zones", _alone(model, windows), windows)]


def _forecast(model: Tcn, windows: Windows, fault: Fault, seed: int) -> NDArray[np.float32]:
    gone = fault(windows.recorded_bzl, np.random.default_rng(seed))
    damaged = np.where(gone, np.float32(np.nan), windows.recorded_bzl)
    return _in_parts(model, damaged, windows.epoch_hours)


def _alone(model: Tcn, windows: Windows) -> NDArray[np.float32]:
    """Forecast each grid zone with nothing of the others."""
    own = []
    for row in range(windows.recorded_bzl.shape[1]):
        damaged = np.full_like(windows.recorded_bzl, np.nan)
        damaged[:, row] = windows.recorded_bzl[:, row]
        own.append(_in_parts(model, damaged, windows.epoch_hours)[:, row])
    return np.stack(own, axis=1)


def _in_parts(
    model: Tcn, recorded: NDArray[np.float32], epoch_hours: NDArray[np.int64]
) -> NDArray[np.float32]:
    parts = np.array_split(np.arange(len(epoch_hours)), len(epoch_hours) // ORIGINS_AT_ONCE + 1)
    made = [predict(model, recorded[part], epoch_hours[part]) for part in parts if part.size]
    return np.concatenate(made)


def _loss(name: str, forecasts: NDArray[np.float32], windows: Windows) -> Loss:
    first = slice(0, HOURS_PER_DAY)
    outcome: Array = windows.targets_bzh[..., first].astype(np.float64)
    yesterday: Array = windows.recorded_bzl[..., -HOURS_PER_DAY:].astype(np.float64)
    low, mid, high = np.moveaxis(forecasts[:, :, first].astype(np.float64), -1, 0)
    there = np.isfinite(outcome) & np.isfinite(yesterday)
    rows = [row for row in range(there.shape[1]) if there[:, row].any()]
    errors = [float(np.abs(mid - outcome)[:, row][there[:, row]].mean()) for row in rows]
    naive = [float(np.abs(yesterday - outcome)[:, row][there[:, row]].mean()) for row in rows]
    ranks = [
        float(np.nanmean(rank_correlations(mid[:, row], outcome[:, row], there[:, row])))
        for row in rows
    ]
    return Loss(
        fault=name,
        skill=skill(float(np.mean(errors)), float(np.mean(naive))),
        own_skill=float(np.mean([skill(*pair) for pair in zip(errors, naive, strict=True)])),
        rank_correlation=float(np.mean(ranks)),
        coverage=float(((low <= outcome) & (outcome <= high))[there].mean()),
    )
