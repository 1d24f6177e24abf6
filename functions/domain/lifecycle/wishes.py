"""What a person's wish makes of a job's state, or why it cannot be granted. Pure.

A wish is a change of the phase: from then on `decide` makes no VM for the job, or does again.
Asked for twice, it changes nothing the second time.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from functions.domain.lifecycle.state import JobState, Phase, Verb, Wish
from functions.errors import InvalidInputError

KEPT_WISHES = 50
"""For people to look back at; more would only make the state longer."""


def granted(state: JobState, verb: Verb, now: datetime) -> JobState:
    """Return the state with the wish granted; the very same one if there is nothing to change.

    Args:
        state: as it is.
        verb: what a person asks for.
        now: when, by that person's clock.

    Raises:
        InvalidInputError: it makes no sense for this job now; says why and what does.
    """
    rules: dict[Verb, Callable[[JobState, datetime], JobState]] = {
        Verb.PAUSE: _paused,
        Verb.RESUME: _resumed,
        Verb.CANCEL: _cancelled,
        Verb.RETRY: _retried,
    }
    changed = rules[verb](state, now)
    if changed is state:
        return state
    wishes = (*state.wishes, Wish(verb=verb, at=now))
    return replace(changed, wishes=wishes[-KEPT_WISHES:])


def _paused(state: JobState, now: datetime) -> JobState:
    match state.phase:
        case Phase.PAUSED:
            return state
        case Phase.ACTIVE:
            message = f"paused {now:%Y-%m-%d %H:%M} UTC; smartscheduler resume {state.job_id}"
            return replace(state, phase=Phase.PAUSED, message=message)
        case _:
            raise _refused(state, Verb.PAUSE, "Nothing of it runs.")


def _resumed(state: JobState, _now: datetime) -> JobState:
    match state.phase:
        case Phase.ACTIVE:
            return state
        case Phase.PAUSED:
            # The plan of before is void: work, deadline and forecast are other ones now. Nor
            # does a person want to wait for a back-off to end.
            return replace(state, phase=Phase.ACTIVE, plan_id=None, not_before=None, message="")
        case Phase.FAILED | Phase.CANCELLED:
            raise _refused(state, Verb.RESUME, f"Try: smartscheduler retry {state.job_id}")
        case _:
            raise _refused(state, Verb.RESUME, "Nothing is left to be done.")


def _cancelled(state: JobState, now: datetime) -> JobState:
    match state.phase:
        case Phase.CANCELLED:
            return state
        case Phase.ACTIVE | Phase.PAUSED:
            message = (
                f"cancelled {now:%Y-%m-%d %H:%M} UTC; its checkpoints stay:"
                f" smartscheduler retry {state.job_id} would go on from the last one"
            )
            return replace(state, phase=Phase.CANCELLED, message=message)
        case _:
            raise _refused(state, Verb.CANCEL, "Nothing of it runs.")


def _retried(state: JobState, _now: datetime) -> JobState:
    last = state.wishes[-1].verb if state.wishes else None
    match state.phase:
        case Phase.FAILED | Phase.CANCELLED:
            # The data disk of a cancelled job is deleted; the next VM gets an empty one.
            is_gone = state.phase is Phase.CANCELLED
            return replace(
                state,
                disk=None if is_gone else state.disk,
                phase=Phase.ACTIVE,
                plan_id=None,
                fruitless_vms=0,
                not_before=None,
                blocked=(),
                message="",
                closed_at=None,
                settled=False,
            )
        case Phase.ACTIVE if last is Verb.RETRY:
            return state
        case Phase.PAUSED:
            raise _refused(state, Verb.RETRY, f"Try: smartscheduler resume {state.job_id}")
        case Phase.ACTIVE:
            raise _refused(state, Verb.RETRY, "It is planned and trains by itself.")
        case _:
            raise _refused(state, Verb.RETRY, "Nothing is left to be done.")


_EXPECTED = {
    Verb.PAUSE: "active",
    Verb.RESUME: "paused",
    Verb.CANCEL: "active or paused",
    Verb.RETRY: "failed or cancelled",
}


def _refused(state: JobState, verb: Verb, what_to_do: str) -> InvalidInputError:
    return InvalidInputError(
        f"{verb} {state.job_id}: expected a job that is {_EXPECTED[verb]}, found it {state.phase}."
        f" {what_to_do}"
    )
