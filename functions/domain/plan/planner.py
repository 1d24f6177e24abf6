"""Makes the plan of one job under one forecast: the least emissions that meet the deadline.

What is optimised is said in `optimum`, on which terms in `terms`, what is done when the limits
cannot be kept in `choice`. The intensity is the forecast's median.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import numpy as np

from forecaster.series import Forecast, LeftOut
from functions.domain.plan.caveats import caveats_of
from functions.domain.plan.choice import Choice, choose
from functions.domain.plan.compare import alternatives_of
from functions.domain.plan.document import Alternative, Plan, PlannedInterval, plan_id_of
from functions.domain.plan.grid import HOUR_MIN
from functions.domain.plan.places import find_places
from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.domain.plan.problem import Run
from functions.domain.plan.reason import Circumstances, reason_of
from functions.domain.plan.shared import SharedTables
from functions.domain.plan.task import Task, make_task
from functions.domain.plan.ways import work_min
from functions.errors import InvalidInputError, SchedulerError
from vm_runtime.contract.job import Job

_MOST_FALLBACKS = 3
_AT_ONCE = 2000
"""Requests that are planned together, and plans that wait to be yielded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One of many jobs to be planned against the same forecast."""

    job: Job
    now: datetime
    work_left_h: float | None
    running_in: str | None = None
    blocked: tuple[str, ...] = ()


def make_plan(  # noqa: PLR0913 - the facts of one job at one time; each is named by the caller
    job: Job,
    forecast: Forecast,
    *,
    now: datetime,
    work_left_h: float | None,
    running_in: str | None,
    running_since: datetime | None = None,
    blocked: Sequence[str] = (),
    created_at: datetime | None = None,
    prices: PriceTable = DEFAULT_PRICES,
    tables: SharedTables | None = None,
) -> Plan:
    """Return the cleanest plan for what is left of `job`.

    For many jobs see `make_plans`, or hand the same `tables` to each call.

    Args:
        job: the job, checked.
        forecast: intensity by grid zone; hours before `now` are not used.
        now: begin of the first minute that can be used.
        work_left_h: work to be done, hours; `None`: not known.
        running_in: compute zone in which its VM trains now, `None` if none does. One in a region
            that is no place (without forecast, say) counts as none.
        running_since: since when; matters to `min_interval_minutes` only. `None`: long enough.
        blocked: compute zones and regions in which no VM can be made.
        created_at: when the plan is made; `None`: `now`.
        prices: of machines.
        tables: shared by plans made in a row; the plan is the same with or without.

    Raises:
        InvalidInputError: `now` is outside the forecast, the forecast names a grid zone twice, or
            no allowed region has the machine.
        IntensityUnavailableError: no place is left, for lack of data.
        StockOutError: no place is left, because of blocks.
    """
    _check_time(job, forecast, now)
    places, left_out = find_places(
        job, forecast, blocked=blocked, running_in=running_in, prices=prices
    )
    task = make_task(
        job,
        forecast,
        places,
        now=now,
        work_left_h=work_left_h,
        running_in=running_in,
        running_since=running_since,
        prices=prices,
    )
    choice = choose(task, tables)
    return _document(
        task,
        choice,
        forecast,
        left_out=left_out,
        created_at=now if created_at is None else created_at,
        work_left_h=work_left_h,
        prices=prices,
    )


def make_plans(
    requests: Iterable[Request], forecast: Forecast, *, prices: PriceTable = DEFAULT_PRICES
) -> Iterator[Plan | SchedulerError]:
    """Yield the plan of each request in turn, or the error that explains why there is none.

    Some thousand at a time: memory does not grow with the number of jobs, and one job's trouble
    does not keep another from its plan. Among those, jobs of like regions are planned together.
    """
    tables = SharedTables()
    waiting = iter(requests)
    while some := list(islice(waiting, _AT_ONCE)):
        found: dict[int, Plan | SchedulerError] = {}
        for index in sorted(range(len(some)), key=lambda each: _likeness(some[each])):
            found[index] = _plan_or_error(some[index], forecast, prices, tables)
        yield from (found[index] for index in range(len(some)))


def _likeness(request: Request) -> tuple[object, ...]:
    job = request.job
    return request.now, job.allowed_regions, job.machine_type, request.running_in or ""


def _plan_or_error(
    request: Request, forecast: Forecast, prices: PriceTable, tables: SharedTables
) -> Plan | SchedulerError:
    try:
        return make_plan(
            request.job,
            forecast,
            now=request.now,
            work_left_h=request.work_left_h,
            running_in=request.running_in,
            blocked=request.blocked,
            prices=prices,
            tables=tables,
        )
    except SchedulerError as error:
        return error


def _check_time(job: Job, forecast: Forecast, now: datetime) -> None:
    zones = [zone.grid_zone for zone in forecast.zones]
    if len(set(zones)) != len(zones):
        twice = sorted({zone for zone in zones if zones.count(zone) > 1})
        raise InvalidInputError(
            f"zones: expected each grid zone once in the forecast, found {', '.join(twice)} more"
            " than once. Leave one of each."
        )
    end = forecast.origin + timedelta(hours=max((len(z.p50) for z in forecast.zones), default=0))
    if zones and not forecast.origin <= now < end:
        raise InvalidInputError(
            f"forecast: expected one that covers {now.isoformat()}, found one from"
            f" {forecast.origin.isoformat()} to {end.isoformat()}. Forecast anew for job"
            f" {job.job_id}."
        )


def _document(  # noqa: PLR0913 - what the document says
    task: Task,
    choice: Choice,
    forecast: Forecast,
    *,
    left_out: tuple[LeftOut, ...],
    created_at: datetime,
    work_left_h: float | None,
    prices: PriceTable,
) -> Plan:
    alternatives = alternatives_of(task, choice)
    intervals = _intervals(task, choice.runs)
    planned_min = work_min(choice.runs) if task.work is None else task.work
    usd = task.terms.total_usd(choice.runs)
    return Plan(
        plan_id=plan_id_of(forecast.origin),
        job_id=task.job.job_id,
        created_at=created_at,
        forecast_origin=forecast.origin,
        work_left_h=planned_min / HOUR_MIN if work_left_h is None else work_left_h,
        deadline=task.deadline,
        intervals=intervals,
        expected_gco2eq=sum(each.expected_gco2eq for each in intervals),
        meets_deadline=choice.meets_deadline,
        reason=_reason(task, choice, alternatives),
        alternatives=alternatives,
        left_out=left_out,
        set_aside=choice.set_aside,
        impossible=choice.impossible,
        caveats=caveats_of(task, choice, forecast),
        expected_usd=usd,
        price_source=None if usd is None else f"{prices.source}, {prices.day:%Y-%m-%d}",
        forecast_source=forecast.source,
    )


def _intervals(task: Task, runs: Sequence[Run]) -> tuple[PlannedInterval, ...]:
    intervals = []
    owed = 0
    fallbacks = _fallbacks(task, runs)
    for run, others in zip(runs, fallbacks, strict=True):
        worked = run.minutes - run.overhead_min - owed
        owed = max(-worked, 0)
        intervals.append(
            PlannedInterval(
                # Seconds included: a VM that goes on must find itself inside its interval.
                start=task.now if run.begin_min == 0 else task.grid.at(run.begin_min),
                end=task.grid.at(run.end_min),
                grid_zone=task.places[run.place].region.grid_zone,
                compute_zone=task.compute_zone(run),
                fallbacks=others,
                work_h=max(worked, 0) / HOUR_MIN,
                expected_gco2eq=task.terms.run_gco2eq(run),
                expected_usd=task.terms.total_usd([run]),
            )
        )
    return tuple(intervals)


def _fallbacks(task: Task, runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """Return the compute zones of the other places for each run, best first."""
    begins = np.array([run.begin_min for run in runs], dtype=np.int64)
    ends = np.array([run.end_min for run in runs], dtype=np.int64)
    best = task.terms.spans_score(begins, ends).argsort(axis=1, kind="stable")
    found = []
    for run, order in zip(runs, best[:, : _MOST_FALLBACKS + 1].tolist(), strict=True):
        others = [place for place in order if place != run.place][:_MOST_FALLBACKS]
        found.append(tuple(task.places[place].compute_zone for place in others))
    return found


def _reason(task: Task, choice: Choice, alternatives: Sequence[Alternative]) -> str:
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
            goes_on=task.goes_on(first),
            finish_at=task.grid.at(last.end_min + choice.later_min),
            missed_deadline=None if choice.meets_deadline else task.deadline,
            work_is_known=task.work is not None and task.deadline is not None,
            planned_h=planned / HOUR_MIN,
            later_h=choice.later_min / HOUR_MIN,
            set_aside=choice.set_aside,
            price_counts=task.job.price_weight_g_per_usd > 0,
        ),
        alternatives,
    )
