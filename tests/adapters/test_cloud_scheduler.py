"""The alarm, against a Cloud Scheduler service in this process that speaks Google's messages."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import grpc
import pytest
from fake_scheduler import FakeScheduler
from google.cloud import scheduler_v1
from grpc_services import Fault
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import ManualClock

from functions.adapters import google_calls
from functions.adapters.cloud_scheduler import CloudSchedulerAlarm, cron
from functions.errors import InvalidInputError, PermissionDeniedError, UnavailableError

PLACE = "projects/green/locations/europe-west1/jobs"
BOUNDARY = f"{PLACE}/smartscheduler-boundary"
FORECAST = f"{PLACE}/smartscheduler-forecast"
NOW = datetime(2026, 1, 5, 8, 0, 30, tzinfo=UTC)
State = scheduler_v1.Job.State


@pytest.fixture
def fake() -> FakeScheduler:
    """The service with its two jobs, enabled."""
    return FakeScheduler(BOUNDARY, FORECAST)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at `NOW`."""
    return ManualClock(NOW)


@pytest.fixture
def alarm(fake: FakeScheduler, clock: ManualClock) -> Iterator[CloudSchedulerAlarm]:
    """The adapter on Google's own client."""
    with fake.running() as make_client:
        yield CloudSchedulerAlarm(
            boundary_job=BOUNDARY,
            forecast_job=FORECAST,
            clock=clock,
            make_client=make_client,
            patience_s=0.5,
        )


@given(at=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_cron_names_the_first_full_minute_not_before(at: datetime) -> None:
    """Rounded up, never down: a VM that ends at 9:00:01 has not ended at 9:00."""
    at = at.replace(tzinfo=UTC)
    minute, hour, day, month, weekday = cron(at).split()
    fires = datetime(at.year, int(month), int(day), int(hour), int(minute), tzinfo=UTC)
    if fires < at:  # 31 December after 23:59
        fires = fires.replace(year=at.year + 1)
    assert timedelta(0) <= fires - at < timedelta(minutes=1)
    # With a day of the month and a day of the week, cron would take either.
    assert weekday == "*"


def test_cron_is_in_utc() -> None:
    """Whatever the zone of the time given; a leap day and the turn of a year included."""
    east = timezone(timedelta(hours=5, minutes=30))
    assert cron(datetime(2026, 1, 5, 13, 30, tzinfo=east)) == "0 8 5 1 *"
    assert cron(datetime(2028, 2, 28, 23, 59, 1, tzinfo=UTC)) == "0 0 29 2 *"
    assert cron(datetime(2026, 12, 31, 23, 59, 0, 1, tzinfo=UTC)) == "0 0 1 1 *"


def test_several_times_are_one_schedule_that_leaves_none_out() -> None:
    """Each of them is among the minutes that it fires at; some more may be."""
    times = [datetime(2026, 1, 5, 23, 57, tzinfo=UTC), datetime(2026, 1, 6, 0, 12, 1, tzinfo=UTC)]
    assert cron(*times) == "13,57 0,23 5,6 1 *"
    assert cron(times[0], times[0]) == "57 23 5 1 *"


def test_aiming_is_one_call_that_changes_the_time_only(
    alarm: CloudSchedulerAlarm, fake: FakeScheduler
) -> None:
    """Target and retries of the job are the infrastructure's; the forecast job stays as it is."""
    fake.jobs[BOUNDARY].description = "kept"
    alarm.aim_boundary(NOW + timedelta(hours=2))
    job = fake.jobs[BOUNDARY]
    assert (job.schedule, job.time_zone, job.description) == ("1 10 5 1 *", "Etc/UTC", "kept")
    assert fake.jobs[FORECAST].schedule == "0 * * * *"
    assert fake.calls == ["update"]


@pytest.mark.parametrize("late_s", [-3600, 0, 5, 29])
def test_a_minute_that_is_all_but_over_is_not_aimed_at(
    alarm: CloudSchedulerAlarm, fake: FakeScheduler, late_s: int
) -> None:
    """It would fire in a year; the next minute is late, but comes."""
    alarm.aim_boundary(NOW + timedelta(seconds=late_s))
    assert fake.jobs[BOUNDARY].schedule == "1 8 5 1 *"


def test_a_minute_too_near_to_be_met_gives_way_to_the_next(
    alarm: CloudSchedulerAlarm, fake: FakeScheduler, clock: ManualClock
) -> None:
    """The call takes its time, too."""
    clock.move(25)
    alarm.aim_boundary(NOW + timedelta(seconds=29))
    assert fake.jobs[BOUNDARY].schedule == "2 8 5 1 *"


def test_a_paused_job_is_resumed(alarm: CloudSchedulerAlarm, fake: FakeScheduler) -> None:
    """Changing a paused job's time leaves it paused: it would never fire."""
    fake.jobs[BOUNDARY].state = State.PAUSED
    alarm.aim_boundary(NOW + timedelta(hours=1))
    assert fake.jobs[BOUNDARY].state is State.ENABLED
    assert fake.calls == ["update", "resume"]


@pytest.mark.parametrize("state", [State.UPDATE_FAILED, State.DISABLED])
def test_a_job_that_will_not_fire_is_told(
    alarm: CloudSchedulerAlarm, fake: FakeScheduler, state: scheduler_v1.Job.State
) -> None:
    """An answer without an error is no proof that it will."""
    fake.jobs[BOUNDARY].state = state
    with pytest.raises(UnavailableError, match=rf"{BOUNDARY}.*ENABLED.*{state.name}"):
        alarm.aim_boundary(NOW + timedelta(hours=1))


def test_tick_now_runs_the_forecast_job(alarm: CloudSchedulerAlarm, fake: FakeScheduler) -> None:
    """That job and no other."""
    alarm.tick_now()
    assert fake.calls == [f"run {FORECAST}"]


@pytest.mark.parametrize("lands", [False, True])
def test_trouble_that_passes_is_repeated(
    alarm: CloudSchedulerAlarm, fake: FakeScheduler, *, lands: bool
) -> None:
    """Aiming and ticking twice do what doing it once does, also after a lost answer."""
    fake.faults.queue = [Fault(grpc.StatusCode.UNAVAILABLE, lands=lands)]
    alarm.aim_boundary(NOW + timedelta(hours=2))
    fake.faults.queue = [Fault(grpc.StatusCode.DEADLINE_EXCEEDED, lands=lands)]
    alarm.tick_now()
    assert fake.jobs[BOUNDARY].schedule == "1 10 5 1 *"
    assert f"run {FORECAST}" in fake.calls


def test_patience_is_bounded(
    alarm: CloudSchedulerAlarm, fake: FakeScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that stays away or does not answer is an `UnavailableError`."""
    fake.faults.always = grpc.StatusCode.UNAVAILABLE
    with pytest.raises(UnavailableError, match="the service said UNAVAILABLE"):
        alarm.aim_boundary(NOW)
    monkeypatch.setattr(google_calls, "ATTEMPT_S", 0.1)
    fake.faults.always, fake.faults.delay_s = None, 0.5
    with pytest.raises(UnavailableError):
        alarm.tick_now()


@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, PermissionDeniedError, "cloudscheduler.jobs"),
        (grpc.StatusCode.NOT_FOUND, InvalidInputError, "SMARTSCHEDULER_BOUNDARY_JOB"),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInputError, "SMARTSCHEDULER_BOUNDARY_JOB"),
    ],
)
def test_trouble_that_stays_is_told_at_once_with_what_to_do(
    alarm: CloudSchedulerAlarm,
    fake: FakeScheduler,
    code: grpc.StatusCode,
    error: type[Exception],
    advice: str,
) -> None:
    """One request, and the message names job, cause and remedy."""
    fake.faults.queue = [Fault(code)]  # a second try would succeed
    with pytest.raises(error, match=rf"{BOUNDARY}.*the service said {code.name}.*{advice}"):
        alarm.aim_boundary(NOW)
    assert fake.calls == []
