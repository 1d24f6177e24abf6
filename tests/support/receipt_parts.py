"""Ledgers, lifetimes and carbon from a few numbers, for tests of receipts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from planning_world import HOUR, ORIGIN, job_of

from forecaster.series import Basis, IntensityHour
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.receipt import Evidence, make_receipt
from functions.domain.lifecycle.state import Phase
from functions.domain.plan.document import Plan
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest
from vm_runtime.contract.ledger import LedgerEntry, Segment, SegmentKind, VmLifetime

POWER_KW = 0.2
JOB = job_of(allowed_regions=("europe-west3", "europe-west9"), work_h=2.0)
Parts = Sequence[tuple[SegmentKind, float, float]]
Hours = dict[str, dict[datetime, IntensityHour]]

TRAIN, LOAD, CHECKPOINT = SegmentKind.TRAIN, SegmentKind.LOAD, SegmentKind.CHECKPOINT


def hours_of(curves: Mapping[str, Sequence[float]]) -> Hours:
    """Return hours from the origin on by grid zone, gCO2eq/kWh."""
    return {
        zone: {
            ORIGIN + number * HOUR: IntensityHour(
                start=ORIGIN + number * HOUR, gco2eq_per_kwh=level
            )
            for number, level in enumerate(levels)
        }
        for zone, levels in curves.items()
    }


def flat(**levels: float) -> Hours:
    """Return 48 flat hours by grid zone, gCO2eq/kWh."""
    return hours_of({zone: [level] * 48 for zone, level in levels.items()})


def entry(  # noqa: PLR0913 - what differs between VMs
    incarnation: int,
    zone: str,
    parts: Parts,
    steps: tuple[int, int],
    committed: int | None = None,
    *,
    power_kw: float = POWER_KW,
    measured: float = 0.0,
) -> LedgerEntry:
    """Return an entry with `parts` as (kind, begin, end), hours after the origin."""
    segments = tuple(
        Segment(
            kind=kind,
            start=ORIGIN + begin * HOUR,
            end=ORIGIN + end * HOUR,
            energy_kwh=power_kw * (end - begin),
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
        energy_measured_kwh=measured * sum(segment.energy_kwh for segment in segments),
    )


def life(incarnation: int, zone: str, begin_h: float, end_h: float) -> VmLifetime:
    """Return a VM's life, hours after the origin."""
    return VmLifetime(
        job_id="digits",
        vm=f"ss-digits-{incarnation}",
        incarnation=incarnation,
        compute_zone=zone,
        created_at=ORIGIN + begin_h * HOUR,
        terminated_at=ORIGIN + end_h * HOUR,
    )


def manifest_at(time: datetime, step: int = 100) -> CheckpointManifest:
    """Return the manifest of the last checkpoint."""
    return CheckpointManifest(
        checkpoint_id=f"{step:010d}-000002",
        job_id="digits",
        step=step,
        incarnation=2,
        created_at=time,
        files=(CheckpointFile(name="state.pt", size_bytes=1, sha256="0" * 64),),
        finished=True,
        weights_sha256="a" * 64,
        torch_version="2",
        runtime_version="0",
    )


def evidence(
    ledger: Sequence[LedgerEntry],
    lifetimes: Sequence[VmLifetime],
    actual: Hours,
    finished_h: float = 6.5,
) -> Evidence:
    """Return what a receipt of the finished job is made from."""
    finished_at = ORIGIN + finished_h * HOUR
    return Evidence(
        job=JOB,
        outcome=Phase.FINISHED,
        closed_at=finished_at,
        manifest=manifest_at(finished_at),
        ledger=ledger,
        lifetimes=lifetimes,
        actual=actual,
        basis=Basis.LIFECYCLE,
        source="simulated (test)",
    )


def receipt_of(found: Evidence, *, now_h: float = 24, before: Receipt | None = None) -> Receipt:
    """Return the receipt made so many hours after the origin: at the deadline, if not said."""
    return make_receipt(found, now=ORIGIN + now_h * HOUR, before=before)


TWO_VMS = (
    [
        # Died at step 60; step 40 was the last one committed: a third of 1.5 h is lost.
        entry(1, "europe-west3-b", [(LOAD, 0.75, 1.0), (TRAIN, 1.0, 2.5)], (0, 60), committed=40),
        entry(2, "europe-west9-b", [(TRAIN, 5.0, 6.0), (CHECKPOINT, 6.0, 6.5)], (40, 100)),
    ],
    [
        # Created a quarter of an hour before its first line, dead a quarter after its last.
        life(1, "europe-west3-b", 0.5, 2.75),
        life(2, "europe-west9-b", 5.0, 6.5),
    ],
)


def carried_out(plan: Plan, actual: Hours, finished_at: datetime) -> Evidence:
    """Return the evidence of a job whose VMs did exactly what the plan says."""
    ledger, lifetimes = [], []
    total = sum(interval.work_h for interval in plan.intervals)
    done = 0.0
    for number, interval in enumerate(plan.intervals, 1):
        begin, end = (interval.start - ORIGIN) / HOUR, (interval.end - ORIGIN) / HOUR
        steps = round(1000 * done / total), round(1000 * (done + interval.work_h) / total)
        done += interval.work_h
        parts: list[tuple[SegmentKind, float, float]] = [
            (LOAD, begin, end - interval.work_h),
            (TRAIN, end - interval.work_h, end),
        ]
        ledger.append(entry(number, interval.compute_zone, parts, steps))
        lifetimes.append(life(number, interval.compute_zone, begin, end))
    found = evidence(ledger, lifetimes, actual)
    return replace(found, closed_at=finished_at, manifest=manifest_at(finished_at, step=1000))
