"""The scheduler: ticks at full hours of the simulated clock, never on top of each other."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_world import START, make_world
from waiting import until
from werkzeug import Request, Response

from functions.local.faults import Faults
from functions.local.scheduler import Scheduler, next_full, rounded_up
from functions.local.serving import HttpServer
from functions.wire import WakeUpKind, decode_wake_up

MOMENTS = st.integers(0, 10**7).map(lambda s: START + timedelta(seconds=s))


@given(MOMENTS, st.sampled_from([60, 300, 3600]))
def test_next_tick_is_the_first_multiple_after_now(now: datetime, every_s: int) -> None:
    """The next tick is at a multiple, after now, and none lies between."""
    at = next_full(now, every_s)
    assert at.timestamp() % every_s == 0
    assert timedelta(0) < at - now <= timedelta(seconds=every_s)


@given(MOMENTS)
def test_boundary_is_rounded_up_to_the_minute(at: datetime) -> None:
    """A boundary never fires early, and at most a minute late."""
    assert timedelta(0) <= rounded_up(at) - at < timedelta(minutes=1)
    assert rounded_up(at).second == 0


@dataclass
class Site:
    """A scheduler and who listens to it."""

    folder: Path
    ticks: list[dict[str, str]] = field(default_factory=list)
    woken: list[WakeUpKind] = field(default_factory=list)
    most_at_once: int = 0
    hold_s: float = 0.0
    ends: list[Callable[[], None]] = field(default_factory=list)

    def scheduler(
        self,
        *,
        speed: float = 600.0,
        faults: Faults | None = None,
        forecast_every_s: int = 86_400,
        heartbeat_s: int = 86_400,
    ) -> Scheduler:
        """Return a started scheduler."""
        now_in_flight = 0
        lock = threading.Lock()

        @Request.application
        def application(request: Request) -> Response:
            nonlocal now_in_flight
            with lock:
                now_in_flight += 1
                self.most_at_once = max(self.most_at_once, now_in_flight)
            threading.Event().wait(self.hold_s)
            self.ticks.append(dict(request.headers))
            with lock:
                now_in_flight -= 1
            return Response("ok")

        server = HttpServer(application, name="receiver")
        server.start()
        scheduler = Scheduler(
            world=make_world(self.folder, faults, speed=speed),
            publish=lambda data: self.woken.append(decode_wake_up(data).kind),
            functions_url=server.url,
            forecast_every_s=forecast_every_s,
            heartbeat_s=heartbeat_s,
        )
        self.ends += [scheduler.stop, server.stop]
        scheduler.start()
        return scheduler


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place for schedulers."""
    site = Site(tmp_path)
    yield site
    for end in site.ends:
        end()


def times(site: Site) -> list[datetime]:
    """Return the schedule times of the ticks."""
    return [datetime.fromisoformat(tick["X-Cloudscheduler-Scheduletime"]) for tick in site.ticks]


def test_forecast_ticks_at_once_and_then_each_full_hour(site: Site) -> None:
    """The first tick comes at the start, each further one at a full hour, with its headers."""
    site.scheduler(speed=36_000.0, forecast_every_s=3600)
    until(lambda: len(site.ticks) >= 4)
    first, *later = times(site)
    assert first - START < timedelta(hours=1)
    assert all(at.timestamp() % 3600 == 0 for at in later)
    assert later == sorted(set(later))
    assert site.ticks[0]["X-Cloudscheduler"] == "true"
    assert site.ticks[0]["X-Cloudscheduler-Jobname"] == "forecast"
    assert site.ticks[0]["User-Agent"] == "Google-Cloud-Scheduler"


def test_slow_forecast_skips_ticks(site: Site) -> None:
    """Ticks missed during a slow one are skipped, and none overlaps another."""
    site.hold_s = 0.25
    site.scheduler(speed=36_000.0, forecast_every_s=3600)
    until(lambda: len(site.ticks) >= 5)
    assert site.most_at_once == 1
    gaps = [later - earlier for earlier, later in zip(times(site), times(site)[1:], strict=False)]
    # One takes 2.5 simulated hours, so that the next full hour after it is 3 after its own.
    assert all(gap >= timedelta(hours=3) for gap in gaps[1:])


def test_tick_now_is_not_forgotten(site: Site) -> None:
    """A tick asked for while one runs follows it."""
    site.hold_s = 0.1
    scheduler = site.scheduler()
    until(lambda: site.most_at_once == 1)
    scheduler.tick_now()
    until(lambda: len(site.ticks) == 2)
    assert site.most_at_once == 1


def test_heartbeats_come_regularly(site: Site) -> None:
    """Heartbeats are published again and again."""
    site.scheduler(speed=6000.0, heartbeat_s=300)
    until(lambda: len(site.woken) >= 3)
    assert set(site.woken) == {WakeUpKind.HEARTBEAT}


def test_boundary_fires_once_at_its_last_aim(site: Site) -> None:
    """The boundary wakes all functions once, not before the time last aimed at."""
    scheduler = site.scheduler(speed=600.0)
    scheduler.aim_boundary(START + timedelta(days=30))
    scheduler.aim_boundary(START + timedelta(minutes=5))
    assert scheduler.boundary == START + timedelta(minutes=5)
    assert site.woken == []
    until(lambda: site.woken)
    assert site.woken == [WakeUpKind.BOUNDARY]
    assert scheduler.boundary is None


def test_boundary_fires_at_each_of_several_times(site: Site) -> None:
    """One after the other, in order; then it rests."""
    scheduler = site.scheduler(speed=600.0)
    scheduler.aim_boundary(*(START + timedelta(minutes=minutes) for minutes in (7, 3, 5)))
    assert scheduler.boundary == START + timedelta(minutes=3)
    until(lambda: len(site.woken) == 3)
    assert site.woken == [WakeUpKind.BOUNDARY] * 3
    until(lambda: scheduler.boundary is None)


def test_fault_doubles_ticks(site: Site) -> None:
    """On request a tick is sent twice, one after the other."""
    site.scheduler(faults=Faults(double_ticks=1.0))
    until(lambda: len(site.ticks) == 2)
    assert times(site)[0] == times(site)[1]
    assert site.most_at_once == 1
