"""Puts a new job into the bucket, complete or not at all, and has it planned."""

import logging
from collections.abc import Mapping

from functions.domain.lifecycle.state import JobState
from functions.domain.regions import check_job
from functions.errors import InvalidInputError, TransientError
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import open_job
from functions.ports import Alarm
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job
from vm_runtime.storage.port import BlobStore

_LOG = logging.getLogger(__name__)


def submit(store: BlobStore, alarm: Alarm, job: Job, source: Mapping[str, bytes]) -> None:
    """Store source and job, then the state that makes it exist, and trigger a tick.

    Args:
        store: the bucket.
        alarm: triggers `forecast`.
        job: what to run.
        source: the user's files by name below the source folder.

    Raises:
        InvalidInputError: the job cannot run, its script is missing, or its id is taken.
    """
    check_job(job)
    if job.script not in source:
        raise InvalidInputError(
            f"script: expected {job.script!r} among the source files, found {sorted(source)}."
            " Name the script in the job file, or add it."
        )
    documents = Documents(store)
    is_new = documents.create(object_names.job(job.job_id), job)
    # A submission that was cut off left a job without a state: nothing runs it, so go on here.
    if not is_new and documents.names(object_names.state(job.job_id)):
        raise InvalidInputError(
            f"job_id: expected a new one, found {job.job_id!r} in {store.url}. Choose another."
        )
    documents.write(object_names.job(job.job_id), job)
    for name, data in source.items():
        store.write(object_names.source_folder(job.job_id) + name, data)
    open_job(documents, job.job_id)
    documents.create(object_names.state(job.job_id), JobState(job_id=job.job_id))
    try:
        alarm.tick_now()
    except TransientError as error:
        # The job is in: the next full hour plans it, and a second try would find its id taken.
        told = {"event": "plan_postponed", "job_id": job.job_id}
        _LOG.warning(
            "%s: planned at the next full hour, not now (%s)", job.job_id, error, extra=told
        )
