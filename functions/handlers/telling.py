"""Log lines with numbers, from which metrics, alerts and the dashboard are made.

Each has an `event` that names it; `infra/metrics.tf` and `infra/alerts.tf` look for these. An age
that is not known is left out, never 0.
"""

import logging
from typing import TYPE_CHECKING

from functions.domain.lifecycle.observation import Observation
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Plan, PlannedInterval
from vm_runtime.contract.progress import RunState

if TYPE_CHECKING:
    from forecaster.series import Forecast

_LOG = logging.getLogger(__name__)


def tell_status(seen: Observation) -> None:
    """Say how a job stands: once per heartbeat, by `stop_vm`, while it is not over or has VMs."""
    state, alive = seen.state, seen.alive
    if state.phase.is_final and not seen.vms:
        return
    past_s = max(((seen.now - vm.interval_end).total_seconds() for vm in alive), default=0.0)
    extra: dict[str, object] = {
        "event": "status",
        "job_id": state.job_id,
        "phase": state.phase,
        "vms": len(alive),
        "past_interval_s": max(past_s, 0.0),
        "step": seen.step,
    }
    report = seen.progress
    if report is not None:
        extra["report"] = report.state
        if report.steps_total:
            extra["progress_share"] = seen.step / report.steps_total
    trains = report is not None and report.state is RunState.TRAINING and bool(alive)
    if seen.latest is not None and trains:
        since = max(seen.latest.updated_at, min(vm.created_at for vm in alive))
        extra["checkpoint_age_s"] = (seen.now - since).total_seconds()
    if seen.plan is not None:
        extra["forecast_age_s"] = (seen.now - seen.plan.forecast_origin).total_seconds()
    if seen.current is not None:
        extra["chosen_gco2eq_per_kwh"] = _chosen_gco2eq_per_kwh(seen.current, seen.job.power_w)
    places = ", ".join(f"{vm.name} in {vm.compute_zone}" for vm in alive) or "no VM"
    what = report.state if report is not None and alive else "waiting"
    over = f", {state.message}" if state.phase is Phase.FAILED else ""
    _LOG.info(
        "%s: %s, step %d, %s, %s%s",
        *(state.job_id, state.phase, seen.step, what, places, over),
        extra=extra,
    )


def _chosen_gco2eq_per_kwh(interval: PlannedInterval, power_w: float) -> float:
    """Return the mean intensity that the plan expects of an interval, overheads included."""
    hours = (interval.end - interval.start).total_seconds() / 3600
    return interval.expected_gco2eq / (power_w / 1000 * hours)


def tell_forecast(forecast: "Forecast") -> None:
    """Say the intensity of each grid zone in the forecast's first hour."""
    for zone in forecast.zones:
        _LOG.info(
            *("%s: %.0f gCO2eq/kWh now, %s", zone.grid_zone, zone.p50[0], zone.method),
            extra={
                "event": "grid",
                "grid_zone": zone.grid_zone,
                "gco2eq_per_kwh": zone.p50[0],
                "method": zone.method,
            },
        )


def tell_plan(plan: Plan) -> None:
    """Say what a plan that was put in force expects, and why so."""
    _LOG.info(
        "%s: plan %s, %.1f gCO2eq. %s",
        *(plan.job_id, plan.plan_id, plan.expected_gco2eq, plan.reason),
        extra={
            "event": "plan",
            "job_id": plan.job_id,
            "plan_id": plan.plan_id,
            "expected_gco2eq": plan.expected_gco2eq,
            "work_left_h": plan.work_left_h,
            "intervals": len(plan.intervals),
            "meets_deadline": plan.meets_deadline,
            "grid_zone": plan.intervals[0].grid_zone if plan.intervals else "none",
        },
    )
    if not plan.meets_deadline:
        _LOG.warning(
            "%s: the deadline cannot be met, it is planned to end as early as can be (%s)."
            " Cancel it, or let it end late: smartscheduler cancel %s",
            *(plan.job_id, plan.impossible or plan.reason, plan.job_id),
            extra={"event": "deadline", "job_id": plan.job_id},
        )
