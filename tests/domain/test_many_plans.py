"""Plans of many jobs in a row: the same as one by one, and in their order."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
from planning_world import HOUR, ORIGIN, forecast_of, job_of

from forecaster.series import Forecast
from functions.domain.plan.planner import Request, make_plan, make_plans
from functions.domain.plan.shared import SharedTables
from functions.domain.regions import GRID_ZONES, REGIONS
from functions.errors import SchedulerError

EVERYWHERE = tuple(REGIONS)


def _forecast() -> Forecast:
    curves = np.random.default_rng(4).uniform(50, 400, (24, len(GRID_ZONES))).round(1)
    return forecast_of(dict(zip(GRID_ZONES, curves.T.tolist(), strict=True)))


def _requests() -> Iterator[Request]:
    """Jobs in turn of two sets of regions, of any work and deadline, some running, two slots."""
    for number in range(60):
        regions = EVERYWHERE[:4] if number % 2 else EVERYWHERE[3:6]
        job = job_of(
            job_id=f"job-{number}",
            allowed_regions=regions,
            work_h=1.0 + number * 7 % 60 / 6,
            deadline=ORIGIN + timedelta(minutes=700 + number * 37 % 700),
            slot_minutes=15 if number % 20 > 16 else 60,
        )
        running = f"{regions[0]}-b" if number % 3 == 0 else None
        work_h = job.work_h
        yield Request(job=job, now=ORIGIN, work_left_h=work_h, running_in=running)


def test_many_plans_are_those_of_one_by_one() -> None:
    """Sharing what is computed changes no plan, not even a tie, nor their order."""
    forecast, requests = _forecast(), list(_requests())
    alone = [
        make_plan(r.job, forecast, now=r.now, work_left_h=r.work_left_h, running_in=r.running_in)
        for r in requests
    ]
    assert list(make_plans(iter(requests), forecast)) == alone


def test_one_error_keeps_no_other_from_its_plan() -> None:
    """The error stands in the place of its plan."""
    forecast = _forecast()
    late = Request(job=job_of(job_id="late"), now=ORIGIN + 99 * HOUR, work_left_h=1.0)
    fine = [Request(job=job_of(job_id=f"j-{n}"), now=ORIGIN, work_left_h=1.0) for n in range(6)]
    found = list(make_plans([*fine[:3], late, *fine[3:]], forecast))
    assert [isinstance(each, SchedulerError) for each in found] == [n == 3 for n in range(7)]


def test_a_table_is_made_for_what_comes_again_only() -> None:
    """Few like jobs are searched for one by one, many share a table; few tables are kept."""
    tables, forecast = SharedTables(), _forecast()

    def plan(regions: tuple[str, ...]) -> None:
        job = job_of(allowed_regions=regions, work_h=2.0, deadline=ORIGIN + 20 * HOUR)
        make_plan(job, forecast, now=ORIGIN, work_left_h=2.0, running_in=None, tables=tables)

    for _ in range(3):
        plan(EVERYWHERE[:2])
    assert tables.count == 0
    plan(EVERYWHERE[:2])
    assert tables.count == 1
    for first in range(11):
        for _ in range(4):
            plan(EVERYWHERE[first : first + 2])
    assert tables.count <= 8
