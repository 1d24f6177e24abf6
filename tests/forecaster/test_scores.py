"""Laws of the scores."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from intensity_worlds import START

from forecaster.backtest import Trial, ZoneTrial
from forecaster.baselines import BASELINES
from forecaster.climatology import Array
from forecaster.scores import rank_correlations, score, seasons

DAY = timedelta(days=1)
HOURS = np.arange(24.0)


def zone_of(
    name: str,
    *,
    actual: Array,
    mid: Array,
    yesterday: Array | None = None,
    half_width: float = 10.0,
) -> ZoneTrial:
    """Return a grid zone whose baselines all say the same."""
    naive = np.zeros_like(actual) if yesterday is None else yesterday
    return ZoneTrial(
        grid_zone=name,
        actual=actual,
        quantiles=np.stack([mid - half_width, mid, mid + half_width], axis=1),
        baselines=dict.fromkeys(BASELINES, naive),
        by_network=np.ones(len(actual), dtype=bool),
    )


def trial_of(*zones: ZoneTrial) -> Trial:
    """Return a backtest of one forecast a day."""
    days, horizon_h = zones[0].actual.shape
    return Trial(
        begin=START,
        end=START + days * DAY,
        origins=tuple(START + day * DAY for day in range(days)),
        zones=zones,
        not_scored=(),
        horizon_h=horizon_h,
        model_version="test",
    )


def test_scores_are_those_worked_out_by_hand() -> None:
    """Errors are means over days and hours; skill is the share of yesterday's that is gone."""
    actual = np.full((4, 24), 100.0)
    dirty = zone_of("DIRTY", actual=actual, mid=actual + 20, yesterday=actual - 40)
    clean = zone_of("CLEAN", actual=actual / 10, mid=actual / 10 - 1, yesterday=actual / 10 + 4)
    report = score(trial_of(dirty, clean))
    assert report.zones["DIRTY"]["mae"] == 20
    assert report.zones["DIRTY"]["persistence_mae"] == 40
    assert report.zones["DIRTY"]["skill"] == 0.5
    assert report.zones["DIRTY"]["coverage"] == 0
    assert report.zones["DIRTY"]["width"] == 20
    assert report.zones["CLEAN"]["skill"] == 0.75
    assert report.zones["CLEAN"]["coverage"] == 1
    assert report.mean["skill"] == pytest.approx(1 - 10.5 / 22)
    assert report.mean["own_skill"] == pytest.approx((0.5 + 0.75) / 2)
    assert report.mean["ridge_skill"] == report.mean["own_ridge_skill"] == 0
    assert report.mean["coverage"] == 0.5
    assert report.mean["origins"] == 4


def test_scores_by_lead_time_are_of_that_hour_alone() -> None:
    """An error in one hour is seen there and nowhere else."""
    actual = np.full((3, 24), 100.0)
    mid = actual.copy()
    mid[:, 5] += 30
    zone = zone_of("AA", actual=actual, mid=mid, yesterday=actual + 60)
    report = score(trial_of(zone))
    assert report.lead_times[6]["mae"] == report.zone_lead_times["AA"][6]["mae"] == 30
    assert report.lead_times[6]["skill"] == 0.5
    assert {report.lead_times[hour]["mae"] for hour in range(1, 25) if hour != 6} == {0}


def test_only_what_can_be_compared_is_scored() -> None:
    """An hour without outcome, forecast or yesterday counts for nobody."""
    actual, mid, yesterday = (np.full((2, 24), value) for value in (100.0, 110.0, 140.0))
    actual[0, 0] = mid[0, 1] = yesterday[0, 2] = np.nan
    mid[0, 0] = mid[0, 2] = 900
    yesterday[0, :2] = 900
    zone = zone_of("AA", actual=actual, mid=mid, yesterday=yesterday)
    assert zone.there.sum() == 45
    figures = score(trial_of(zone)).zones["AA"]
    assert (figures["mae"], figures["persistence_mae"]) == (10, 40)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1, 2, 3], [10, 20, 90], 1.0),
        ([1, 2, 3], [3, 2, 1], -1.0),
        ([1, 1, 2, 2], [5, 5, 6, 6], 1.0),
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        ([1, 1, 2, 3], [1, 2, 3, 4], 4.5 / 22.5**0.5),
        ([1, 2, 3, 4], [1, 1, 1, 1], np.nan),
        ([1, np.nan, 3, 4, 2], [1, 9, 2, 4, 3], 0.8),
    ],
)
def test_rank_correlation_is_spearmans(a: list[float], b: list[float], expected: float) -> None:
    """Only the order counts, equal values share a rank, and missing ones do not count."""
    rows = np.array([a, a]), np.array([b, b])
    found = rank_correlations(*rows, np.ones_like(rows[0], dtype=bool))
    np.testing.assert_allclose(found, [expected, expected])


def test_the_order_of_the_hours_is_scored_within_each_day() -> None:
    """Knowing which day is dirty is no merit: only the hours of one day are ordered."""
    days = 1000.0 * np.arange(5)[:, None]
    zone = zone_of("AA", actual=days + HOURS, mid=days - HOURS, yesterday=days + HOURS)
    figures = score(trial_of(zone)).zones["AA"]
    assert figures["rank_correlation"] == pytest.approx(-1)
    assert figures["persistence_rank_correlation"] == pytest.approx(1)


def test_the_spread_is_none_if_all_weeks_are_alike_and_wide_if_they_differ() -> None:
    """It says how much the skill would move if other weeks had come."""
    actual = np.full((70, 24), 100.0)
    alike = score(trial_of(zone_of("AA", actual=actual, mid=actual + 5, yesterday=actual + 10)))
    assert alike.skill_p5 == pytest.approx(alike.skill_p95) == pytest.approx(0.5)
    error = np.where(np.arange(70)[:, None] < 35, 1.0, 9.0)
    differ = score(
        trial_of(zone_of("AA", actual=actual, mid=actual + error, yesterday=actual + 10))
    )
    assert differ.skill_p5 < 0.4 < differ.mean["skill"] < 0.6 < differ.skill_p95


def test_seasons_are_of_the_calendar() -> None:
    """December belongs to the winter of the next year; parts come in their order."""
    origins = [datetime(2023, 11, 30, tzinfo=UTC) + day * DAY for day in range(0, 200, 10)]
    found = seasons(origins)
    assert list(found) == ["2023 Sep-Nov", "2024 Dec-Feb", "2024 Mar-May", "2024 Jun-Aug"]
    assert sum(int(among.sum()) for among in found.values()) == len(origins)
    assert found["2024 Dec-Feb"][1]
    assert list(seasons(origins, months=1))[:3] == ["2023-11", "2023-12", "2024-01"]


def test_a_part_of_the_span_has_figures_of_its_own() -> None:
    """The error of one month does not show in another."""
    actual = np.full((60, 24), 100.0)
    error = np.where(np.arange(60)[:, None] < 31, 5.0, 10.0)
    zone = zone_of("AA", actual=actual, mid=actual + error, yesterday=actual + 20)
    trial = trial_of(zone)
    report = score(trial, windows=seasons(trial.origins, months=1))
    assert {name: row["mae"] for name, row in report.windows.items()} == {
        "2024-01": 5,
        "2024-02": 10,
    }
    assert report.windows["2024-02"]["skill"] == 0.5


def test_what_is_not_known_is_absent_in_json() -> None:
    """JSON has no NaN; a perfect yesterday has no skill to speak of."""
    actual = np.full((2, 24), 100.0)
    report = score(trial_of(zone_of("AA", actual=actual, mid=actual, yesterday=actual)))
    text = json.dumps(report.as_dict(), allow_nan=False)
    assert "skill" not in json.loads(text)["zones"]["AA"]
    assert json.loads(text)["to"] == "2024-01-02"
    assert report.by_zone()["mean"]["mae"] == 0
