"""No secret is in any log line or answer, whatever goes wrong, and whoever repeats it to us."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from control_plane import World
from functions_framework import create_app
from pydantic import SecretStr
from requests import PreparedRequest
from sample_jobs import job, steps_of
from token_signer import CALLER, TokenSigner

import functions.main
from functions import bootstrap
from functions.adapters.electricity_maps import ElectricityMaps
from functions.adapters.google_identity import GoogleCallerCheck
from functions.domain.lifecycle.timing import Timing
from functions.errors import InvalidInputError
from functions.logs import JsonLines
from functions.settings import Deployment, Settings, read_deployment

KEY = "em-5up3r-s3cret-key"
LOCAL_KEY = "l0cal-s3cret-key"
SERVICE = "smartscheduler-forecast"
API = "https://api.electricitymaps.com/v4"
Answer = tuple[int, dict[str, str], str]


def echo(request: PreparedRequest) -> str:
    """Return all that was sent, as a careless server does."""
    return f"{request.method} {request.url} {dict(request.headers)}"


def raises(error: type[Exception]) -> Callable[[PreparedRequest], Answer]:
    """Return an answer that never comes, with all that was sent in the error."""

    def fail(request: PreparedRequest) -> Answer:
        raise error(echo(request))

    return fail


TROUBLES: dict[str, Callable[[PreparedRequest], Answer]] = {
    **{str(n): lambda request, n=n: (n, {}, echo(request)) for n in (200, 400, 401, 403, 404, 500)},
    "301": lambda request: (301, {"Location": f"https://evil.example/{KEY}"}, echo(request)),
    "json": lambda request: (200, {}, json.dumps({"zone": echo(request), "history": KEY})),
    "429": lambda request: (429, {"Retry-After": "1000"}, echo(request)),
    "connection": raises(requests.ConnectionError),
    "time-out": raises(requests.ReadTimeout),
    "certificate": raises(requests.exceptions.SSLError),
}


@pytest.fixture(scope="module")
def google() -> TokenSigner:
    """Google's key."""
    return TokenSigner()


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """All that any library logs at any level, as it would be written."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(JsonLines())
    loggers = [logging.getLogger(), logging.getLogger("functions")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    for each in loggers:
        each.handlers, each.propagate = [handler], False
        each.setLevel(logging.DEBUG)
    yield text
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        each.handlers, each.propagate = handlers, propagate
        each.setLevel(level)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_tick_tells_neither_key_nor_token(
    monkeypatch: pytest.MonkeyPatch, google: TokenSigner, said: io.StringIO, trouble: str
) -> None:
    """Though the source repeats the key in bodies, redirects and errors."""
    world = World()
    one = job()
    world.submit(one, steps_of(one))
    source = ElectricityMaps(base_url=API, key=SecretStr(KEY), sleep=lambda _: None)
    monkeypatch.setattr(bootstrap, "ports", lambda: replace(world.ports, intensity=source))
    deployment = Deployment(settings=Settings(bucket="file:///tmp/x"), timing=Timing())
    monkeypatch.setattr(bootstrap, "deployment", lambda: deployment)
    for variable in ("FUNCTION_TARGET", "FUNCTION_SOURCE", "FUNCTION_SIGNATURE_TYPE"):
        monkeypatch.setenv(variable, "")
    app: Any = create_app("forecast", str(Path(functions.main.__file__)), "http")
    answers = []
    with google.serving() as certs_url, responses.RequestsMock(False) as http:  # noqa: FBT003
        check = GoogleCallerCheck(caller=CALLER, service=SERVICE, certs_url=certs_url)
        monkeypatch.setattr(bootstrap, "caller_check", lambda: check)
        http.add_passthru("http://127.0.0.1")
        http.add_callback(responses.GET, re.compile(re.escape(API)), callback=TROUBLES[trouble])
        tokens = [google.sign(SERVICE), google.sign("other"), "ya29.an-access-token", "eyJ.eyJ.x"]
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"}
            answers.append(app.test_client().post("/", headers=headers).text)

    text = said.getvalue() + "".join(answers)
    assert "caller refused" in text
    assert "Electricity Maps" in text
    for secret in (KEY, *tokens, "ya29", "eyJ"):
        assert secret not in text


def test_settings_show_no_secret() -> None:
    """Neither in their own words, nor in the error about another field."""
    environment = {
        "SMARTSCHEDULER_BUCKET": "file:///tmp/x",
        "SMARTSCHEDULER_CLOUD": "http://127.0.0.1:1",
        "SMARTSCHEDULER_ELECTRICITY_MAPS_KEY": KEY,
        "SMARTSCHEDULER_LOCAL_KEY": LOCAL_KEY,
    }
    text = repr(read_deployment(environment))
    with pytest.raises(InvalidInputError, match="bucket") as caught:
        read_deployment(environment | {"SMARTSCHEDULER_BUCKET": "nonsense"})
    for secret in (KEY, LOCAL_KEY):
        assert secret not in text
        assert secret not in str(caught.value)
