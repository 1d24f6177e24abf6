"""What a receipt compares with: only ways the job could have gone, on the carbon that came."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import HOUR, ORIGIN, forecast_of
from pydantic import ValidationError
from receipt_parts import (
    JOB,
    TRAIN,
    TWO_VMS,
    carried_out,
    entry,
    evidence,
    flat,
    hours_of,
    life,
    receipt_of,
)

from functions.domain.accounting.parts import Baseline, MissingHour, SpentOn
from functions.domain.accounting.receipt import saved_fraction
from functions.domain.accounting.regret import Look
from functions.domain.plan.document import Policy
from functions.domain.plan.planner import make_plan
from functions.domain.regions import REGIONS, zones_with_machine


def test_baselines_do_the_same_useful_work() -> None:
    """2 h of useful training at 200 W, one start of 3 minutes where they start."""
    receipt = receipt_of(evidence(*TWO_VMS, flat(DE=400, FR=50)))
    grams = {each.policy: each.emissions_gco2eq for each in receipt.baselines}
    assert grams == {
        Policy.RUN_NOW_HERE: pytest.approx(0.2 * 2.05 * 400),
        Policy.BEST_FIXED_REGION: pytest.approx(0.2 * 2.05 * 50),
        Policy.ORACLE: pytest.approx(0.2 * 2.05 * 50),
    }
    here = receipt.baseline(Policy.RUN_NOW_HERE)
    assert here is not None
    assert here.finish_at == ORIGIN + timedelta(hours=2, minutes=3)
    assert here.compute_zones == ("europe-west3-b",)
    assert saved_fraction(receipt, Policy.RUN_NOW_HERE) == pytest.approx(1 - 195 / 164)


def test_the_oracle_pays_for_its_starts_and_moves() -> None:
    """It takes the two cleanest hours, with a start in each place; it is not free to hop."""
    actual = flat(DE=400, FR=300)
    for zone, hour, level in (("DE", 3, 10.0), ("FR", 9, 20.0)):
        start = ORIGIN + hour * HOUR
        actual[zone][start] = replace(actual[zone][start], gco2eq_per_kwh=level)
    oracle = receipt_of(evidence(*TWO_VMS, actual)).baseline(Policy.ORACLE)
    assert oracle is not None
    assert oracle.compute_zones == ("europe-west3-b", "europe-west9-b")
    # 2 h and 6 min: the six minutes do not fit into the two clean hours.
    assert oracle.emissions_gco2eq == pytest.approx(0.2 * (10 + 20 + 0.1 * 300))


def test_the_oracle_is_not_final_before_the_deadline() -> None:
    """Cleaner hours may come yet; then the receipt stays provisional and claims no regret."""
    actual = flat(DE=400, FR=50)
    known = {
        zone: {at: hour for at, hour in hours.items() if at < ORIGIN + 8 * HOUR}
        for zone, hours in actual.items()
    }
    early = receipt_of(evidence(*TWO_VMS, known), now_h=8)
    oracle = early.baseline(Policy.ORACLE)
    assert oracle is not None
    assert oracle.known_until == ORIGIN + 8 * HOUR
    assert early.complete
    assert early.is_provisional
    assert early.regret is None
    late = receipt_of(evidence(*TWO_VMS, actual), now_h=25, before=early)
    assert not late.is_provisional
    assert late.regret is not None


def test_a_baseline_that_needs_unpublished_hours_is_named_not_guessed() -> None:
    """Here is unknown; the best fixed region is the best known one and not final."""
    actual = flat(DE=400, FR=50)
    del actual["DE"][ORIGIN + HOUR]
    receipt = receipt_of(evidence(*TWO_VMS, actual))
    gap = (MissingHour(grid_zone="DE", start=ORIGIN + HOUR),)
    here, fixed, oracle = receipt.baselines
    assert (here.emissions_gco2eq, here.missing) == (None, gap)
    assert fixed.compute_zones == ("europe-west9-b",)
    assert not fixed.is_final
    assert oracle.missing == gap
    assert oracle.emissions_gco2eq == pytest.approx(0.2 * 2.05 * 50), "it never uses the unknown"
    assert saved_fraction(receipt, Policy.BEST_FIXED_REGION) is None


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(sorted(REGIONS)), min_size=1, max_size=5, unique=True),
    st.sampled_from(["e2-standard-8", "g2-standard-4", "a2-highgpu-1g"]),
    st.randoms(use_true_random=False),
)
def test_only_places_where_the_job_could_run_are_compared_with(
    allowed: list[str], machine_type: str, random: object
) -> None:
    """Whatever is clean elsewhere: each baseline is one way through allowed regions."""
    shuffled = list(REGIONS.values())
    random.shuffle(shuffled)
    actual = flat(**{region.grid_zone: 20.0 * i for i, region in enumerate(shuffled, 1)})
    job = replace(JOB, allowed_regions=tuple(allowed), machine_type=machine_type)
    zone = REGIONS[allowed[0]].primary
    found = evidence(
        [entry(1, zone, [(TRAIN, 1.0, 3.0)], (0, 100))], [life(1, zone, 0.9, 3.1)], actual
    )
    receipt = receipt_of(replace(found, job=job))

    able = {z for name in allowed for z in zones_with_machine(REGIONS[name], machine_type)}
    assert {z for each in receipt.baselines for z in each.compute_zones} <= able
    if able:
        grams = {each.policy: each.emissions_gco2eq for each in receipt.baselines}
        in_allowed = [
            20.0 * (shuffled.index(REGIONS[name]) + 1)
            for name in allowed
            if zones_with_machine(REGIONS[name], machine_type)
        ]
        best = 0.2 * 2.05 * min(in_allowed)
        assert grams[Policy.BEST_FIXED_REGION] == pytest.approx(best)
        assert grams[Policy.ORACLE] == pytest.approx(best)
    else:
        assert receipt.baselines == ()


def test_a_comparison_with_a_place_that_is_not_allowed_cannot_be_made() -> None:
    """The document refuses it, whoever made it."""
    receipt = receipt_of(evidence(*TWO_VMS, flat(DE=400, FR=50)))
    foul = Baseline(
        policy=Policy.BEST_FIXED_REGION,
        compute_zones=("europe-central2-b",),
        finish_at=ORIGIN,
        emissions_gco2eq=1000.0,
    )
    with pytest.raises(ValidationError, match=r"allowed regions.*europe-central2"):
        replace(receipt, baselines=(foul,))


curves = st.lists(st.integers(10, 900).map(float), min_size=24, max_size=24)


@settings(max_examples=25)
@given(curves, curves, st.integers(60, 300))
def test_a_job_run_as_the_oracle_plans_has_no_regret(
    german: list[float], french: list[float], work_min: int
) -> None:
    """Regret is 0 in sum and in both parts, and no baseline is cleaner."""
    job = replace(JOB, work_h=work_min / 60)
    actual = hours_of({"DE": german, "FR": french})
    perfect = forecast_of({"DE": german, "FR": french})
    plan = make_plan(job, perfect, now=ORIGIN, work_left_h=job.work_h, running_in=None)
    found = carried_out(plan, actual, plan.intervals[-1].end)
    looks = (Look(at=ORIGIN, forecast=perfect),)
    receipt = receipt_of(replace(found, job=job, looks=lambda: looks))

    assert receipt.emissions_gco2eq == pytest.approx(plan.expected_gco2eq)
    regret = receipt.regret
    assert regret is not None
    assert regret.total_gco2eq == pytest.approx(0, abs=1e-6)
    assert regret.plans_gco2eq == pytest.approx(0, abs=1e-6)
    assert regret.execution_gco2eq == pytest.approx(0, abs=1e-6)
    for each in receipt.baselines:
        assert each.emissions_gco2eq is not None
        assert receipt.emissions_gco2eq <= each.emissions_gco2eq + 1e-6


def test_regret_is_split_into_forecast_and_execution() -> None:
    """A forecast that errs costs one part, a VM that died the other; they add up."""
    actual = flat(DE=400, FR=200)
    clean = ORIGIN + 10 * HOUR
    for hour in (clean, clean + HOUR, clean + 2 * HOUR):
        actual["FR"][hour] = replace(actual["FR"][hour], gco2eq_per_kwh=20)
    blind = forecast_of({"DE": [400.0] * 24, "FR": [150.0] * 4 + [300.0] * 20})
    # As planned, 2 h in France at once; but a third of an hour was lost on the way.
    ledger = [
        entry(1, "europe-west9-b", [(TRAIN, 0.05, 1.0)], (0, 50), committed=33),
        entry(2, "europe-west9-b", [(TRAIN, 1.05, 2.4)], (33, 100)),
    ]
    lives = [life(1, "europe-west9-b", 0, 1.0), life(2, "europe-west9-b", 1.0, 2.4)]
    found = evidence(ledger, lives, actual, 2.4)
    receipt = receipt_of(replace(found, looks=lambda: (Look(at=ORIGIN, forecast=blind),)))
    regret = receipt.regret
    assert regret is not None
    useful = receipt.useful_h
    planned = 0.2 * (useful + 0.05) * 200
    oracle = 0.2 * (useful + 0.05) * 20
    tolerance = 0.2 * 200 / 60  # plans count whole minutes
    assert regret.plans_gco2eq == pytest.approx(planned - oracle, abs=tolerance)
    assert regret.execution_gco2eq == pytest.approx(0.2 * 2.4 * 200 - planned, abs=tolerance)
    assert regret.plans_gco2eq + regret.execution_gco2eq == pytest.approx(regret.total_gco2eq)


def test_plans_made_anew_are_followed_until_the_next_one() -> None:
    """What the second forecast knew better is used from then on, a running VM goes on."""
    actual = flat(DE=400, FR=100)
    first = forecast_of({"DE": [400.0] * 24, "FR": [100.0] * 24})
    second = forecast_of({"DE": [10.0] * 3 + [950.0] * 21, "FR": [900.0] * 24})
    zone = "europe-west9-b"
    found = evidence(
        [entry(1, zone, [(TRAIN, 0.05, 2.05)], (0, 100))], [life(1, zone, 0, 2.05)], actual, 2.05
    )
    looks = (Look(at=ORIGIN, forecast=first), Look(at=ORIGIN + HOUR, forecast=second))
    regret = receipt_of(replace(found, looks=lambda: looks)).regret
    assert regret is not None
    # One hour in France, of it 57 minutes of work; then a move of 5 minutes and 63 of work.
    planned = 0.2 * (100 + 400 * 68 / 60)
    assert regret.plans_gco2eq == pytest.approx(planned - 0.2 * 2.05 * 100)


def test_without_all_forecasts_regret_is_not_split() -> None:
    """The sum stands; its parts are left unknown rather than guessed."""
    regret = receipt_of(evidence(*TWO_VMS, flat(DE=400, FR=50))).regret
    assert regret is not None
    assert regret.total_gco2eq == pytest.approx(195 - 0.2 * 2.05 * 50)
    assert regret.plans_gco2eq is None
    assert regret.execution_gco2eq is None


def test_money_stands_beside_carbon() -> None:
    """VMs cost from creation to end by the region's price; other ways by the planner's table."""
    receipt = receipt_of(evidence(*TWO_VMS, flat(DE=400, FR=50)))
    # e2-standard-8: 0.345 USD/h in Frankfurt for 2.25 h, 0.311 in Paris for 1.5 h.
    assert receipt.usd == pytest.approx(2.25 * 0.345 + 1.5 * 0.311)
    usd = {each.policy: each.usd for each in receipt.baselines}
    assert usd[Policy.RUN_NOW_HERE] == pytest.approx(2.05 * 0.345)
    assert usd[Policy.BEST_FIXED_REGION] == pytest.approx(2.05 * 0.311)
    assert "2026-07-30" in receipt.price_source
    unknown = replace(JOB, machine_type="n1-standard-8")
    assert receipt_of(replace(evidence(*TWO_VMS, flat(DE=400, FR=50)), job=unknown)).usd is None


def test_the_oracle_is_that_of_carbon_alone() -> None:
    """A job that weighs money is measured against what carbon alone could have had."""
    thrifty = replace(JOB, allowed_regions=("europe-west6", "europe-west1"))
    thrifty = replace(thrifty, price_weight_g_per_usd=1e6)
    actual = flat(CH=50, BE=400)
    zone = "europe-west1-b"
    found = evidence(
        [entry(1, zone, [(TRAIN, 0.05, 2.05)], (0, 100))], [life(1, zone, 0, 2.05)], actual, 2.05
    )
    oracle = receipt_of(replace(found, job=thrifty)).baseline(Policy.ORACLE)
    assert oracle is not None
    assert oracle.compute_zones == ("europe-west6-b",)


def test_the_network_counts_if_the_job_gives_its_factor() -> None:
    """Actual, baselines and plans count it alike: run as planned there is still no regret."""
    job = replace(JOB, state_gb=10.0, network_kwh_per_gb=0.01)
    levels = {"DE": [400.0] * 24, "FR": [100.0] * 24}
    perfect = forecast_of(levels)
    plan = make_plan(job, perfect, now=ORIGIN, work_left_h=2.0, running_in=None)
    found = carried_out(plan, hours_of(levels), plan.intervals[-1].end)
    looks = (Look(at=ORIGIN, forecast=perfect),)
    receipt = receipt_of(replace(found, job=job, looks=lambda: looks))
    assert receipt.spent_on(SpentOn.NETWORK) == (pytest.approx(0.1), pytest.approx(10.0))
    assert receipt.emissions_gco2eq == pytest.approx(0.2 * 2.05 * 100 + 0.1 * 100)
    assert receipt.regret is not None
    assert receipt.regret.plans_gco2eq == pytest.approx(0, abs=1e-6)
    assert receipt.regret.execution_gco2eq == pytest.approx(0, abs=1e-6)


def test_a_job_that_is_over_before_its_first_hour_is_published_waits_for_it() -> None:
    """Settled within the hour in which it ran: its receipt is provisional, and no error."""
    found = evidence(
        [entry(1, "europe-west3-b", [(TRAIN, 0.1, 0.4)], (0, 100))],
        [life(1, "europe-west3-b", 0.05, 0.45)],
        {},
    )

    receipt = receipt_of(found, now_h=0.5)

    oracle = receipt.baseline(Policy.ORACLE)
    assert receipt.is_provisional
    assert oracle is None or oracle.emissions_gco2eq is None
