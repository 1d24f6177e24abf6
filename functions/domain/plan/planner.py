"""Makes the plan of one job under one forecast: the least emissions that meet the deadline.

What is optimised is said in `optimum`; here is which minutes and places it may use, and what is
done when the deadline, the work or the forecast do not allow it:

- The deadline is the job's, or the end of the forecast if that comes first.
- If the work does not fit, it runs at once where it finishes first: rather dirty than late.
- If work or deadline are not known, it runs in the cleanest half of each 24 h.
- The intensity is the forecast's median; a VM draws the job's power, whatever it does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

import numpy as np

from forecaster.series import Forecast
from functions.domain.plan.document import Alternative, Plan, PlannedInterval, Policy
from functions.domain.plan.grid import HOUR_MIN, MINUTE, Grid, make_grid
from functions.domain.plan.places import Place, find_places
from functions.domain.plan.problem import Overheads, Run
from functions.domain.plan.reason import Circumstances, reason_of
from functions.domain.plan.ways import (
    Meter,
    at_once,
    bound,
    cleanest,
    cleanest_halves,
    soonest,
    work_min,
)
from functions.errors import InvalidInputError
from vm_runtime.contract.job import Job

_MOST_FALLBACKS = 3
_SLACK_MIN = 1e-6
"""Fraction of a minute by which sums of floats may be off."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    job: Job
    now: datetime
    places: tuple[Place, ...]
    grid: Grid
    meter: Meter
    overheads: Overheads
    running: int | None
    running_in: str | None
    work: int | None
    """Work left, minutes."""
    deadline: datetime | None

    @property
    def deadline_min(self) -> int:
        """Minutes that may be used; a begun minute of `now` counts as used."""
        if self.deadline is None:
            return self.grid.minutes
        return min(max((self.deadline - self.now) // MINUTE, 0), self.grid.minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choice:
    runs: tuple[Run, ...]
    meets_deadline: bool
    later_min: int = 0
    """Work that lies beyond the end of the forecast, minutes."""


def make_plan(  # noqa: PLR0913 - the facts of one job at one time; each is named by the caller
    job: Job,
    forecast: Forecast,
    *,
    now: datetime,
    work_left_h: float | None,
    running_in: str | None,
    blocked: Sequence[str] = (),
    created_at: datetime | None = None,
) -> Plan:
    """Return the cleanest plan for what is left of `job`.

    Args:
        job: the job, checked.
        forecast: intensity by grid zone; hours before `now` are not used.
        now: begin of the first minute that can be used.
        work_left_h: work to be done, hours; `None`: not known.
        running_in: compute zone in which its VM trains now, `None` if none does. One in a region
            that is no place (without forecast, say) counts as none.
        blocked: compute zones and regions in which no VM can be made.
        created_at: when the plan is made; `None`: `now`.

    Raises:
        InvalidInputError: `now` is outside the forecast, or no allowed region has the machine.
        IntensityUnavailableError: no place is left, for lack of data.
        StockOutError: no place is left, because of blocks.
    """
    if not forecast.zones or forecast.origin <= now < forecast.end:
        places, left_out = find_places(job, forecast, blocked=blocked, running_in=running_in)
    else:
        raise InvalidInputError(
            f"forecast: expected one that covers {now.isoformat()}, found one from"
            f" {forecast.origin.isoformat()} to {forecast.end.isoformat()}. Forecast anew."
        )
    task = _task(job, forecast, places, now=now, work_left_h=work_left_h, running_in=running_in)
    choice = _Choice(runs=(), meets_deadline=True) if task.work == 0 else _choose(task)
    alternatives = _alternatives(task, choice)
    intervals = _intervals(task, choice.runs)
    planned_min = work_min(choice.runs) if task.work is None else task.work
    return Plan(
        plan_id=f"{forecast.origin:%Y-%m-%dT%H%MZ}",
        job_id=job.job_id,
        created_at=now if created_at is None else created_at,
        forecast_origin=forecast.origin,
        work_left_h=planned_min / HOUR_MIN if work_left_h is None else work_left_h,
        deadline=task.deadline,
        intervals=intervals,
        expected_gco2eq=sum(each.expected_gco2eq for each in intervals),
        meets_deadline=choice.meets_deadline,
        reason=_reason(task, choice, alternatives),
        alternatives=alternatives,
        left_out=left_out,
        forecast_source=forecast.source,
    )


def _task(  # noqa: PLR0913 - as above
    job: Job,
    forecast: Forecast,
    places: tuple[Place, ...],
    *,
    now: datetime,
    work_left_h: float | None,
    running_in: str | None,
) -> _Task:
    hours = forecast.horizon_h
    hourly = np.array([place.forecast.p50[:hours] for place in places]).T
    grid = make_grid(now, forecast.end, job.slot_minutes, hourly, forecast.origin)
    running = [
        index for index, place in enumerate(places) if running_in in place.region.compute_zones
    ]
    return _Task(
        job=job,
        now=now,
        places=places,
        grid=grid,
        meter=Meter.on(grid, job.power_w),
        overheads=Overheads(
            start_min=ceil(job.start_overhead_s / 60), move_min=ceil(job.move_overhead_s / 60)
        ),
        running=running[0] if running else None,
        running_in=running_in,
        work=None if work_left_h is None else _whole_minutes(work_left_h),
        deadline=job.effective_deadline,
    )


def _whole_minutes(work_h: float) -> int:
    """Round up: however little is left, it needs a minute, or nothing would ever do it."""
    return max(ceil(work_h * HOUR_MIN - _SLACK_MIN), 1 if work_h > 0 else 0)


def _choose(task: _Task) -> _Choice:
    if task.work is None or task.deadline is None:
        return _choose_halves(task)
    if task.deadline_min > 0:
        within = task.grid.until(task.deadline_min)
        runs = cleanest(within, task.work, task.overheads, task.running)
        if runs is not None:
            return _Choice(runs=runs, meets_deadline=True)
    runs = soonest(task.meter, task.work, task.overheads, task.running)
    later_min = task.work - work_min(runs)
    finish = task.now + (runs[-1].end_min + later_min) * MINUTE
    return _Choice(runs=runs, meets_deadline=finish <= task.deadline, later_min=later_min)


def _choose_halves(task: _Task) -> _Choice:
    if task.deadline_min > 0:
        within = task.grid.until(task.deadline_min)
        runs = cleanest_halves(within, task.overheads, task.running, task.work)
        later_min = 0 if task.work is None else task.work - work_min(runs)
        if runs:
            return _Choice(runs=runs, meets_deadline=True, later_min=later_min)
    # Too short for a half, or late: all of what is left.
    everything = task.grid.minutes if task.work is None else task.work
    runs = soonest(task.meter, everything, task.overheads, task.running)
    meets = task.deadline is None or task.grid.at(runs[-1].end_min) <= task.deadline
    return _Choice(runs=runs, meets_deadline=meets)


def _intervals(task: _Task, runs: Sequence[Run]) -> tuple[PlannedInterval, ...]:
    intervals = []
    owed = 0
    for run in runs:
        worked = run.end_min - run.begin_min - run.overhead_min - owed
        owed = max(-worked, 0)
        intervals.append(
            PlannedInterval(
                # Seconds included: a VM that goes on must find itself inside its interval.
                start=task.now if run.begin_min == 0 else task.grid.at(run.begin_min),
                end=task.grid.at(run.end_min),
                grid_zone=task.places[run.place].region.grid_zone,
                compute_zone=_compute_zone(task, run),
                fallbacks=_fallbacks(task, run),
                work_h=max(worked, 0) / HOUR_MIN,
                expected_gco2eq=task.meter.total_gco2eq([run]),
            )
        )
    return tuple(intervals)


def _goes_on(task: _Task, run: Run) -> bool:
    return run.begin_min == 0 and run.place == task.running


def _compute_zone(task: _Task, run: Run) -> str:
    if _goes_on(task, run) and task.running_in is not None:
        return task.running_in
    return task.places[run.place].compute_zone


def _fallbacks(task: _Task, run: Run) -> tuple[str, ...]:
    others = [place for place in range(len(task.places)) if place != run.place]
    others.sort(key=lambda q: task.meter.emissions_gco2eq(q, run.begin_min, run.end_min))
    return tuple(task.places[q].compute_zone for q in others[:_MOST_FALLBACKS])


def _alternatives(task: _Task, choice: _Choice) -> tuple[Alternative, ...]:
    """Return the ways to do the planned work; one that needs hours not forecast is left out."""
    work = work_min(choice.runs)
    if work <= 0:
        return ()
    at_once_in = [
        at_once(task.grid, place, work, task.overheads, task.running)
        for place in range(len(task.places))
    ]
    whole = [way for way in at_once_in if work_min(way) == work]
    here = [way for way in whole if way[0].place == 0]
    fixed = [min(whole, key=task.meter.total_gco2eq)] if whole else []
    until = max(task.deadline_min, choice.runs[-1].end_min)
    return (
        *(_alternative(task, Policy.RUN_NOW_HERE, way) for way in here),
        *(_alternative(task, Policy.BEST_FIXED_REGION, way) for way in fixed),
        _alternative(task, Policy.THIS_PLAN, choice.runs),
        _alternative(task, Policy.BOUND, bound(task.grid.until(until), work)),
    )


def _alternative(task: _Task, policy: Policy, runs: Sequence[Run]) -> Alternative:
    moves = sum(run.moved for run in runs)
    going_on = _goes_on(task, runs[0])
    zones = [_compute_zone(task, run) for run in runs]
    return Alternative(
        policy=policy,
        emissions_gco2eq=task.meter.total_gco2eq(runs),
        finish_at=task.grid.at(runs[-1].end_min),
        starts=len(runs) - moves - going_on,
        moves=moves,
        compute_zones=tuple(
            zone for index, zone in enumerate(zones) if index == 0 or zone != zones[index - 1]
        ),
    )


def _reason(task: _Task, choice: _Choice, alternatives: Sequence[Alternative]) -> str:
    if not choice.runs:
        return "Nothing is left to do."
    first, last = choice.runs[0], choice.runs[-1]
    planned = work_min(choice.runs) + choice.later_min
    if not alternatives:
        return f"Too little time is left for more than a start, {task.grid.minutes} min."
    return reason_of(
        Circumstances(
            now=task.now,
            first_start=task.now if first.begin_min == 0 else task.grid.at(first.begin_min),
            goes_on=_goes_on(task, first),
            finish_at=task.grid.at(last.end_min + choice.later_min),
            missed_deadline=None if choice.meets_deadline else task.deadline,
            work_is_known=task.work is not None and task.deadline is not None,
            planned_h=planned / HOUR_MIN,
            later_h=choice.later_min / HOUR_MIN,
        ),
        alternatives,
    )
