"""A job's limits and overheads in its plan: kept, set aside by name, or counted."""

import json
import os
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from planning_world import HOUR, MINUTE, ORIGIN, forecast_of, job_of

from forecaster.series import Method
from functions.domain.plan.document import Alternative, Plan, Policy
from functions.domain.plan.planner import Request, make_plan, make_plans
from functions.domain.plan.prices import DEFAULT_PRICES, usd_per_h
from functions.domain.plan.threshold import NOWHERE, threshold_places
from functions.domain.regions import REGIONS, zones_with_machine
from functions.errors import InvalidInputError
from vm_runtime.contract.job import Job, Overheads, Phase

TWO = ("europe-west3", "europe-west9")
DIRTY_THEN_CLEAN = {
    "europe-west3": [300.0] * 6 + [90.0] * 18,
    "europe-west9": [150.0, 320.0] * 12,
}
PEER = Path(__file__).parents[2] / ".venv-peer" / "bin" / "python"


def _plan(
    job: Job,
    hourly: dict[str, list[float]] | None = None,
    *,
    running_in: str | None = None,
    since: int | None = None,
) -> Plan:
    return make_plan(
        job,
        forecast_of(DIRTY_THEN_CLEAN if hourly is None else hourly),
        now=ORIGIN,
        work_left_h=job.work_h,
        running_in=running_in,
        running_since=None if since is None else ORIGIN - since * MINUTE,
    )


def _way(plan: Plan, policy: Policy) -> Alternative:
    return next(each for each in plan.alternatives if each.policy is policy)


def test_no_hour_above_the_highest_intensity_is_used() -> None:
    """With a limit of 100, only the hours at 90 are."""
    job = job_of(allowed_regions=TWO, max_carbon_intensity_gco2eq_per_kwh=100.0, work_h=5.0)
    plan = _plan(job, {"europe-west3": [300.0] * 6 + [90.0] * 18, "europe-west9": [101.0] * 24})
    assert plan.set_aside == ()
    assert {each.grid_zone for each in plan.intervals} == {"DE"}
    assert plan.intervals[0].start == ORIGIN + 6 * HOUR


def test_rather_dirty_than_late_and_it_says_so() -> None:
    """A limit that would make it late gives way, by name, to the cleanest plan in time."""
    job = job_of(
        allowed_regions=TWO,
        work_h=4.0,
        deadline=ORIGIN + 5 * HOUR,
        max_carbon_intensity_gco2eq_per_kwh=100.0,
    )
    plan = _plan(job)
    free = _plan(replace(job, max_carbon_intensity_gco2eq_per_kwh=None))
    assert plan.meets_deadline
    assert plan.set_aside == ("max_carbon_intensity_gco2eq_per_kwh",)
    assert plan.impossible is None
    assert plan.intervals == free.intervals
    assert "rather dirty than late" in plan.reason


def test_the_interval_gives_way_before_the_intensity() -> None:
    """The less harmful limit is set aside first, and only as much as is needed."""
    clean = [50.0, 500.0] * 12
    job = job_of(
        allowed_regions=TWO[:1],
        work_h=2.0,
        deadline=ORIGIN + 12 * HOUR,
        max_carbon_intensity_gco2eq_per_kwh=100.0,
        min_interval_minutes=120,
    )
    plan = _plan(job, {"europe-west3": clean})
    assert plan.set_aside == ("min_interval_minutes",)
    assert all(each.start.hour % 2 == 0 for each in plan.intervals)


def test_intervals_last_as_long_as_wanted() -> None:
    """Without the limit it hops; with it no interval is shorter, and a young one goes on."""
    hourly = {"europe-west3": [50.0, 500.0] * 12, "europe-west9": [500.0, 50.0] * 12}
    job = job_of(allowed_regions=TWO, work_h=6.0, deadline=ORIGIN + 24 * HOUR)
    hops = _plan(job, hourly)
    assert min(each.end - each.start for each in hops.intervals) < 2 * HOUR
    calm = _plan(replace(job, min_interval_minutes=150), hourly)
    assert calm.set_aside == ()
    assert min(each.end - each.start for each in calm.intervals) >= timedelta(minutes=150)
    assert calm.expected_gco2eq > hops.expected_gco2eq
    dirty = {"europe-west3": [500.0] * 12 + [50.0] * 12}
    job = replace(job, allowed_regions=TWO[:1], min_interval_minutes=150)
    young = _plan(job, dirty, running_in="europe-west3-b", since=30)
    assert young.intervals[0].start == ORIGIN
    assert young.intervals[0].end >= ORIGIN + timedelta(minutes=120)
    old = _plan(job, dirty, running_in="europe-west3-b", since=200)
    assert old.intervals[0].start > ORIGIN


def test_a_deadline_that_cannot_be_met_is_named_with_numbers() -> None:
    """It says which field, what is needed and what there is."""
    plan = _plan(job_of(work_h=4.0, deadline=ORIGIN + 3 * HOUR), DIRTY_THEN_CLEAN)
    assert not plan.meets_deadline
    assert plan.impossible is not None
    assert plan.impossible.startswith("deadline: 4.00 h of work and 3 min of overhead need 4.05 h")


@pytest.mark.parametrize(
    ("overheads", "grams"),
    [
        (Overheads(), 63 * 100.0),
        (Overheads(boot=Phase(seconds=120, power_w=50)), (61 + 2 * 50 / 200) * 100),
        (Overheads(boot=Phase(seconds=120, power_w=400)), (61 + 2 * 2) * 100),
        (Overheads(checkpoint=Phase(seconds=60)), 64 * 100.0),
        (Overheads(idle=Phase(seconds=600, power_w=100)), (63 + 5) * 100),
    ],
)
def test_each_overhead_counts_with_its_time_and_power(overheads: Overheads, grams: float) -> None:
    """An hour of work at 200 W and 100 g: what boot, checkpoint and idle add, by hand."""
    job = job_of(allowed_regions=TWO[:1], work_h=1.0, overheads=overheads)
    plan = _plan(job, {"europe-west3": [100.0] * 24})
    assert plan.expected_gco2eq == pytest.approx(0.2 * grams / 60)
    assert _way(plan, Policy.RUN_NOW_HERE).emissions_gco2eq == pytest.approx(plan.expected_gco2eq)


def test_the_network_counts_if_its_energy_is_given() -> None:
    """20 GB at 0.05 kWh/GB are 1 kWh at the place's intensity, and can make a move a loss."""
    hourly = {
        "europe-west3": [100.0] * 2 + [200.0] * 22,
        "europe-west9": [200.0] * 2 + [100.0] * 22,
    }
    job = job_of(allowed_regions=TWO, work_h=4.0, deadline=ORIGIN + timedelta(hours=4, minutes=20))
    assert (
        sum(a.moves for a in _plan(job, hourly).alternatives if a.policy is Policy.THIS_PLAN) == 1
    )
    heavy = replace(job, state_gb=20.0, network_kwh_per_gb=0.05)
    plan = _plan(heavy, hourly)
    assert _way(plan, Policy.THIS_PLAN).moves == 0
    here = _way(plan, Policy.RUN_NOW_HERE).emissions_gco2eq
    assert here == pytest.approx(0.2 * (2 * 100 + 2.05 * 200) + 1.0 * 100)


def test_money_moves_the_job_at_the_price_that_is_named() -> None:
    """Frankfurt costs 0.034 USD/h more: from 1 g / 0.034 USD on, Paris at +5 g/kWh is better."""
    hourly = {"europe-west3": [100.0] * 24, "europe-west9": [105.0] * 24}
    turning = 0.2 * 5 / (0.345 - 0.311)
    for weight, region in ((0.9 * turning, "DE"), (1.1 * turning, "FR")):
        job = job_of(allowed_regions=TWO, price_weight_g_per_usd=weight)
        plan = _plan(job, hourly)
        assert {each.grid_zone for each in plan.intervals} == {region}
        usd = {"DE": 0.345, "FR": 0.311}[region] * 4.05
        assert plan.expected_usd == pytest.approx(usd)
        assert "USD, which counted too" in plan.reason


def test_a_region_without_a_price_is_no_place_if_money_counts() -> None:
    """It is left out by name; without a weight only its money is not known."""
    job = job_of(machine_type="n1-standard-8", allowed_regions=TWO)
    assert _plan(job).expected_usd is None
    with pytest.raises(InvalidInputError, match="no price is known for n1-standard-8"):
        _plan(replace(job, price_weight_g_per_usd=1.0))


def test_prices_are_those_of_the_table_or_scale_with_the_size() -> None:
    """E2 standard machines are priced by size; a machine with a GPU is not."""
    assert usd_per_h(DEFAULT_PRICES, "e2-standard-8")["europe-west3"] == 0.345
    assert usd_per_h(DEFAULT_PRICES, "e2-standard-4")["europe-west3"] == pytest.approx(0.1725)
    assert "europe-west3" not in usd_per_h(DEFAULT_PRICES, "g2-standard-4")
    priced = usd_per_h(DEFAULT_PRICES, "g2-standard-8")
    has = {n for n, region in REGIONS.items() if zones_with_machine(region, "g2-standard-8")}
    assert set(priced) == has


def test_hours_that_a_zone_lacks_are_never_used_nor_cut_the_others_short() -> None:
    """A zone that ends early is used as far as it goes; the rest is planned elsewhere."""
    hourly = {"europe-west3": [10.0] * 3, "europe-west9": [200.0] * 24}
    plan = _plan(job_of(allowed_regions=TWO, work_h=10.0), hourly)
    assert plan.meets_deadline
    german = [each for each in plan.intervals if each.grid_zone == "DE"]
    assert max(each.end for each in german) <= ORIGIN + 3 * HOUR
    assert sum(each.work_h for each in plan.intervals) == pytest.approx(10.0)
    assert any("DE (3 h) ends before the others" in caveat for caveat in plan.caveats)
    here = [each for each in plan.alternatives if each.policy is Policy.RUN_NOW_HERE]
    assert not here, "Frankfurt has too few hours to be compared with"


def test_what_was_missing_is_said() -> None:
    """An old forecast, climatology, and a deadline that nobody gave are named in the plan."""
    forecast = forecast_of(DIRTY_THEN_CLEAN)
    zones = tuple(replace(zone, method=Method.CLIMATOLOGY) for zone in forecast.zones)
    plan = make_plan(
        job_of(allowed_regions=TWO, deadline=None, submitted_at=ORIGIN),
        replace(forecast, zones=zones),
        now=ORIGIN + 4 * HOUR,
        work_left_h=2.0,
        running_in=None,
    )
    told = " ".join(plan.caveats)
    for word in ("deadline: none given", "4.0 h old", "by climatology only"):
        assert word in told


def test_nearly_all_of_the_gain_by_one_region_is_said_exactly() -> None:
    """If waiting and moving add nothing, the sentence does not hide it."""
    plan = _plan(job_of(allowed_regions=TWO), {TWO[0]: [300.0] * 24, TWO[1]: [50.0] * 24})
    assert "always europe-west9 from now on gives nearly all of that gain (100 %)" in plan.reason


def test_where_no_region_is_cleaner_at_once_waiting_is_said_to_be_all_of_the_gain() -> None:
    """A share of 0 % of another region would tell nothing."""
    curve = {TWO[0]: [300.0] * 4 + [50.0] * 20, TWO[1]: [400.0] * 24}
    for regions in (TWO, TWO[:1]):
        plan = _plan(job_of(allowed_regions=regions), curve)
        assert "at once no region is cleaner: all of the gain comes from waiting" in plan.reason


def test_many_jobs_are_planned_one_by_one_and_trouble_stays_with_its_job() -> None:
    """A batch gives what single calls give, and an error in the place of a plan."""
    forecast = forecast_of(DIRTY_THEN_CLEAN)
    jobs = [
        job_of(job_id="one", allowed_regions=TWO),
        job_of(job_id="two", allowed_regions=("europe-west2",)),
        job_of(job_id="three", allowed_regions=TWO, work_h=9.0),
    ]
    found = list(
        make_plans([Request(job=j, now=ORIGIN, work_left_h=j.work_h) for j in jobs], forecast)
    )
    assert found[0] == _plan(jobs[0])
    assert "the forecast does not cover it" in str(found[1])
    assert found[2] == _plan(jobs[2])


PEER_PROGRAM = """
import contextlib, io, json, sys
import numpy as np
with contextlib.redirect_stdout(io.StringIO()):
    from eco4cast.master_machine.interval_predictor import IntervalGenerator
names, days, current = json.load(sys.stdin)
answers = []
for rows in days:
    generator = IntervalGenerator(include_zones=list(names))
    # Zones left out count as 0 g there; 1e9 keeps them out, as its own exclusion means to.
    generator.include_zones = None
    table = {name: np.full(24, 1e9) for name in generator.zone_to_id}
    table.update({name: np.array(row) for name, row in zip(names, rows)})
    found, _ = generator.generate_intervals(table, generator.zone_to_id[names[current]])
    spans = [(zone, span) for zone, spans in found for span in spans]
    answers.append([[zone, a.isoformat(), b.isoformat()] for zone, (a, b, _) in spans])
json.dump(answers, sys.stdout)
"""


@pytest.mark.skipif(not PEER.exists(), reason="no .venv-peer with eco4cast 0.0.8 in the project")
def test_the_threshold_rule_is_eco4casts_own() -> None:
    """Hour by hour what its IntervalGenerator answers, on random days."""
    names, rng = ["FR", "DE", "PL"], np.random.default_rng(3)
    days = [
        rng.choice([60.0, 150.0, 175.0, 181.0, 240.0], (3, 24)) + rng.random((3, 24))
        for _ in range(30)
    ]
    asked = json.dumps([names, [day.tolist() for day in days], 0])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(  # noqa: S603 - the peer's interpreter, our program
        [str(PEER), "-c", PEER_PROGRAM],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    for day, answer in zip(days, json.loads(done.stdout), strict=True):
        ours = threshold_places(day.T, 0)
        used = [hour for hour, place in enumerate(ours) if place != NOWHERE]
        spans = [(zone, *map(datetime.fromisoformat, span)) for zone, *span in answer]
        # The generator begins at the hour of the wall clock: only differences tell.
        begin = min((start for _, start, _ in spans), default=ORIGIN) - used[0] * HOUR
        theirs = [NOWHERE] * 24
        for zone, start, end in spans:
            for hour in range(round((start - begin) / HOUR), round((end - begin) / HOUR)):
                theirs[hour] = names.index(zone)
        assert ours == theirs
