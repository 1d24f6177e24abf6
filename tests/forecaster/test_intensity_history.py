"""Laws of a recorded history."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from intensity_worlds import START, daily_wave

from forecaster.series import HOUR, Basis, IntensityHistory, PastHistory

NAIVE = datetime(2024, 1, 1)  # noqa: DTZ001 - the point of the test


@pytest.mark.parametrize(
    ("start", "values", "says"),
    [
        (NAIVE, [1.0], "time zone"),
        (START + timedelta(minutes=30), [1.0], "full hour"),
        (START, [1.0, -3.0], "found -3 at 2024-01-01T01:00"),
        (START, [2500.0], "check the unit"),
        (START, [float("inf")], "found inf"),
        (START, [[1.0]], "shape"),
    ],
)
def test_refuses_what_no_grid_can_have(start: datetime, values: list[float], says: str) -> None:
    """A wrong time or value gives one error that says where and what is expected."""
    with pytest.raises(ValueError, match=says):
        IntensityHistory(grid_zone="DE", start=start, gco2eq_per_kwh=np.array(values))


def test_an_absent_hour_is_missing_not_zero() -> None:
    """Hours that were not recorded are NaN between those that were, in any order."""
    hours = [(START + 3 * HOUR, 40.0), (START, 10.0)]
    history = IntensityHistory.from_hours("DE", hours, basis=Basis.DIRECT)
    assert history.start == START
    assert history.basis is Basis.DIRECT
    np.testing.assert_array_equal(history.gco2eq_per_kwh, [10, np.nan, np.nan, 40])


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        ([], "at least one"),
        ([(START, 1.0), (START + HOUR, 2.0), (START + HOUR, 2.0)], "2024-01-01T01:00.* 2 times"),
        ([(NAIVE, 1.0)], "time zone"),
    ],
)
def test_refuses_hours_that_cannot_be_ordered(
    hours: list[tuple[datetime, float]], says: str
) -> None:
    """No hours, doubled hours and naive times are refused."""
    with pytest.raises(ValueError, match=says):
        IntensityHistory.from_hours("DE", hours)


def test_another_offset_is_the_same_hour() -> None:
    """A time is kept in UTC whatever zone it came in."""
    there = timezone(timedelta(hours=2))
    history = IntensityHistory(
        grid_zone="DE", start=datetime(2024, 1, 1, 2, tzinfo=there), gco2eq_per_kwh=np.ones(1)
    )
    assert history.start == START
    assert history.start.tzinfo is UTC


@given(origin_h=st.integers(-30, 130), hours=st.integers(1, 60))
def test_a_cut_history_has_nothing_of_the_future(origin_h: int, hours: int) -> None:
    """After the cut no value of the origin or later can be read, and all before it can."""
    history = daily_wave("DE", 100)
    cut = history.cut_before(START + origin_h * HOUR)
    assert cut.end <= cut.origin == START + origin_h * HOUR
    assert len(cut.gco2eq_per_kwh) == min(max(origin_h, 0), 100)
    assert np.isnan(cut.window(START + origin_h * HOUR, hours)).all()
    expected = history.before(START + origin_h * HOUR, hours)
    np.testing.assert_array_equal(cut.before(START + origin_h * HOUR, hours), expected)


def test_values_cannot_be_changed_later() -> None:
    """A history keeps a read-only copy of what it was given."""
    values = np.ones(3, dtype=np.float32)
    history = IntensityHistory(grid_zone="DE", start=START, gco2eq_per_kwh=values)
    values[0] = 7
    assert history.gco2eq_per_kwh[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        history.gco2eq_per_kwh[0] = 7


@pytest.mark.parametrize("hours_before", [0, 1, 5])
def test_what_was_knowable_cannot_hold_a_later_hour(hours_before: int) -> None:
    """The type of past hours refuses one that ends after the origin."""
    hours = 5
    with pytest.raises(ValueError, match=r"DE: expected hours before the origin .*not knowable"):
        PastHistory(
            grid_zone="DE",
            start=START,
            gco2eq_per_kwh=np.ones(hours),
            origin=START + (hours - 1 - hours_before) * HOUR,
        )
    past = PastHistory(
        grid_zone="DE", start=START, gco2eq_per_kwh=np.ones(hours), origin=START + hours * HOUR
    )
    assert past.end == past.origin


def test_a_naive_origin_is_refused() -> None:
    """When a forecast is made must be said with its time zone."""
    with pytest.raises(ValueError, match="origin: expected a time with its time zone"):
        daily_wave("DE", 10).cut_before(NAIVE)
