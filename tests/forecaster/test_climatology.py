"""Laws of the climatology and of the history simulated from it."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from intensity_worlds import START, daily_wave, flat_climatology, without

from forecaster.climatology import Climatology, fit_climatology
from forecaster.climatology.profile import (
    ProfileError,
    climatology_from_json,
    climatology_to_json,
    load_climatology,
)
from forecaster.series import HOUR, Basis, IntensityHistory
from forecaster.simulated import simulate_history

THIRTEEN = {
    *("BE", "BR-CS", "CA-ON", "CA-QC", "CH", "DE", "ES", "FI", "FR", "GB", "IT-NO", "NL", "PL")
}
YEAR_H = 8784


def test_the_shipped_profile_has_all_grid_zones_and_its_attribution() -> None:
    """All 13 grid zones are there, in grams, and the source is named in the file itself."""
    shipped = load_climatology()
    assert set(shipped.grid_zones) == THIRTEEN
    assert shipped.basis is Basis.LIFECYCLE
    assert 25 < shipped.mean[shipped.index("CA-QC")].mean() < 35
    assert 700 < shipped.mean[shipped.index("PL")].mean() < 900
    text = climatology_to_json(shipped, note="")
    assert "electricitymaps.com" in text
    assert "ODbL" in text


def test_fitting_finds_mean_and_spread_of_the_right_cell() -> None:
    """A Saturday in January takes its own level, not that of workdays or of other months."""
    values = np.full(YEAR_H, 100.0)
    times = [START + hour * HOUR for hour in range(YEAR_H)]
    saturday = np.array([time.month == 1 and time.weekday() >= 5 for time in times])
    values[saturday] = 40.0
    history = IntensityHistory(grid_zone="DE", start=START, gco2eq_per_kwh=values)
    found = fit_climatology({"DE": history})
    days = [datetime(2023, 1, 7, tzinfo=UTC), datetime(2023, 1, 9, tzinfo=UTC)]
    days.append(datetime(2023, 2, 4, tzinfo=UTC))
    mean, _ = found.profile("DE", days)
    assert mean.tolist() == [40, 100, 100]


def test_missing_hours_do_not_count() -> None:
    """A gap changes no mean, and a cell without any value takes that of its hour of day."""
    whole = daily_wave("DE", YEAR_H)
    gappy = without(whole, slice(0, 31 * 24))
    found = fit_climatology({"DE": gappy})
    assert np.isfinite(found.mean).all()
    np.testing.assert_allclose(found.mean[0, 0, 0], found.mean[0, 0, 1])
    assert found.mean[0, 0, 0].max() == pytest.approx(380, abs=15)


def test_an_hour_of_day_without_values_is_refused() -> None:
    """There is no climatology of what was never recorded."""
    with pytest.raises(ValueError, match="none at 05:00 UTC"):
        fit_climatology({"DE": daily_wave("DE", 5)})


def test_quantiles_are_in_order_and_possible() -> None:
    """p10 <= p50 <= p90, none negative, whatever the spread."""
    wild = flat_climatology({"DE": 30.0}, spread=500.0)
    low, mid, high = wild.quantiles("DE", [START, START + HOUR])
    assert (low == 0).all()
    assert (low <= mid).all()
    assert (mid < high).all()


def test_an_unknown_grid_zone_or_naive_time_is_refused() -> None:
    """Nothing is made up for a grid zone without a profile."""
    with pytest.raises(KeyError, match="found ZZ"):
        load_climatology().quantiles("ZZ", [START])
    with pytest.raises(ValueError, match="time zone"):
        load_climatology().quantiles("DE", [START.replace(tzinfo=None)])


def test_json_keeps_what_matters() -> None:
    """Written and read again, a climatology is the same to its rounding."""
    fitted = fit_climatology({"DE": daily_wave("DE", YEAR_H), "FR": daily_wave("FR", YEAR_H)})
    again = climatology_from_json(climatology_to_json(fitted, note="made up"))
    assert again.grid_zones == fitted.grid_zones
    np.testing.assert_allclose(again.mean, fitted.mean, atol=0.51)
    np.testing.assert_allclose(again.spread, fitted.spread, atol=0.06)
    np.testing.assert_allclose(again.correlation, fitted.correlation, atol=1e-3)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"schema_version": 2, "zones": {}})])
def test_another_schema_is_refused(text: str) -> None:
    """A file of another form is an error that says so."""
    with pytest.raises(ProfileError, match="climatology: expected"):
        climatology_from_json(text)


def test_the_same_seed_simulates_the_same_bits() -> None:
    """Same seed, same hours; more hours begin with the same; another seed differs."""
    zones = ("DE", "FR")
    once = simulate_history(load_climatology(), zones, START, 400, 7)
    longer = simulate_history(load_climatology(), zones, START, 500, 7)
    other = simulate_history(load_climatology(), zones, START, 400, 8)
    for zone in zones:
        values = once[zone].gco2eq_per_kwh
        assert values.tobytes() == longer[zone].gco2eq_per_kwh[:400].tobytes()
        assert values.tobytes() != other[zone].gco2eq_per_kwh.tobytes()


def simulated_residuals(climatology: Climatology, hours: int) -> dict[str, np.ndarray]:
    """Return the standardized distances of a simulation from its profile."""
    histories = simulate_history(climatology, climatology.grid_zones, START, hours, 1)
    residuals = {}
    for zone, history in histories.items():
        mean, spread = climatology.profile_from(zone, START, hours)
        residuals[zone] = (history.gco2eq_per_kwh - mean) / spread
    return residuals


def test_a_simulation_is_like_what_was_recorded() -> None:
    """It keeps each grid zone's mean, spread and smoothness, and goes with its neighbours."""
    shipped = load_climatology()
    found = simulated_residuals(shipped, 3 * YEAR_H)
    for row, zone in enumerate(shipped.grid_zones):
        z = found[zone]
        # A grid zone with slow weather has few independent days even in three years.
        assert abs(z.mean()) < 0.5, zone
        assert 0.6 < z.std() < 1.3, zone
        expected = shipped.autocorrelation[row]
        assert np.corrcoef(z[1:], z[:-1])[0, 1] == pytest.approx(expected, abs=0.03), zone
    close = np.corrcoef(found["DE"], found["NL"])[0, 1]
    assert close == pytest.approx(
        shipped.correlation[shipped.index("DE"), shipped.index("NL")], abs=0.25
    )


def test_a_simulation_without_hours_is_refused() -> None:
    """No hours are a caller's mistake."""
    with pytest.raises(ValueError, match="above 0, found 0"):
        simulate_history(load_climatology(), ["DE"], START, 0, 1)
    with pytest.raises(KeyError, match="found ZZ"):
        simulate_history(load_climatology(), ["ZZ"], START, 24, 1)


def test_the_cells_are_those_of_the_clock() -> None:
    """The profile of an hour depends on its month, weekend and hour alone."""
    shipped = load_climatology()
    monday, tuesday = datetime(2024, 5, 6, 9, tzinfo=UTC), datetime(2030, 5, 7, 9, tzinfo=UTC)
    saturday = monday + timedelta(days=5)
    mean, _ = shipped.profile("DE", [monday, tuesday, saturday])
    assert mean[0] == mean[1]
    assert mean[0] != mean[2]
