"""What a function does with requests of strangers, and with messages that nobody of ours sends."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from control_plane import World
from flask.testing import FlaskClient
from functions_framework import create_app
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sample_jobs import job, steps_of

import functions.main
from functions import bootstrap
from functions.domain.lifecycle.timing import Timing
from functions.errors import UnavailableError
from functions.local.caller import LocalCallerCheck, authorization
from functions.settings import Deployment, Settings
from functions.wire import LARGEST_BYTES

KEY = SecretStr("k3y-of-this-start")
SHOWN = authorization(KEY)
STEPS = ("stop_vm", "move_vm", "start_vm")
BODY = {"message": {"data": "e30=", "messageId": "1"}, "subscription": "projects/p/subscriptions/s"}


@pytest.fixture(scope="module")
def world() -> World:
    """A world with one job that is due."""
    world = World()
    one = job()
    world.submit(one, steps_of(one))
    return world


@pytest.fixture(scope="module")
def make_client(world: World) -> Iterator[Callable[[str], FlaskClient]]:
    """The functions over that world, each loaded as in production."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("FUNCTION_TARGET", "FUNCTION_SOURCE", "FUNCTION_SIGNATURE_TYPE"):
            patch.setenv(variable, "")
        deployment = Deployment(settings=Settings(bucket="file:///tmp/x"), timing=Timing())
        patch.setattr(bootstrap, "ports", lambda: world.ports)
        patch.setattr(bootstrap, "deployment", lambda: deployment)
        patch.setattr(bootstrap, "caller_check", lambda: LocalCallerCheck(KEY))
        made: dict[str, FlaskClient] = {}

        def client(name: str) -> FlaskClient:
            if name not in made:
                kind = "http" if name == "forecast" else "cloudevent"
                app: Any = create_app(
                    target=name, source=str(Path(functions.main.__file__)), signature_type=kind
                )
                made[name] = app.test_client()
            return made[name]

        yield client


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Log to what is standard output in this very test; leave no trace."""
    logger = logging.getLogger("functions")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    logger.handlers[:], logger.propagate, logger.level = before


def event(data: object) -> dict[str, Any]:
    """Return the request of a push."""
    return {
        "json": {"message": {"data": data, "messageId": "1"}, "subscription": "projects/p/s"},
        "headers": {
            "ce-id": "1",
            "ce-source": "//pubsub.googleapis.com/projects/p/topics/interval-plan",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
            "ce-specversion": "1.0",
        },
    }


def generations(world: World) -> dict[str, int]:
    """Return every object with its generation, which each write raises."""
    return {info.name: info.generation for info in world.store.list("")}


def encoded(data: bytes) -> str:
    """Return a message's data as it is sent."""
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("name", ["forecast", *STEPS])
@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer k3y", f"Bearer {'k' * 4000}", "Basic eDp5"]
)
def test_a_stranger_is_answered_with_401_and_nothing_is_done(
    make_client: Callable[[str], FlaskClient],
    world: World,
    capsys: pytest.CaptureFixture[str],
    name: str,
    shown: str,
) -> None:
    """Whatever it sends; one line says so, and the port was not touched."""
    before = generations(world)
    heartbeat = event(encoded(HEARTBEAT))
    heartbeat["headers"]["Authorization"] = shown

    answer = make_client(name).post("/", **heartbeat)

    assert answer.status_code == 401
    assert generations(world) == before
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["severity"], line["event"]) == ("ERROR", "caller_refused")


def test_who_cannot_be_told_comes_again(
    make_client: Callable[[str], FlaskClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503: a message of the right caller is not lost while Google's keys cannot be had."""

    class Unsure:
        def admit(self, _: str) -> None:
            raise UnavailableError("keys of ID tokens: no answer")

    monkeypatch.setattr(bootstrap, "caller_check", Unsure)
    for name in ("forecast", *STEPS):
        assert make_client(name).post("/", **event("e30=")).status_code == 503


HEARTBEAT = b'{"kind": "heartbeat", "schema_version": 1}'
HUGE = b'{"kind": "again", "schema_version": 1, "job_id": "' + b"a" * LARGEST_BYTES + b'"}'
DEEP = b"[" * 100_000
HOSTILE = {
    "huge": encoded(HUGE),
    "a byte too large": encoded(HEARTBEAT.ljust(LARGEST_BYTES + 1)),
    "deep": encoded(DEEP),
    "deep plan": encoded(b'{"kind": "plan", "schema_version": 1, "plan": ' + DEEP),
    "truncated": encoded(b'{"kind": "heartbeat", "schema_ver'),
    "no base64": "%%%",
    "a number": 7,
    "a list": ["e30="],
    "not utf-8": encoded(b'{"kind": "\xff", "schema_version": 1}'),
    "nan": encoded(b'{"kind": "again", "schema_version": 1, "seq": NaN}'),
    "negative": encoded(b'{"kind": "again", "schema_version": 1, "seq": -1}'),
    "newer": encoded(b'{"kind": "again", "schema_version": 2, "news": true}'),
    **{
        f"job {name!r}": encoded(
            json.dumps({"kind": "again", "schema_version": 1, "job_id": name}).encode()
        )
        for name in (
            *("", "..", "../x", "/etc/passwd", "a/../b", "a\0b", "a\n", "a\nb", "A", "a b", "-a"),
            *("a-", "\u0430", "a\u200b", "\uff41", "$(reboot)", "a;b", "a" * 41, "%2e%2e"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_message_of_ours_is_refused(
    make_client: Callable[[str], FlaskClient],
    world: World,
    capsys: pytest.CaptureFixture[str],
    what: str,
) -> None:
    """400, one bounded line that says what was expected; no object of any name is touched."""
    before = generations(world)
    request = event(HOSTILE[what])
    request["headers"] |= SHOWN

    assert make_client("stop_vm").post("/", **request).status_code == 400

    assert generations(world) == before
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line["severity"] == "ERROR"
    assert "expected" in line["message"] or "found" in line["message"]
    assert len(line["message"]) < 600


@pytest.mark.parametrize("name", STEPS)
def test_a_huge_request_is_not_even_read(
    make_client: Callable[[str], FlaskClient], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """413 by its length alone, before anybody asks who sends it; one line says what to do."""

    class Unreadable(BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("it was read")

    answer = make_client(name).post(
        "/",
        input_stream=Unreadable(),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": "1000000000"},
    )

    assert answer.status_code == 413
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["severity"], line["event"]) == ("ERROR", "message_refused")
    assert "1000000000; it was not read. Find out who sends that" in line["message"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=200) | st.from_regex(rb'\{"kind": "again", .{0,40}\}', fullmatch=True)
)
def test_no_bytes_make_a_function_fail(
    make_client: Callable[[str], FlaskClient], data: bytes
) -> None:
    """Taken or refused, never a 500 that comes again and again until it is a dead letter."""
    request = event(encoded(data))
    request["headers"] |= SHOWN
    assert make_client("start_vm").post("/", **request).status_code in {200, 400}


def test_a_replayed_message_changes_nothing(
    make_client: Callable[[str], FlaskClient], world: World
) -> None:
    """Messages only wake: the hundredth heartbeat finds what the first has left."""
    request = event(encoded(HEARTBEAT))
    request["headers"] |= SHOWN
    for name in STEPS * 3:
        assert make_client(name).post("/", **request).status_code == 200
    before = generations(world)
    for name in STEPS * 3:
        assert make_client(name).post("/", **request).status_code == 200
    assert generations(world) == before


def test_a_job_that_does_not_exist_wakes_nobody(
    make_client: Callable[[str], FlaskClient], capsys: pytest.CaptureFixture[str]
) -> None:
    """Acknowledged with a warning: nothing is lost, and nothing is made of it."""
    request = event(encoded(b'{"kind": "again", "schema_version": 1, "job_id": "nobody"}'))
    request["headers"] |= SHOWN
    assert make_client("start_vm").post("/", **request).status_code == 200
    assert "no such job: nobody" in capsys.readouterr().out
