"""Says how good the forecasts of a backtest were, by grid zone, lead time and season. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from forecaster.backtest import DAY_H, Trial, ZoneTrial
from forecaster.baselines import BASELINES
from forecaster.climatology import Array

Figures = dict[str, float]
"""Names to values; NaN where it could not be worked out."""

BLOCK_DAYS = 7
"""Days that are drawn together for the spread: weather lasts for days, so days are not
independent."""
DRAWS = 1000
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All scores of one backtest. MAE and widths are in gCO2eq/kWh, coverage is a share."""

    begin: datetime
    end: datetime
    horizon_h: int
    model_version: str
    zones: Mapping[str, Figures]
    """By grid zone."""
    mean: Figures
    """Of the grid zones. `skill` is of the mean errors, `own_skill` the mean of skills."""
    lead_times: Mapping[int, Figures]
    """By lead time (h), means over grid zones."""
    zone_lead_times: Mapping[str, Mapping[int, Figures]]
    """By grid zone and lead time (h)."""
    windows: Mapping[str, Figures]
    """By part of the span (season or month), means over grid zones."""
    skill_p5: float
    """Of the means, if other weeks like these had come: blocks of days, drawn again."""
    skill_p95: float
    """Same."""
    not_scored: tuple[str, ...]
    """Grid zones without anything that could be scored."""

    @property
    def last_day(self) -> date:
        """The last day with an origin."""
        return (self.end - timedelta(days=1)).date()

    def by_zone(self) -> dict[str, Figures]:
        """Return the finite figures by grid zone, and `mean`, to four places."""
        return {
            name: rounded(figures) for name, figures in {**self.zones, "mean": self.mean}.items()
        }

    def as_dict(self) -> dict[str, object]:
        """Return all figures as JSON can hold them: absent where they are not known."""
        return {
            "from": self.begin.date().isoformat(),
            "to": self.last_day.isoformat(),
            "horizon_h": self.horizon_h,
            "model_version": self.model_version,
            "unit": "gCO2eq/kWh",
            "mean": rounded(self.mean),
            "skill_spread": rounded({"p5": self.skill_p5, "p95": self.skill_p95}),
            "zones": {name: rounded(figures) for name, figures in self.zones.items()},
            "lead_times_h": {str(h): rounded(figures) for h, figures in self.lead_times.items()},
            "zones_by_lead_time_h": {
                name: {str(h): rounded(figures) for h, figures in by_hour.items()}
                for name, by_hour in self.zone_lead_times.items()
            },
            "windows": {name: rounded(figures) for name, figures in self.windows.items()},
            "not_scored": list(self.not_scored),
        }


def rounded(figures: Figures) -> Figures:
    """Return the finite figures to four places; JSON knows no NaN, so these are absent."""
    return {name: round(value, 4) for name, value in figures.items() if math.isfinite(value)}


def score(trial: Trial, *, windows: Mapping[str, NDArray[np.bool_]] | None = None) -> Report:
    """Return all figures of a backtest.

    Args:
        trial: Its forecasts.
        windows: By name, which origins belong to it, shape (origins,); see `seasons`.
    """
    zones = {zone.grid_zone: _zone_figures(zone) for zone in trial.zones}
    lead_times = {
        zone.grid_zone: {hour + 1: _at_lead_time(zone, hour) for hour in range(trial.horizon_h)}
        for zone in trial.zones
    }
    low, high = _spread_of_skill(trial)
    every = np.ones(len(trial.origins), dtype=bool)
    return Report(
        begin=trial.begin,
        end=trial.end,
        horizon_h=trial.horizon_h,
        model_version=trial.model_version,
        zones=zones,
        mean=means(zones.values()),
        lead_times={
            hour: _over_zones([by_hour[hour] for by_hour in lead_times.values()])
            for hour in range(1, trial.horizon_h + 1)
        },
        zone_lead_times=lead_times,
        windows={
            name: means(_zone_figures(zone, among) for zone in trial.zones)
            for name, among in ({"whole": every} if windows is None else windows).items()
        },
        skill_p5=low,
        skill_p95=high,
        not_scored=trial.not_scored,
    )


def seasons(origins: Sequence[datetime], *, months: int = 3) -> dict[str, NDArray[np.bool_]]:
    """Return which origins are in which season, or month if `months` is 1; by its first month.

    Winter is December to February and named by its January's year.
    """
    begins = [_first_month(origin, months) for origin in origins]
    in_order = dict.fromkeys(begins)
    return {name: np.array([begin == name for begin in begins]) for name in in_order}


def _first_month(origin: datetime, months: int) -> str:
    index = origin.year * 12 + origin.month - 1
    if months == 1:
        return f"{origin.year}-{origin.month:02}"
    year, season = divmod(index + 1, 12)
    return f"{year} {('Dec-Feb', 'Mar-May', 'Jun-Aug', 'Sep-Nov')[season // 3]}"


def skill(mae: float, reference_mae: float) -> float:
    """Return the share of the reference's error that is gone; NaN if it had none."""
    return 1 - mae / reference_mae if reference_mae else float("nan")


def means(all_figures: Iterable[Figures]) -> Figures:
    """Return the means over grid zones; skills are of the means, `own_` ones means of skills."""
    rows = [row for row in all_figures if row.get("origins")]
    if not rows:
        return {"origins": 0.0}
    found = {name: _mean([row[name] for row in rows]) for name in rows[0]}
    for name in ("", *(f"{name}_" for name in BASELINES if name != "persistence")):
        found[f"own_{name}skill"] = found[f"{name}skill"]
        found[f"{name}skill"] = skill(found[f"{name}mae"], found["persistence_mae"])
    return found


def _zone_figures(zone: ZoneTrial, among: NDArray[np.bool_] | None = None) -> Figures:
    """Return the figures of one grid zone, of the origins `among`."""
    rows = zone.there.any(axis=1) if among is None else among & zone.there.any(axis=1)
    if not rows.any():
        return {"origins": 0.0}
    there, actual = zone.there[rows], zone.actual[rows]
    low, mid, high = np.moveaxis(zone.quantiles[rows], 1, 0)
    figures = {
        "origins": float(rows.sum()),
        "mae": _mae(mid, actual, there),
        "rank_correlation": _rank(mid, actual, there),
        "coverage": float(((low <= actual) & (actual <= high))[there].mean()),
        "width": float((high - low)[there].mean()),
        "by_network": float(zone.by_network[rows].mean()),
    }
    for name, made in zone.baselines.items():
        figures[f"{name}_mae"] = _mae(made[rows], actual, there)
        figures[f"{name}_rank_correlation"] = _rank(made[rows], actual, there)
    figures["skill"] = skill(figures["mae"], figures["persistence_mae"])
    for name in zone.baselines:
        if name != "persistence":
            figures[f"{name}_skill"] = skill(figures[f"{name}_mae"], figures["persistence_mae"])
    return figures


def _at_lead_time(zone: ZoneTrial, hour: int) -> Figures:
    """Return error and coverage of the hour that starts `hour` hours after the origins."""
    there, actual = zone.there[:, hour], zone.actual[:, hour]
    if not there.any():
        return {}
    low, mid, high = zone.quantiles[:, :, hour].T
    figures = {
        "mae": _mae(mid, actual, there),
        "coverage": float(((low <= actual) & (actual <= high))[there].mean()),
    }
    for name, made in zone.baselines.items():
        figures[f"{name}_mae"] = _mae(made[:, hour], actual, there)
    return figures | {"skill": skill(figures["mae"], figures["persistence_mae"])}


def _over_zones(rows: Sequence[Figures]) -> Figures:
    known = [row for row in rows if row]
    if not known:
        return {}
    found = {name: _mean([row[name] for row in known]) for name in known[0]}
    return found | {"skill": skill(found["mae"], found["persistence_mae"])}


def _spread_of_skill(trial: Trial) -> tuple[float, float]:
    """Return the 5 and 95 % quantiles of the skill of the means, blocks of days drawn again."""
    days = np.array([(origin - trial.begin).days for origin in trial.origins])
    blocks = days // BLOCK_DAYS
    count = int(blocks.max()) + 1
    errors = np.zeros((len(trial.zones), 3, count))
    for row, zone in zip(errors, trial.zones, strict=True):
        there = zone.there
        for index, made in enumerate((zone.quantiles[:, 1], zone.baselines["persistence"])):
            wrong = np.where(there, np.abs(made - zone.actual), 0).sum(axis=1)
            row[index] = np.bincount(blocks, weights=wrong, minlength=count)
        row[2] = np.bincount(blocks, weights=there.sum(axis=1), minlength=count)
    drawn = np.random.default_rng(_SEED).integers(0, count, (DRAWS, count))
    sums = errors[:, :, drawn].sum(axis=-1)
    ours, theirs, hours = sums[:, 0], sums[:, 1], np.where(sums[:, 2] > 0, sums[:, 2], np.nan)
    theirs_mean = np.nanmean(theirs / hours, axis=0)
    if not theirs_mean.all():
        return float("nan"), float("nan")
    skills = 1 - np.nanmean(ours / hours, axis=0) / theirs_mean
    low, high = np.quantile(skills, [0.05, 0.95])
    return float(low), float(high)


def _mae(made: Array, actual: Array, there: NDArray[np.bool_]) -> float:
    return _mean(np.abs(made - actual)[there])


def _rank(made: Array, actual: Array, there: NDArray[np.bool_]) -> float:
    """Return the mean over origins of the rank correlation within the first day."""
    first = slice(0, DAY_H)
    return _mean(rank_correlations(made[:, first], actual[:, first], there[:, first]))


def rank_correlations(a: Array, b: Array, there: NDArray[np.bool_]) -> Array:
    """Return Spearman's correlation of each row, over the hours that are `there`.

    Args:
        a: Shape (rows, hours).
        b: Same.
        there: Same; what is not there, or NaN, does not count.

    Returns:
        Shape (rows,); NaN where either is constant.
    """
    there = there & np.isfinite(a) & np.isfinite(b)
    ranks = [_ranks(values, there) for values in (a, b)]
    count = np.maximum(there.sum(axis=1, keepdims=True), 1)
    centred = [np.where(there, each - each.sum(axis=1, keepdims=True) / count, 0) for each in ranks]
    product = (centred[0] * centred[1]).sum(axis=1)
    spread = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, product / spread, np.nan)


def _ranks(values: Array, there: NDArray[np.bool_]) -> Array:
    """Return the rank of each within its row, the mean of its places for equal ones."""
    filled = np.where(there, values, 0.0)
    both = there[:, :, None] & there[:, None, :]
    lower = ((filled[:, :, None] > filled[:, None, :]) & both).sum(axis=-1)
    equal = ((filled[:, :, None] == filled[:, None, :]) & both).sum(axis=-1)
    ranks: Array = np.where(there, lower + (equal + 1) / 2, 0.0)
    return ranks


def _mean(values: Sequence[float] | Array) -> float:
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")
