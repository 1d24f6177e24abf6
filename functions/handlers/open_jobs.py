"""Which jobs still want something: one empty object each, so that finished ones cost no look.

The bucket keeps every job that ever was. A list of `open/` costs what the open ones cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.domain.lifecycle.state import JobState
from functions.errors import StaleStateError
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job that wants something: to be planned, run, cleared up or settled."""

    job_id: str
    generation: int
    """Of the mark: it is taken away only if nobody opened the job anew meanwhile."""


def open_jobs(documents: Documents) -> Sequence[OpenJob]:
    """Return all open jobs, sorted; a list call for each thousand of them."""
    return [
        OpenJob(job_id=info.name.removeprefix(object_names.OPEN_JOBS), generation=info.generation)
        for info in documents.infos(object_names.OPEN_JOBS)
    ]


def open_job(documents: Documents, job_id: str) -> None:
    """Mark a job as open: always BEFORE its state is made, or changed from a final phase back.

    Whoever reopens a job reads its state, calls this, and then compares-and-swaps the state.
    """
    documents.mark(object_names.open_job(job_id))


def close_if_settled(documents: Documents, job: OpenJob) -> bool:
    """Take the mark away if nothing is left to do for the job; return whether it is gone.

    The state is written anew first: whoever is just about to reopen the job loses the swap, and
    marks it again. So no order of the two leaves a job open without its mark.
    """
    name = object_names.state(job.job_id)
    found = documents.find(JobState, name)
    if found is None or not found.document.settled:
        return False
    try:
        documents.write(name, found.document, if_generation=found.generation)
        documents.remove(object_names.open_job(job.job_id), if_generation=job.generation)
    except StaleStateError:
        return False  # Reopened, or looked at by another tick: the next one sees.
    return True
