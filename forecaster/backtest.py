"""Scores forecasts made as if in the past, each day at 00:00 UTC, against the baselines."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecaster.baselines import Baseline, fit_ridge, last_week, persistence, usual
from forecaster.climatology import Array, fit_climatology
from forecaster.inference import Forecaster
from forecaster.series import IntensityHistory, Method, checked_hour

DAY_H = 24
YEAR = timedelta(days=365)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How good the forecasts of one grid zone were; MAE in gCO2eq/kWh."""

    grid_zone: str
    origins: int
    """Days scored: those with a forecast, a yesterday and an outcome."""
    mae: float
    """Mean absolute error of the median."""
    persistence_mae: float
    """Of the same hour of yesterday."""
    last_week_mae: float
    """Of the same hour of last week."""
    ridge_mae: float
    """Of a linear map from a week; NaN if there was too little to fit it."""
    climatology_mae: float
    """Of the mean of month, kind of day and hour; NaN if there was too little to fit it."""
    rank_correlation: float
    """Spearman's, of the hours within a day, mean over days: what choosing hours lives on."""
    coverage: float
    """Share of outcomes within [p10, p90]; 0.8 is right."""
    by_network: float
    """Share of forecasts that the network made; the others are climatology."""

    @property
    def skill(self) -> float:
        """Share of persistence's error that is gone."""
        return 1 - self.mae / self.persistence_mae if self.persistence_mae else float("nan")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All scores of one backtest."""

    begin: datetime
    end: datetime
    scores: tuple[Score, ...]
    """One per grid zone that could be scored."""
    not_scored: tuple[str, ...]
    """Grid zones without a day that could."""

    def means(self) -> dict[str, float]:
        """Return the means over grid zones; `skill` is of the means, `own_skill` mean of skills."""
        names = [field.name for field in dataclasses.fields(Score) if field.name != "grid_zone"]
        means = {
            name: float(np.mean([getattr(score, name) for score in self.scores])) for name in names
        }
        means["skill"] = 1 - means["mae"] / means["persistence_mae"]
        means["own_skill"] = float(np.mean([score.skill for score in self.scores]))
        return means

    def as_dict(self) -> dict[str, dict[str, float]]:
        """Return all figures by grid zone, and `mean`."""
        found = {
            score.grid_zone: {
                name: value
                for name, value in dataclasses.asdict(score).items()
                if name != "grid_zone"
            }
            | {"skill": score.skill}
            for score in self.scores
        }
        return found | {"mean": self.means()}


def backtest(
    forecaster: Forecaster,
    histories: Mapping[str, IntensityHistory],
    *,
    begin: datetime,
    end: datetime,
    on_origin: Callable[[datetime], None] = lambda _origin: None,
) -> Report:
    """Forecast each day of [begin, end) at 00:00 UTC from what was recorded before, and score.

    Ridge and climatology are fitted on the hours before `begin` only.

    Args:
        forecaster: What is scored.
        histories: Recorded hours, before and in the span.
        begin: 00:00 UTC of the first day.
        end: 00:00 UTC after the last day.
        on_origin: Called after each day, to show progress.

    Raises:
        ValueError: If the span is empty, not of whole days, or nothing in it can be scored.
    """
    begin, end = checked_hour(begin, of="begin"), checked_hour(end, of="end")
    days = (end - begin) // timedelta(days=1)
    if days < 1 or begin.hour or end.hour:
        raise ValueError(
            f"expected whole days, begin before end, found {begin.isoformat()} to {end.isoformat()}"
        )
    rivals = _rivals(histories, begin)
    seen: dict[str, list[_Day]] = {grid_zone: [] for grid_zone in histories}
    for origin in (begin + timedelta(days=day) for day in range(days)):
        forecast = forecaster.forecast(histories, origin, horizon_h=DAY_H, source="backtest")
        for zone in forecast.zones:
            history = histories[zone.grid_zone]
            day = _Day(
                actual=history.window(origin, DAY_H).astype(np.float64),
                quantiles=np.array([zone.p10, zone.p50, zone.p90]),
                rivals={name: rival(history, origin, DAY_H) for name, rival in rivals.items()},
                by_network=zone.method is Method.TCN,
            )
            # Only days on which persistence can be scored too, or the skill would not be fair.
            if day.there.any():
                seen[zone.grid_zone].append(day)
        on_origin(origin)
    scores = tuple(_score(grid_zone, found) for grid_zone, found in seen.items() if found)
    if not scores:
        raise ValueError(
            f"expected recorded hours from {begin.date()} to {end.date()}, found none to score"
        )
    not_scored = tuple(grid_zone for grid_zone, found in seen.items() if not found)
    return Report(begin=begin, end=end, scores=scores, not_scored=not_scored)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Day:
    actual: Array
    quantiles: Array
    """Shape (3, hours)."""
    rivals: Mapping[str, Array]
    by_network: bool

    @property
    def there(self) -> NDArray[np.bool_]:
        """Hours with an outcome and a yesterday, shape (hours,)."""
        return np.isfinite(self.actual) & np.isfinite(self.rivals["persistence"])


def rank_correlation(a: Array, b: Array) -> float:
    """Return Spearman's correlation; NaN if either is constant."""
    of_a, of_b = _ranks(a), _ranks(b)
    if not of_a.std() * of_b.std():
        return float("nan")
    return float(np.corrcoef(of_a, of_b)[0, 1])


def _ranks(values: Array) -> Array:
    """Return ranks, the mean of its places for a value that is there several times."""
    order = np.sort(values)
    ranks: Array = (order.searchsorted(values, "left") + order.searchsorted(values, "right")) / 2
    return ranks


def _rivals(histories: Mapping[str, IntensityHistory], begin: datetime) -> dict[str, Baseline]:
    rivals: dict[str, Baseline] = {"persistence": persistence, "last_week": last_week}
    known = {zone: history.cut_before(begin) for zone, history in histories.items()}
    # Less than a year has no month to compare with.
    old = {z: h for z, h in known.items() if h.gco2eq_per_kwh.size and h.end - h.start >= YEAR}
    if old:
        rivals["climatology"] = usual(fit_climatology(old))
    return rivals | {"ridge": fit_ridge(known, begin)}


def _score(grid_zone: str, days: list[_Day]) -> Score:
    there = np.stack([day.there for day in days])
    actual = np.stack([day.actual for day in days])
    low, mid, high = np.stack([day.quantiles for day in days], axis=1)
    ranks = [rank_correlation(day.quantiles[1][day.there], day.actual[day.there]) for day in days]
    known = [rank for rank in ranks if np.isfinite(rank)]

    def mae(name: str) -> float:
        if name not in days[0].rivals:
            return float("nan")
        return float(np.abs(np.stack([day.rivals[name] for day in days]) - actual)[there].mean())

    return Score(
        grid_zone=grid_zone,
        origins=len(days),
        mae=float(np.abs(mid - actual)[there].mean()),
        persistence_mae=mae("persistence"),
        last_week_mae=mae("last_week"),
        ridge_mae=mae("ridge"),
        climatology_mae=mae("climatology"),
        rank_correlation=float(np.mean(known)) if known else float("nan"),
        coverage=float(((low <= actual) & (actual <= high))[there].mean()),
        by_network=float(np.mean([day.by_network for day in days])),
    )
