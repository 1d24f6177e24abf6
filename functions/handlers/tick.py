"""The use case behind `forecast`: record, forecast, plan every job, settle, aim the alarm."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from forecaster.series import Forecast
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan
from functions.domain.regions import GRID_ZONES
from functions.errors import (
    IntensityUnavailableError,
    InvalidInputError,
    PermanentError,
    TransientError,
)
from functions.handlers.documents import Documents
from functions.handlers.planning import plan_job
from functions.handlers.record import record_all
from functions.handlers.settle import settle_job
from functions.handlers.telling import tell_forecast, tell_plans
from functions.ports import Ports
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job

_LOG = logging.getLogger(__name__)

SHORTEST_HORIZON_H = 24
LONGEST_HORIZON_H = 168
"""What the forecaster gives: the first 24 hours by the TCN, the rest by climatology."""


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


def tick(ports: Ports, timing: Timing, grid_zones: Sequence[str] = GRID_ZONES) -> TickResult:
    """Forecast from the present hour on, and plan or settle every job.

    One job's trouble never keeps another from its plan. Repeating a tick changes nothing.

    Args:
        ports: the world.
        timing: how patient the control plane is.
        grid_zones: whose electricity any job may use; nothing is asked about others.

    Raises:
        IntensityUnavailableError: no grid zone has data; the plans in force stay.
    """
    now = ports.clock.now()
    origin = now.replace(minute=0, second=0, microsecond=0)
    documents = Documents(ports.store)
    job_ids = documents.job_ids()
    forecast = make_forecast(ports, origin, _horizon_h(documents, job_ids, origin), grid_zones)
    tell_forecast(forecast)
    vms = ports.fleet.list()
    plans: list[Plan] = []
    settled = failed = 0
    for job_id in job_ids:
        try:
            state = documents.get(JobState, object_names.state(job_id))
            if state.phase.is_final:
                settled += settle_job(ports, state, vms)
                continue
            plans.append(plan_job(ports, forecast, job_id, vms))
        except (PermanentError, TransientError) as error:
            failed += 1
            _LOG.error("%s", error, extra={"job_id": job_id})
        except Exception:  # noqa: BLE001 - nor must our own mistake keep the others from theirs
            failed += 1
            _LOG.exception("job %s could not be planned or settled", job_id)
    tell_plans(plans)
    _aim(ports, timing, plans, now)
    return TickResult(origin=origin, planned=len(plans), settled=settled, failed=failed)


def _horizon_h(documents: Documents, job_ids: list[str], origin: datetime) -> int:
    """Return hours until the latest deadline, as far as the forecaster goes."""
    longest = timedelta(hours=SHORTEST_HORIZON_H)
    for job_id in job_ids:
        try:
            state = documents.get(JobState, object_names.state(job_id))
            deadline = documents.get(Job, object_names.job(job_id)).effective_deadline
        except (PermanentError, OverflowError):
            continue  # `tick` names it when it comes to this job.
        if not state.phase.is_final and deadline is not None:
            longest = max(longest, deadline - origin)
    return min(LONGEST_HORIZON_H, -(-int(longest.total_seconds()) // 3600))


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
        _LOG.error("%s A new forecast is used and not stored.", error)
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
        _LOG.warning("no forecast for %s: %s", each.grid_zone, each.reason)
    return forecast


def _aim(ports: Ports, timing: Timing, plans: list[Plan], now: datetime) -> None:
    """Point the boundary job at the next moment at which something must happen."""
    lead = timedelta(seconds=timing.boot_lead_s)
    edges = [
        edge
        for plan in plans
        for interval in plan.intervals
        for edge in (interval.start - lead, interval.start, interval.end)
        if edge > now
    ]
    if edges:
        ports.alarm.aim_boundary(min(edges))
