"""What each source of carbon intensity keeps to, whoever publishes it: the port's contract."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from pydantic import SecretStr

from functions.adapters.electricity_maps import ElectricityMaps
from functions.adapters.generation_mix import GenerationMix
from functions.errors import IntensityUnavailableError
from functions.local.intensity import LocalIntensity
from functions.ports import IntensitySource

NOW = datetime(2026, 1, 5, 8, 20, tzinfo=UTC)
HOUR = NOW.replace(minute=0)
SHUFFLED = (3, 1, 0, 2)
"""Hours ago; the present one is among them."""


def electricity_maps() -> IntensitySource:
    """Electricity Maps with four hours of Germany, in no order."""
    rows = [
        {"zone": "DE", "carbonIntensity": 300 + ago, "datetime": _time(ago)} for ago in SHUFFLED
    ]
    responses.get(
        "https://api.electricitymaps.com/v4/carbon-intensity/history",
        json={"zone": "DE", "history": rows},
    )
    return ElectricityMaps(
        base_url="https://api.electricitymaps.com/v4", key=SecretStr("k3y"), sleep=lambda _: None
    )


def energy_charts() -> IntensitySource:
    """Energy-Charts with four hours of Germany."""
    begin = int((HOUR - timedelta(hours=3)).timestamp())
    body: dict[str, Any] = {
        "unix_seconds": [begin + 3600 * hour for hour in range(4)],
        "production_types": [{"name": "Fossil gas", "data": [1.0, 2.0, 3.0, 4.0]}],
    }
    responses.get("https://api.energy-charts.info/public_power", json=body)
    return _keyless()


def neso() -> IntensitySource:
    """NESO with four hours of Great Britain, which stands for `DE` of the others."""
    halves = [
        {"from": _time(ago), "generationmix": [{"fuel": "gas", "perc": 100}]}
        for hour in SHUFFLED
        for ago in (hour, hour - 0.5)
    ]
    url = "https://api.carbonintensity.org.uk/generation/2025-12-29T08:00Z/2026-01-05T08:00Z"
    responses.get(url, json={"data": halves})
    return _keyless()


def simulated() -> IntensitySource:
    """The embedded cloud's source."""
    return LocalIntensity(history="", seed=0)


def _keyless() -> GenerationMix:
    return GenerationMix(
        energy_charts_url="https://api.energy-charts.info",
        uk_url="https://api.carbonintensity.org.uk",
        sleep=lambda _: None,
    )


def _time(hours_ago: float) -> str:
    return f"{HOUR - timedelta(hours=hours_ago):%Y-%m-%dT%H:%MZ}"


SOURCES = [(electricity_maps, "DE"), (energy_charts, "DE"), (neso, "GB"), (simulated, "DE")]


@responses.activate
@pytest.mark.parametrize(("make", "zone"), SOURCES)
def test_hours_are_ascending_full_and_over(make: Callable[[], IntensitySource], zone: str) -> None:
    """Each is an hour once, in UTC, ended before now, and within the week."""
    starts = [hour.start for hour in make().recent_hours(zone, NOW)]
    assert len(starts) >= 3
    assert starts == sorted(set(starts))
    assert starts[-1] == HOUR - timedelta(hours=1)
    assert starts[0] >= HOUR - timedelta(hours=168)
    assert all(start.tzinfo is UTC and not start.minute for start in starts)


@responses.activate
@pytest.mark.parametrize(("make", "zone"), SOURCES)
def test_no_data_is_an_error_and_no_empty_list(
    make: Callable[[], IntensitySource], zone: str
) -> None:
    """A zone that nobody knows says so, and the name of the zone is in the message."""
    assert zone
    with pytest.raises(IntensityUnavailableError, match="XX-YY"):
        make().recent_hours("XX-YY", NOW)


@responses.activate
@pytest.mark.parametrize(("make", "zone"), SOURCES)
def test_a_name_says_source_and_basis(make: Callable[[], IntensitySource], zone: str) -> None:
    """It is printed beside each number, and keeps series apart."""
    assert zone
    name = make().name
    assert "life-cycle average" in name
    assert ("simulated" in name) == (make is simulated)
