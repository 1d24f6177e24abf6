"""Plans one job between two ticks, on the forecast of the present hour: a person is waiting."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from forecaster.series import Forecast
from functions.domain.lifecycle.vm import Vm
from functions.handlers.documents import Documents
from functions.handlers.planning import plan_job
from functions.handlers.telling import tell_plan
from functions.handlers.tick import LONGEST_HORIZON_H
from functions.ports import Ports
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job

_LOG = logging.getLogger(__name__)


def plan_now(ports: Ports, job: Job, vms: Sequence[Vm]) -> None:
    """Plan the job and publish the plan, if there is a forecast to plan it on.

    Without one, or with one that ends before the job's deadline could be weighed, the next tick
    plans it: a plan for the wrong horizon would only begin too early.

    Raises:
        PermanentError: the job cannot be planned; the message says what to mend.
        TransientError: no data for its regions now, or a service did not answer.
    """
    now = ports.clock.now()
    origin = now.replace(minute=0, second=0, microsecond=0)
    forecast = Documents(ports.store).peek(Forecast, object_names.forecast(origin))
    extra = {"event": "plan_postponed", "job_id": job.job_id}
    if forecast is None:
        _LOG.info("no forecast of this hour yet: the next tick plans it", extra=extra)
    elif not _reaches(forecast, job.effective_deadline):
        _LOG.info("this hour's forecast ends too early: the next tick plans it", extra=extra)
    else:
        tell_plan(plan_job(ports, forecast, job.job_id, vms))


def _reaches(forecast: Forecast, deadline: datetime | None) -> bool:
    if deadline is None or forecast.horizon_h >= LONGEST_HORIZON_H:
        return True
    return deadline <= forecast.origin + timedelta(hours=forecast.horizon_h)
