"""Finds the job that a person names, or says which one was probably meant."""

from pydantic import TypeAdapter, ValidationError

from functions.domain.lifecycle.state import JobState
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents, Versioned
from functions.near_name import did_you_mean
from vm_runtime.contract import object_names
from vm_runtime.contract.base import JobId
from vm_runtime.storage.port import BlobStore

SHOWN = 20
"""Job ids in a message; a person would not read more."""

_JOB_ID: TypeAdapter[str] = TypeAdapter(JobId)


def find_state(store: BlobStore, job_id: str) -> Versioned[JobState]:
    """Return the job's state, with the generation to write against.

    Raises:
        InvalidInputError: there is no such job, or its state cannot be read.
    """
    documents = Documents(store)
    found = documents.find(JobState, object_names.state(job_id)) if _is_job_id(job_id) else None
    if found is None:
        raise no_such_job(store, job_id)
    return found


def no_such_job(store: BlobStore, job_id: str) -> InvalidInputError:
    """Return the error to raise; it names the likeliest, and what jobs there are."""
    known = Documents(store).job_ids()
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    there = ", ".join(known[:SHOWN]) or "none"
    return InvalidInputError(
        f"job {job_id!r}: expected a job in {store.url}, found none of that name"
        f"{did_you_mean(job_id, known)}."
        f" Jobs there: {there}{more}."
    )


def _is_job_id(text: str) -> bool:
    """Whether it can be one at all; what cannot must not become the name of an object."""
    try:
        _JOB_ID.validate_python(text)
    except ValidationError:
        return False
    return True
