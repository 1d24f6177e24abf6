"""Laws of the baselines and the scores."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from intensity_worlds import START, daily_wave, flat_climatology, two_grids, untrained, without

from forecaster.backtest import backtest, rank_correlation
from forecaster.baselines import fit_ridge, last_week, persistence, usual
from forecaster.history import load_folder
from forecaster.inference import load_forecaster
from forecaster.series import HOUR, IntensityHistory

DAY = timedelta(days=1)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "carbon-intensity"


def test_persistence_and_last_week_repeat_what_was() -> None:
    """They are the same hours of yesterday and of last week; a missing one stays missing."""
    history = without(daily_wave("AA", 24 * 8), slice(24 * 7 + 3, 24 * 7 + 4))
    origin = history.end
    values = history.gco2eq_per_kwh
    np.testing.assert_array_equal(persistence(history, origin, 24), values[-24:])
    np.testing.assert_array_equal(persistence(history, origin, 30)[24:], values[-24:-18])
    np.testing.assert_array_equal(last_week(history, origin, 24), values[24:48])
    assert np.isnan(persistence(history, origin, 24)[3])


def test_the_usual_is_the_climatology_or_unknown() -> None:
    """A grid zone without a profile has no such baseline."""
    rival = usual(flat_climatology({"AA": 70.0}))
    assert rival(daily_wave("AA", 24), START, 3).tolist() == [70] * 3
    assert np.isnan(rival(daily_wave("ZZ", 24), START, 3)).all()


def test_ridge_learns_a_daily_cycle_and_nothing_of_the_future() -> None:
    """It beats persistence on a noisy cycle; hours after `until` do not change it."""
    history = daily_wave("AA", 24 * 90)
    until = START + 60 * DAY
    ridge = fit_ridge({"AA": history}, until)
    assert np.array_equal(
        ridge.maps["AA"], fit_ridge({"AA": history.cut_before(until)}, until).maps["AA"]
    )
    errors = []
    for rival in (ridge, persistence):
        origins = [until + day * DAY for day in range(25)]
        truth = [history.window(origin, 24) for origin in origins]
        made = [rival(history, origin, 24) for origin in origins]
        errors.append(np.abs(np.array(made) - np.array(truth)).mean())
    assert errors[0] < 0.85 * errors[1]
    assert np.isnan(ridge(daily_wave("ZZ", 400), until, 24)).all()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 2, 2], [5, 5, 6, 6], 1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
    ],
)
def test_rank_correlation_is_spearmans(a: list[float], b: list[float], expected: float) -> None:
    """Only the order counts, and equal values share a rank."""
    assert rank_correlation(np.array(a), np.array(b)) == pytest.approx(expected)
    assert np.isnan(rank_correlation(np.array(a), np.ones(len(b))))


def test_scores_are_those_worked_out_by_hand() -> None:
    """Errors are means over days and hours of what was forecast before the day."""
    histories, forecaster = two_grids(24 * 40), untrained()
    begin = START + 35 * DAY
    days: list[datetime] = []
    report = backtest(
        forecaster, histories, begin=begin, end=begin + 2 * DAY, on_origin=days.append
    )
    assert days == [begin, begin + DAY]
    errors, naive, inside = [], [], []
    for origin in days:
        made = forecaster.forecast(histories, origin, horizon_h=24, source="test").zones[0]
        truth = histories["AA"].window(origin, 24)
        errors.append(np.abs(np.array(made.p50) - truth))
        naive.append(np.abs(histories["AA"].window(origin - DAY, 24) - truth))
        inside.append((np.array(made.p10) <= truth) & (truth <= np.array(made.p90)))
    score = report.scores[0]
    assert score.grid_zone == "AA"
    assert score.origins == 2
    assert score.mae == pytest.approx(np.mean(errors))
    assert score.persistence_mae == pytest.approx(np.mean(naive), rel=1e-6)
    assert score.coverage == pytest.approx(np.mean(inside))
    assert score.skill == pytest.approx(1 - np.mean(errors) / np.mean(naive))
    assert score.by_network == 1
    means = report.means()
    assert means["skill"] == pytest.approx(1 - means["mae"] / means["persistence_mae"])
    assert json.dumps(report.as_dict())


def test_a_grid_zone_without_outcome_is_named_not_scored() -> None:
    """What cannot be scored is said, and does not count as good."""
    histories = two_grids(24 * 40)
    histories["BB"] = histories["BB"].cut_before(START + 35 * DAY)
    begin = START + 36 * DAY
    report = backtest(untrained(), histories, begin=begin, end=begin + DAY)
    assert [score.grid_zone for score in report.scores] == ["AA"]
    assert report.not_scored == ("BB",)


@pytest.mark.parametrize(
    ("begin", "end", "says"),
    [
        (START + 36 * DAY, START + 36 * DAY, "begin before end"),
        (START + 36 * DAY + 5 * HOUR, START + 38 * DAY, "whole days"),
        (START + 90 * DAY, START + 91 * DAY, "found none to score"),
    ],
)
def test_an_impossible_span_is_refused(begin: datetime, end: datetime, says: str) -> None:
    """An empty or uneven span, or one without outcomes, is an error."""
    with pytest.raises(ValueError, match=says):
        backtest(untrained(), two_grids(24 * 40), begin=begin, end=end)


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
    report = backtest(load_forecaster(), recent, begin=begin, end=begin + 30 * DAY)
    assert report.means()["skill"] > 0.2
