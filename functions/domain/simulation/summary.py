"""Ways side by side: grams, savings, delay, moves, deadlines; and shares of the oracle's saving."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from functions.domain.simulation.batch import Batch
from functions.domain.simulation.replay import Course
from functions.domain.simulation.world import Floats


class Way(StrEnum):
    """How jobs are run."""

    NOW = "run now, here"
    WINDOW = "best single window"
    FIXED = "best fixed region, at once"
    THRESHOLD = "eco4cast's threshold rule"
    PLAN = "this plan, re-planned"
    ORACLE = "oracle"
    """The future known, every overhead paid: the exact optimum."""
    BOUND = "bound"
    """The future known, starts and moves free: not to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one way came to, over all jobs; on recorded intensity."""

    way: str
    emissions_gco2eq: float
    energy_kwh: float
    saved_against_now_here: float
    """Share of the grams of running at once in the first region; NaN if there were none."""
    saved_against_best_fixed: float
    """Share of the grams of running at once in the best fixed region."""
    share_of_oracle: float
    """Grams saved against running now here, of those that the oracle saves."""
    share_of_oracle_beyond_fixed: float
    """Grams saved against the best fixed region, of those that the oracle saves."""
    delay_h: float
    """Mean time from the earliest possible finish to the finish of the jobs that were done."""
    starts: float
    """Mean per job."""
    moves: float
    """Mean per job."""
    missed: int
    """Deadlines missed that could be met."""
    not_done: int
    """Jobs given up: days after their deadline they were not done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All ways side by side."""

    jobs: int
    impossible: int
    """Jobs whose deadline nobody could meet."""
    rows: tuple[Row, ...]
    share_by_zone: Mapping[str, float]
    """Share of the oracle's saving of the plan, by grid zone of the home; one's own zone each."""

    @property
    def mean_share(self) -> float:
        """Mean of the shares by zone."""
        return float(np.mean(list(self.share_by_zone.values())))

    def row(self, way: Way) -> Row:
        """Return one of the rows."""
        return next(row for row in self.rows if row.way == way)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it for JSON: a number that is not known is `None`."""
        return {
            "jobs": self.jobs,
            "impossible": self.impossible,
            "ways": [_without_nan(asdict(row)) for row in self.rows],
            "share_of_oracle_by_home": _without_nan(dict(self.share_by_zone)),
            "mean_share_of_oracle_over_homes": _without_nan({"mean": self.mean_share})["mean"],
        }


def summarise(
    batch: Batch, courses: Mapping[Way, Course], bound: Floats, grid_zones: tuple[str, ...]
) -> Summary:
    """Compare the ways; those of `Way.NOW`, `FIXED`, `PLAN` and `ORACLE` must be there."""
    now = courses[Way.NOW].emissions_gco2eq
    fixed = courses[Way.FIXED].emissions_gco2eq
    best = courses[Way.ORACLE].emissions_gco2eq
    rows = [_row(way, batch, course, now, fixed, best) for way, course in courses.items()]
    rows.append(_bound_row(bound, now, fixed, best))
    homes = batch.places[np.arange(len(batch)), batch.home]
    plan = courses[Way.PLAN].emissions_gco2eq
    return Summary(
        jobs=len(batch),
        impossible=int((~batch.possible).sum()),
        rows=tuple(rows),
        share_by_zone={
            grid_zones[zone]: _share(now[homes == zone], plan[homes == zone], best[homes == zone])
            for zone in np.unique(homes)
        },
    )


def _row(  # noqa: PLR0913, PLR0917 - what it is compared with
    way: Way, batch: Batch, course: Course, now: Floats, fixed: Floats, best: Floats
) -> Row:
    done = course.finish_min >= 0
    # A job that was given up emitted little and did nothing: it must not look like a saving.
    grams = course.emissions_gco2eq
    delay = course.finish_min - batch.work_min - batch.start_min
    return Row(
        way=way,
        emissions_gco2eq=float(grams.sum()),
        energy_kwh=float(course.energy_kwh.sum()),
        saved_against_now_here=_saved(now[done], grams[done]),
        saved_against_best_fixed=_saved(fixed[done], grams[done]),
        share_of_oracle=_share(now[done], grams[done], best[done]),
        share_of_oracle_beyond_fixed=_share(fixed[done], grams[done], best[done]),
        delay_h=float(delay[done].mean() / 60) if done.any() else float("nan"),
        starts=float(course.starts.mean()),
        moves=float(course.moves.mean()),
        missed=int((course.missed(batch) & batch.possible).sum()),
        not_done=int((~done).sum()),
    )


def _bound_row(bound: Floats, now: Floats, fixed: Floats, best: Floats) -> Row:
    unknown = float("nan")
    return Row(
        way=Way.BOUND,
        emissions_gco2eq=float(bound.sum()),
        energy_kwh=unknown,
        saved_against_now_here=_saved(now, bound),
        saved_against_best_fixed=_saved(fixed, bound),
        share_of_oracle=_share(now, bound, best),
        share_of_oracle_beyond_fixed=_share(fixed, bound, best),
        delay_h=unknown,
        starts=unknown,
        moves=unknown,
        missed=0,
        not_done=0,
    )


def _saved(before: Floats, after: Floats) -> float:
    total = float(before.sum())
    return 1 - float(after.sum()) / total if total > 0 else float("nan")


def _share(before: Floats, after: Floats, best: Floats) -> float:
    possible = float((before - best).sum())
    # Below a thousandth there is nothing to be had a share of.
    if possible <= 1e-3 * float(np.abs(before).sum()):
        return float("nan")
    return float((before - after).sum()) / possible


def _without_nan(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in figures.items()
    }


def cleanest_before(places: NDArray[np.int64], means: Floats) -> NDArray[np.int64]:
    """Return for each job the index of its place with the lowest mean, shape (jobs,).

    Args:
        places: zones, shape (jobs, places).
        means: mean intensity of each zone before the replay, shape (zones,).
    """
    chosen: NDArray[np.int64] = means[places].argmin(axis=1)
    return chosen
