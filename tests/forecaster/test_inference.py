"""Laws of a forecast."""

import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from intensity_worlds import (
    START,
    daily_wave,
    flat_climatology,
    two_grids,
    untrained,
    with_values,
    without,
)

from forecaster.climatology.profile import load_climatology
from forecaster.inference import load_forecaster
from forecaster.series import HOUR, Basis, Forecast, IntensityHistory, Method
from forecaster.simulated import simulate_history

WEEK_H = 168
ORIGIN = START + WEEK_H * HOUR
PROFILE = flat_climatology({"AA": 300.0, "BB": 150.0, "CC": 50.0})


def forecast(
    histories: dict[str, IntensityHistory], *, horizon_h: int = 24, profile: bool = True
) -> Forecast:
    """Forecast from the end of a week with random weights."""
    forecaster = untrained(PROFILE if profile else None)
    return forecaster.forecast(histories, ORIGIN, horizon_h=horizon_h, source="test")


@settings(max_examples=10)
@given(future=st.lists(st.floats(0, 2000, width=32), min_size=1, max_size=60))
def test_no_future_value_can_influence_a_forecast(future: list[float]) -> None:
    """Whatever is recorded at the origin and later, the forecast is the same to the bit."""
    past = two_grids(WEEK_H)
    longer = {
        zone: with_values(history, np.r_[history.gco2eq_per_kwh, np.array(future)])
        for zone, history in past.items()
    }
    assert forecast(past, horizon_h=30) == forecast(longer, horizon_h=30)


def test_the_past_does_influence_it() -> None:
    """The last recorded hour of a grid zone and of its neighbour move the forecast."""
    past = two_grids(WEEK_H)
    before = forecast(past).zone("AA")
    for changed in ("AA", "BB"):
        values = past[changed].gco2eq_per_kwh.copy()
        values[-1] += 60
        other = past | {changed: with_values(past[changed], values)}
        assert forecast(other).zone("AA") != before, changed


@pytest.mark.parametrize("horizon_h", [1, 24, 25, 168])
def test_a_forecast_covers_the_horizon(horizon_h: int) -> None:
    """It has as many hours as asked for, from the origin on."""
    made = forecast(two_grids(WEEK_H), horizon_h=horizon_h)
    assert made.horizon_h == horizon_h
    assert made.end == ORIGIN + timedelta(hours=horizon_h)
    assert {zone.method for zone in made.zones} == {Method.TCN}


def test_a_longer_horizon_begins_with_the_shorter_one() -> None:
    """What lies beyond the first day changes nothing within it."""
    short, long = (forecast(two_grids(WEEK_H), horizon_h=h).zones[0] for h in (24, 96))
    assert long.p50[:24] == short.p50


@pytest.mark.parametrize(
    ("missing_h", "method"), [(0, "tcn"), (6, "tcn"), (12, "tcn"), (13, "climatology")]
)
def test_a_late_grid_zone_falls_back_to_climatology(missing_h: int, method: str) -> None:
    """With fewer than 12 of the last 24 hours the forecast is climatology, and says so."""
    past = two_grids(WEEK_H)
    late = without(past["AA"], slice(WEEK_H - missing_h, None))
    zone = forecast(past | {"AA": late}).zone("AA")
    assert zone is not None
    assert zone.method == method
    assert zone.history_h == WEEK_H - missing_h
    assert 150 < np.mean(zone.p50) < 450


def test_a_grid_zone_without_a_recent_hour_is_left_out() -> None:
    """Missing data are never clean: no hour in 7 days, no forecast, and the reason is given."""
    past = two_grids(WEEK_H + 24)
    old = without(past["AA"], slice(24, None))
    made = untrained(PROFILE).forecast(
        past | {"AA": old}, ORIGIN + 24 * HOUR, horizon_h=24, source="test"
    )
    assert [zone.grid_zone for zone in made.zones] == ["BB"]
    assert made.left_out[0].grid_zone == "AA"
    assert "no recorded hour in the 7 days" in made.left_out[0].reason


def test_a_grid_zone_unknown_to_the_model_gets_climatology_or_nothing() -> None:
    """With a profile it is climatology; without, it is left out with the reason."""
    past = two_grids(WEEK_H)
    strangers = {zone: daily_wave(zone, WEEK_H, level=90) for zone in ("CC", "DD")}
    made = forecast(past | strangers)
    known = made.zone("CC")
    assert known is not None
    assert known.method is Method.CLIMATOLOGY
    assert [zone.grid_zone for zone in made.left_out] == ["DD"]
    assert "not trained on it" in made.left_out[0].reason


def test_without_any_climatology_the_first_day_is_repeated() -> None:
    """A model for new grid zones still reaches a week, its interval growing."""
    zone = forecast(two_grids(WEEK_H), horizon_h=72, profile=False).zones[0]
    assert zone.p50[:24] == zone.p50[24:48] == zone.p50[48:]
    assert zone.p90[60] - zone.p10[60] > zone.p90[12] - zone.p10[12]
    late = {"AA": without(daily_wave("AA", WEEK_H), slice(WEEK_H - 20, None))}
    assert "4 recorded hours" in forecast(late, profile=False).left_out[0].reason


def test_climatology_takes_over_smoothly() -> None:
    """Where the network ends there is no jump, and after a week the profile is near."""
    zone = (
        load_forecaster()
        .forecast(
            simulate_history(load_climatology(), ["DE"], START, WEEK_H, 3),
            ORIGIN,
            horizon_h=168,
            source="simulated",
        )
        .zones[0]
    )
    steps = np.abs(np.diff(zone.p50))
    assert steps[23] <= 2 * steps.max(where=np.arange(167) != 23, initial=0)
    usual, spread = load_climatology().profile_from("DE", ORIGIN, 168)
    assert (np.abs(zone.p50 - usual)[-24:] < 2 * spread[-24:]).all()


@pytest.mark.parametrize("missing_h", [144, 120, 0])
def test_a_day_of_history_is_enough_for_the_network(missing_h: int) -> None:
    """With only the API's first 24 h the shipped model still forecasts plausible numbers."""
    zones = load_climatology().grid_zones
    whole = simulate_history(load_climatology(), zones, START, WEEK_H, 5)
    short = {zone: without(history, slice(0, missing_h)) for zone, history in whole.items()}
    made = load_forecaster().forecast(short, ORIGIN, horizon_h=48, source="simulated")
    assert not made.left_out
    for zone in made.zones:
        assert zone.method is Method.TCN
        assert zone.history_h == WEEK_H - missing_h
        level = float(np.nanmean(short[zone.grid_zone].gco2eq_per_kwh))
        assert np.mean(zone.p50) == pytest.approx(level, rel=0.6), zone.grid_zone


@pytest.mark.parametrize(("days", "farthest"), [(2, 0.5), (7, 0.25)])
def test_a_change_of_regime_is_followed(days: int, farthest: float) -> None:
    """A grid that got three times cleaner is forecast near its new level, in two days and seven."""
    zones = load_climatology().grid_zones
    histories = simulate_history(load_climatology(), zones, START, 14 * 24, 5)
    values = histories["CH"].gco2eq_per_kwh.copy()
    old = float(values.mean())
    values[-24 * days :] /= 3
    new = float(values[-24 * days :].mean())
    made = load_forecaster().forecast(
        histories | {"CH": with_values(histories["CH"], values)},
        START + 14 * 24 * HOUR,
        horizon_h=24,
        source="simulated",
    )
    zone = made.zone("CH")
    assert zone is not None
    assert abs(float(np.mean(zone.p50)) - new) < farthest * (old - new)


def test_the_interval_holds_a_usual_day() -> None:
    """It is wide enough for what the simulated grids do, and not for anything whatever."""
    zones = load_climatology().grid_zones
    within = []
    for seed in range(4):
        whole = simulate_history(load_climatology(), zones, START, WEEK_H + 24, seed)
        made = load_forecaster().forecast(whole, ORIGIN, horizon_h=24, source="simulated")
        for zone in made.zones:
            ahead = whole[zone.grid_zone].window(ORIGIN, 24)
            within.append((np.array(zone.p10) <= ahead) & (ahead <= np.array(zone.p90)))
    assert 0.5 < np.mean(within) < 0.99


def test_a_lost_neighbour_stops_no_forecast() -> None:
    """A grid zone alone is forecast with its neighbours masked."""
    alone = simulate_history(load_climatology(), ["PL"], START, WEEK_H, 5)
    made = load_forecaster().forecast(alone, ORIGIN, horizon_h=24, source="simulated")
    assert made.zones[0].method is Method.TCN


@pytest.mark.parametrize("horizon_h", [0, 169])
def test_an_impossible_horizon_is_refused(horizon_h: int) -> None:
    """The forecaster goes from 1 to 168 hours."""
    with pytest.raises(ValueError, match=f"1 to 168, found {horizon_h}"):
        forecast(two_grids(WEEK_H), horizon_h=horizon_h)


def test_wrong_origins_names_and_bases_are_refused() -> None:
    """A naive or uneven origin, a misnamed history and another basis are each an error."""
    past, forecaster = two_grids(WEEK_H), untrained(PROFILE)
    for origin in (ORIGIN.replace(tzinfo=None), ORIGIN + timedelta(minutes=5)):
        with pytest.raises(ValueError, match="origin: expected"):
            forecaster.forecast(past, origin, horizon_h=24, source="test")
    with pytest.raises(ValueError, match="history of AA, found BB"):
        forecast({"AA": past["BB"]})
    direct = IntensityHistory(
        grid_zone="AA", start=START, gco2eq_per_kwh=np.ones(WEEK_H), basis=Basis.DIRECT
    )
    with pytest.raises(ValueError, match="expected lifecycle intensity"):
        forecast({"AA": direct})


def test_no_history_gives_an_empty_forecast() -> None:
    """Nothing known is nothing forecast, without an error."""
    made = forecast({})
    assert made.zones == ()
    assert made.horizon_h == 0


def test_inference_needs_torch_but_not_lightning() -> None:
    """A fresh process that loads the shipped model has neither Lightning nor pandas in it."""
    code = (
        "import sys\n"
        "from forecaster.inference import load_forecaster\n"
        "import torch\n"
        "before = torch.get_num_threads()\n"
        "load_forecaster()\n"
        "unwanted = {'lightning', 'pytorch_lightning', 'pandas', 'sklearn', 'matplotlib'}\n"
        "print(sorted(unwanted & set(sys.modules)), before == torch.get_num_threads())\n"
    )
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout.strip() == "[] True"
