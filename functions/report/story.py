"""What happened to a job, in order, told from its documents alone."""

from dataclasses import dataclass
from datetime import datetime

from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Plan
from functions.domain.regions import grid_zone_of
from functions.report.documents import JobDocuments
from vm_runtime.contract.ledger import LedgerEntry


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Event:
    """One thing that happened."""

    at: datetime
    text: str


def story(documents: JobDocuments) -> tuple[Event, ...]:
    """Return all that happened up to `read_at`, ascending."""
    events = [
        Event(at=documents.job.submitted_at, text=f"job {documents.job.job_id} submitted"),
        *_plans(documents),
        *_vms(documents),
        *_wishes(documents),
        *_end(documents),
    ]
    return tuple(sorted(event for event in events if event.at <= documents.read_at))


def route(plan: Plan) -> tuple[str, ...]:
    """Return the grid zones of the plan's intervals in order, repetitions left out."""
    zones = [interval.grid_zone for interval in plan.intervals]
    return tuple(z for i, z in enumerate(zones) if i == 0 or zones[i - 1] != z)


def was_killed(documents: JobDocuments, entry: LedgerEntry) -> bool:
    """Whether the VM went down without a last word."""
    newest = documents.ledger[-1].incarnation
    gone = documents.lifetime(entry.incarnation) is not None or entry.incarnation < newest
    return gone and not entry.ended_because


def lost_steps(documents: JobDocuments, entry: LedgerEntry) -> int:
    """Return the steps that died with the VM and had to be done again, as far as it told them.

    Where the next VM resumed tells more than the dead one's last report, which may be old.
    """
    if not was_killed(documents, entry):
        return 0
    after = (e for e in documents.ledger if e.incarnation > entry.incarnation)
    following = next(after, None)
    kept = following.first_step if following else entry.committed_step
    return max(entry.last_step - max(kept, entry.first_step), 0)


def _plans(documents: JobDocuments) -> list[Event]:
    events = []
    before: tuple[str, ...] | None = None
    for plan in documents.plans:
        way = route(plan)
        # A new plan each hour is no news; a new way is. A way gets shorter as it is travelled.
        if way and (before is None or before[-len(way) :] != way):
            text = (
                f"plan: {' → '.join(way)}, {_starts(plan)}, {plan.expected_gco2eq:.0f} g expected"
            )
            events.append(Event(at=plan.created_at, text=text))
        before = way
    return events


def _starts(plan: Plan) -> str:
    count = len(plan.intervals)
    return "1 interval" if count == 1 else f"{count} intervals"


def _vms(documents: JobDocuments) -> list[Event]:
    events = []
    previous: LedgerEntry | None = None
    for entry in documents.ledger:
        zone = grid_zone_of(entry.compute_zone)
        moved = previous is not None and previous.compute_zone != entry.compute_zone
        verb = "moves to" if moved else "starts in" if entry.first_step == 0 else "resumes in"
        text = f"{entry.vm} {verb} {entry.compute_zone} ({zone}) at step {entry.first_step}"
        events.append(Event(at=entry.started_at, text=text))
        seen = documents.lifetime(entry.incarnation)
        if entry.ended_because:
            text = f"{entry.vm} ends at step {entry.last_step}: {entry.ended_because}"
            events.append(Event(at=entry.updated_at, text=text))
        elif was_killed(documents, entry):
            at = seen.terminated_at if seen else entry.updated_at
            text = f"{entry.vm} gone without notice, {lost_steps(documents, entry)} steps lost"
            events.append(Event(at=at, text=text))
        previous = entry
    return events


def _wishes(documents: JobDocuments) -> list[Event]:
    wishes = documents.state.wishes if documents.state else ()
    return [Event(at=wish.at, text=f"a person asked: {wish.verb}") for wish in wishes]


def _end(documents: JobDocuments) -> list[Event]:
    events = []
    state = documents.state
    if state and state.closed_at and state.phase is Phase.FINISHED:
        events.append(Event(at=state.closed_at, text="job finished"))
    if state and state.closed_at and state.phase is Phase.FAILED:
        events.append(Event(at=state.closed_at, text=f"job failed: {state.message}"))
    if state and state.closed_at and state.phase is Phase.CANCELLED:
        events.append(Event(at=state.closed_at, text="job cancelled"))
    if documents.receipt:
        receipt = documents.receipt
        whole = "all hours of the job in" if receipt.complete else "hours not yet published missing"
        whole += ", still provisional" if receipt.is_provisional else ""
        events.append(Event(at=documents.receipt.created_at, text=f"receipt written, {whole}"))
    return events
