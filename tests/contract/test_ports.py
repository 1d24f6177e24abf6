"""The embedded cloud and Google's adapters keep the same laws: topic, alarm and clock.

Fleet: tests/local/test_fleet_contract.py and tests/adapters/test_compute_engine.py. Bucket:
tests/storage/test_blob_store_contract.py.
"""

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import grpc
import pytest
from bus_contract import AlarmContract, AlarmHarness, PublisherContract, PublisherHarness
from fake_pubsub import FakePubSub
from fake_scheduler import FakeScheduler
from local_world import Machines, make_world
from manual_clock import ManualClock
from simulated_clock import SimulatedClock
from werkzeug import Request, Response

from functions.adapters.cloud_scheduler import CloudSchedulerAlarm
from functions.adapters.pubsub import PubSubPublisher
from functions.local.alarm import LocalAlarm
from functions.local.bus import Bus, Retry
from functions.local.bus_journal import BusJournal
from functions.local.front import front
from functions.local.publisher import LocalPublisher
from functions.local.scheduler import Scheduler
from functions.local.serving import HttpServer
from functions.wire import WakeUp, WakeUpKind, decode_wake_up
from vm_runtime.contract.clock import Clock, ScaledClock, SystemClock

BOUNDARY = "projects/green/locations/europe-west1/jobs/boundary"
FORECAST = "projects/green/locations/europe-west1/jobs/forecast"


class Embedded:
    """The embedded bus and scheduler behind their HTTP API, with functions that take notes."""

    def __init__(self, folder: Path, machines: Machines) -> None:
        """Start; its clock stands almost still."""
        self._taken: list[WakeUp] = []
        self._ticks = 0
        self._world = world = make_world(folder, speed=0.001)
        self._functions = HttpServer(Request.application(self._take), name="functions")
        self._bus = Bus(
            journal=BusJournal(folder / "bus.jsonl"),
            functions_url=self._functions.url,
            world=world,
            retry=Retry(),
        )
        self._scheduler = Scheduler(
            world=world,
            publish=self._bus.publish,
            functions_url=self._functions.url,
            forecast_every_s=86_400,
            heartbeat_s=86_400,
        )
        api = front(
            bus=self._bus,
            compute=machines.make(world),
            scheduler=self._scheduler,
            key=world.key,
        )
        self._server = HttpServer(api, name="front")
        self._is_gone = False
        for part in (self._functions, self._server, self._bus, self._scheduler):
            part.start()
        self.publisher = LocalPublisher(self._server.url, world.key)
        self.alarm = LocalAlarm(self._server.url, world.key)

    def _take(self, request: Request) -> Response:
        if request.path.startswith("/forecast"):
            self._ticks += 1
        elif request.path.startswith("/stop_vm"):
            data = base64.b64decode(request.get_json()["message"]["data"])
            self._taken.append(decode_wake_up(data))
        return Response("ok")

    def received(self) -> list[WakeUp]:
        """What stop_vm got, but for the boundary's."""
        return [each for each in self._taken if each.kind is not WakeUpKind.BOUNDARY]

    def now(self) -> datetime:
        """Simulated time."""
        return self._world.clock.now()

    def boundary(self) -> datetime | None:
        """When it fires."""
        return self._scheduler.boundary

    def ticks(self) -> int:
        """All but the one at the start."""
        return self._ticks - 1

    def vanish(self) -> None:
        """Stop to listen."""
        self._server.stop()
        self._is_gone = True

    def close(self) -> None:
        """End everything."""
        self._scheduler.stop()
        self._bus.stop()
        if not self._is_gone:
            self._server.stop()
        self._functions.stop()


class Google:
    """The adapters on Google's own clients, in front of services in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Connect; its clock stands still."""
        self._pubsub, self._scheduler = FakePubSub(), FakeScheduler(BOUNDARY, FORECAST)
        self._clock = ManualClock()
        self._topic, self._jobs = ExitStack(), ExitStack()
        address = self._topic.enter_context(self._pubsub.running())
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        self.publisher = PubSubPublisher(project="green", topic="interval-plan", patience_s=0.3)
        self.alarm = CloudSchedulerAlarm(
            boundary_job=BOUNDARY,
            forecast_job=FORECAST,
            clock=self._clock,
            make_client=self._jobs.enter_context(self._scheduler.running()),
            patience_s=0.3,
        )

    def received(self) -> list[WakeUp]:
        """What is on the topic."""
        return [decode_wake_up(message.data) for message in self._pubsub.messages]

    def now(self) -> datetime:
        """The clock's time."""
        return self._clock.now()

    def boundary(self) -> datetime | None:
        """What the cron expression means next."""
        parts = self._scheduler.jobs[BOUNDARY].schedule.split()[:4]
        minutes, hours, days, months = ([int(n) for n in part.split(",")] for part in parts)
        now = self._clock.now()
        # A minute that has begun is missed, and comes again in a year.
        return min(
            fires if fires > now else fires.replace(year=now.year + 1)
            for numbers in product(months, days, hours, minutes)
            for fires in [datetime(now.year, *numbers, tzinfo=UTC)]
        )

    def ticks(self) -> int:
        """How often the forecast's job was run."""
        return self._scheduler.calls.count(f"run {FORECAST}")

    def vanish(self) -> None:
        """The topic's server goes, and the scheduler's answers nobody."""
        self._topic.close()
        self._scheduler.faults.always = grpc.StatusCode.UNAVAILABLE

    def close(self) -> None:
        """End the services."""
        self._topic.close()
        self._jobs.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    """The embedded cloud's parts."""
    machines = Machines(tmp_path)
    made = Embedded(tmp_path, machines)
    yield made
    made.close()
    machines.close()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Google's adapters."""
    made = Google(monkeypatch)
    yield made
    made.close()


class TestEmbeddedPublisher(PublisherContract):
    """`LocalPublisher` keeps the laws."""

    @pytest.fixture
    def harness(self, embedded: Embedded) -> PublisherHarness:
        """The embedded bus."""
        return embedded


class TestGooglePublisher(PublisherContract):
    """`PubSubPublisher` keeps the laws."""

    @pytest.fixture
    def harness(self, google: Google) -> PublisherHarness:
        """Pub/Sub."""
        return google


class TestEmbeddedAlarm(AlarmContract):
    """`LocalAlarm` keeps the laws."""

    @pytest.fixture
    def harness(self, embedded: Embedded) -> AlarmHarness:
        """The embedded scheduler."""
        return embedded


class TestGoogleAlarm(AlarmContract):
    """`CloudSchedulerAlarm` keeps the laws."""

    @pytest.fixture
    def harness(self, google: Google) -> AlarmHarness:
        """Cloud Scheduler."""
        return google


@pytest.fixture(params=["system", "scaled", "manual", "simulated"])
def clock(request: pytest.FixtureRequest) -> Clock:
    """Every clock that the control plane or a test may be given."""
    scaled = ScaledClock(real_anchor_s=time.time(), simulated_anchor_s=0.0, speed=600.0)
    clocks = {
        "system": SystemClock,
        "scaled": lambda: scaled,
        "manual": ManualClock,
        "simulated": SimulatedClock,
    }
    made: Clock = clocks[request.param]()  # type: ignore[operator]
    return made


def test_a_clock_tells_aware_utc_and_never_goes_back(clock: Clock) -> None:
    """Also when several threads ask."""
    told: list[datetime] = []
    lock = threading.Lock()

    def ask() -> None:
        for _ in range(50):
            with lock:
                told.append(clock.now())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(time.utcoffset() == timedelta(0) for time in told)
    assert told == sorted(told)


def test_a_clock_s_waits_are_in_proportion(clock: Clock) -> None:
    """Twice as long on the clock is twice as long on the wall; nothing is no wait."""
    assert clock.wait_s(0.0) == 0.0
    assert clock.wait_s(30.0) > 0
    assert clock.wait_s(60.0) == pytest.approx(2 * clock.wait_s(30.0))
