"""`smartscheduler sources`: what the source has, for people, programs and the forecaster."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import responses
from requests import PreparedRequest
from typer.testing import CliRunner

from forecaster.history import load_folder
from functions.cli import app
from functions.domain.regions import GRID_ZONES
from functions.settings import PREFIX

CHARTS = "https://api.energy-charts.info/public_power"
MAPS = "https://api.electricitymaps.com/v4"
KEY = "k3y-of-nobody"
HOURS = 30
HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The clock is the user's: it is read when the command runs."""


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """Energy-Charts gives wind and gas; NESO is down; nothing of this machine's settings."""
    for name in ("ELECTRICITY_MAPS_KEY", "INTENSITY_SOURCE", "ELECTRICITY_MAPS_URL"):
        monkeypatch.delenv(PREFIX + name, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    begin = int((HOUR - timedelta(hours=HOURS)).timestamp())
    body = {
        "unix_seconds": [begin + 3600 * hour for hour in range(HOURS)],
        "production_types": [
            {"name": "Fossil gas", "data": [float(hour) for hour in range(HOURS)]},
            {"name": "Wind onshore", "data": [10.0] * HOURS},
        ],
    }
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(CHARTS, json=body)
        yield mock


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code, stdout and stderr."""
    done = CliRunner().invoke(app, ["sources", *arguments], env={"COLUMNS": "200"})
    return done.exit_code, done.stdout, done.stderr


def test_without_a_key_the_keyless_source_is_asked() -> None:
    """A table of what it has; a zone that it does not cover says so."""
    code, stdout, _ = run("DE", "CA-QC")
    assert code == 0
    assert "production-based" in stdout
    assert f"{HOUR:%Y-%m-%d %H:%M}" in stdout
    assert "no keyless source covers it" in stdout.splitlines()[-1]


def test_with_a_key_electricity_maps_is_asked(
    services: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All thirteen zones; the key is in no output."""

    def history(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        zone = request.params["zone"]  # type: ignore[attr-defined] - responses adds it
        row = {"carbonIntensity": 300, "datetime": (HOUR - timedelta(hours=1)).isoformat()}
        return 200, {}, json.dumps({"zone": zone, "history": [row | {"isEstimated": True}]})

    services.get(f"{MAPS}/zones", status=503)
    services.add_callback(responses.GET, f"{MAPS}/carbon-intensity/history", callback=history)
    monkeypatch.setenv(f"{PREFIX}ELECTRICITY_MAPS_KEY", KEY)
    code, stdout, stderr = run("--json")
    assert code == 0
    found = json.loads(stdout)
    assert list(found["zones"]) == list(GRID_ZONES)
    assert found["zones"]["DE"]["hours"][0]["estimated"]
    assert "Electricity Maps" in found["source"]
    assert KEY not in stdout + stderr


def test_the_hours_can_be_saved_and_forecast_from(tmp_path: Path) -> None:
    """One file per grid zone, which the forecaster's commands read; again changes nothing."""
    folder = tmp_path / "live"
    assert run("DE", "PL", "CA-QC", "--save", str(folder))[0] == 0
    histories = load_folder(folder)
    assert list(histories) == ["DE", "PL"]
    assert histories["DE"].end == HOUR
    assert np.isfinite(histories["DE"].gco2eq_per_kwh).sum() == HOURS
    assert "energy-charts.info" in (folder / "ATTRIBUTION.txt").read_text()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run("DE", "PL", "--save", str(folder))[0] == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_two_sources_are_not_saved_into_one_file(tmp_path: Path) -> None:
    """They differ in level."""
    assert run("DE", "--save", str(tmp_path))[0] == 0
    path = tmp_path / "DE.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace("energy-charts.info", "elsewhere")
    path.write_bytes(gzip.compress(text.encode()))
    code, _, stderr = run("DE", "--save", str(tmp_path))
    assert code == 2
    assert "two sources differ in level" in stderr
