"""Re-planning: true progress, no flapping, and no move for the noise of a forecast."""

from datetime import datetime, timedelta

import numpy as np
import pytest
from planning_world import HOUR, ORIGIN, job_of

from forecaster.series import Forecast, Method, ZoneForecast
from functions.domain.plan.document import Plan, Policy
from functions.domain.plan.planner import make_plan
from functions.domain.plan.replan import replan
from functions.domain.regions import REGIONS

DE, FR = "europe-west3", "europe-west9"
HOURS = 48


def _forecast(
    medians: dict[str, np.ndarray], half_width: float, origin: datetime = ORIGIN
) -> Forecast:
    return Forecast(
        origin=origin,
        zones=tuple(
            ZoneForecast(
                grid_zone=REGIONS[name].grid_zone,
                p10=tuple(np.maximum(values - half_width, 0).tolist()),
                p50=tuple(values.tolist()),
                p90=tuple((values + half_width).tolist()),
                method=Method.TCN,
                history_h=168,
            )
            for name, values in medians.items()
        ),
        model_version="test",
        source="simulated (test)",
    )


def _replan(
    here: np.ndarray, there: np.ndarray, half_width: float, *, left_h: float = 12.0
) -> Plan:
    job = job_of(allowed_regions=(DE, FR), work_h=24.0, deadline=ORIGIN + 40 * HOUR)
    return replan(
        job,
        _forecast({DE: here, FR: there}, half_width),
        now=ORIGIN,
        work_left_h=left_h,
        running_in="europe-west3-b",
    )


RISING = 150 + 1.0 * np.arange(HOURS)
"""Best used now: nothing but noise tells the regions from each other."""


def _noisy(rng: np.random.Generator) -> list[np.ndarray]:
    # From p10 to p90 are 40 g: 2.56 standard deviations of what may come. What two forecasts of
    # the same hour differ by is a part of that.
    return [RISING + rng.normal(0, 5.0, HOURS) for _ in range(2)]


def _leaves(plan: Plan) -> bool:
    """Tell whether the region is left before there is another plan, by a move or by a stop."""
    first, *later = plan.intervals
    soon = bool(later) and first.end <= ORIGIN + HOUR
    return first.grid_zone != "DE" or (soon and later[0].grid_zone != "DE")


@pytest.mark.parametrize("seed", range(4))
def test_noise_around_equal_curves_never_moves_a_vm(seed: int) -> None:
    """Each hour another forecast of two equal curves, each off by its own noise: no move."""
    rng = np.random.default_rng(seed)
    for left_h in (12.0, 8.0, 4.0, 2.0):
        assert not _leaves(_replan(*_noisy(rng), half_width=20.0, left_h=left_h))


def test_a_real_gain_moves_it() -> None:
    """A region that is cleaner by more than the forecast's doubt is moved to at once."""
    plan = _replan(np.full(HOURS, 300.0), np.full(HOURS, 150.0), 20.0)

    assert plan.intervals[0].grid_zone == "FR"


def test_the_kept_plan_says_what_it_passed_by() -> None:
    """Where it stays against the fresh plan, it says by how much, and keeps the comparison."""
    here, there = np.full(HOURS, 200.0), np.full(HOURS, 197.0)
    job = job_of(allowed_regions=(DE, FR), work_h=24.0, deadline=ORIGIN + 40 * HOUR)
    fresh = make_plan(
        job,
        _forecast({DE: here, FR: there}, 20.0),
        now=ORIGIN,
        work_left_h=12.0,
        running_in="europe-west3-b",
    )
    plan = _replan(here, there, 20.0)

    assert _leaves(fresh)
    assert plan.intervals[0].grid_zone == "DE"
    assert plan.intervals[0].fallbacks[0].startswith(FR)
    assert "would save" in plan.reason
    assert "less than" in plan.reason
    assert {a.policy for a in plan.alternatives} >= {Policy.BEST_FIXED_REGION, Policy.THIS_PLAN}


def test_equal_gain_is_no_reason_to_pause() -> None:
    """What runs pauses only for more than the start that the pause costs."""
    start_g = 3.0 / 60
    for gain, pauses in ((0.5 * start_g, False), (3 * start_g, True)):
        # An hour now for one later, cleaner by `gain` of an hour's emissions.
        here = np.full(HOURS, 200.0)
        here[0] = 200.0 * (1 + gain)
        plan = replan(
            job_of(allowed_regions=(DE,), work_h=24.0, deadline=ORIGIN + 40 * HOUR),
            _forecast({DE: here}, 0.0),
            now=ORIGIN,
            work_left_h=3.0,
            running_in="europe-west3-b",
        )

        assert (plan.intervals[0].start > ORIGIN) is pauses


def test_a_move_that_alone_meets_nothing_is_not_forced() -> None:
    """With no time to spare for a move, it goes on where it is."""
    job = job_of(allowed_regions=(DE, FR), work_h=24.0, deadline=ORIGIN + 12 * HOUR)
    plan = replan(
        job,
        _forecast({DE: np.full(HOURS, 300.0), FR: np.full(HOURS, 30.0)}, 1.0),
        now=ORIGIN,
        work_left_h=12.0,
        running_in="europe-west3-b",
    )

    assert plan.meets_deadline
    assert plan.intervals[0].grid_zone == "DE"
    assert plan.intervals[-1].end == ORIGIN + timedelta(hours=12)
