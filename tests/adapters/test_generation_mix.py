"""The keyless source, against answers in the documented forms of Energy-Charts and NESO.

The forms are those of the services' documentation; no test asks the services themselves.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import responses

from functions.adapters.emission_factors import GCO2EQ_PER_KWH, Kind, intensity
from functions.adapters.energy_charts import COUNTRIES, KINDS
from functions.adapters.generation_mix import AT_ONCE, COVERED, GenerationMix
from functions.domain.regions import GRID_ZONES
from functions.errors import IntensityUnavailableError

ENERGY_CHARTS = "https://api.energy-charts.info"
UK = "https://api.carbonintensity.org.uk"
NOW = datetime(2026, 1, 5, 8, 20, tzinfo=UTC)
HOUR = NOW.replace(minute=0)
QUARTERS = 4


@pytest.fixture
def source() -> GenerationMix:
    """The source, which does not sleep."""
    return GenerationMix(energy_charts_url=ENERGY_CHARTS, uk_url=UK, sleep=lambda _: None)


def charts(
    production: dict[str, list[float | None]], *, hours: int = 2, step_min: int = 15
) -> dict[str, Any]:
    """Return an answer about the last `hours` before the present one."""
    begin, steps = HOUR - timedelta(hours=hours), hours * 60 // step_min
    times = [begin + timedelta(minutes=step_min * i) for i in range(steps)]
    types = [
        {"name": name, "data": (values * steps)[:steps] if len(values) == 1 else values}
        for name, values in production.items()
    ]
    return {
        "unix_seconds": [int(time.timestamp()) for time in times],
        "production_types": types,
        "deprecated": False,
    }


def given(body: object, **more: Any) -> None:  # noqa: ANN401 - passed on
    """Let Energy-Charts answer so."""
    responses.get(f"{ENERGY_CHARTS}/public_power", json=body, **more)


GERMANY: dict[str, list[float | None]] = {
    "Hydro pumped storage consumption": [-800.0],
    "Cross border electricity trading": [-2000.0],
    "Nuclear": [None],
    "Hydro Run-of-River": [1000.0],
    "Fossil brown coal / lignite": [2000.0],
    "Fossil gas": [3000.0],
    "Hydro pumped storage": [900.0],
    "Wind onshore": [4000.0],
    "Load": [50000.0],
    "Residual load": [40000.0],
    "Renewable share of generation": [50.0],
    "Renewable share of load": [48.0],
}


@responses.activate
def test_the_intensity_is_that_of_what_is_generated(source: GenerationMix) -> None:
    """Power by kind times its factor; stores, trade and shares are no generation."""
    given(charts(GERMANY))
    found = source.recent_hours("DE", NOW)
    assert [each.start for each in found] == [HOUR - timedelta(hours=2), HOUR - timedelta(hours=1)]
    expected = (1000 * 24 + 2000 * 1054 + 3000 * 490 + 4000 * 11) / 10_000
    assert found[0].gco2eq_per_kwh == pytest.approx(expected, abs=0.01)
    params = responses.calls[0].request.params
    assert params == {"country": "de", "start": "2025-12-29T08:00Z", "end": "2026-01-05T08:00Z"}


@responses.activate
def test_an_hour_is_the_mean_of_its_quarters(source: GenerationMix) -> None:
    """By energy: a quarter with twice the power weighs twice."""
    given(charts({"Solar": [1.0, 1.0, 1.0, 1.0], "Fossil gas": [0.0, 0.0, 2.0, 2.0]}, hours=1))
    (hour,) = source.recent_hours("DE", NOW)
    assert hour.gco2eq_per_kwh == pytest.approx((48 + 490) / 2)


@responses.activate
@pytest.mark.parametrize("step_min", [15, 30, 60])
def test_any_step_of_the_service_gives_hours(source: GenerationMix, step_min: int) -> None:
    """Countries publish in different steps."""
    given(charts({"Fossil gas": [10.0]}, hours=3, step_min=step_min))
    assert [each.gco2eq_per_kwh for each in source.recent_hours("CH", NOW)] == [490] * 3


@responses.activate
def test_a_mix_without_its_gas_is_not_clean(source: GenerationMix) -> None:
    """An hour in which one kind is not published yet is left out, whole."""
    wind: list[float | None] = [100.0]
    late: list[float | None] = [50.0] * 7 + [None]
    given(charts({"Wind onshore": wind, "Fossil gas": late, "Nuclear": [None]}))
    (hour,) = source.recent_hours("BE", NOW)
    assert hour.start == HOUR - timedelta(hours=2)


@responses.activate
def test_the_present_hour_is_not_over(source: GenerationMix) -> None:
    """Its first quarters say nothing of the rest."""
    body = charts({"Fossil gas": [10.0]}, hours=2)
    last = body["unix_seconds"][-1]
    body["unix_seconds"] += [last + 900, last + 1800]
    body["production_types"][0]["data"] += [10.0, 10.0]
    given(body)
    assert len(source.recent_hours("DE", NOW)) == 2


@responses.activate
def test_a_plant_s_own_use_is_no_negative_generation(source: GenerationMix) -> None:
    """Below zero counts as zero."""
    given(charts({"Fossil gas": [-5.0], "Wind offshore": [10.0]}))
    assert {each.gco2eq_per_kwh for each in source.recent_hours("NL", NOW)} == {12}


@responses.activate
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (charts({"Cold fusion": [5.0]}), "found 'Cold fusion'"),
        (charts({"Load": [5.0]}), "expected ascending times of generation"),
        (charts({"Fossil gas": [None]}), "expected ascending times of generation"),
        (charts({"Fossil gas": [1.0, 2.0]}), "expected one value per time"),
        (charts({"Fossil gas": [0.0]}), "expected whole hours"),
        ({"unix_seconds": []}, "expected JSON with unix_seconds"),
        ([], "expected JSON"),
        (charts({"Fossil gas": [1.0]}) | {"unix_seconds": [9, 8, 7, 6, 5, 4, 3, 2]}, "ascending"),
    ],
)
def test_what_is_not_understood_is_not_used(source: GenerationMix, body: object, says: str) -> None:
    """A new kind of generation, or another form, is an error that says so."""
    given(body)
    with pytest.raises(IntensityUnavailableError, match=says):
        source.recent_hours("DE", NOW)


@responses.activate
def test_trouble_is_asked_again_and_refusal_is_not(source: GenerationMix) -> None:
    """With the patience that Electricity Maps is asked with."""
    given({}, status=503)
    responses.get(f"{ENERGY_CHARTS}/public_power", body=requests.ConnectionError("reset"))
    given(charts(GERMANY))
    assert len(source.recent_hours("DE", NOW)) == 2
    responses.reset()
    given({"detail": "Not Found"}, status=404)
    with pytest.raises(IntensityUnavailableError, match=r"HTTP 404.*moved"):
        source.recent_hours("DE", NOW)
    assert len(responses.calls) == 1


def half(hours_ago: float, **percent: float) -> dict[str, Any]:
    """Return a half hour as NESO says it."""
    begin = HOUR - timedelta(hours=hours_ago)
    return {
        "from": f"{begin:%Y-%m-%dT%H:%MZ}",
        "to": f"{begin + timedelta(minutes=30):%Y-%m-%dT%H:%MZ}",
        "generationmix": [{"fuel": fuel, "perc": share} for fuel, share in percent.items()],
    }


def uk(*halves: dict[str, Any]) -> None:
    """Let NESO answer so."""
    begin, end = "2025-12-29T08:00Z", "2026-01-05T08:00Z"
    responses.get(f"{UK}/generation/{begin}/{end}", json={"data": list(halves)})


@responses.activate
def test_great_britain_leaves_its_imports_out(source: GenerationMix) -> None:
    """Two half hours make an hour; what others generated is theirs."""
    uk(
        half(1, gas=40, wind=40, imports=20, coal=0),
        half(0.5, gas=60, wind=20, imports=20, coal=0),
        half(0, gas=100),
    )
    (hour,) = source.recent_hours("GB", NOW)
    assert hour.start == HOUR - timedelta(hours=1)
    assert hour.gco2eq_per_kwh == pytest.approx((50 * 490 + 30 * 11) / 80, abs=0.01)


@responses.activate
def test_half_an_hour_or_half_a_mix_is_none(source: GenerationMix) -> None:
    """A half hour without its partner, or shares that do not add up, leave a gap."""
    uk(half(3, gas=100), half(2, gas=100), half(1.5, gas=60), half(1, gas=100), half(0.5, gas=99))
    assert [each.start for each in source.recent_hours("GB", NOW)] == [HOUR - timedelta(hours=1)]


@responses.activate
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"data": [half(1, unobtainium=100)]}, "found unobtainium"),
        ({"error": {"code": "400"}}, "expected JSON with half hours"),
        ({"data": []}, "expected whole hours"),
    ],
)
def test_a_british_answer_that_is_not_understood(
    source: GenerationMix, body: object, says: str
) -> None:
    """Nothing of it is used."""
    responses.get(f"{UK}/generation/2025-12-29T08:00Z/2026-01-05T08:00Z", json=body)
    with pytest.raises(IntensityUnavailableError, match=says):
        source.recent_hours("GB", NOW)


@responses.activate
@pytest.mark.parametrize("zone", sorted(set(GRID_ZONES) - set(COVERED)))
def test_a_zone_that_is_not_covered_is_said_so(source: GenerationMix, zone: str) -> None:
    """Nobody is asked, and no other place's data stand in: Italy is not its north."""
    with pytest.raises(IntensityUnavailableError, match="no keyless source covers it"):
        source.recent_hours(zone, NOW)
    assert not responses.calls


def test_nine_of_the_thirteen_zones_are_covered() -> None:
    """As the guide says."""
    assert set(COVERED) <= set(GRID_ZONES)
    assert len(COVERED) == 9
    assert set(COUNTRIES) == set(COVERED) - {"GB"}


def test_each_kind_has_a_plausible_factor() -> None:
    """Every name of the services leads to a factor; fossil ones are above all others."""
    assert set(GCO2EQ_PER_KWH) == set(Kind)
    assert set(KINDS.values()) <= set(Kind)
    fossil = {Kind.COAL, Kind.COAL_GAS, Kind.GAS, Kind.LIGNITE, Kind.OIL, Kind.PEAT, Kind.WASTE}
    clean = set(Kind) - fossil - {Kind.UNKNOWN}
    assert max(GCO2EQ_PER_KWH[k] for k in clean) < min(GCO2EQ_PER_KWH[k] for k in fossil)
    assert intensity({}) is None
    assert intensity({Kind.GAS: 0.0}) is None


def test_all_zones_at_once_are_asked_a_few_at_a_time() -> None:
    """As `record_all` asks: thirteen threads, over real connections to a free service."""
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(AT_ONCE, timeout=20)
    zones = COVERED[len(COVERED) % AT_ONCE :]

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            together.wait()
            country = self.path.partition("country=")[2].partition("&")[0]
            british = {"data": [half(1, gas=100), half(0.5, gas=100)]}
            body = charts({"Fossil gas": [10.0]}) if country else british
            data = json.dumps(body).encode()
            with lock:
                running -= 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        source = GenerationMix(energy_charts_url=url, uk_url=url)
        with ThreadPoolExecutor(len(zones)) as pool:
            found = list(pool.map(lambda zone: source.recent_hours(zone, NOW), zones))
        server.shutdown()
    assert all(hours[-1].gco2eq_per_kwh == 490 for hours in found)
    assert most == AT_ONCE
