"""Settings from the environment, and the adapters that are built from them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import functions.bootstrap
from functions import bootstrap
from functions.adapters.cloud_scheduler import CloudSchedulerAlarm
from functions.adapters.compute_engine import ComputeEngineFleet
from functions.adapters.electricity_maps import ElectricityMaps
from functions.adapters.generation_mix import GenerationMix
from functions.adapters.pubsub import PubSubPublisher
from functions.errors import InvalidInputError
from functions.settings import PREFIX, Settings, read_deployment
from vm_runtime.contract.clock import CLOCK_VARIABLE
from vm_runtime.storage.gcs import GcsBlobStore

KEY = "k3y-of-nobody"
JOBS = "projects/green/locations/europe-west1/jobs"
GOOGLE = {
    "BUCKET": "gs://green-state",
    "PROJECT": "green",
    "LOCATION": "europe-west1",
    "INSTANCE_TEMPLATES": "default=projects/green/global/instanceTemplates/smartscheduler-1",
    "BOUNDARY_JOB": f"{JOBS}/smartscheduler-boundary",
    "FORECAST_JOB": f"{JOBS}/smartscheduler-forecast",
    "ELECTRICITY_MAPS_KEY": KEY,
}
CALLED = {
    "CALLER": "smartscheduler-caller@green.iam.gserviceaccount.com",
    "SERVICE": "smartscheduler-stop-vm",
}
"""What a function needs besides, since it is called."""


def environment(**changes: str) -> dict[str, str]:
    """Return the variables of a deployment on Google Cloud; an empty change removes one."""
    return {PREFIX + name: value for name, value in (GOOGLE | changes).items() if value}


@pytest.fixture(autouse=True)
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a function on Google Cloud, and forget it afterwards."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    bootstrap.deployment.cache_clear()
    bootstrap.ports.cache_clear()
    yield
    bootstrap.deployment.cache_clear()
    bootstrap.ports.cache_clear()


def test_on_google_cloud_every_port_is_google_s() -> None:
    """Each adapter stands behind its port, on the bucket that the settings name."""
    ports = bootstrap.ports()
    assert isinstance(ports.store, GcsBlobStore)
    assert ports.store.url == "gs://green-state"
    assert isinstance(ports.fleet, ComputeEngineFleet)
    assert isinstance(ports.publisher, PubSubPublisher)
    assert isinstance(ports.alarm, CloudSchedulerAlarm)
    assert isinstance(ports.intensity, ElectricityMaps)
    assert "simulated" not in ports.intensity.name
    assert bootstrap.ports() is ports


def test_building_the_ports_loads_no_client() -> None:
    """Each client costs its part of a second when it is first used, not before."""
    code = (
        "import sys; from functions import bootstrap; bootstrap.ports();"
        "print([m for m in sys.modules if m in {'torch', 'grpc', 'google.auth', 'google.api_core'}"
        " or m.startswith('google.cloud.')])"
    )
    path = {"PYTHONPATH": str(Path(functions.bootstrap.__file__).parents[1])}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment() | path,
    )
    assert done.stdout.strip() == "[]"


def test_all_that_is_missing_is_named_at_once() -> None:
    """One message, so that one redeployment mends it."""
    missing = [name for name in GOOGLE if name != "BUCKET"]
    with pytest.raises(InvalidInputError) as caught:
        read_deployment(environment(**dict.fromkeys(missing, "")))
    assert all(PREFIX + name in str(caught.value) for name in missing)


@pytest.mark.parametrize("name", [name for name in GOOGLE if name != "BUCKET"])
def test_each_is_needed(name: str) -> None:
    """Google Cloud has no default for any of them."""
    with pytest.raises(InvalidInputError, match=PREFIX + name):
        read_deployment(environment(**{name: ""}))


@pytest.mark.parametrize("target", ["stop_vm", "move_vm", "start_vm"])
def test_only_forecast_needs_the_key(target: str) -> None:
    """The others ask nobody for intensity, and so have no right to the secret."""
    variables = environment(ELECTRICITY_MAPS_KEY="", **CALLED) | {"FUNCTION_TARGET": target}
    assert read_deployment(variables).settings.project == "green"
    with pytest.raises(InvalidInputError, match="ELECTRICITY_MAPS_KEY"):
        read_deployment(variables | {"FUNCTION_TARGET": "forecast"})


@pytest.mark.parametrize("name", CALLED)
def test_a_deployed_function_needs_to_know_its_caller(name: str) -> None:
    """A person's command line does not: nobody calls it."""
    variables = environment(**(CALLED | {name: ""}))
    assert read_deployment(variables).settings.project == "green"
    with pytest.raises(InvalidInputError, match=PREFIX + name):
        read_deployment(variables | {"FUNCTION_TARGET": "forecast"})


def test_the_keyless_source_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which source is asked is a setting; without a key there is still one."""
    monkeypatch.delenv(f"{PREFIX}ELECTRICITY_MAPS_KEY")
    monkeypatch.setenv(f"{PREFIX}INTENSITY_SOURCE", "generation_mix")
    source = bootstrap.ports().intensity
    assert isinstance(source, GenerationMix)
    assert "production-based" in source.name


def test_the_embedded_cloud_needs_none_of_them() -> None:
    """Bucket and address are enough."""
    variables = {PREFIX + "BUCKET": "file:///tmp/x", PREFIX + "CLOUD": "http://127.0.0.1:1"}
    assert read_deployment(variables).settings.boundary_job == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUCKET", "file:///tmp/x"),
        ("BOUNDARY_JOB", "smartscheduler-boundary"),
        ("FORECAST_JOB", "projects/green/jobs/forecast"),
        ("INTENSITY_SOURCE", "guess"),
        ("ENERGY_CHARTS_URL", "http://api.energy-charts.info"),
        ("UK_CARBON_INTENSITY_URL", "ftp://api.carbonintensity.org.uk"),
        ("ELECTRICITY_MAPS_URL", "http://api.electricitymaps.com/v4"),
        ("ELECTRICITY_MAPS_URL", f"https://api.electricitymaps.com/v4?token={KEY}"),
    ],
)
def test_a_malformed_setting_is_refused(name: str, value: str) -> None:
    """A bucket elsewhere, a job without its place, a key sent in the open or in an address."""
    with pytest.raises(InvalidInputError, match=rf"(?i){name}"):
        read_deployment(environment(**{name: value}))


def test_the_key_is_never_shown() -> None:
    """Neither by the settings nor by what is built from them, nor by an error about others."""
    found = read_deployment(environment())
    assert found.settings.electricity_maps_key.get_secret_value() == KEY
    assert KEY not in f"{found} {found!r} {vars(bootstrap.ports().intensity)}"
    with pytest.raises(InvalidInputError) as caught:
        read_deployment(environment(SEED="many", BUCKET=""))
    assert KEY not in f"{caught.value} {caught.value.__cause__}"


def test_templates_are_told_apart_by_name() -> None:
    """One setting lists all instance templates."""
    urls = {name: f"projects/p/global/instanceTemplates/{name}-1" for name in ("default", "gpu")}
    text = ",".join(f"{name}={url}" for name, url in urls.items())

    assert Settings(bucket="gs://bucket", instance_templates=text).templates == urls


@pytest.mark.parametrize("name", ["SHUTDOWN_GRACE_S", "FORCE_STOP_AFTER_S"])
def test_a_grace_that_breaks_promise_4_is_refused_on_google_cloud(name: str) -> None:
    """At most 15 minutes; a scaled clock, as the demo's and the tests', counts its own minutes."""
    assert read_deployment(environment(**{name: "900"}))
    with pytest.raises(InvalidInputError, match=rf"{name} 901"):
        read_deployment(environment(**{name: "901"}))
    scaled = environment(**{name: "18000"}) | {CLOCK_VARIABLE: "{}"}
    assert read_deployment(scaled)
