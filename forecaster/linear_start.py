"""Fits the linear path in closed form, robustly, so that training starts from there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from forecaster.batches import Windows, cut, usable_origins
from forecaster.features import CLOCK_FEATURES
from forecaster.linear_path import RECENT_H, LinearPath, own_inputs
from forecaster.model import HOURS_PER_DAY, ModelConfig, normalise
from forecaster.prediction import clocks_at
from forecaster.windows import Table

EVERY_H = 3
"""Every third hour is an origin: windows an hour apart say nearly the same."""
PENALTY = 0.01
"""Pull towards the common map, against the mean square of normalised values, which is 1."""
COMMON_PENALTY = 0.003
"""Of the common map's squared weights: it rests on all grid zones, so it needs less."""
OLDEST_HOUR, TURNED, OTHERS, CLOCK, CONSTANT = 4.0, 3.0, 64.0, 0.3, 1e-4
"""Penalties of groups of inputs, relative to that of the own last hour. The less an input
is likely to matter, the higher."""
REWEIGHTINGS = 2
"""Turns of reweighting by the inverse error: least squares become least absolute errors."""
MOST_SPREAD = 2.0
"""Of the usual spread of a window; a wilder one counts no more for it."""
LEAST_ERROR = 0.3
"""Of the median error; windows that fit better than that count no more for it."""
SMALLEST_ERROR = 1e-6
"""gCO2eq/kWh; a perfect fit is no division by zero."""
LEAST_WINDOWS_PER_INPUT = 5


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """What one grid zone's map is fitted on, N windows."""

    own_ni: Tensor
    """Own hours, turned recent means, and clock."""
    others_ni: Tensor
    """Recent means of the neighbours."""
    ahead_nh: Tensor
    """Normalised hours ahead."""
    spread_n1: Tensor
    """gCO2eq/kWh."""


def fit_linear_path(
    path: LinearPath, table: Table, config: ModelConfig, *, history_h: int | None = None
) -> None:
    """Set the weights of `path` to those with the least absolute errors, in gCO2eq/kWh.

    Each map is drawn towards what all grid zones have in common. A grid zone with too few
    whole windows gets just that, and if no grid zone has enough, the path stays as it is.

    Args:
        path: Is changed.
        table: Histories to learn from.
        config: Shape of the network.
        history_h: So many last hours of each window are shown; all if `None`.

    Raises:
        ValueError: If there is no origin to learn from.
    """
    lessons = _lessons(path, table, config, history_h or config.lookback_h)
    if not lessons:
        return
    own, others = _penalties(config, path.others.shape[2])
    common = _common(list(lessons.values()), own)
    sizes = [path.own.shape[2], CLOCK_FEATURES, path.others.shape[2]]
    for row in range(config.grid_zones):
        weights = torch.cat([common, torch.zeros(sizes[2], config.horizon_h)]).double()
        if row in lessons:
            weights = _least_absolute(lessons[row], torch.cat([own, others]), weights)
        parts = torch.split(weights.T.float(), sizes, dim=1)
        with torch.no_grad():
            for parameter, part in zip((path.own, path.clock, path.others), parts, strict=True):
                parameter[row] = part


def _lessons(
    path: LinearPath, table: Table, config: ModelConfig, history_h: int
) -> dict[int, _Lesson]:
    """Return the windows of each grid zone that has enough of them."""
    windows = cut(table, usable_origins(table, config)[::EVERY_H], config=config)
    shown = windows.recorded_bzl.copy()
    shown[..., : config.lookback_h - history_h] = np.nan
    normal = normalise(torch.from_numpy(shown))
    clock = clocks_at(windows.epoch_hours, config).origin_bf
    own = own_inputs(normal.values_bzl, clock)
    others = path.others_inputs(normal.values_bzl, normal.known_bz)
    lessons = {}
    for row in range(config.grid_zones):
        whole = _whole(windows, row)
        if whole.sum() < LEAST_WINDOWS_PER_INPUT * own.shape[-1]:
            continue
        # Its own recent means are among its own inputs already.
        spans = slice(row * len(RECENT_H), (row + 1) * len(RECENT_H))
        others_of_row = others[whole].clone()
        others_of_row[:, spans] = 0.0
        spread = normal.spread_bz[whole, row, None].double()
        ahead = torch.from_numpy(windows.targets_bzh)[whole, row].double()
        lessons[row] = _Lesson(
            torch.cat([own[whole, row], clock[whole]], dim=1).double(),
            others_of_row.double(),
            (ahead - normal.mean_bz[whole, row, None]) / spread,
            spread,
        )
    return lessons


def _whole(windows: Windows, row: int) -> Tensor:
    """Tell in which windows the grid zone lacks less than a day, and no hour ahead."""
    recorded = np.isfinite(windows.recorded_bzl[:, row])
    enough = recorded.sum(axis=1) > recorded.shape[1] - HOURS_PER_DAY
    return torch.from_numpy(enough & np.isfinite(windows.targets_bzh[:, row]).all(axis=1))


def _penalties(config: ModelConfig, others: int) -> tuple[Tensor, Tensor]:
    """Return the penalties of own inputs and clock, and of the neighbours'."""
    own = torch.linspace(OLDEST_HOUR, 1.0, config.lookback_h)
    turned = torch.full((LinearPath.turned_inputs(),), TURNED)
    clock = torch.full((CLOCK_FEATURES,), CLOCK)
    clock[-1] = CONSTANT
    return torch.cat([own, turned, clock]).double(), torch.full((others,), OTHERS).double()


def _common(lessons: list[_Lesson], penalties: Tensor) -> Tensor:
    """Return the weights of own inputs and clock that suit all grid zones, each counting alike."""
    size, horizon = lessons[0].own_ni.shape[1], lessons[0].ahead_nh.shape[1]
    gram = torch.zeros(size, size, dtype=torch.float64)
    sides = torch.zeros(size, horizon, dtype=torch.float64)
    for lesson in lessons:
        share = lesson.spread_n1 / lesson.spread_n1.sum() / len(lessons)
        gram += lesson.own_ni.T @ (lesson.own_ni * share)
        sides += lesson.own_ni.T @ (lesson.ahead_nh * share)
    common: Tensor = torch.linalg.solve(gram + torch.diag(COMMON_PENALTY * penalties), sides)
    return common


def _least_absolute(lesson: _Lesson, penalties: Tensor, common: Tensor) -> Tensor:
    """Return the weights, shape (own inputs and clock and neighbours, H).

    Windows count by their spread, within limits, since errors are in gCO2eq/kWh, and by the
    inverse of their error in the turn before: a few wild days must not decide about all others.
    """
    inputs = torch.cat([lesson.own_ni, lesson.others_ni], dim=1)
    usual_spread = lesson.spread_n1.median()
    by_spread = (lesson.spread_n1 / usual_spread).clamp(max=MOST_SPREAD)
    weights, share = common, by_spread
    for turn in range(1 + REWEIGHTINGS):
        if turn:
            error = ((inputs @ weights - lesson.ahead_nh) * lesson.spread_n1).abs()
            of_window = error.mean(dim=1, keepdim=True)
            usual = of_window.median().clamp(min=SMALLEST_ERROR)
            share = by_spread * (usual / of_window.clamp(min=LEAST_ERROR * usual)).sqrt()
        pull = PENALTY * penalties * share.square().sum()
        scaled = inputs * share
        sides = scaled.T @ (lesson.ahead_nh * share) + pull[:, None] * common
        weights = torch.linalg.solve(scaled.T @ scaled + torch.diag(pull), sides)
    return weights
