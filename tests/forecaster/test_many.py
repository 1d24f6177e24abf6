"""Forecasts from many origins at once are those made one by one."""

from datetime import timedelta

import numpy as np
import pytest
from planning_world import ORIGIN

from forecaster.baselines import fit_baselines, past_weeks
from forecaster.climatology.profile import load_climatology
from forecaster.inference import load_forecaster
from forecaster.many import baseline_many, forecast_many
from forecaster.simulated import simulate_history

HOUR = timedelta(hours=1)
ZONES = ("DE", "FR", "PL")
HISTORIES = simulate_history(load_climatology(), ZONES, ORIGIN - 800 * HOUR, 900, seed=3)


def test_equals_the_forecaster_one_by_one() -> None:
    """Each origin has the quantiles that the forecaster gives it, beyond the network too."""
    forecaster = load_forecaster()
    found = forecast_many(forecaster, HISTORIES, ZONES, ORIGIN, origins=4, every_h=7, horizon_h=60)

    for index in range(4):
        origin = ORIGIN + 7 * index * HOUR
        single = forecaster.forecast(HISTORIES, origin, horizon_h=60, source="simulated")
        for row, name in enumerate(ZONES):
            zone = single.zone(name)
            assert zone is not None
            expected = np.array([zone.p10, zone.p50, zone.p90]).T
            np.testing.assert_allclose(found[index, row], expected, rtol=2e-4, atol=2e-2)


def test_baselines_equal_themselves_one_by_one() -> None:
    """Each origin has what the baseline says of the week before it."""
    fitted = fit_baselines(HISTORIES, ORIGIN + 50 * HOUR)
    for name in ("persistence", "ridge"):
        found = baseline_many(
            fitted[name], HISTORIES, ZONES, ORIGIN, origins=3, every_h=6, horizon_h=30
        )

        for index in range(3):
            weeks = past_weeks(HISTORIES["FR"], [ORIGIN + 6 * index * HOUR])
            expected = fitted[name](weeks, 30)[0].clip(0)
            np.testing.assert_allclose(found[index, 1, :, 1], expected, rtol=1e-4)


def test_refuses_gaps_and_strangers() -> None:
    """A grid zone with missing hours, or unknown to the network, is named."""
    forecaster = load_forecaster()
    with pytest.raises(ValueError, match="DE: expected every hour"):
        forecast_many(
            forecaster, HISTORIES, ZONES, ORIGIN - 700 * HOUR, origins=1, every_h=1, horizon_h=24
        )
    with pytest.raises(ValueError, match="found XX"):
        forecast_many(forecaster, HISTORIES, ("XX",), ORIGIN, origins=1, every_h=1, horizon_h=24)
