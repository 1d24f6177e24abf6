"""Jobs and forecasts for tests of the planner, from a few numbers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from forecaster.series import Forecast, LeftOut, Method, ZoneForecast
from functions.domain.regions import REGIONS
from vm_runtime.contract.job import Job

ORIGIN = datetime(2026, 3, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def job_of(**changes: Any) -> Job:  # noqa: ANN401 - whatever fields a test changes
    """Return a job of 4 h and 200 W in Frankfurt, Paris and London within a day."""
    fields: dict[str, Any] = {
        "job_id": "digits",
        "machine_type": "e2-standard-8",
        "power_w": 200.0,
        "allowed_regions": ("europe-west3", "europe-west9", "europe-west2"),
        "submitted_at": ORIGIN,
        "work_h": 4.0,
        "deadline": ORIGIN + 24 * HOUR,
    }
    return Job(**(fields | changes))


def forecast_of(
    hourly: Mapping[str, Sequence[float]], *, left_out: Sequence[LeftOut] = ()
) -> Forecast:
    """Return a forecast whose medians are `hourly`, gCO2eq/kWh by region or grid zone."""
    zones = {
        REGIONS[name].grid_zone if name in REGIONS else name: tuple(map(float, values))
        for name, values in hourly.items()
    }
    return Forecast(
        origin=ORIGIN,
        zones=tuple(
            ZoneForecast(
                grid_zone=zone, p10=values, p50=values, p90=values, method=Method.TCN, history_h=168
            )
            for zone, values in zones.items()
        ),
        left_out=tuple(left_out),
        model_version="test",
        source="simulated (test)",
    )
