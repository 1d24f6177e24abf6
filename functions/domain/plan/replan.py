"""Makes a plan anew for a job that may be running: it is not moved by a forecast's noise.

The fresh plan is the optimum under the newest forecast, with every overhead in it. Whether to
pause or go on is decided by that alone: a pause is in it only if it gains more than the start
that it costs. To leave for another region must gain more, as it rests on the difference of two
forecasts: half a move's overhead again, and a quarter of the half width of that difference. Else
the job keeps to its region, in the best way there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import ceil

import numpy as np

from forecaster.series import HOUR, Forecast, ZoneForecast
from functions.domain.plan.document import Plan, PlannedInterval, Policy
from functions.domain.plan.grid import MINUTE
from functions.domain.plan.leaving import Floats, least_gain, left_for
from functions.domain.plan.planner import make_plan
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.domain.plan.shared import SharedTables
from functions.domain.regions import region_of
from vm_runtime.contract.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """A move that a fresh plan wants."""

    target: str
    """Compute zone."""
    gain_gco2eq: float
    least_gco2eq: float
    """What it must gain."""


def replan(  # noqa: PLR0913 - the facts of one job at one time; each is named by the caller
    job: Job,
    forecast: Forecast,
    *,
    now: datetime,
    work_left_h: float | None,
    running_in: str | None,
    running_since: datetime | None = None,
    blocked: Sequence[str] = (),
    prices: PriceTable = DEFAULT_PRICES,
    tables: SharedTables | None = None,
) -> Plan:
    """Return the plan for what is left of `job`; arguments and errors are those of `make_plan`.

    For thousands of jobs in a row hand the same `SharedTables` to each call.
    """

    def plan(some: Job) -> Plan:
        return make_plan(
            some,
            forecast,
            now=now,
            work_left_h=work_left_h,
            running_in=running_in,
            running_since=running_since,
            blocked=blocked,
            prices=prices,
            tables=tables,
        )

    fresh = plan(job)
    target = _move_of(fresh, running_in, now)
    if target is None:
        return fresh
    source = region_of(str(running_in))
    if source.name not in job.allowed_regions or forecast.zone(source.grid_zone) is None:
        return fresh
    staying = plan(replace(job, allowed_regions=(source.name,)))
    if fresh.meets_deadline > staying.meets_deadline:
        return fresh
    move = _judge(job, forecast, fresh, staying, target)
    return fresh if move.gain_gco2eq > move.least_gco2eq else _kept(fresh, staying, move)


def _move_of(fresh: Plan, running_in: str | None, now: datetime) -> PlannedInterval | None:
    """Return the interval in another region for which what runs is given up soon."""
    if running_in is None:
        return None
    spans = [
        (region_of(each.compute_zone), (each.start - now) / MINUTE, (each.end - now) / MINUTE)
        for each in fresh.intervals
    ]
    index = left_for(spans, region_of(running_in))
    return None if index is None else fresh.intervals[index]


def _judge(
    job: Job, forecast: Forecast, fresh: Plan, staying: Plan, target: PlannedInterval
) -> _Move:
    power_kw = job.power_w / 1000
    begin = (target.start - forecast.origin) // HOUR
    hours = max(ceil(fresh.work_left_h), 1)
    here = _quantiles(forecast.zone(staying.intervals[0].grid_zone), begin, hours)
    there = _quantiles(forecast.zone(target.grid_zone), begin, hours)
    move_h = job.move_overhead_s / 3600
    return _Move(
        target=target.compute_zone,
        gain_gco2eq=staying.expected_gco2eq - fresh.expected_gco2eq,
        least_gco2eq=power_kw * least_gain(here, there, move_h=move_h),
    )


def _quantiles(zone: ZoneForecast | None, begin: int, hours: int) -> Floats:
    if zone is None:
        raise ValueError("expected a forecast of each place of the plan, found none")
    every = np.array([zone.p10, zone.p50, zone.p90]).T
    return every[begin : begin + hours]


def _kept(fresh: Plan, staying: Plan, move: _Move) -> Plan:
    """Return the plan that stays, with what it was compared with, and why."""
    own = [each for each in staying.alternatives if each.policy is Policy.THIS_PLAN]
    others = [each for each in fresh.alternatives if each.policy is not Policy.THIS_PLAN]
    intervals = tuple(
        replace(interval, fallbacks=(move.target, *interval.fallbacks)[:3])
        for interval in staying.intervals
    )
    target = region_of(move.target)
    reason = (
        f"{staying.reason.removesuffix('.')}; a move to {target.place} ({target.name}) would save"
        f" {move.gain_gco2eq:.1f} g by this forecast, less than the {move.least_gco2eq:.1f} g by"
        " which it may be wrong."
    )
    return replace(
        staying,
        intervals=intervals,
        alternatives=tuple(
            sorted((*others, *own), key=lambda each: list(Policy).index(each.policy))
        ),
        left_out=fresh.left_out,
        reason=reason,
    )
