"""Receipts: every watt-second is somewhere, and nothing unknown counts as clean."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import HOUR, MINUTE, ORIGIN, job_of

from forecaster.series import Basis, IntensityHour
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.energy import Stretch, by_hour
from functions.domain.accounting.receipt import make_receipt, saved_fraction
from functions.domain.plan.document import Policy
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest
from vm_runtime.contract.ledger import LedgerEntry, Segment, SegmentKind, VmLifetime

POWER_KW = 0.2
JOB = job_of(allowed_regions=("europe-west3", "europe-west9"), work_h=2.0)
Parts = list[tuple[SegmentKind, float, float]]


def _actual(**levels: float) -> dict[str, dict[datetime, IntensityHour]]:
    """Return 48 flat hours by grid zone, gCO2eq/kWh."""
    starts = [ORIGIN + hour * HOUR for hour in range(48)]
    return {
        zone: {start: IntensityHour(start=start, gco2eq_per_kwh=level) for start in starts}
        for zone, level in levels.items()
    }


def _entry(
    incarnation: int, zone: str, parts: Parts, steps: tuple[int, int], committed: int | None = None
) -> LedgerEntry:
    """Return an entry with `parts` as (kind, begin, end), hours after the origin."""
    segments = tuple(
        Segment(
            kind=kind,
            start=ORIGIN + begin * HOUR,
            end=ORIGIN + end * HOUR,
            energy_kwh=POWER_KW * (end - begin),
        )
        for kind, begin, end in parts
    )
    return LedgerEntry(
        job_id="digits",
        vm=f"ss-digits-{incarnation}",
        incarnation=incarnation,
        compute_zone=zone,
        started_at=segments[0].start,
        updated_at=segments[-1].end,
        segments=segments,
        first_step=steps[0],
        last_step=steps[1],
        committed_step=steps[1] if committed is None else committed,
        energy_basis="declared power 200 W x time",
    )


def _life(incarnation: int, zone: str, begin_h: float, end_h: float) -> VmLifetime:
    return VmLifetime(
        job_id="digits",
        vm=f"ss-digits-{incarnation}",
        incarnation=incarnation,
        compute_zone=zone,
        created_at=ORIGIN + begin_h * HOUR,
        terminated_at=ORIGIN + end_h * HOUR,
    )


def _receipt(
    ledger: list[LedgerEntry],
    lifetimes: list[VmLifetime],
    actual: Mapping[str, Mapping[datetime, IntensityHour]],
    finished_h: float = 6.5,
) -> Receipt:
    manifest = CheckpointManifest(
        checkpoint_id="0000000100-000002",
        job_id="digits",
        step=100,
        incarnation=2,
        created_at=ORIGIN + finished_h * HOUR,
        files=(CheckpointFile(name="state.pt", size_bytes=1, sha256="0" * 64),),
        finished=True,
        weights_sha256="a" * 64,
        torch_version="2",
        runtime_version="0",
    )
    return make_receipt(
        JOB,
        ledger,
        lifetimes,
        actual=actual,
        manifest=manifest,
        basis=Basis.LIFECYCLE,
        source="simulated (test)",
        now=ORIGIN + 24 * HOUR,
    )


TRAIN, LOAD, CHECKPOINT = SegmentKind.TRAIN, SegmentKind.LOAD, SegmentKind.CHECKPOINT
TWO_VMS = (
    [
        # Died at step 60; step 40 was the last one committed: a third of 1.5 h is lost.
        _entry(1, "europe-west3-b", [(LOAD, 0.75, 1.0), (TRAIN, 1.0, 2.5)], (0, 60), committed=40),
        _entry(2, "europe-west9-b", [(TRAIN, 5.0, 6.0), (CHECKPOINT, 6.0, 6.5)], (40, 100)),
    ],
    [
        # Created a quarter of an hour before its first line, dead a quarter after its last.
        _life(1, "europe-west3-b", 0.5, 2.75),
        _life(2, "europe-west9-b", 5.0, 6.5),
    ],
)


def test_hand_checked_receipt() -> None:
    """Two VMs: 2.25 h in Germany at 400 and 1.5 h in France at 50, at 200 W."""
    receipt = _receipt(*TWO_VMS, _actual(DE=400, FR=50))
    assert receipt.emissions_gco2eq == pytest.approx(0.2 * (2.25 * 400 + 1.5 * 50))
    assert receipt.energy_kwh == pytest.approx(0.2 * 3.75)
    # Boot, load and death 0.75 h, lost steps 0.5 h, checkpoint 0.5 h.
    assert receipt.overhead_kwh == pytest.approx(0.2 * 1.75)
    assert [(h.start, h.grid_zone, round(h.energy_kwh, 9)) for h in receipt.hours] == [
        (ORIGIN, "DE", 0.1),
        (ORIGIN + HOUR, "DE", 0.2),
        (ORIGIN + 2 * HOUR, "DE", 0.15),
        (ORIGIN + 5 * HOUR, "FR", 0.2),
        (ORIGIN + 6 * HOUR, "FR", 0.1),
    ]
    assert (receipt.lost_steps, receipt.vms, receipt.moves) == (20, 2, 1)
    assert receipt.complete


def test_baselines_do_the_same_useful_work() -> None:
    """2 h of useful training at 200 W, one start of 3 minutes where they start."""
    receipt = _receipt(*TWO_VMS, _actual(DE=400, FR=50))
    grams = {each.policy: each.emissions_gco2eq for each in receipt.baselines}
    assert grams == {
        Policy.RUN_NOW_HERE: pytest.approx(0.2 * 2.05 * 400),
        Policy.BEST_FIXED_REGION: pytest.approx(0.2 * 2.05 * 50),
        Policy.BOUND: pytest.approx(0.2 * 2 * 50),
    }
    here = receipt.baseline(Policy.RUN_NOW_HERE)
    assert here is not None
    assert here.finish_at == ORIGIN + timedelta(hours=2, minutes=3)
    assert here.compute_zones == ("europe-west3-b",)
    assert saved_fraction(receipt, Policy.RUN_NOW_HERE) == pytest.approx(1 - 195 / 164)


def test_bound_knows_the_cleanest_moments() -> None:
    """The bound hops to the cleanest known hours until the deadline, all free."""
    actual = _actual(DE=400, FR=50)
    for zone, hour, level in (("DE", 3, 10.0), ("FR", 9, 20.0)):
        start = ORIGIN + hour * HOUR
        actual[zone][start] = IntensityHour(start=start, gco2eq_per_kwh=level)
    bound = _receipt(*TWO_VMS, actual).baseline(Policy.BOUND)
    assert bound is not None
    assert bound.emissions_gco2eq == pytest.approx(0.2 * (10 + 20))
    assert bound.compute_zones == ("europe-west3-b", "europe-west9-b")
    assert bound.finish_at == ORIGIN + 10 * HOUR


def test_unknown_hours_are_counted_never_clean() -> None:
    """An hour without intensity is missing from the sums and named, and no saving is claimed."""
    actual = _actual(DE=400, FR=50)
    del actual["DE"][ORIGIN + HOUR]
    receipt = _receipt(*TWO_VMS, actual)
    assert not receipt.complete
    assert receipt.missing_hours == 1
    assert receipt.energy_kwh == pytest.approx(0.2 * 2.75)
    assert receipt.baseline(Policy.RUN_NOW_HERE) is None
    fixed = receipt.baseline(Policy.BEST_FIXED_REGION)
    assert fixed is not None
    assert fixed.compute_zones == ("europe-west9-b",)
    assert saved_fraction(receipt, Policy.BEST_FIXED_REGION) is None


def test_a_vm_that_never_spoke_is_all_overhead() -> None:
    """A VM that booked nothing drew power from creation to its end."""
    ledger, lifetimes = TWO_VMS
    silent = _life(3, "europe-west9-b", 7.0, 8.0)
    receipt = _receipt(ledger, [*lifetimes, silent], _actual(DE=400, FR=50))
    assert receipt.overhead_kwh == pytest.approx(0.2 * 2.75)
    assert receipt.vms == 3


def test_steps_are_lost_only_if_they_were_done_again() -> None:
    """A VM that died while it loaded says nothing about where its successor resumed."""
    ledger = [
        _entry(1, "europe-west3-b", [(TRAIN, 1.0, 2.0)], (0, 60), committed=40),
        _entry(2, "europe-west3-b", [(LOAD, 2.0, 3.0)], (0, 0)),
        _entry(3, "europe-west3-b", [(TRAIN, 3.0, 4.0)], (60, 100)),
    ]
    assert _receipt(ledger, [], _actual(DE=400)).lost_steps == 0


def test_a_rollback_loses_the_steps_of_all_vms_above_it() -> None:
    """If a later VM resumes further back, what lies above is lost, whoever did it."""
    ledger = [
        _entry(1, "europe-west3-b", [(TRAIN, 1.0, 2.0)], (0, 50)),
        _entry(2, "europe-west3-b", [(TRAIN, 2.0, 3.0)], (50, 80)),
        _entry(3, "europe-west3-b", [(TRAIN, 3.0, 4.0)], (40, 100)),
    ]
    receipt = _receipt(ledger, [], _actual(DE=400))
    assert receipt.lost_steps == 10 + 30
    assert receipt.overhead_kwh == pytest.approx(0.2 * (0.2 + 1.0))


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.floats(0, 3000), st.floats(0.01, 600), st.floats(0, 5), st.floats(0, 1)),
        min_size=1,
        max_size=5,
    )
)
def test_hours_add_up_to_the_whole(parts: list[tuple[float, float, float, float]]) -> None:
    """Splitting by hour neither loses nor doubles energy, and keeps each part in its hours."""
    stretches = [
        Stretch(
            compute_zone="europe-west3-b",
            start=ORIGIN + begin * MINUTE,
            end=ORIGIN + (begin + length) * MINUTE,
            energy_kwh=energy,
            overhead_kwh=energy * share,
        )
        for begin, length, energy, share in parts
    ]
    hours = by_hour(stretches)
    assert sum(h.energy_kwh for h in hours.values()) == pytest.approx(sum(p[2] for p in parts))
    assert sum(h.overhead_kwh for h in hours.values()) == pytest.approx(
        sum(p[2] * p[3] for p in parts)
    )
    first, last = min(s.start for s in stretches), max(s.end for s in stretches)
    assert all(first - HOUR < start < last for start, _ in hours)
