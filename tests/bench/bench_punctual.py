"""How punctual work starts and VMs go down, with real functions, real boots and real training.

On the embedded cloud, whose clock runs faster: what a process really takes counts as many times
as long, so the figures are an upper bound of what the control plane itself adds.
"""

import logging
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep

from figure import Figure
from punctuality import quantile

import vm_runtime.examples.digits
from functions.domain.lifecycle.state import JobState
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan, PlannedInterval
from functions.handlers.documents import Documents
from functions.handlers.open_jobs import open_job
from functions.local.alarm import LocalAlarm
from functions.local.cloud import EmbeddedCloud
from functions.local.vm_states import Delays
from vm_runtime.contract import object_names
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind, VmLifetime
from vm_runtime.storage.port import BlobStore

SPEED = 15.0
START = datetime(2025, 5, 22, 7, tzinfo=UTC)
JOBS = 2
LENGTH = timedelta(minutes=15)
PLACES = (("europe-west3-b", "DE"), ("europe-southwest1-c", "ES"), ("europe-west2-b", "GB"))
PATIENCE = timedelta(minutes=15)
"""A VM that is down is booked by the next message, at latest by the heartbeat."""
DELAYS = Delays(provisioning_s=20, staging_s=20, stopping_s=20)
SCRIPT = Path(vm_runtime.examples.digits.__file__)
TIMING = Timing()


def punctual_figures() -> Iterator[Figure]:
    """Two jobs, three intervals each, every one in another region: real processes."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        starts_s, ends_s = _measured(Path(folder))
    logging.disable(logging.NOTSET)
    for what, spans, bar in (
        ("interval's start to first step", starts_s, "30 s"),
        ("interval's end to VM down", ends_s, "120 s"),
    ):
        half, most = quantile(spans, 0.5), quantile(spans, 0.95)
        yield Figure(
            what=f"{what}, real processes, clock {SPEED:.0f} x (bar {bar})",
            ours=f"p50 {half:.0f} s, p95 {most:.0f} s of {len(spans)}",
        )


def _measured(folder: Path) -> tuple[list[float], list[float]]:
    cloud = EmbeddedCloud(
        folder,
        speed=SPEED,
        start_at=START,
        timing=TIMING,
        delays=DELAYS,
        standbys=3,
        forecast_every_s=86_400,  # the plans are written here
    )
    with cloud:
        documents = Documents(cloud.store)
        plans = [_put(cloud.store, f"job-{number}", START + LENGTH) for number in range(JOBS)]
        _aim(LocalAlarm(cloud.url, cloud.key), plans)
        over = max(plan.intervals[-1].end for plan in plans) + PATIENCE
        while not _is_booked(documents, plans) and cloud.clock.now() < over:
            sleep(0.5)
        spans = [each for plan in plans for each in _spans(documents, plan)]
    return [start_s for start_s, _ in spans], [end_s for _, end_s in spans]


def _put(store: BlobStore, job_id: str, start: datetime) -> Plan:
    """Put in a job with a plan that moves it twice; it has work for longer."""
    documents = Documents(store)
    job = Job(
        job_id=job_id,
        machine_type="e2-standard-8",
        power_w=250,
        allowed_regions=tuple(zone.rpartition("-")[0] for zone, _ in PLACES),
        submitted_at=START,
        script=SCRIPT.name,
        args=("--epochs", "4000"),
        work_h=9,
        slot_minutes=15,
        deadline=START + timedelta(hours=24),
    )
    intervals = tuple(
        PlannedInterval(
            start=start + number * LENGTH,
            end=start + (number + 1) * LENGTH,
            grid_zone=grid_zone,
            compute_zone=zone,
            work_h=LENGTH / timedelta(hours=1),
            expected_gco2eq=1.0,
        )
        for number, (zone, grid_zone) in enumerate(PLACES)
    )
    plan = Plan(
        plan_id="2025-05-22T0700Z",
        job_id=job_id,
        created_at=START,
        forecast_origin=START,
        work_left_h=9,
        deadline=job.deadline,
        intervals=intervals,
        expected_gco2eq=3.0,
        meets_deadline=True,
        reason="By hand.",
        alternatives=(),
        forecast_source="bench",
    )
    store.write(object_names.source_folder(job_id) + SCRIPT.name, SCRIPT.read_bytes())
    documents.write(object_names.job(job_id), job)
    documents.write(object_names.plan(job_id, plan.plan_id), plan)
    open_job(documents, job_id)
    state = JobState(job_id=job_id, plan_id=plan.plan_id, seq=1)
    documents.write(object_names.state(job_id), state)
    return plan


def _aim(alarm: LocalAlarm, plans: list[Plan]) -> None:
    """Aim the boundary job as `forecast` does: when a VM is to be made, to begin, to be gone."""
    lead = timedelta(seconds=TIMING.boot_lead_s)
    intervals = [interval for plan in plans for interval in plan.intervals]
    edges = {edge for one in intervals for edge in (one.start - lead, one.start, one.end)}
    alarm.aim_boundary(*sorted(edges))


def _is_booked(documents: Documents, plans: list[Plan]) -> bool:
    """Whether the last VM of each job is down, and its lifetime is in the ledger."""
    last = [object_names.vm_lifetime(plan.job_id, len(plan.intervals)) for plan in plans]
    return all(documents.find(VmLifetime, name) is not None for name in last)


def _spans(documents: Documents, plan: Plan) -> Iterator[tuple[float, float]]:
    """Yield seconds from each interval's start to training, and from its end to VM down."""
    for incarnation, interval in enumerate(plan.intervals, 1):
        entry = documents.get(LedgerEntry, object_names.ledger_entry(plan.job_id, incarnation))
        begun = next(one.start for one in entry.segments if one.kind is SegmentKind.TRAIN)
        lifetime = documents.get(VmLifetime, object_names.vm_lifetime(plan.job_id, incarnation))
        down = lifetime.terminated_at
        yield (begun - interval.start).total_seconds(), (down - interval.end).total_seconds()


FIGURES = (punctual_figures,)
