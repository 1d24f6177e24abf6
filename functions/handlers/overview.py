"""Reads what there is in the bucket: jobs and the newest forecast; writes nothing."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TypeVar

from forecaster.series import Forecast
from functions.domain.accounting.document import Receipt
from functions.domain.lifecycle.state import JobState
from functions.domain.overview import JobLine, Overview
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import open_jobs
from vm_runtime.contract import object_names as names
from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress
from vm_runtime.storage.port import BlobStore

MOST_JOBS = 200
"""A page with more of them is not read by anybody, and each one costs four reads."""

_READERS = 16
_FORECASTS = "forecasts/"
_DAY = len("2025-05-22")

T = TypeVar("T")


def read_overview(store: BlobStore, now: datetime) -> Overview:
    """Return all jobs, but at most `MOST_JOBS`, those that changed last; and the newest forecast.

    Raises:
        UnavailableError: the bucket did not answer.
    """
    return _overview(store, now, _newest_first(store))


def read_open_overview(store: BlobStore, now: datetime) -> Overview:
    """Return the open jobs only, which cost no look at those that are long over.

    Raises:
        UnavailableError: the bucket did not answer.
    """
    return _overview(store, now, [each.job_id for each in open_jobs(Documents(store))])


def _overview(store: BlobStore, now: datetime, ids: Sequence[str]) -> Overview:
    jobs = read_jobs(store, ids[:MOST_JOBS])
    return Overview(
        read_at=now,
        jobs=tuple(sorted(jobs, key=lambda line: line.is_over)),
        total=len(ids),
        forecast=newest_forecast(store, now),
    )


def read_jobs(store: BlobStore, job_ids: Iterable[str]) -> list[JobLine]:
    """Return the jobs in that order; one whose documents are malformed says so."""
    documents = Documents(store)
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda job_id: _line(documents, job_id), job_ids))


def newest_forecast(store: BlobStore, now: datetime) -> Forecast | None:
    """Return the newest forecast in the bucket, `None` if there is none."""
    documents = Documents(store)
    for day in (now, now - timedelta(days=1)):
        listed = documents.names(names.forecast(day)[: len(_FORECASTS) + _DAY])
        if listed:
            return documents.peek(Forecast, listed[-1])
    # A deployment that rests, or a clock of its own, as the embedded cloud has.
    listed = documents.names(_FORECASTS)
    return documents.peek(Forecast, listed[-1]) if listed else None


def _newest_first(store: BlobStore) -> list[str]:
    found: dict[str, datetime] = {}
    for info in store.list(names.JOBS):
        job_id, _, rest = info.name.removeprefix(names.JOBS).partition("/")
        if rest in {"job.json", "state.json"}:
            found[job_id] = max(found.get(job_id, info.updated_at), info.updated_at)
    return sorted(found, key=lambda job_id: (found[job_id], job_id), reverse=True)


def _line(documents: Documents, job_id: str) -> JobLine:
    try:
        receipt = documents.peek(Receipt, names.receipt(job_id))
        return JobLine(
            job_id=job_id,
            job=documents.peek(Job, names.job(job_id)),
            state=documents.peek(JobState, names.state(job_id)),
            progress=documents.peek(Progress, names.progress(job_id)),
            emissions_gco2eq=receipt.emissions_gco2eq if receipt else None,
        )
    except InvalidInputError as error:
        return JobLine(job_id=job_id, trouble=str(error))
