"""The embedded fleet and the fleet in memory keep the same laws."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from disk_contract import DiskContract, DiskHarness
from fake_fleet import FakeFleet
from fleet_contract import INTERVAL_END, FleetContract, FleetHarness, only, running, spec
from local_world import Machines, make_world
from manual_clock import ManualClock
from pydantic import SecretStr
from waiting import until

from functions.errors import (
    InvalidInputError,
    PermissionDeniedError,
    UnavailableError,
)
from functions.local.bus import Bus, Retry
from functions.local.bus_journal import BusJournal
from functions.local.disk_fleet import LocalDisks
from functions.local.fleet import LocalFleet
from functions.local.front import front
from functions.local.scheduler import Scheduler
from functions.local.serving import HttpServer
from functions.local.world import World


class InMemory:
    """The fleet in memory, on a clock that is moved by hand."""

    def __init__(self) -> None:
        """Start at the beginning."""
        self.clock = ManualClock()
        self.fleet = FakeFleet(self.clock)
        self.disks = self.fleet.disks

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Move the clock until `look` holds."""
        for _ in range(1000):
            if look():
                return
            self.clock.move(5)
        raise AssertionError("expected it within 5,000 simulated seconds")

    def run_out_of_stock(self, compute_zone: str) -> None:
        """Leave a compute zone without capacity."""
        self.fleet.faults.stock_outs.add(compute_zone)
        self.disks.faults.stock_outs.add(compute_zone)

    def use_up_quota(self, region: str) -> None:
        """Leave a region without quota."""
        self.fleet.faults.quota.add(region)
        self.disks.faults.quota.add(region)

    def slow_down(self) -> None:
        """Make operations take hours."""
        self.fleet.faults.slow_operations_s = 7200


class Embedded:
    """The embedded compute service behind its HTTP API."""

    def __init__(self, world: World, url: str) -> None:
        """Take what serves it."""
        self.world = world
        self.fleet = LocalFleet(url, world.key)
        self.disks = LocalDisks(url, world.key)

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Wait; time passes by itself."""
        until(look)

    def set(self, **faults: object) -> None:
        """Put other faults in force."""
        box = self.world.faults
        box.present = replace(box.present, **faults)

    def run_out_of_stock(self, compute_zone: str) -> None:
        """Leave a compute zone without capacity."""
        self.set(stock_outs=frozenset({compute_zone}))

    def use_up_quota(self, region: str) -> None:
        """Leave a region without quota."""
        self.set(quota_exceeded=frozenset({region}))

    def slow_down(self) -> None:
        """Make operations take hours."""
        self.set(slow_insert_s=7200.0)


@pytest.fixture
def embedded(tmp_path: Path, machines: Machines) -> Iterator[Embedded]:
    """The embedded fleet."""
    world = make_world(tmp_path)
    bus = Bus(
        journal=BusJournal(tmp_path / "bus.jsonl"),
        functions_url="http://127.0.0.1:9",
        world=world,
        retry=Retry(),
    )
    scheduler = Scheduler(
        world=world,
        publish=bus.publish,
        functions_url="http://127.0.0.1:9",
        forecast_every_s=3600,
        heartbeat_s=3600,
    )
    compute = machines.make(world)
    api = front(bus=bus, compute=compute, scheduler=scheduler, key=world.key)
    server = HttpServer(api, name="front")
    server.start()
    yield Embedded(world, server.url)
    server.stop()


class TestInMemory(FleetContract):
    """`FakeFleet` keeps the laws."""

    @pytest.fixture
    def harness(self) -> FleetHarness:
        """The fleet in memory."""
        return InMemory()


class TestInMemoryDisks(DiskContract):
    """`FakeDisks` keeps the laws of disks."""

    @pytest.fixture
    def harness(self) -> DiskHarness:
        """The disks in memory."""
        return InMemory()


class TestEmbeddedDisks(DiskContract):
    """`LocalDisks` keeps the laws of disks."""

    @pytest.fixture
    def harness(self, embedded: Embedded) -> DiskHarness:
        """The embedded disks."""
        return embedded


class TestEmbedded(FleetContract):
    """`LocalFleet` keeps the laws."""

    @pytest.fixture
    def harness(self, embedded: Embedded) -> FleetHarness:
        """The embedded fleet."""
        return embedded


def test_errors_are_the_ports_own(embedded: Embedded) -> None:
    """Refusals and silence arrive as the errors that the port names."""
    embedded.set(quota_exceeded=frozenset({"europe-west3"}))
    assert "europe-west3" in embedded.fleet.insert(spec(), request_id="a").message
    embedded.set(quota_exceeded=frozenset(), denied=True)
    with pytest.raises(PermissionDeniedError, match="permission"):
        embedded.fleet.insert(spec(), request_id="a")
    embedded.set(unavailable=1.0)
    with pytest.raises(UnavailableError, match="503"):
        embedded.fleet.list()
    with pytest.raises(UnavailableError, match="embedded cloud"):
        LocalFleet("http://127.0.0.1:9", SecretStr("k")).list()


def test_lost_response_has_done_its_work(embedded: Embedded) -> None:
    """After an insert whose answer was lost the VM is there, and the repeat finds it."""
    embedded.set(lost_responses=1.0)
    with pytest.raises(UnavailableError, match="lost"):
        embedded.fleet.insert(spec(), request_id="a")
    embedded.set(lost_responses=0.0)
    assert only(embedded).name == "ss-digits-1"
    embedded.fleet.insert(spec(), request_id="a")
    assert only(embedded).name == "ss-digits-1"


def test_old_request_does_not_undo_a_newer_one(embedded: Embedded) -> None:
    """A repeated request changes nothing, though another was made since."""
    vm = running(embedded, spec())
    later = INTERVAL_END + timedelta(hours=1)
    embedded.fleet.set_interval_end(vm, INTERVAL_END, request_id="first")
    embedded.fleet.set_interval_end(vm, later, request_id="second")
    embedded.fleet.set_interval_end(vm, INTERVAL_END, request_id="first")
    assert only(embedded).interval_end == later


def test_insert_without_labels_is_refused(embedded: Embedded) -> None:
    """A managed VM that could not be listed is not made; one that is not ours is not listed."""
    with pytest.raises(InvalidInputError, match="incarnation"):
        embedded.fleet.insert(
            replace(spec(), labels={"managed-by": "smartscheduler", "job": "x"}), request_id="a"
        )
    embedded.fleet.insert(replace(spec(), labels={}), request_id="b")
    assert not embedded.fleet.list()
