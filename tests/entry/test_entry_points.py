"""The four entry points under the real Functions Framework."""

import base64
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from control_plane import World
from flask.testing import FlaskClient
from functions_framework import create_app
from pydantic import SecretStr
from simulated_clock import START

import functions.main
from functions import bootstrap
from functions.domain.lifecycle.timing import Timing
from functions.errors import UnavailableError
from functions.local.caller import LocalCallerCheck, authorization
from functions.settings import Deployment, Settings
from functions.wire import WakeUp, WakeUpKind, encode_wake_up
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job

KEY = SecretStr("k3y")
SOURCE = Path(functions.main.__file__)
PROJECT = "//pubsub.googleapis.com/projects/local/topics/interval-plan"


@pytest.fixture
def world() -> World:
    """A world with one job."""
    world = World()
    world.submit(
        Job(
            job_id="digits",
            machine_type="e2-standard-8",
            power_w=250,
            allowed_regions=("europe-west3", "europe-west9"),
            submitted_at=START,
            work_h=2,
            deadline=START + timedelta(hours=8),
        ),
        steps_total=720,
    )
    return world


@pytest.fixture(autouse=True)
def framework(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Build the functions over the world; leave environment and logging as they were."""
    for variable in ("FUNCTION_TARGET", "FUNCTION_SOURCE", "FUNCTION_SIGNATURE_TYPE"):
        monkeypatch.setenv(variable, "")
    monkeypatch.setattr(bootstrap, "ports", lambda: world.ports)
    deployment = Deployment(settings=Settings(bucket="file:///tmp/x"), timing=Timing())
    monkeypatch.setattr(bootstrap, "deployment", lambda: deployment)
    monkeypatch.setattr(bootstrap, "caller_check", lambda: LocalCallerCheck(KEY))
    logger = logging.getLogger("functions")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, logger.level = before


def client(name: str) -> FlaskClient:
    """Return a client of one function, loaded as in production."""
    kind = "http" if name == "forecast" else "cloudevent"
    app: Any = create_app(target=name, source=str(SOURCE), signature_type=kind)
    made: FlaskClient = app.test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = authorization(KEY)["Authorization"]
    return made


def post(name: str, message: object) -> int:
    """Deliver a message as Pub/Sub does, and return the HTTP status."""
    headers = {
        "ce-id": "1",
        "ce-source": PROJECT,
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-specversion": "1.0",
    }
    body = {"message": message, "subscription": "projects/local/subscriptions/x"}
    return client(name).post("/", json=body, headers=headers).status_code


def data(message: WakeUp) -> dict[str, str]:
    """Return a message with base64 data."""
    return {"data": base64.b64encode(encode_wake_up(message)).decode(), "messageId": "1"}


HEARTBEAT = WakeUp(kind=WakeUpKind.HEARTBEAT, sent_at=START)


def test_tick_then_start(world: World) -> None:
    """A tick plans; the next heartbeats reserve and insert the VM."""
    answer = client("forecast").get("/")
    assert (answer.status_code, answer.get_json()["planned"]) == (200, "1")
    plan = world.state("digits").plan_id
    assert plan is not None
    # The waves of the simulated grid may plan a later start: go there.
    world.run(lambda: world.state("digits").incarnation > 0, at_most_h=8)

    assert [post(name, data(HEARTBEAT)) for name in ("stop_vm", "move_vm", "start_vm")] == [200] * 3


@pytest.mark.parametrize("name", ["stop_vm", "move_vm", "start_vm"])
@pytest.mark.parametrize(
    "message",
    [
        {"messageId": "1"},
        {"messageId": "1", "data": ""},
        {"messageId": "1", "data": "%%%"},
        {"messageId": "1", "data": base64.b64encode(b"{").decode()},
        {"messageId": "1", "data": base64.b64encode(b'{"schema_version": 9}').decode()},
        {"messageId": "1", "data": base64.b64encode(b'{"schema_version": 1}').decode()},
        None,
    ],
)
def test_a_bad_message_is_refused_with_one_clear_line(
    name: str, message: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """400: it ends among the dead letters, where a person finds it; the log says what it lacks."""
    assert post(name, message) == 400
    lines = [line for line in capsys.readouterr().out.splitlines() if '"ERROR"' in line]
    assert len(lines) == 1
    assert "found" in lines[0]


def test_trouble_that_may_pass_makes_the_message_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not answer: 500, so that Pub/Sub delivers again."""

    def fail() -> None:
        raise UnavailableError("expected an answer, found a time-out")

    monkeypatch.setattr(world.fleet, "list", fail)

    assert post("stop_vm", data(HEARTBEAT)) == 500


def test_a_tick_without_any_data_says_so_and_keeps_the_plans(world: World) -> None:
    """503: Cloud Scheduler tries again; nothing is planned on missing data."""
    world.grid.silent.update({"all"})
    world.grid.recent_hours = lambda *_: []  # type: ignore[method-assign]

    answer = client("forecast").get("/")

    assert answer.status_code == 503
    assert "no grid zone has data" in answer.get_json()["error"]
    assert world.state("digits").plan_id is None


def test_importing_the_functions_loads_no_torch_numpy_planner_or_google_client() -> None:
    """They are the cold start: stop_vm, move_vm and start_vm must not pay for them."""
    code = (
        "import sys, functions.main;"
        # The framework itself ships google.cloud.functions, a few lines without a client.
        "print([m for m in sys.modules if m in {'torch', 'lightning', 'numpy', 'google.auth',"
        " 'functions.handlers.tick'}"
        " or (m.startswith('google.cloud.') and 'functions' not in m)])"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE.parents[1])},
    )

    assert done.stdout.strip() == "[]"


def test_tick_renews_the_page_of_open_jobs(world: World) -> None:
    """The page in the bucket has the job and the grids, and is small."""
    assert client("forecast").get("/").status_code == 200
    page = world.ports.store.read(object_names.INDEX).data.decode()

    assert "1 job, 1 not over" in page
    assert '<th scope="row">digits</th>' in page
    assert len(page) < 150_000


def test_page_that_cannot_be_made_harms_no_tick(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tick is done and says so, whatever the page met; the log has it."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("functions.report.index.render_index", broken)
    answer = client("forecast").get("/")

    assert (answer.status_code, answer.get_json()["planned"]) == (200, "1")
    assert "the page of all jobs could not be made" in capsys.readouterr().out
    assert world.ports.store.list(object_names.INDEX) == []
