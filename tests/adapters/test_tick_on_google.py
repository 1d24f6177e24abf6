"""The use case behind `forecast` over the adapters together, each against its stand-in."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import responses
from control_plane import World
from fake_pubsub import FakePubSub
from fake_scheduler import FakeScheduler
from pydantic import SecretStr
from requests import PreparedRequest
from simulated_clock import START

from forecaster.series import Forecast
from functions.adapters.cloud_scheduler import CloudSchedulerAlarm, cron
from functions.adapters.electricity_maps import ElectricityMaps
from functions.adapters.pubsub import PubSubPublisher
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan
from functions.domain.regions import GRID_ZONES
from functions.handlers.documents import Documents
from functions.handlers.tick import AIMED_AHEAD, tick
from functions.ports import Ports
from functions.wire import WakeUpKind, decode_wake_up
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job

API = "https://api.electricitymaps.com/v4"
BOUNDARY = "projects/green/locations/europe-west1/jobs/boundary"
NOT_IN_PLAN = {"error": "Request unauthorized for zoneKey=PL,requestType=history."}
JOB = Job(
    job_id="digits",
    machine_type="e2-standard-8",
    power_w=250,
    allowed_regions=("europe-west3", "europe-west9"),
    submitted_at=START,
    work_h=2,
    deadline=START + timedelta(hours=8),
)


@pytest.fixture
def world() -> World:
    """A world with one job."""
    world = World()
    world.submit(JOB, steps_total=720)
    return world


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePubSub]:
    """Pub/Sub on loopback."""
    fake = FakePubSub()
    with fake.running() as address:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
        yield fake


@pytest.fixture
def scheduler() -> FakeScheduler:
    """Cloud Scheduler with the boundary job."""
    return FakeScheduler(BOUNDARY)


@pytest.fixture
def ports(world: World, pubsub: FakePubSub, scheduler: FakeScheduler) -> Iterator[Ports]:  # noqa: ARG001 - by its address
    """The world's ports, with the adapters instead of its bus, alarm and grid."""
    with scheduler.running() as make_client:
        yield replace(
            world.ports,
            publisher=PubSubPublisher(project="green", topic="interval-plan"),
            alarm=CloudSchedulerAlarm(
                boundary_job=BOUNDARY,
                forecast_job="",
                clock=world.ports.clock,
                make_client=make_client,
            ),
            intensity=ElectricityMaps(base_url=API, key=SecretStr("k3y")),
        )


def history(request: PreparedRequest) -> tuple[int, dict[str, str], str | bytes]:
    """Answer as the API does to a plan without Poland, of which it has not told."""
    if str(request.url).endswith("/zones"):
        return 503, {}, ""
    zone = request.params["zone"]  # type: ignore[attr-defined] - responses adds it
    if zone == "PL":
        return 401, {}, json.dumps(NOT_IN_PLAN)
    hours = [START.replace(minute=0, second=0) - timedelta(hours=ago) for ago in range(24)]
    rows = [{"carbonIntensity": 300, "datetime": hour.isoformat()} for hour in hours]
    return 200, {}, json.dumps({"zone": zone, "history": rows})


@responses.activate
def test_a_tick_records_plans_publishes_and_aims(
    world: World, ports: Ports, pubsub: FakePubSub, scheduler: FakeScheduler
) -> None:
    """A zone that is not in the key's plan is left out, and the job planned all the same."""
    responses.add_callback(responses.GET, re.compile(re.escape(API)), callback=history)

    result = tick(ports, Timing())

    assert (result.planned, result.failed) == (1, 0)
    stored = Documents(world.ports.store)
    plan = stored.get(Plan, object_names.plan("digits", world.state("digits").plan_id or ""))
    forecast = stored.get(Forecast, object_names.forecast(result.origin))
    assert [each.grid_zone for each in forecast.left_out] == ["PL"]
    assert "not in your plan" in forecast.left_out[0].reason
    (message,) = [decode_wake_up(each.data) for each in pubsub.messages]
    assert (message.kind, message.plan) == (WakeUpKind.PLAN, plan)
    lead = timedelta(seconds=Timing().boot_lead_s)
    edges = [e for i in plan.intervals for e in (i.start - lead, i.start, i.end) if e > START]
    soon = [edge for edge in edges if edge <= START + AIMED_AHEAD]
    assert scheduler.jobs[BOUNDARY].schedule == cron(*(soon or [min(edges)]))
    assert len(responses.calls) == len(GRID_ZONES) + 1
