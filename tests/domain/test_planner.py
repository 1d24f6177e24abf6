"""Plans: what they promise, and what they say when something is missing."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planning_world import HOUR, MINUTE, ORIGIN, forecast_of, job_of

from forecaster.series import LeftOut
from functions.domain.plan.document import Plan, Policy
from functions.domain.plan.planner import make_plan
from functions.errors import IntensityUnavailableError, InvalidInputError, StockOutError
from vm_runtime.contract.codec import decode, encode

REGIONS = ("europe-west3", "europe-west9", "europe-west2")
FLAT = {name: [100.0] * 48 for name in REGIONS}
CLEAN_AT_TEN = {
    "europe-west3": [300.0] * 48,
    "europe-west9": [200.0] * 10 + [50.0] * 6 + [200.0] * 32,
    "europe-west2": [250.0] * 48,
}


def _plan(  # noqa: PLR0913 - what a test does not name has its usual value
    hourly: dict[str, list[float]] | None = None,
    *,
    now: datetime = ORIGIN,
    work_left_h: float | None = 4.0,
    running_in: str | None = None,
    blocked: Sequence[str] = (),
    left_out: Sequence[LeftOut] = (),
    **job: object,
) -> Plan:
    return make_plan(
        job_of(**job),
        forecast_of(CLEAN_AT_TEN if hourly is None else hourly, left_out=left_out),
        now=now,
        work_left_h=work_left_h,
        running_in=running_in,
        blocked=blocked,
    )


def _grams(plan: Plan, policy: Policy) -> float:
    return next(a.emissions_gco2eq for a in plan.alternatives if a.policy is policy)


def test_waits_for_the_clean_hours() -> None:
    """The work and its start lie in the clean hours, and the sentence says what that is worth."""
    plan = _plan()
    assert [(i.start, i.end) for i in plan.intervals] == [
        (ORIGIN + 10 * HOUR, ORIGIN + 14 * HOUR + 3 * MINUTE)
    ]
    (interval,) = plan.intervals
    assert interval.compute_zone == "europe-west9-b"
    assert interval.grid_zone == "FR"
    assert interval.fallbacks == ("europe-west2-b", "europe-west3-b")
    assert interval.work_h == pytest.approx(4.0)
    assert plan.expected_gco2eq == pytest.approx(0.2 * 4.05 * 50)
    assert plan.meets_deadline
    assert plan.plan_id == "2026-03-02T0600Z"
    assert plan.reason == (
        "Waits 10 h for Paris (europe-west9): 40.5 g; 83 % less than run now, here (Frankfurt"
        " (europe-west3), 243 g); always europe-west9 from now on gives 40 % of that gain."
    )


def test_alternatives_are_counted_with_their_overheads() -> None:
    """Run now, best fixed, this plan and the bound are figures of the same work."""
    plan = _plan()
    assert _grams(plan, Policy.RUN_NOW_HERE) == pytest.approx(0.2 * 4.05 * 300)
    assert _grams(plan, Policy.BEST_FIXED_REGION) == pytest.approx(0.2 * 4.05 * 200)
    assert _grams(plan, Policy.THIS_PLAN) == pytest.approx(plan.expected_gco2eq)
    assert _grams(plan, Policy.BOUND) == pytest.approx(0.2 * 4 * 50)


def test_a_vm_that_runs_goes_on_without_overhead_inside_its_interval() -> None:
    """Going on costs nothing, in the very compute zone, and `now` is inside the interval."""
    now = ORIGIN + timedelta(hours=3, minutes=20, seconds=40)
    plan = _plan(FLAT, now=now, work_left_h=1.0, running_in="europe-west9-c")
    (interval,) = plan.intervals
    assert interval.start == now
    assert interval.compute_zone == "europe-west9-c"
    assert interval.expected_gco2eq == pytest.approx(20.0)
    assert plan.reason.startswith("Goes on in Paris (europe-west9)")


def test_equal_hours_start_at_once() -> None:
    """If nothing can be gained, the job is not kept waiting."""
    assert _plan(FLAT).intervals[0].start == ORIGIN


def test_moves_when_it_pays_and_only_then() -> None:
    """A move is planned if the other place saves more than the move costs."""
    half = [10.0] * 2 + [400.0] * 46
    hourly = {"europe-west3": half, "europe-west9": [400.0] * 2 + [10.0] * 46}
    plan = _plan(hourly, work_left_h=3.5, deadline=ORIGIN + 4 * HOUR, allowed_regions=REGIONS[:2])
    assert [i.grid_zone for i in plan.intervals] == ["DE", "FR"]
    assert sum(i.work_h for i in plan.intervals) == pytest.approx(3.5)
    near = {"europe-west3": [100.0] * 48, "europe-west9": [101.0, 99.0] * 24}
    assert len(_plan(near, allowed_regions=REGIONS[:2]).intervals) == 1


def test_dirty_rather_than_late() -> None:
    """A deadline that cannot be met is missed by as little as can be, and it is said."""
    plan = _plan(now=ORIGIN + 21 * HOUR)
    assert not plan.meets_deadline
    assert plan.intervals[0].start == ORIGIN + 21 * HOUR
    assert plan.intervals[0].compute_zone == "europe-west9-b"
    assert plan.intervals[-1].end == ORIGIN + timedelta(hours=25, minutes=3)
    assert "Cannot meet the deadline" in plan.reason
    assert "63 min too long" in plan.reason


def test_late_and_running_stays_where_it_is() -> None:
    """What runs finishes first if it goes on, even in a dirty place."""
    plan = _plan(now=ORIGIN + 25 * HOUR, running_in="europe-west3-b")
    assert not plan.meets_deadline
    assert [i.compute_zone for i in plan.intervals] == ["europe-west3-b"]
    assert plan.intervals[0].end == ORIGIN + 29 * HOUR


def test_a_deadline_that_just_can_be_met_is_met() -> None:
    """Promise 6: to the minute, also from a time that is no full minute."""
    at = ORIGIN + timedelta(minutes=30)
    assert _plan(now=at, deadline=at + timedelta(hours=4, minutes=3)).meets_deadline
    late = at + timedelta(seconds=1)
    assert not _plan(now=late, deadline=at + timedelta(hours=4, minutes=3)).meets_deadline


def test_nothing_left_is_an_empty_plan() -> None:
    """Finished work needs no VM."""
    plan = _plan(work_left_h=0.0)
    assert plan.intervals == ()
    assert plan.alternatives == ()


def test_unknown_work_runs_in_the_cleanest_half_of_each_day() -> None:
    """Until progress tells how much is left, each 24 h are half used, where they are cleanest."""
    clean = [300.0] * 12 + [30.0] * 12
    hourly = {"europe-west3": [200.0] * 48, "europe-west9": clean * 2}
    plan = _plan(hourly, work_left_h=None, work_h=None, deadline=None, allowed_regions=REGIONS[:2])
    assert [(i.start, i.end) for i in plan.intervals] == [
        (ORIGIN + 12 * HOUR, ORIGIN + 24 * HOUR),
        (ORIGIN + 36 * HOUR, ORIGIN + 48 * HOUR),
    ]
    assert {i.grid_zone for i in plan.intervals} == {"FR"}
    assert "cleanest half" in plan.reason


def test_work_beyond_the_forecast_is_named() -> None:
    """More work than the forecast has hours: all of them are used, and the rest is said."""
    plan = _plan(work_left_h=50.0, deadline=ORIGIN + 100 * HOUR)
    assert plan.intervals[-1].end == ORIGIN + 48 * HOUR
    assert plan.meets_deadline
    assert "beyond the end of the forecast" in plan.reason


def test_a_place_without_data_is_left_out_and_named() -> None:
    """Missing data are never clean: no forecast, no place, and the forecast's own reason."""
    left_out = [LeftOut(grid_zone="FR", reason="only 3 h recorded")]
    hourly = {name: CLEAN_AT_TEN[name] for name in ("europe-west3", "europe-west2")}
    plan = _plan(hourly, left_out=left_out)
    assert plan.left_out == tuple(left_out)
    assert {i.grid_zone for i in plan.intervals} == {"GB"}


def test_no_data_at_all_is_an_error_that_may_pass() -> None:
    """Without any place with data there is no plan, and the message says what is missing."""
    with pytest.raises(IntensityUnavailableError, match="DE: the forecast does not cover it"):
        _plan({"PL": [1.0] * 48})
    with pytest.raises(IntensityUnavailableError):
        _plan({})


def test_blocks_lead_to_the_next_zone_and_then_elsewhere() -> None:
    """A blocked compute zone gives way to its neighbour, a blocked region to another region."""
    assert _plan(blocked=["europe-west9-b"]).intervals[0].compute_zone == "europe-west9-a"
    plan = _plan(blocked=["europe-west9"])
    assert plan.intervals[0].compute_zone == "europe-west2-b"
    assert "blocked" in plan.left_out[0].reason
    zones = [f"europe-west9-{letter}" for letter in "abc"]
    assert _plan(blocked=zones).left_out == plan.left_out
    with pytest.raises(StockOutError):
        _plan(blocked=REGIONS)


def test_a_block_does_not_end_what_runs() -> None:
    """A region without capacity for another VM still has the one that runs."""
    plan = _plan(FLAT, running_in="europe-west9-b", blocked=["europe-west9"])
    assert plan.intervals[0].compute_zone == "europe-west9-b"


def test_regions_without_the_machine_are_left_out() -> None:
    """A GPU machine runs only where it is; nowhere is an error that a person must mend."""
    plan = _plan(machine_type="g2-standard-8")
    assert [each.grid_zone for each in plan.left_out] == ["FR"]
    with pytest.raises(InvalidInputError, match="no g2-standard-8"):
        _plan(machine_type="g2-standard-8", allowed_regions=("europe-west9",))


def test_a_forecast_of_another_time_is_refused() -> None:
    """A plan is never made from hours that the forecast does not have."""
    for now in (ORIGIN - MINUTE, ORIGIN + 48 * HOUR):
        with pytest.raises(InvalidInputError, match="Forecast anew"):
            _plan(now=now)


_HOURS = st.lists(st.floats(0, 900), min_size=12, max_size=12)


@settings(max_examples=25)
@given(
    rows=st.tuples(_HOURS, _HOURS, _HOURS),
    work_h=st.floats(0.1, 9),
    slot=st.sampled_from([15, 60]),
    now_min=st.floats(0, 150),
    running=st.sampled_from([None, "europe-west3-b", "europe-west2-a"]),
)
def test_laws_of_every_plan(
    rows: tuple[list[float], list[float], list[float]],
    work_h: float,
    slot: int,
    now_min: float,
    running: str | None,
) -> None:
    """Deadlines are kept, fewer regions are never cleaner, scale does not matter, bytes repeat."""
    now = ORIGIN + timedelta(minutes=now_min)
    hourly = dict(zip(REGIONS, rows, strict=True))
    deadline = ORIGIN + 12 * HOUR

    def plan(factor: float = 1.0, regions: Sequence[str] = REGIONS) -> Plan:
        scaled = {name: [factor * value for value in hourly[name]] for name in regions}
        return _plan(
            scaled,
            now=now,
            work_left_h=work_h,
            running_in=running,
            deadline=deadline,
            slot_minutes=slot,
            allowed_regions=tuple(regions),
        )

    made = plan()
    fits = now + timedelta(hours=work_h, minutes=5) <= deadline
    assert made.meets_deadline or not fits
    if made.meets_deadline:
        assert made.intervals[-1].end <= deadline
        assert sum(i.work_h for i in made.intervals) >= work_h - 1e-6
    assert encode(made) == encode(plan())
    assert decode(Plan, encode(made), name="plan") == made
    assume(made.meets_deadline)
    tolerance_g = 1e-3
    assert plan(2.0).expected_gco2eq == pytest.approx(2 * made.expected_gco2eq, abs=tolerance_g)
    for policy in (Policy.RUN_NOW_HERE, Policy.BEST_FIXED_REGION):
        found = [a for a in made.alternatives if a.policy is policy and a.finish_at <= deadline]
        assert all(made.expected_gco2eq <= a.emissions_gco2eq + tolerance_g for a in found)
    assert _grams(made, Policy.BOUND) <= made.expected_gco2eq + tolerance_g
    if running is None:
        fewer = plan(regions=REGIONS[1:])
        assert made.expected_gco2eq <= fewer.expected_gco2eq + tolerance_g
