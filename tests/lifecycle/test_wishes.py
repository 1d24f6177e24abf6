"""What a wish makes of a job's state: the whole table of phases and wishes."""

import pytest
from simulated_clock import START

from functions.domain.lifecycle.state import DataDisk, JobState, Phase, Verb
from functions.domain.lifecycle.wishes import KEPT_WISHES, granted
from functions.errors import InvalidInputError

TABLE = {
    (Phase.ACTIVE, Verb.PAUSE): Phase.PAUSED,
    (Phase.ACTIVE, Verb.RESUME): Phase.ACTIVE,
    (Phase.ACTIVE, Verb.CANCEL): Phase.CANCELLED,
    (Phase.PAUSED, Verb.PAUSE): Phase.PAUSED,
    (Phase.PAUSED, Verb.RESUME): Phase.ACTIVE,
    (Phase.PAUSED, Verb.CANCEL): Phase.CANCELLED,
    (Phase.FAILED, Verb.RETRY): Phase.ACTIVE,
    (Phase.CANCELLED, Verb.CANCEL): Phase.CANCELLED,
    (Phase.CANCELLED, Verb.RETRY): Phase.ACTIVE,
}
"""All wishes that make sense; every other one is refused."""


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("verb", Verb)
def test_each_wish_in_each_phase_is_granted_or_refused_with_a_reason(
    phase: Phase, verb: Verb
) -> None:
    """A refusal names the job, the wish, the phase, and what to do."""
    state = JobState(job_id="digits", phase=phase, plan_id="2024-03-05T0000Z", seq=1)
    if (phase, verb) not in TABLE:
        with pytest.raises(InvalidInputError) as error:
            granted(state, verb, START)
        assert f"{verb} digits: expected a job that is" in str(error.value)
        assert f"found it {phase}." in str(error.value)
        return

    after = granted(state, verb, START)

    assert after.phase is TABLE[phase, verb]
    assert (after.plan_id is None) is (verb in {Verb.RESUME, Verb.RETRY} and after is not state)


@pytest.mark.parametrize(("phase", "verb"), TABLE)
def test_a_wish_that_is_granted_twice_changes_nothing_the_second_time(
    phase: Phase, verb: Verb
) -> None:
    """Idempotent: a command whose answer was lost may be given again."""
    once = granted(JobState(job_id="digits", phase=phase), verb, START)

    assert granted(once, verb, START) is once


def test_the_data_disk_of_a_cancelled_job_is_not_waited_for_when_it_is_retried() -> None:
    """It was deleted, as a cancelled job costs nothing; that of a failed job was kept."""
    disk = DataDisk(number=1, compute_zone="europe-west3-b", is_made=True)
    for phase, expected in ((Phase.CANCELLED, None), (Phase.FAILED, disk)):
        state = JobState(job_id="digits", phase=phase, disk=disk, disks_named=1)

        after = granted(state, Verb.RETRY, START)

        assert (after.disk, after.disks_named) == (expected, 1)


def test_what_was_asked_for_is_kept_for_people_to_look_back_at() -> None:
    """The last ones: the state must not grow without end."""
    state = JobState(job_id="digits")
    for _ in range(KEPT_WISHES):
        state = granted(granted(state, Verb.PAUSE, START), Verb.RESUME, START)

    assert len(state.wishes) == KEPT_WISHES
    assert [each.verb for each in state.wishes[-2:]] == [Verb.PAUSE, Verb.RESUME]
