"""What a tick has to know of all open jobs first: how far to forecast, and whom to plan first."""

import logging
from dataclasses import dataclass
from datetime import datetime

from functions.domain.lifecycle.state import JobState
from functions.errors import PermanentError, TransientError
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import OpenJob
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job

_LOG = logging.getLogger(__name__)

_CUT_OFF = (
    "job %s is marked as open and has no state: its submission was cut off, or its folder was"
    " deleted. Submit it again, or delete the object %s."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A few words about one open job: thousands of them are in memory at once."""

    job: OpenJob
    is_final: bool = False
    is_paused: bool = False
    """Whether a person wants it to rest: not planned, but the forecast reaches to its deadline."""
    is_readable: bool = True
    """Whether its documents could be read; the log says why not."""
    plan_id: str | None = None
    """The plan in force; ids sort by time."""
    deadline: datetime | None = None

    @property
    def urgency(self) -> tuple[bool, str, str]:
        """Sorts what was never planned first, then the oldest plan; what is over comes last."""
        return (self.is_final, self.plan_id or "", self.job.job_id)


def glance(documents: Documents, job: OpenJob) -> Glance:
    """Look at a job; what cannot be read is named in the log, and harms no other."""
    job_id = job.job_id
    try:
        state = documents.find(JobState, object_names.state(job_id))
        if state is None:
            told = {"event": "unreadable", "job_id": job_id}
            _LOG.error(_CUT_OFF, job_id, object_names.open_job(job_id), extra=told)
            return Glance(job=job, is_readable=False)
        if state.document.phase.is_final:
            return Glance(job=job, is_final=True)
        deadline = documents.get(Job, object_names.job(job_id)).effective_deadline
    except (PermanentError, TransientError) as error:
        _LOG.error("%s", error, extra={"event": "unreadable", "job_id": job_id})
        return Glance(job=job, is_readable=False)
    except Exception:  # noqa: BLE001 - our own mistake must not keep the others from their plans
        extra = {"event": "unforeseen", "job_id": job_id}
        _LOG.exception("job %s could not be planned or settled", job_id, extra=extra)
        return Glance(job=job, is_readable=False)
    found = state.document
    is_paused = not found.phase.may_run
    return Glance(job=job, plan_id=found.plan_id, deadline=deadline, is_paused=is_paused)
