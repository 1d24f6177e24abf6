"""The use case behind `pause`, `resume`, `cancel` and `retry`: a person's wish, into the state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from functions.domain.job import work_left_h
from functions.domain.lifecycle.state import JobState, Phase, Verb
from functions.domain.lifecycle.wishes import granted
from functions.errors import InvalidInputError, StaleStateError
from functions.handlers.documents import Documents
from functions.handlers.finding import find_state
from functions.handlers.open_jobs import open_job
from vm_runtime.contract import object_names
from vm_runtime.contract.checkpoint import Latest
from vm_runtime.contract.job import Job
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.storage.port import BlobStore

TRIES = 10
"""Compare-and-swaps against the functions, which write the same documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What became of a wish."""

    job_id: str
    verb: Verb
    phase: Phase
    """The job's phase now."""
    changed: bool
    """Whether the wish changed it: not so if it was granted before."""
    step: int
    """Step of the latest checkpoint, from which the job would go on."""
    late_h: float | None
    """By how many hours the deadline would be missed if it went on now; `None`: it would not be,
    or that is not known."""


def wish(  # noqa: PLR0913 - one wish, with what it brings along
    store: BlobStore,
    job_id: str,
    verb: Verb,
    now: datetime,
    *,
    source: Mapping[str, bytes] | None = None,
    deadline: datetime | None = None,
) -> Granted:
    """Grant a person's wish for one job; a wish that was granted before changes nothing.

    The functions see it in the state at their next look, at the latest at the next heartbeat.

    Args:
        store: the bucket.
        job_id: which job.
        verb: what is asked for.
        now: when, by the person's clock.
        source: with `retry`: files that take the place of the job's own, such as a mended script.
        deadline: with `resume` and `retry`: the job's new one.

    Raises:
        InvalidInputError: there is no such job, the wish makes no sense for it now, or the new
            deadline is over.
        StaleStateError: others kept writing the state.
    """
    documents = Documents(store)
    name = object_names.state(job_id)
    for _ in range(TRIES):
        found = find_state(store, job_id)
        before = found.document
        after = granted(before, verb, now)
        if deadline is not None:
            _check_deadline(before, deadline, now, is_at_rest=after is not before)
        if after is not before:
            try:
                if deadline is not None:
                    _put_deadline(documents, job_id, deadline)
                if verb is Verb.RETRY:
                    _prepare_retry(documents, store, job_id, source or {})
                documents.write(name, after, if_generation=found.generation)
            except StaleStateError:
                continue
        return _told(documents, after, verb, now, changed=after is not before)
    raise StaleStateError(f"{name}: changed under {TRIES} writes in a row; try again")


def _check_deadline(
    state: JobState, deadline: datetime, now: datetime, *, is_at_rest: bool
) -> None:
    if not is_at_rest:
        raise InvalidInputError(
            f"deadline: expected a job at rest, found {state.job_id} {state.phase}: its plan counts"
            f" on the deadline that it has. Pause it first: smartscheduler pause {state.job_id}"
        )
    if deadline <= now:
        raise InvalidInputError(
            f"deadline: expected a time after now ({now:%Y-%m-%d %H:%M} UTC), found"
            f" {deadline.astimezone(UTC):%Y-%m-%d %H:%M} UTC. Give a later one."
        )


def _put_deadline(documents: Documents, job_id: str, deadline: datetime) -> None:
    """Write the new deadline before the phase: a crash in between leaves the job at rest."""
    name = object_names.job(job_id)
    found = documents.find(Job, name)
    if found is None:
        raise InvalidInputError(f"{name}: expected an object, found none. Submit the job anew.")
    if found.document.deadline != deadline:
        later = replace(found.document, deadline=deadline)
        documents.write(name, later, if_generation=found.generation)


def _prepare_retry(
    documents: Documents, store: BlobStore, job_id: str, source: Mapping[str, bytes]
) -> None:
    """Put the mended files in place, and let the script's failures so far count no more.

    The job is marked as open first, as `open_job` wants; and all of it before the phase:
    a crash in between leaves the job failed, to be retried once more.
    """
    open_job(documents, job_id)
    for file, data in source.items():
        store.write(object_names.source_folder(job_id) + file, data)
    name = object_names.progress(job_id)
    found = documents.find(Progress, name)
    if found is None or not found.document.failures_in_a_row:
        return
    report = replace(found.document, failures_in_a_row=0, message="")
    if report.state is RunState.FAILED:
        report = replace(report, state=RunState.STOPPED)
    documents.write(name, report, if_generation=found.generation)


def _told(
    documents: Documents, state: JobState, verb: Verb, now: datetime, *, changed: bool
) -> Granted:
    job_id = state.job_id
    latest = documents.peek(Latest, object_names.latest(job_id))
    return Granted(
        job_id=job_id,
        verb=verb,
        phase=state.phase,
        changed=changed,
        step=latest.step if latest else 0,
        late_h=_late_h(documents, job_id, now) if state.phase.may_run else None,
    )


def _late_h(documents: Documents, job_id: str, now: datetime) -> float | None:
    """Return by how much even a start at once would miss the deadline."""
    job = documents.get(Job, object_names.job(job_id))
    left_h = work_left_h(job, documents.peek(Progress, object_names.progress(job_id)))
    if left_h is None or job.effective_deadline is None:
        return None
    room_h = (job.effective_deadline - now).total_seconds() / 3600
    late_h = left_h + job.start_s / 3600 - room_h
    return late_h if late_h > 0 else None
