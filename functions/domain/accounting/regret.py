"""What was emitted beyond the oracle, and how much of it no better execution could have saved."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forecaster.series import Forecast
from functions.domain.accounting.baselines import MINUTE, Work, priced, region_name
from functions.domain.accounting.energy import Actual, floor_hour
from functions.domain.accounting.parts import Baseline, Regret
from functions.domain.plan.document import PlannedInterval
from functions.domain.plan.planner import make_plan
from functions.domain.plan.terms import Dues
from functions.errors import PermanentError, TransientError

_DONE_H = 1 / 60
"""Each plan rounds what is left up to a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A moment at which a plan was made, and the forecast that it rested on."""

    at: datetime
    forecast: Forecast


def regret_of(
    emissions_gco2eq: float, oracle: Baseline, work: Work, looks: Sequence[Look], actual: Actual
) -> Regret | None:
    """Return the regret against a final oracle, `None` if it is not final yet."""
    if not oracle.is_final or oracle.emissions_gco2eq is None:
        return None
    total = emissions_gco2eq - oracle.emissions_gco2eq
    planned = _carried_out(work, looks, actual)
    if planned is None:
        return Regret(total_gco2eq=total, plans_gco2eq=None, execution_gco2eq=None)
    return Regret(
        total_gco2eq=total,
        plans_gco2eq=planned - oracle.emissions_gco2eq,
        execution_gco2eq=emissions_gco2eq - planned,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    left_h: float
    """Work left, and what is owed of an overhead that a new plan cut short."""
    running_in: str | None = None
    """Where a VM runs at `at`."""
    at: datetime | None = None
    """How far plans have been followed."""
    grams: float = 0.0
    is_known: bool = True


def _carried_out(work: Work, looks: Sequence[Look], actual: Actual) -> float | None:
    """Return the emissions of the plans, each followed without fault until the next one, g.

    Made anew from the stored forecasts, with the work that it really was: so what is left is the
    cost of not knowing the future, not that of a crash or of a wrong estimate of the work.
    """
    course = _Course(left_h=work.minutes / 60)
    ordered = sorted(looks, key=lambda look: look.at)
    times: list[datetime | None] = [_minute(look.at) for look in ordered]
    for look, end in zip(ordered, [*times, None][1:], strict=True):
        now = _minute(look.at)
        if course.left_h <= 0:
            break
        if now == end:
            continue  # Made anew within the minute.
        intervals = _planned(work, look.forecast, course, now)
        if intervals is None:
            return None
        course = _followed(work, course, intervals, end, actual)
    return course.grams if course.is_known and course.left_h < _DONE_H else None


def _planned(
    work: Work, forecast: Forecast, course: _Course, now: datetime
) -> Sequence[PlannedInterval] | None:
    job = replace(work.job, power_w=work.power_w, allowed_regions=work.regions)
    try:
        plan = make_plan(
            job,
            forecast,
            now=now,
            work_left_h=course.left_h,
            running_in=course.running_in,
            prices=work.prices,
        )
    except (PermanentError, TransientError):
        return None
    return plan.intervals


def _followed(
    work: Work,
    course: _Course,
    intervals: Sequence[PlannedInterval],
    until: datetime | None,
    actual: Actual,
) -> _Course:
    running_in = None
    left_h, grams, is_known = course.left_h, course.grams, course.is_known
    dues = Dues.of(replace(work.job, power_w=work.power_w))
    before = course.running_in if intervals and intervals[0].start == course.at else None
    for interval, after in zip(intervals, [*intervals[1:], None], strict=True):
        end = interval.end if until is None else min(interval.end, until)
        if end <= interval.start:
            break
        region = region_name(interval.compute_zone)
        spent, missing = priced(interval.start, end, region, work.power_w, actual)
        if before is None or region_name(before) != region:
            # What an entry takes beyond its minutes: the network, say, or a phase of other power.
            extra_kwh = dues.start_kwh if before is None else dues.move_kwh
            level = actual.get(interval.grid_zone, {}).get(floor_hour(interval.start))
            spent += extra_kwh * (level.gco2eq_per_kwh if level else 0.0)
        before = interval.compute_zone if after and after.start == interval.end else None
        overhead_h = _hours(interval.end - interval.start) - interval.work_h
        left_h -= _hours(end - interval.start) - overhead_h
        grams, is_known = grams + spent, is_known and not missing
        running_in = interval.compute_zone if end == until else None
    return _Course(left_h=left_h, running_in=running_in, at=until, grams=grams, is_known=is_known)


def _minute(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


def _hours(time: timedelta) -> float:
    return time / MINUTE / 60
