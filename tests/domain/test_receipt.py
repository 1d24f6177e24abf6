"""Receipts: every watt-second is somewhere, nothing unknown counts as clean, all adds up."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import HOUR, MINUTE, ORIGIN
from receipt_parts import (
    CHECKPOINT,
    JOB,
    LOAD,
    TRAIN,
    TWO_VMS,
    Hours,
    entry,
    evidence,
    flat,
    hours_of,
    life,
    receipt_of,
)

from forecaster.series import IntensityHour
from functions.domain.accounting.energy import Stretch, rows_of
from functions.domain.accounting.parts import MissingHour, SpentOn
from functions.domain.accounting.receipt import Evidence, saved_fraction
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Policy
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind, VmLifetime


def test_hand_checked_receipt() -> None:
    """Two VMs: 2.25 h in Germany at 400 and 1.5 h in France at 50, at 200 W."""
    receipt = receipt_of(evidence(*TWO_VMS, flat(DE=400, FR=50)))
    assert receipt.emissions_gco2eq == pytest.approx(0.2 * (2.25 * 400 + 1.5 * 50))
    assert receipt.energy_kwh == pytest.approx(0.2 * 3.75)
    spent_h = {kind: receipt.spent_on(kind)[0] / 0.2 for kind in SpentOn}
    assert spent_h == {
        SpentOn.TRAINING: pytest.approx(2.0),
        SpentOn.BOOT: pytest.approx(0.25),
        SpentOn.RESTORE: pytest.approx(0.25),
        SpentOn.CHECKPOINT: pytest.approx(0.5),
        SpentOn.SHUTDOWN: pytest.approx(0.25),
        SpentOn.LOST: pytest.approx(0.5),
        SpentOn.IDLE: 0.0,
        SpentOn.MOVE: 0.0,
        SpentOn.NETWORK: 0.0,
    }
    assert [(h.start, h.grid_zone, round(h.energy_kwh, 9)) for h in receipt.hours] == [
        (ORIGIN, "DE", 0.1),
        (ORIGIN + HOUR, "DE", 0.2),
        (ORIGIN + 2 * HOUR, "DE", 0.15),
        (ORIGIN + 5 * HOUR, "FR", 0.2),
        (ORIGIN + 6 * HOUR, "FR", 0.1),
    ]
    assert (receipt.lost_steps, receipt.vms, receipt.moves) == (20, 2, 1)
    assert not receipt.is_provisional


def test_the_lost_part_is_what_was_done_last() -> None:
    """The steps that died with a VM are in its last hour, not spread over its life."""
    receipt = receipt_of(evidence(*TWO_VMS, flat(DE=400, FR=50)))
    lost = [row for row in receipt.rows if row.kind is SpentOn.LOST]
    assert [(row.hour, row.duration_s) for row in lost] == [(ORIGIN + 2 * HOUR, 1800.0)]


def test_a_successor_that_boots_while_its_source_runs_is_a_move() -> None:
    """Its boot, restore and waiting are the price of moving, not of a start."""
    ledger = [
        entry(1, "europe-west3-b", [(TRAIN, 1.0, 2.0)], (0, 50)),
        entry(2, "europe-west9-b", [(LOAD, 1.9, 2.0), (TRAIN, 2.0, 3.0)], (50, 100)),
    ]
    lives = [life(1, "europe-west3-b", 1.0, 2.1), life(2, "europe-west9-b", 1.8, 3.0)]
    receipt = receipt_of(evidence(ledger, lives, flat(DE=400, FR=50), 3.0))
    assert receipt.spent_on(SpentOn.MOVE)[0] == pytest.approx(0.2 * 0.2)
    assert receipt.spent_on(SpentOn.BOOT)[0] == receipt.spent_on(SpentOn.RESTORE)[0] == 0


def test_a_successor_in_the_same_place_or_after_a_pause_is_a_start() -> None:
    """A move is to another place, and from a VM that is still up."""
    ledger = [
        entry(1, "europe-west3-b", [(TRAIN, 1.0, 2.0)], (0, 40)),
        entry(2, "europe-west3-b", [(TRAIN, 2.1, 3.0)], (40, 80)),
        entry(3, "europe-west9-b", [(TRAIN, 4.1, 5.0)], (80, 100)),
    ]
    lives = [
        life(1, "europe-west3-b", 0.9, 2.1),
        life(2, "europe-west3-b", 2.0, 3.0),
        life(3, "europe-west9-b", 4.0, 5.0),
    ]
    receipt = receipt_of(evidence(ledger, lives, flat(DE=400, FR=50), 5.0))
    assert receipt.spent_on(SpentOn.MOVE)[0] == 0
    assert receipt.spent_on(SpentOn.BOOT)[0] == pytest.approx(0.2 * 0.3)


def test_a_vm_that_never_spoke_is_all_overhead() -> None:
    """A VM that booked nothing drew power from creation to its end."""
    ledger, lifetimes = TWO_VMS
    silent = life(3, "europe-west9-b", 7.0, 8.0)
    receipt = receipt_of(evidence(ledger, [*lifetimes, silent], flat(DE=400, FR=50)))
    assert receipt.overhead_kwh == pytest.approx(0.2 * 2.75)
    assert receipt.vms == 3


def test_a_vm_whose_end_nobody_saw_is_counted_and_marked() -> None:
    """Deleted by a person: its own words count, and a boot as long as the plan's start."""
    ledger, lifetimes = TWO_VMS
    receipt = receipt_of(evidence(ledger, lifetimes[1:], flat(DE=400, FR=50)))
    gone, seen = receipt.intervals
    assert (gone.is_assumed, seen.is_assumed) == (True, False)
    booted = ORIGIN + 0.75 * HOUR - timedelta(seconds=JOB.start_overhead_s)
    assert (gone.start, gone.end) == (booted, ORIGIN + 2.5 * HOUR)
    assert gone.energy_kwh == pytest.approx(0.2 * (1.75 + 180 / 3600))


def test_steps_are_lost_only_if_they_were_done_again() -> None:
    """A VM that died while it loaded says nothing about where its successor resumed."""
    ledger = [
        entry(1, "europe-west3-b", [(TRAIN, 1.0, 2.0)], (0, 60), committed=40),
        entry(2, "europe-west3-b", [(LOAD, 2.0, 3.0)], (0, 0)),
        entry(3, "europe-west3-b", [(TRAIN, 3.0, 4.0)], (60, 100)),
    ]
    assert receipt_of(evidence(ledger, [], flat(DE=400))).lost_steps == 0


def test_a_rollback_loses_the_steps_of_all_vms_above_it() -> None:
    """If a later VM resumes further back, what lies above is lost, whoever did it."""
    ledger = [
        entry(1, "europe-west3-b", [(TRAIN, 1.0, 2.0)], (0, 50)),
        entry(2, "europe-west3-b", [(TRAIN, 2.0, 3.0)], (50, 80)),
        entry(3, "europe-west3-b", [(TRAIN, 3.0, 4.0)], (40, 100)),
    ]
    lives = [life(n, "europe-west3-b", n, n + 1) for n in (1, 2, 3)]
    receipt = receipt_of(evidence(ledger, lives, flat(DE=400)))
    assert receipt.lost_steps == 10 + 30
    assert receipt.overhead_kwh == pytest.approx(0.2 * (0.2 + 1.0))


def test_a_failed_job_has_a_receipt_without_comparisons() -> None:
    """What it emitted is told; work that was never finished cannot be had for less."""
    ledger, lifetimes = TWO_VMS
    found = evidence(ledger[:1], lifetimes[:1], flat(DE=400, FR=50))
    for manifest in (None, replace(found.manifest, step=40, finished=False)):
        receipt = receipt_of(replace(found, outcome=Phase.FAILED, manifest=manifest))
        assert receipt.emissions_gco2eq == pytest.approx(0.2 * 2.25 * 400)
        assert receipt.baselines == ()
        assert receipt.regret is None
        assert receipt.useful_h == pytest.approx(0.0 if manifest is None else 1.0)
    nothing = evidence([], [], flat(DE=400))
    assert receipt_of(replace(nothing, outcome=Phase.FAILED, manifest=None)).energy_kwh == 0


def test_measured_energy_is_told_apart_and_sets_the_power_of_baselines() -> None:
    """A machine that drew half of what was declared would have drawn half elsewhere, too."""
    half = [entry(1, "europe-west3-b", [(TRAIN, 0.0, 2.0)], (0, 100), power_kw=0.1, measured=0.8)]
    receipt = receipt_of(evidence(half, [life(1, "europe-west3-b", 0, 2.5)], flat(DE=400, FR=50)))
    assert receipt.measured_kwh == pytest.approx(0.8 * 0.2)
    assert receipt.energy_kwh == pytest.approx(0.2 + 0.2 * 0.5)
    assert receipt.power_w == pytest.approx(100)
    here = receipt.baseline(Policy.RUN_NOW_HERE)
    assert here is not None
    assert here.emissions_gco2eq == pytest.approx(0.1 * 2.05 * 400)
    oracle = receipt.baseline(Policy.ORACLE)
    assert oracle is not None
    assert oracle.emissions_gco2eq == pytest.approx(0.1 * 2.05 * 50)


def test_with_hours_missing_no_saving_is_claimed() -> None:
    """Part of the emissions unknown would make every saving too high, and every regret too low."""
    actual = flat(DE=400, FR=50)
    del actual["FR"][ORIGIN + 6 * HOUR]
    receipt = receipt_of(evidence(*TWO_VMS, actual))
    assert receipt.baseline(Policy.RUN_NOW_HERE) is not None
    assert receipt.regret is None
    assert all(saved_fraction(receipt, policy) is None for policy in Policy)


levels = st.floats(0, 1000)
Course = tuple[list[LedgerEntry], list[VmLifetime]]


def unfinished(course: Course, actual: Hours) -> Evidence:
    """Return the evidence of a job that failed: all is counted, nothing planned anew."""
    return replace(evidence(*course, actual), outcome=Phase.FAILED)


@st.composite
def _courses(draw: st.DrawFn) -> Course:
    """Draw up to four VMs after each other, some silent, some without a lifetime."""
    ledger: list[LedgerEntry] = []
    lives: list[VmLifetime] = []
    at, step = 1.0, 0
    for number in range(1, draw(st.integers(1, 4)) + 1):
        zone = draw(st.sampled_from(["europe-west3-b", "europe-west9-b"]))
        at += draw(st.floats(0, 3))
        begin = at
        parts: list[tuple[SegmentKind, float, float]] = []
        for kind in draw(st.lists(st.sampled_from([LOAD, TRAIN, CHECKPOINT]), max_size=4)):
            length = draw(st.floats(0.01, 2))
            parts.append((kind, at, at + length))
            at += length + draw(st.sampled_from([0.0, 0.1]))
        if parts:
            gained = draw(st.integers(0, 40)) if any(k is TRAIN for k, _, _ in parts) else 0
            first = max(step - draw(st.sampled_from([0, 0, 10])), 0)
            ledger.append(entry(number, zone, parts, (first, first + gained)))
            step = first + gained
        if not parts or draw(st.booleans()):
            lives.append(life(number, zone, begin - 0.1, at + 0.1))
    return ledger, lives


@settings(max_examples=60)
@given(_courses(), st.lists(levels, min_size=48, max_size=48), st.sets(st.integers(0, 47)))
def test_totals_are_the_sums_of_rows_hours_and_intervals(
    course: Course, curve: list[float], gaps: set[int]
) -> None:
    """However one adds up, it is the same total; training and overheads are all there is."""
    actual = hours_of({"DE": curve, "FR": curve[::-1]})
    for gap in gaps:
        actual["DE"].pop(ORIGIN + gap * HOUR)
    receipt = receipt_of(unfinished(course, actual))

    known = [row for row in receipt.rows if row.gco2eq_per_kwh is not None]
    by_hand = sum(row.energy_kwh * row.gco2eq_per_kwh for row in known)
    assert receipt.emissions_gco2eq == pytest.approx(by_hand)
    assert sum(hour.emissions_gco2eq for hour in receipt.hours) == pytest.approx(by_hand)
    assert sum(i.energy_kwh for i in receipt.intervals) == pytest.approx(receipt.energy_kwh)
    assert sum(i.overhead_kwh for i in receipt.intervals) == pytest.approx(receipt.overhead_kwh)
    spent = {kind: receipt.spent_on(kind) for kind in SpentOn}
    training = spent[SpentOn.TRAINING][0]
    assert training + receipt.overhead_kwh == pytest.approx(receipt.energy_kwh)
    assert sum(grams for _, grams in spent.values()) == pytest.approx(by_hand)
    if receipt.complete:
        grams = [interval.emissions_gco2eq for interval in receipt.intervals]
        assert sum(grams) == pytest.approx(by_hand)
    booked = sum(s.energy_kwh for each in course[0] for s in each.segments)
    assert receipt.energy_kwh >= booked - 1e-9


@settings(max_examples=60)
@given(_courses(), st.sets(st.integers(0, 47), min_size=1))
def test_missing_hours_are_named_and_never_counted_as_nothing(
    course: Course, gaps: set[int]
) -> None:
    """What is not published is in no sum, stays provisional, and no saving is claimed."""
    whole = receipt_of(unfinished(course, flat(DE=400, FR=50)))
    actual = flat(DE=400, FR=50)
    for gap in gaps:
        actual["DE"].pop(ORIGIN + gap * HOUR)
    receipt = receipt_of(unfinished(course, actual))

    removed = {ORIGIN + gap * HOUR for gap in gaps}
    hit = [row for row in whole.rows if row.grid_zone == "DE" and row.hour in removed]
    assert set(receipt.missing) >= {MissingHour(grid_zone="DE", start=row.hour) for row in hit}
    assert receipt.energy_kwh == pytest.approx(whole.energy_kwh)
    lost = sum(row.energy_kwh * 400 for row in hit)
    assert receipt.emissions_gco2eq == pytest.approx(whole.emissions_gco2eq - lost)
    assert receipt.is_provisional == bool(hit)


@settings(max_examples=60)
@given(
    _courses(),
    st.lists(levels, min_size=48, max_size=48),
    st.lists(st.none() | levels, min_size=48, max_size=48),
)
def test_replaced_estimates_change_the_receipt_by_exactly_the_difference(
    course: Course, first: list[float], later: list[float | None]
) -> None:
    """The revision says by how much, and the old total plus it is the new one."""
    draft = hours_of({"DE": first, "FR": first})
    draft["DE"] = {at: replace(hour, estimated=True) for at, hour in draft["DE"].items()}
    before = receipt_of(unfinished(course, draft))
    final = {zone: dict(hours) for zone, hours in draft.items()}
    for number, level in enumerate(later):
        at = ORIGIN + number * HOUR
        if level is not None:
            final["DE"][at] = IntensityHour(start=at, gco2eq_per_kwh=level)
    after = receipt_of(unfinished(course, final), now_h=48, before=before)

    difference = sum(
        row.energy_kwh * (final["DE"][row.hour].gco2eq_per_kwh - row.gco2eq_per_kwh)
        for row in before.rows
        if row.grid_zone == "DE" and row.gco2eq_per_kwh is not None
    )
    assert after.emissions_gco2eq - before.emissions_gco2eq == pytest.approx(difference, abs=1e-6)
    if len(after.revisions) > 1:
        last = after.revisions[-1]
        assert last.revised_gco2eq == pytest.approx(difference, abs=1e-6)
        assert last.change_gco2eq == pytest.approx(difference, abs=1e-6)
    else:
        assert difference == pytest.approx(0, abs=1e-9)


def test_hours_published_later_are_told_apart_from_values_replaced() -> None:
    """A receipt grows by what was missing, changes by what was estimated, and says which."""
    actual = flat(DE=400, FR=50)
    late = ORIGIN + HOUR
    draft = {"DE": dict(actual["DE"]), "FR": actual["FR"]}
    del draft["DE"][late]
    draft["DE"][ORIGIN] = IntensityHour(start=ORIGIN, gco2eq_per_kwh=300, estimated=True)
    first = receipt_of(evidence(*TWO_VMS, draft))
    second = receipt_of(evidence(*TWO_VMS, actual), now_h=30, before=first)
    third = receipt_of(evidence(*TWO_VMS, actual), now_h=50, before=second)

    assert first.missing == (MissingHour(grid_zone="DE", start=late),)
    assert first.estimated_hours == 1
    assert second.revisions[-1].published_gco2eq == pytest.approx(0.2 * 400)
    assert second.revisions[-1].revised_gco2eq == pytest.approx(0.1 * 100)
    assert second.revisions[-1].booked_gco2eq == pytest.approx(0)
    assert third is second


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.floats(0, 3000), st.floats(0.01, 600), st.floats(0, 5)),
        min_size=1,
        max_size=5,
    )
)
def test_hours_add_up_to_the_whole(parts: list[tuple[float, float, float]]) -> None:
    """Splitting by hour neither loses nor doubles energy or time, and keeps each in its hours."""
    stretches = [
        Stretch(
            incarnation=1,
            compute_zone="europe-west3-b",
            kind=SpentOn.TRAINING,
            start=ORIGIN + begin * MINUTE,
            end=ORIGIN + (begin + length) * MINUTE,
            energy_kwh=energy,
        )
        for begin, length, energy in parts
    ]
    rows = rows_of(stretches, {})
    assert sum(row.energy_kwh for row in rows) == pytest.approx(sum(p[2] for p in parts))
    assert sum(row.duration_s for row in rows) == pytest.approx(60 * sum(p[1] for p in parts))
    first, last = min(s.start for s in stretches), max(s.end for s in stretches)
    assert all(first - HOUR < row.hour < last for row in rows)
