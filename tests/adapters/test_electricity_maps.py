"""The source of carbon intensity, against answers in the form of Electricity Maps' own."""

import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import responses
from pydantic import SecretStr

from functions.adapters.electricity_maps import ElectricityMaps, IntensityRefusedError
from functions.adapters.patient_get import ATTEMPTS, PATIENCE_S
from functions.domain.regions import GRID_ZONES
from functions.errors import IntensityUnavailableError

V4 = "https://api.electricitymaps.com/v4"
KEY = "k3y-of-nobody"
NOW = datetime(2026, 1, 5, 8, 20, tzinfo=UTC)
HOUR = NOW.replace(minute=0)

# As the API words them.
WRONG_KEY = {"error": "Invalid auth-token"}
NOT_IN_PLAN = {
    "error": "Request unauthorized for zoneKey=PL,requestType=history,dataType=carbon-intensity.",
    "message": "You do not have access to this specific endpoint for this specific zone.",
}


class Waits:
    """A sleep that only notes how long."""

    def __init__(self) -> None:
        """Begin without any."""
        self.waited_s: list[float] = []

    def __call__(self, seconds: float) -> None:
        """Note it."""
        self.waited_s.append(seconds)


@pytest.fixture
def waits() -> Waits:
    """What the source waited."""
    return Waits()


@pytest.fixture
def source(waits: Waits) -> ElectricityMaps:
    """The source with a key."""
    return ElectricityMaps(base_url=V4, key=SecretStr(KEY), sleep=waits)


def row(hours_ago: int, value: float | None = 300, **more: object) -> dict[str, Any]:
    """Return one hour as the API says it."""
    at = HOUR - timedelta(hours=hours_ago)
    return {
        "zone": "DE",
        "carbonIntensity": value,
        "datetime": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "updatedAt": "2026-01-05T07:45:44.917Z",
        "createdAt": "2026-01-02T18:42:35.805Z",
        "emissionFactorType": "lifecycle",
        "isEstimated": False,
        "estimationMethod": None,
    } | more


def answer(*rows: dict[str, Any], under: str = "history", **more: object) -> dict[str, Any]:
    """Return an answer for Germany."""
    return {"zone": "DE", under: list(rows), "temporalGranularity": "hourly"} | more


def asked(path: str = "history") -> list[responses.Call]:
    """Return the requests for hours; that for what the key may do is left out."""
    return [call for call in responses.calls if f"/{path}" in str(call.request.url)]


def given(body: object, status: int = 200, url: str = V4, **more: Any) -> responses.BaseResponse:  # noqa: ANN401 - passed on
    """Let the API answer so, once; the last answer given stays. It does not say who may what."""
    responses.get(f"{url}/zones", json={"DE": {"zoneName": "Germany"}})
    return responses.get(f"{url}/carbon-intensity/history", json=body, status=status, **more)


@responses.activate
def test_asks_for_what_the_project_means_by_intensity(source: ElectricityMaps) -> None:
    """Hourly, life-cycle, of that zone, never of the place of the caller; the key in a header."""
    given(answer(row(1)))
    source.recent_hours("DE", NOW)
    request = asked()[0].request
    assert request.params == {
        "zone": "DE",
        "temporalGranularity": "hourly",
        "emissionFactorType": "lifecycle",
        "disableCallerLookup": "true",
    }
    assert request.headers["auth-token"] == KEY
    assert request.headers["User-Agent"].startswith("SmartScheduler/")
    assert request.req_kwargs["timeout"] == (3.05, 10.0)
    assert KEY not in str(request.url)


@responses.activate
def test_v3_has_another_word_for_it() -> None:
    """The switch against answers for the caller's place was renamed in v4."""
    url = "https://api.electricitymaps.com/v3/"
    given(answer(row(1)), url=url[:-1])
    ElectricityMaps(base_url=url, key=SecretStr(KEY)).recent_hours("DE", NOW)
    params = asked()[0].request.params
    assert params["shouldUseFallbackCallerLookup"] == "false"
    assert "disableCallerLookup" not in params


@responses.activate
@pytest.mark.parametrize("under", ["history", "data", "forecast"])
def test_finds_the_hours_under_any_of_its_names(source: ElectricityMaps, under: str) -> None:
    """Ascending by their own times, whatever the order and however many."""
    given(answer(row(1, 200, isEstimated=True), row(3, 400), row(2, 0), under=under))
    found = source.recent_hours("DE", NOW)
    assert [(HOUR - each.start) // timedelta(hours=1) for each in found] == [3, 2, 1]
    assert [each.gco2eq_per_kwh for each in found] == [400, 0, 200]
    assert [each.estimated for each in found] == [False, False, True]


@responses.activate
def test_unknown_is_left_out_and_never_zero(
    source: ElectricityMaps, caplog: pytest.LogCaptureFixture
) -> None:
    """Null, missing, absurd and malformed values leave a gap; what is wrong is logged."""
    missing = row(3)
    del missing["carbonIntensity"]
    timeless = row(4)
    del timeless["datetime"]
    given(answer(row(1), row(2, None), missing, timeless, row(5, -4), row(6, 99_000)))
    assert [each.start for each in source.recent_hours("DE", NOW)] == [HOUR - timedelta(hours=1)]
    assert sum("left out" in record.message for record in caplog.records) == 3


@responses.activate
def test_the_present_hour_and_later_ones_are_ignored(source: ElectricityMaps) -> None:
    """They are not over: what the publisher says of them is a forecast."""
    given(answer(row(1, 1), row(0, 2), row(-1, 3)))
    assert [each.gco2eq_per_kwh for each in source.recent_hours("DE", NOW)] == [1]
    assert len(source.recent_hours("DE", HOUR)) == 1


@responses.activate
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (answer(row(1), zone="US-CAR-DUK"), "expected zone DE, found US-CAR-DUK"),
        (answer(row(1, zone="FR")), "expected zone DE, found FR"),
        (answer(row(1, emissionFactorType="direct")), "expected emissionFactorType lifecycle"),
        (answer(row(1), temporalGranularity="15_minutes"), "found 15_minutes"),
        (answer(row(1, datetime="2026-01-05T06:15:00.000Z")), "found 2026-01-05 06:15"),
        (answer(), "found none among 0 row"),
        (answer(row(0), row(1, None)), "found none among 2 row"),
        ({"zone": "DE"}, "list of hours"),
        ({"history": [row(1)]}, "zone"),
        ([], "expected JSON"),
    ],
)
def test_an_answer_about_something_else_is_not_used(
    source: ElectricityMaps, body: object, expected: str
) -> None:
    """A valid body can be about another zone, basis or step: nothing of it is taken."""
    given(body)
    with pytest.raises(IntensityUnavailableError, match=expected):
        source.recent_hours("DE", NOW)
    assert len(asked()) == 1


@responses.activate
def test_a_page_instead_of_json_is_no_answer(source: ElectricityMaps) -> None:
    """A proxy's error page with status 200 is an error of ours."""
    responses.get(f"{V4}/carbon-intensity/history", body="<html>")
    with pytest.raises(IntensityUnavailableError, match="expected JSON"):
        source.recent_hours("DE", NOW)


@responses.activate
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, WRONG_KEY, "Invalid auth-token.*key is wrong.*not in your plan"),
        (401, NOT_IN_PLAN, "zoneKey=PL,requestType=history.*key is wrong.*not in your plan"),
        (403, {"error": "Forbidden"}, "HTTP 403.*not in your plan"),
        (400, {"error": "Zone 'PL' does not exist."}, "HTTP 400.*knows the zone"),
        (404, {}, "SMARTSCHEDULER_ELECTRICITY_MAPS_URL"),
    ],
)
def test_a_refusal_is_told_at_once_with_what_to_do(
    source: ElectricityMaps, waits: Waits, status: int, body: object, expected: str
) -> None:
    """Never asked again in the same tick; the API's own words are in the message."""
    given(body, status)
    with pytest.raises(IntensityRefusedError, match=expected):
        source.recent_hours("PL", NOW)
    assert (len(asked()), waits.waited_s) == (1, [])


@responses.activate
def test_the_key_does_not_follow_a_redirect(source: ElectricityMaps) -> None:
    """It would be sent to whatever host the answer names."""
    given({}, 302, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(IntensityRefusedError, match="HTTP 302"):
        source.recent_hours("DE", NOW)
    assert len(asked()) == 1


@responses.activate
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_that_passes_is_asked_again(
    source: ElectricityMaps, waits: Waits, status: int
) -> None:
    """After a second or so, then two: exponential, with jitter."""
    given({"error": "busy"}, status)
    responses.get(f"{V4}/carbon-intensity/history", body=requests.ConnectionError("reset"))
    given(answer(row(1)))
    assert len(source.recent_hours("DE", NOW)) == 1
    first_s, second_s = waits.waited_s
    assert 0.5 <= first_s <= 1.5
    assert 1 <= second_s <= 3


@responses.activate
def test_patience_is_bounded(source: ElectricityMaps, waits: Waits) -> None:
    """Some attempts, then an error that says what was found."""
    given({"error": "down for maintenance"}, 503)
    with pytest.raises(IntensityUnavailableError, match=r"HTTP 503.*maintenance.*after 4 attempt"):
        source.recent_hours("DE", NOW)
    assert len(asked()) == ATTEMPTS
    assert sum(waits.waited_s) < PATIENCE_S


@responses.activate
def test_waits_as_long_as_the_server_asks(source: ElectricityMaps, waits: Waits) -> None:
    """A `Retry-After` within patience is honoured to the second."""
    given({}, 429, headers={"Retry-After": "17"})
    given(answer(row(1)))
    source.recent_hours("DE", NOW)
    assert waits.waited_s == [17]


@responses.activate
@pytest.mark.parametrize("value", ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_a_wait_beyond_patience_is_not_begun(
    source: ElectricityMaps, waits: Waits, value: str
) -> None:
    """To ask earlier than told would be rude, to wait an hour would outlive the function."""
    given({}, 429, headers={"Retry-After": value})
    with pytest.raises(IntensityUnavailableError, match="after 1 attempt"):
        source.recent_hours("DE", NOW)
    assert (len(asked()), waits.waited_s) == (1, [])


@responses.activate
def test_a_malformed_wait_is_none(source: ElectricityMaps, waits: Waits) -> None:
    """The usual wait instead."""
    given({}, 503, headers={"Retry-After": "soon"})
    given(answer(row(1)))
    source.recent_hours("DE", NOW)
    assert len(waits.waited_s) == 1


@responses.activate
@pytest.mark.parametrize("status", [400, 401, 429, 500, 200])
def test_the_key_is_in_no_message_and_no_log(
    source: ElectricityMaps, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Not even if the API itself repeats it, and not at the lowest level of logging."""
    caplog.set_level(logging.DEBUG)
    given({"error": f"bad token {KEY}", "headers": {"auth-token": KEY}}, status)
    with pytest.raises(IntensityUnavailableError) as caught:
        source.recent_hours("DE", NOW)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error} {error!r}"
        error = error.__cause__
    assert KEY not in caplog.text
    assert KEY not in repr(source)


@responses.activate
def test_a_connection_error_does_not_hold_the_key(source: ElectricityMaps) -> None:
    """Whatever the library puts into its message."""
    trouble = requests.ConnectionError(f"cannot send {{'auth-token': '{KEY}'}}")
    responses.get(f"{V4}/carbon-intensity/history", body=trouble)
    with pytest.raises(IntensityUnavailableError) as caught:
        source.recent_hours("DE", NOW)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["", "  \n", "two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_unseen(key: str) -> None:
    """The library would put it into its error message."""
    source = ElectricityMaps(base_url=V4, key=SecretStr(key))
    with pytest.raises(IntensityRefusedError, match="ELECTRICITY_MAPS_KEY") as caught:
        source.recent_hours("DE", NOW)
    assert not key.strip() or key not in str(caught.value)


@responses.activate
def test_a_line_feed_after_the_key_does_no_harm() -> None:
    """Secrets made with `echo` end in one."""
    given(answer(row(1)))
    ElectricityMaps(base_url=V4, key=SecretStr(KEY + "\n")).recent_hours("DE", NOW)
    assert asked()[0].request.headers["auth-token"] == KEY


def test_thirteen_zones_at_once_each_get_their_own() -> None:
    """As `record_all` asks: concurrently, over real connections, one of them troubled."""
    together = threading.Barrier(len(GRID_ZONES), timeout=20)
    failed = threading.Event()

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            zone = self.path.partition("zone=")[2].partition("&")[0]
            if not zone:
                self.send_error(404)
                return
            if zone != "DE" or failed.is_set():
                together.wait()
            troubled = zone == "DE" and not failed.is_set()
            failed.set() if troubled else None
            rows = [row(1, 10.0 + GRID_ZONES.index(zone), zone=zone)]
            body = json.dumps({"zone": zone, "history": rows}).encode()
            self.send_response(503 if troubled else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v4"
        source = ElectricityMaps(base_url=url, key=SecretStr(KEY), sleep=lambda _: None)
        with ThreadPoolExecutor(len(GRID_ZONES)) as pool:
            found = list(pool.map(lambda zone: source.recent_hours(zone, NOW), GRID_ZONES))
        server.shutdown()
    values = [each.gco2eq_per_kwh for (each,) in found]
    assert values == [10.0 + index for index in range(len(GRID_ZONES))]


WEEK = [row(hours_ago, 100.0 + hours_ago) for hours_ago in range(168, 0, -1)]


def allowed(access: object, url: str = V4) -> None:
    """Let the API say what the key may do."""
    zones = {"DE": {"zoneName": "Germany", "access": access}, "FR": {"access": ["*"]}}
    responses.get(f"{url}/zones", json=zones)


def week() -> responses.BaseResponse:
    """Let the API give a range of past hours."""
    body = {"zone": "DE", "data": WEEK, "temporalGranularity": "hourly"}
    return responses.get(f"{V4}/carbon-intensity/past-range", json=body)


@responses.activate
@pytest.mark.parametrize(
    "access", [["carbon-intensity/past-range", "carbon-intensity/history"], ["*"]]
)
def test_a_key_that_may_ask_for_a_range_gives_the_whole_lookback(
    source: ElectricityMaps, access: list[str]
) -> None:
    """A week at once instead of a week's waiting, within the ten days that are allowed."""
    allowed(access)
    week()
    found = source.recent_hours("DE", NOW)
    assert len(found) == 168
    params = asked("past-range")[0].request.params
    assert (params["start"], params["end"]) == ("2025-12-29T08:00:00Z", "2026-01-05T07:00:00Z")
    assert params["disableCallerLookup"] == "true"
    assert asked("zones")[0].request.headers["auth-token"] == KEY


@responses.activate
def test_a_range_that_was_promised_and_is_refused_falls_back(source: ElectricityMaps) -> None:
    """The list of rights over-promises a little: the last day is better than nothing."""
    allowed(["*"])
    responses.get(f"{V4}/carbon-intensity/past-range", json=NOT_IN_PLAN, status=401)
    responses.get(f"{V4}/carbon-intensity/history", json=answer(row(1)))
    assert len(source.recent_hours("DE", NOW)) == 1


@responses.activate
def test_a_zone_outside_the_plan_is_not_asked_for(source: ElectricityMaps) -> None:
    """A key of one zone costs one request, and the message says which zone it has."""
    allowed(["carbon-intensity/latest"])
    with pytest.raises(IntensityRefusedError, match=r"found it for FR.*generation_mix"):
        source.recent_hours("DE", NOW)
    with pytest.raises(IntensityRefusedError, match="PL: expected carbon-intensity/history"):
        source.recent_hours("PL", NOW)
    assert len(responses.calls) == 1


@responses.activate
@pytest.mark.parametrize(
    "zones", [{"json": {}}, {"json": []}, {"body": "<html>"}, {"status": 500}, {"status": 401}]
)
def test_a_key_whose_rights_cannot_be_learned_is_tried(
    source: ElectricityMaps, zones: dict[str, Any]
) -> None:
    """Asked once and not waited for; again only half an hour later."""
    responses.get(f"{V4}/zones", **zones)
    responses.get(f"{V4}/carbon-intensity/history", json=answer(row(1)))
    for later_min in (0, 20, 100):
        source.recent_hours("DE", NOW + timedelta(minutes=later_min))
    assert len(asked("zones")) == 2
