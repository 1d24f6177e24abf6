"""Laws of the baselines and of forecasts made as if in the past."""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from intensity_worlds import (
    START,
    daily_wave,
    flat_climatology,
    two_grids,
    untrained,
    with_values,
    without,
)

from forecaster.backtest import Trial, run_backtest
from forecaster.baselines import (
    BASELINES,
    Baseline,
    PastWeeks,
    fit_baselines,
    fit_ridge,
    last_week,
    past_weeks,
    persistence,
    usual,
)
from forecaster.climatology import Array
from forecaster.forecasts_csv import COLUMNS, write_forecasts
from forecaster.history import load_folder
from forecaster.inference import load_forecaster
from forecaster.plots import draw_all
from forecaster.scores import score
from forecaster.series import HOUR, IntensityHistory

DAY = timedelta(days=1)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon-intensity"


def week_before(history: IntensityHistory, *origins: datetime) -> PastWeeks:
    """Return what a baseline sees."""
    return past_weeks(history, origins or [history.end])


def tried(begin_day: float = 35, days: int = 2, **options: object) -> Trial:
    """Return a backtest of an untrained network over some days."""
    begin = START + begin_day * DAY
    return run_backtest(
        untrained(),
        two_grids(24 * 40),
        begin=begin,
        end=begin + days * DAY,
        **options,  # type: ignore[arg-type]
    )


def test_persistence_and_last_week_repeat_what_was() -> None:
    """They are the same hours of yesterday and of last week; a missing one stays missing."""
    history = without(daily_wave("AA", 24 * 8), slice(24 * 7 + 3, 24 * 7 + 4))
    weeks, values = week_before(history), history.gco2eq_per_kwh
    np.testing.assert_array_equal(persistence(weeks, 24)[0], values[-24:])
    np.testing.assert_array_equal(persistence(weeks, 30)[0, 24:], values[-24:-18])
    np.testing.assert_array_equal(last_week(weeks, 24)[0], values[24:48])
    np.testing.assert_array_equal(last_week(weeks, 170)[0, 168:], values[24:26])
    assert np.isnan(persistence(weeks, 24)[0, 3])


def test_the_usual_is_the_climatology_or_unknown() -> None:
    """A grid zone without a profile has no such baseline."""
    rival = usual(flat_climatology({"AA": 70.0}))
    assert rival(week_before(daily_wave("AA", 24)), 3).tolist() == [[70] * 3]
    assert np.isnan(rival(week_before(daily_wave("ZZ", 24)), 3)).all()


def test_ridge_learns_a_daily_cycle_and_nothing_of_the_future() -> None:
    """It beats persistence on a noisy cycle; hours after `until` do not change it."""
    history = daily_wave("AA", 24 * 90)
    until = START + 60 * DAY
    ridge = fit_ridge({"AA": history}, until)
    assert np.array_equal(
        ridge.maps["AA"], fit_ridge({"AA": history.cut_before(until)}, until).maps["AA"]
    )
    origins = [until + day * DAY for day in range(25)]
    weeks = week_before(history, *origins)
    truth = np.array([history.window(origin, 24) for origin in origins])

    def error(rival: Baseline) -> float:
        return float(np.abs(rival(weeks, 24) - truth).mean())

    assert error(ridge) < 0.85 * error(persistence)
    assert np.isnan(ridge(week_before(daily_wave("ZZ", 400)), 24)).all()


def test_a_week_without_a_value_gives_no_ridge() -> None:
    """Other origins of the same grid zone still have theirs."""
    history = without(daily_wave("AA", 24 * 90), slice(24 * 70, 24 * 80))
    ridge = fit_ridge({"AA": history}, START + 60 * DAY)
    made = ridge(week_before(history, START + 79 * DAY, START + 65 * DAY), 30)
    assert np.isnan(made[0]).all()
    assert np.isfinite(made[1]).all()


def test_no_baseline_sees_the_future() -> None:
    """Other values at the origin or later leave every one of them as it was."""
    histories = {"AA": daily_wave("AA", 24 * 400)}
    origin = START + 390 * DAY

    def made(values: np.ndarray) -> dict[str, Array]:
        history = with_values(histories["AA"], values)
        weeks = week_before(history, origin)
        return {
            name: baseline(weeks, 24)
            for name, baseline in fit_baselines({"AA": history}, origin).items()
        }

    values = histories["AA"].gco2eq_per_kwh.copy()
    before = made(values)
    assert tuple(before) == BASELINES
    values[24 * 390 :] = 1
    for name, after in made(values).items():
        assert np.isfinite(after).all()
        np.testing.assert_array_equal(after, before[name], err_msg=name)


def test_a_trial_holds_what_was_forecast_and_what_came() -> None:
    """For each origin the forecaster's own quantiles, and the recorded hours after it."""
    histories, forecaster = two_grids(24 * 40), untrained()
    trial = tried(hours=(6, 0), horizon_h=30)
    begin = START + 35 * DAY
    assert trial.origins == (begin, begin + 6 * HOUR, begin + DAY, begin + DAY + 6 * HOUR)
    for index, origin in enumerate(trial.origins):
        made = forecaster.forecast(histories, origin, horizon_h=30, source="test").zones[1]
        zone = trial.zones[1]
        assert zone.grid_zone == made.grid_zone == "BB"
        np.testing.assert_array_equal(zone.quantiles[index], [made.p10, made.p50, made.p90])
        np.testing.assert_array_equal(zone.actual[index], histories["BB"].window(origin, 30))
        assert zone.by_network[index]


def test_each_origin_is_told() -> None:
    """A progress bar hears of every one."""
    seen: list[datetime] = []
    assert tried(on_origin=seen.append).origins == tuple(seen)


def test_a_grid_zone_without_outcome_is_named_not_scored() -> None:
    """What cannot be scored is said, and does not count as good."""
    histories = two_grids(24 * 40)
    histories["BB"] = histories["BB"].cut_before(START + 35 * DAY)
    begin = START + 36 * DAY
    trial = run_backtest(untrained(), histories, begin=begin, end=begin + DAY)
    assert [zone.grid_zone for zone in trial.zones] == ["AA"]
    assert trial.not_scored == ("BB",)


def test_a_grid_zone_that_is_left_out_still_is_a_neighbour() -> None:
    """The forecasts of the others do not change."""
    whole, part = tried(), tried(leave_out=("BB",))
    assert [zone.grid_zone for zone in part.zones] == ["AA"]
    np.testing.assert_array_equal(part.zones[0].quantiles, whole.zones[0].quantiles)


@pytest.mark.parametrize(
    ("begin_day", "days", "hours", "says"),
    [
        (36, 0, (0,), "begin before end"),
        (36.5, 2, (0,), "whole days"),
        (90, 1, (0,), "found none to score"),
        (36, 1, (24,), r"hours: expected some of 0 to 23, found \[24\]"),
        (36, 1, (), "hours: expected some of 0 to 23, found none"),
    ],
)
def test_an_impossible_span_is_refused(
    begin_day: float, days: int, hours: tuple[int, ...], says: str
) -> None:
    """An empty or uneven span, or one without outcomes, is an error."""
    with pytest.raises(ValueError, match=says):
        tried(begin_day, days, hours=hours)


@pytest.mark.parametrize("name", ["forecasts.csv", "forecasts.csv.gz"])
def test_forecasts_are_written_for_others_to_score(tmp_path: Path, name: str) -> None:
    """One row per origin, grid zone and lead time; 1 is the hour that starts at the origin."""
    trial = tried()
    path = tmp_path / "made" / name
    assert write_forecasts(path, trial) == 2 * 2 * 24
    data = path.read_bytes()
    lines = (gzip.decompress(data) if name.endswith("gz") else data).decode().splitlines()
    assert lines[0] == COLUMNS == "origin_utc,grid_zone,lead_time_h,p10,p50,p90"
    low, mid, high = trial.zones[0].quantiles[0, :, 0]
    assert lines[1] == f"2024-02-05T00:00:00Z,AA,1,{low:.3f},{mid:.3f},{high:.3f}"
    assert lines[24].startswith("2024-02-05T00:00:00Z,AA,24,")
    assert lines[25].startswith("2024-02-05T00:00:00Z,BB,1,")
    assert [each.name for each in path.parent.iterdir()] == [name]
    # A gzip header has the time of writing, or none.
    assert not name.endswith("gz") or data[4:8] == bytes(4)


@pytest.mark.parametrize("options", [{"horizon_h": 24}, {"horizon_h": 48, "hours": (0, 12)}])
def test_the_pictures_are_drawn(tmp_path: Path, options: dict[str, object]) -> None:
    """Five PNG files, of more than blank paper, whatever the horizon."""
    trial = tried(days=3, **options)
    paths = draw_all(tmp_path / "plots", trial, score(trial))
    assert len({path.name for path in paths}) == 5
    for path in paths:
        data = path.read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 8000, path


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the recorded hours, which are not in here")
def test_the_shipped_model_beats_persistence_on_recorded_hours(tmp_path: Path) -> None:
    """On a month of 2024 in two grid zones a fifth of persistence's error is gone."""
    for grid_zone in ("DE", "PL"):
        (tmp_path / f"{grid_zone}.csv.gz").symlink_to(SHARED / f"{grid_zone}.csv.gz")
    begin = datetime(2024, 4, 1, tzinfo=UTC)
    recent: dict[str, IntensityHistory] = {}
    for grid_zone, history in load_folder(tmp_path).items():
        week = begin - 8 * DAY
        recent[grid_zone] = IntensityHistory(
            grid_zone=grid_zone, start=week, gco2eq_per_kwh=history.window(week, 24 * 40)
        )
    trial = run_backtest(load_forecaster(), recent, begin=begin, end=begin + 30 * DAY)
    assert score(trial).mean["skill"] > 0.2
