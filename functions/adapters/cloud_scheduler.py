"""The port `Alarm` on Google Cloud Scheduler, on Google's own client."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from functions.adapters.google_calls import PATIENCE_S, each_attempt, mapped, patient
from functions.errors import UnavailableError
from vm_runtime.contract.clock import Clock

if TYPE_CHECKING:
    from google.cloud import scheduler_v1

GRANULARITY_S = 60
"""Cloud Scheduler fires at full minutes."""

LEAD = timedelta(seconds=20)
"""The soonest it is aimed at: a minute that has begun when the call lands is missed by a year."""

TIME_ZONE = "Etc/UTC"

_GRANT = "roles/cloudscheduler.admin, or a role with cloudscheduler.jobs.{update,enable,run}"


def cron(*times: datetime) -> str:
    """Return the cron expression, in UTC, of the first full minute not before each time.

    It names day and month but no year, so it would fire again in a year: aimed anew before that.
    """
    rounded = (math.ceil(at.timestamp() / GRANULARITY_S) * GRANULARITY_S for at in times)
    minutes = [datetime.fromtimestamp(at, UTC) for at in rounded]
    parts = (
        {each.minute for each in minutes},
        {each.hour for each in minutes},
        {each.day for each in minutes},
        {each.month for each in minutes},
    )
    return " ".join(",".join(map(str, sorted(part))) for part in parts) + " *"


def _default_client() -> "scheduler_v1.CloudSchedulerClient":
    from google.cloud import scheduler_v1  # noqa: PLC0415 - slow import

    return scheduler_v1.CloudSchedulerClient()


class CloudSchedulerAlarm:
    """The boundary job and the forecast job; the client is made at the first call."""

    def __init__(
        self,
        *,
        boundary_job: str,
        forecast_job: str,
        clock: Clock,
        make_client: "Callable[[], scheduler_v1.CloudSchedulerClient]" = _default_client,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Take the jobs' resource names, `projects/P/locations/L/jobs/J`.

        Args:
            boundary_job: the job that wakes all functions; re-aimed here.
            forecast_job: the hourly job that triggers `forecast`.
            clock: tells which minutes are over.
            make_client: returns a client; by default with Application Default Credentials.
            patience_s: how long one call may be repeated, seconds.
        """
        self._boundary_job = boundary_job
        self._forecast_job = forecast_job
        self._clock = clock
        self._make_client = make_client
        self._patience_s = patience_s

    def aim_boundary(self, at: datetime, *later: datetime) -> None:
        """Make the boundary job fire at each time, rounded up to the minute; resume it if paused.

        A time that is over or all but over becomes the next minute that can still be met. One
        schedule says all of them, and so some minutes more: it lists minutes and hours apart.

        IAM: `cloudscheduler.jobs.update`, `cloudscheduler.jobs.enable`.

        Raises:
            UnavailableError: no answer in time, or the job could not be changed.
            PermissionDeniedError: changing or resuming the job is not allowed.
            InvalidInputError: there is no such job.
        """
        from google.cloud import scheduler_v1  # noqa: PLC0415 - slow import
        from google.protobuf import field_mask_pb2  # noqa: PLC0415

        name = self._boundary_job
        with mapped(f"aim {name}", grant=_GRANT, mend=_mend("BOUNDARY_JOB")):
            # To look first whether it is aimed there already would cost a call as well.
            job = self._client.update_job(
                job=scheduler_v1.Job(
                    name=name,
                    schedule=cron(*(max(time, self._clock.now() + LEAD) for time in (at, *later))),
                    time_zone=TIME_ZONE,
                ),
                update_mask=field_mask_pb2.FieldMask(paths=["schedule", "time_zone"]),
                retry=patient(self._patience_s),
                timeout=each_attempt(),
            )
            if job.state is scheduler_v1.Job.State.PAUSED:
                # Not repeated: a job that is not paused any more refuses. The next tick sees.
                job = self._client.resume_job(name=name, retry=None, timeout=each_attempt())
        if job.state is not scheduler_v1.Job.State.ENABLED:
            raise UnavailableError(
                f"aim {name}: expected the job to be ENABLED, found {job.state.name}. It is aimed"
                " anew at the next tick; if it stays so, create the job anew."
            )

    def tick_now(self) -> None:
        """Trigger `forecast` now; a tick too many changes nothing.

        IAM: `cloudscheduler.jobs.run`.

        Raises:
            UnavailableError: no answer in time; it may have been triggered.
            PermissionDeniedError: running the job is not allowed.
            InvalidInputError: there is no such job.
        """
        name = self._forecast_job
        with mapped(f"run {name}", grant=_GRANT, mend=_mend("FORECAST_JOB")):
            self._client.run_job(name=name, retry=patient(self._patience_s), timeout=each_attempt())

    @cached_property
    def _client(self) -> "scheduler_v1.CloudSchedulerClient":
        return self._make_client()


def _mend(variable: str) -> str:
    return f"Create the job, or name the right one in SMARTSCHEDULER_{variable}."
