"""The laws of the ports `Publisher` and `Alarm`, for every implementation of them.

Inherit `PublisherContract` or `AlarmContract` and give it a fixture `harness`.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from waiting import until

from functions.errors import UnavailableError
from functions.ports import Alarm, Publisher
from functions.wire import WakeUp, WakeUpKind

SENT_AT = datetime(2024, 3, 5, 6, tzinfo=UTC)
AGAIN = WakeUp(kind=WakeUpKind.AGAIN, sent_at=SENT_AT, job_id="digits", seq=3)
HEARTBEAT = WakeUp(kind=WakeUpKind.HEARTBEAT)


class PublisherHarness(Protocol):
    """A topic, and who listens to it."""

    @property
    def publisher(self) -> Publisher:
        """The implementation under test."""
        ...

    def received(self) -> list[WakeUp]:
        """Return what one subscription has got so far."""
        ...

    def vanish(self) -> None:
        """Let the service be gone."""
        ...


class PublisherContract:
    """Laws of `Publisher`."""

    def test_a_message_arrives_as_it_was_sent(self, harness: PublisherHarness) -> None:
        """All fields, and for one that says little, no more than it says."""
        for message in (AGAIN, HEARTBEAT):
            harness.publisher.publish(message)
        until(lambda: len(harness.received()) == 2)
        assert sorted(harness.received(), key=lambda each: each.kind) == [AGAIN, HEARTBEAT]

    def test_the_same_message_twice_is_two_messages(self, harness: PublisherHarness) -> None:
        """Nobody takes a repeat for the first one: a wake-up is never lost to a comparison."""
        for _ in range(2):
            harness.publisher.publish(AGAIN)
        until(lambda: harness.received() == [AGAIN, AGAIN])

    def test_many_may_publish_at_once(self, harness: PublisherHarness) -> None:
        """None is lost."""
        threads = [
            threading.Thread(target=harness.publisher.publish, args=(AGAIN,)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        until(lambda: len(harness.received()) == len(threads))

    def test_a_service_that_is_gone_is_unavailable(self, harness: PublisherHarness) -> None:
        """The port's own error, so that the message of the caller comes again."""
        harness.publisher.publish(AGAIN)
        harness.vanish()
        with pytest.raises(UnavailableError):
            harness.publisher.publish(AGAIN)


class AlarmHarness(Protocol):
    """The scheduler's two jobs."""

    @property
    def alarm(self) -> Alarm:
        """The implementation under test."""
        ...

    def now(self) -> datetime:
        """The time of its clock."""
        ...

    def boundary(self) -> datetime | None:
        """When the boundary job fires next; `None` if it has fired since."""
        ...

    def ticks(self) -> int:
        """How often `forecast` was triggered by `tick_now`."""
        ...

    def vanish(self) -> None:
        """Let the service be gone."""
        ...


class AlarmContract:
    """Laws of `Alarm`."""

    @pytest.mark.parametrize("later_s", [600.0, 3_600.5, 86_400.0, 20 * 86_400.0])
    def test_it_fires_at_the_first_full_minute_not_before(
        self, harness: AlarmHarness, later_s: float
    ) -> None:
        """Rounded up, never down."""
        at = harness.now() + timedelta(seconds=later_s)
        harness.alarm.aim_boundary(at)
        fires = harness.boundary()
        assert fires is not None
        assert timedelta(0) <= fires - at < timedelta(minutes=1)
        assert (fires.second, fires.microsecond) == (0, 0)

    def test_several_times_begin_with_the_first(self, harness: AlarmHarness) -> None:
        """In whatever order they are given."""
        first = harness.now() + timedelta(hours=1)
        harness.alarm.aim_boundary(first + timedelta(minutes=40), first)
        fires = harness.boundary()
        assert fires is not None
        assert timedelta(0) <= fires - first < timedelta(minutes=1)

    def test_the_last_aim_counts(self, harness: AlarmHarness) -> None:
        """Earlier or later than the one before."""
        for hours in (5, 2, 8):
            at = harness.now() + timedelta(hours=hours)
            harness.alarm.aim_boundary(at)
            fires = harness.boundary()
            assert fires is not None
            assert abs(fires - at) < timedelta(minutes=1)

    @pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=59), timedelta(days=2)])
    def test_what_is_over_fires_soon(self, harness: AlarmHarness, late: timedelta) -> None:
        """Not in a year, and not never."""
        harness.alarm.aim_boundary(harness.now() - late)
        fires = harness.boundary()
        assert fires is None or fires <= harness.now() + timedelta(minutes=2)

    def test_tick_now_triggers_the_forecast_and_nothing_else(self, harness: AlarmHarness) -> None:
        """At once; the boundary stays where it was aimed."""
        harness.alarm.aim_boundary(harness.now() + timedelta(hours=3))
        before = harness.boundary()
        harness.alarm.tick_now()
        until(lambda: harness.ticks() == 1)
        assert harness.boundary() == before

    @pytest.mark.parametrize(
        "call",
        [lambda alarm, at: alarm.aim_boundary(at), lambda alarm, _: alarm.tick_now()],
        ids=["aim_boundary", "tick_now"],
    )
    def test_a_service_that_is_gone_is_unavailable(
        self, harness: AlarmHarness, call: Callable[[Alarm, datetime], None]
    ) -> None:
        """The port's own error."""
        harness.vanish()
        with pytest.raises(UnavailableError):
            call(harness.alarm, harness.now() + timedelta(hours=1))
