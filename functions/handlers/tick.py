"""The use case behind `forecast`: record, forecast, plan every job, settle, aim the alarm."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial

from forecaster.series import Forecast
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.lifecycle.vm import Vm
from functions.domain.plan.document import Plan, plan_id_of
from functions.domain.plan.prices import PriceTable
from functions.domain.plan.shared import SharedTables
from functions.domain.regions import GRID_ZONES
from functions.errors import (
    IntensityUnavailableError,
    InvalidInputError,
    PermanentError,
    TransientError,
)
from functions.handlers.documents import Documents
from functions.handlers.glance import Glance, glance
from functions.handlers.open_jobs import close_if_settled, open_jobs
from functions.handlers.planning import plan_job
from functions.handlers.prices import read_prices
from functions.handlers.record import record_all
from functions.handlers.settle import settle_job
from functions.handlers.telling import tell_forecast, tell_plan
from functions.handlers.together import Stopwatch, by_job
from functions.ports import Ports
from vm_runtime.contract import object_names

_LOG = logging.getLogger(__name__)

SHORTEST_HORIZON_H = 24
LONGEST_HORIZON_H = 168
"""What the forecaster gives: the first 24 hours by the TCN, the rest by climatology."""

AIMED_AHEAD = timedelta(minutes=130)
"""The boundary job is aimed at all that happens in two ticks' time: one of them may fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickResult:
    """What one tick did."""

    origin: datetime
    planned: int
    """Jobs that have a plan of this origin."""
    settled: int
    """Jobs whose receipt is complete."""
    failed: int
    """Jobs that could not be planned or settled; the log says why."""
    left: int = 0
    """Jobs for which there was no time left; the tick is to be repeated, and goes on there."""


def tick(ports: Ports, timing: Timing, grid_zones: Sequence[str] = GRID_ZONES) -> TickResult:
    """Forecast from the present hour on, and plan or settle every open job.

    One job's trouble never keeps another from its plan. Repeating a tick changes nothing: what
    has its plan of this hour is passed over, so one that ran out of time is just repeated.

    Args:
        ports: the world.
        timing: how patient the control plane is.
        grid_zones: whose electricity any job may use; nothing is asked about others.

    Raises:
        IntensityUnavailableError: no grid zone has data; the plans in force stay.
    """
    watch = Stopwatch(ports.pace)
    now = ports.clock.now()
    origin = now.replace(minute=0, second=0, microsecond=0)
    documents = Documents(ports.store)
    opened = open_jobs(documents)
    glances = list(watch.each(partial(glance, documents), opened))
    forecast = make_forecast(ports, origin, _horizon_h(glances, origin), grid_zones)
    tell_forecast(forecast)
    vms = by_job(ports.fleet.list())
    turn = _Turn(
        ports=ports,
        timing=timing,
        forecast=forecast,
        vms=vms,
        now=now,
        prices=read_prices(documents),
    )
    glances.sort(key=lambda each: (turn.is_planned(each), *each.urgency))
    counts: Counter[_Outcome] = Counter()
    edges: set[datetime] = set()
    for outcome, of_job in watch.each(turn.of, glances):
        counts[outcome] += 1
        edges = _soonest({*edges, *of_job}, now)
    if edges:
        ports.alarm.aim_boundary(*sorted(edges))
    return TickResult(
        origin=origin,
        planned=counts[_Outcome.PLANNED],
        settled=counts[_Outcome.SETTLED],
        failed=counts[_Outcome.FAILED],
        left=len(opened)
        - len(glances)
        + sum(not turn.is_planned(each) for each in glances[counts.total() :]),
    )


def _soonest(edges: set[datetime], now: datetime) -> set[datetime]:
    """Return what comes before the next tick has aimed anew; at least the first of all."""
    return {edge for edge in edges if edge <= now + AIMED_AHEAD} or (
        {min(edges)} if edges else set()
    )


def _horizon_h(glances: Iterable[Glance], origin: datetime) -> int:
    """Return hours until the latest deadline, as far as the forecaster goes."""
    spans = (each.deadline - origin for each in glances if each.deadline is not None)
    longest = max(spans, default=timedelta(0))
    hours = -(-int(longest.total_seconds()) // 3600)
    return max(SHORTEST_HORIZON_H, min(LONGEST_HORIZON_H, hours))


def make_forecast(
    ports: Ports, origin: datetime, horizon_h: int, grid_zones: Sequence[str] = GRID_ZONES
) -> Forecast:
    """Return the stored forecast of this origin if it goes far enough, else make it.

    Raises:
        IntensityUnavailableError: no grid zone has data.
    """
    documents = Documents(ports.store)
    name = object_names.forecast(origin)
    is_readable = True
    try:
        found = documents.peek(Forecast, name)
        if found is not None and found.horizon_h >= horizon_h:
            return found
    except InvalidInputError as error:
        is_readable = False
        told = {"event": "forecast_unreadable"}
        _LOG.error("%s A new forecast is used and not stored.", error, extra=told)
    histories, missing = record_all(ports, grid_zones, origin)
    if not histories:
        reasons = "; ".join(f"{each.grid_zone}: {each.reason}" for each in missing)
        raise IntensityUnavailableError(f"no grid zone has data. {reasons}")
    forecast = ports.forecaster.forecast(
        histories, origin, horizon_h=horizon_h, source=ports.intensity.name
    )
    forecast = replace(forecast, left_out=(*forecast.left_out, *missing))
    if is_readable:
        documents.write(name, forecast)
    for each in forecast.left_out:
        told = {"event": "zone_left_out", "grid_zone": each.grid_zone}
        _LOG.warning("no forecast for %s: %s", each.grid_zone, each.reason, extra=told)
    return forecast


class _Outcome(Enum):
    """How it went with one job."""

    PLANNED = auto()
    SETTLED = auto()
    WAITS = auto()
    """Paused; or over, and not all of its hours are published, or a VM of it is left."""
    FAILED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What one tick does for each job; from several threads at once."""

    ports: Ports
    timing: Timing
    forecast: Forecast
    vms: Mapping[str, Sequence[Vm]]
    now: datetime
    prices: PriceTable
    tables: SharedTables = field(default_factory=SharedTables)
    """Jobs of like regions share what is computed for their plans."""

    def is_planned(self, seen: Glance) -> bool:
        """Whether a plan of this forecast is in force, or none is wanted."""
        return seen.is_paused or (
            seen.plan_id is not None and seen.plan_id >= plan_id_of(self.forecast.origin)
        )

    def of(self, seen: Glance) -> tuple[_Outcome, set[datetime]]:
        """Plan or settle a job; return how it went, and when something must happen soon."""
        job_id = seen.job.job_id
        if not seen.is_readable:
            return _Outcome.FAILED, set()
        if seen.is_paused:
            return _Outcome.WAITS, set()
        try:
            if seen.is_final:
                return self._settle(seen), set()
            return _Outcome.PLANNED, self._edges(self._plan(seen))
        except (PermanentError, TransientError) as error:
            _LOG.error("%s", error, extra={"event": "job_failed", "job_id": job_id})
        except Exception:  # noqa: BLE001 - nor must our own mistake keep the others from theirs
            extra = {"event": "unforeseen", "job_id": job_id}
            _LOG.exception("job %s could not be planned or settled", job_id, extra=extra)
        return _Outcome.FAILED, set()

    def _plan(self, seen: Glance) -> Plan:
        job_id = seen.job.job_id
        if self.is_planned(seen):
            name = object_names.plan(job_id, str(seen.plan_id))
            in_force = Documents(self.ports.store).peek(Plan, name)
            if in_force is not None:
                return in_force
        plan = plan_job(
            self.ports,
            self.forecast,
            job_id,
            self.vms.get(job_id, ()),
            prices=self.prices,
            tables=self.tables,
        )
        tell_plan(plan)
        return plan

    def _settle(self, seen: Glance) -> _Outcome:
        documents = Documents(self.ports.store)
        job_id = seen.job.job_id
        state = documents.get(JobState, object_names.state(job_id))
        is_whole = settle_job(self.ports, state, self.vms.get(job_id, ()))
        close_if_settled(documents, seen.job)
        return _Outcome.SETTLED if is_whole else _Outcome.WAITS

    def _edges(self, plan: Plan) -> set[datetime]:
        """Return when a VM is to be made, to begin, and to be gone; full minutes, few of them."""
        lead = timedelta(seconds=self.timing.boot_lead_s)
        edges = {
            _full_minute(edge)
            for interval in plan.intervals
            for edge in (interval.start - lead, interval.start, interval.end)
        }
        return _soonest({edge for edge in edges if edge > self.now}, self.now)


def _full_minute(time: datetime) -> datetime:
    """Round up: thousands of jobs have at most 60 of them in an hour."""
    floor = time.replace(second=0, microsecond=0)
    return floor if floor == time else floor + timedelta(minutes=1)
