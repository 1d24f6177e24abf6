"""A job's documents, made by hand: preempted once, moved once, finished, with a receipt."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from forecaster.series import (
    Basis,
    Forecast,
    IntensityDay,
    IntensityHour,
    LeftOut,
    Method,
    ZoneForecast,
)
from functions.domain.accounting.document import Receipt
from functions.domain.accounting.receipt import Evidence, make_receipt
from functions.domain.accounting.regret import Look
from functions.domain.lifecycle.state import JobState, Phase, Purpose, Target
from functions.domain.plan.document import Alternative, Plan, PlannedInterval, Policy
from functions.report.documents import JobDocuments
from functions.report.metrics import MetricPoint
from vm_runtime.contract import object_names as names
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest, Latest
from vm_runtime.contract.codec import encode
from vm_runtime.contract.job import Job
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry, Segment, SegmentKind, VmLifetime
from vm_runtime.contract.progress import Progress, RunState
from vm_runtime.storage.port import BlobStore

START = datetime(2025, 6, 2, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
SOURCE = "simulated (profile of 2021-2024), lifecycle"
JOB_ID = "digits"
WEIGHTS = "ab" * 32
LEVELS = {"DE": 380.0, "FR": 60.0, "ES": 150.0, "GB": 210.0}


def intensity(grid_zone: str, hour: int) -> float:
    """Return a curve with a noon dip that differs from zone to zone."""
    level = LEVELS[grid_zone]
    return round(level * (1.0 - 0.3 * ((hour * 7 + len(grid_zone)) % 12) / 12), 1)


def sample_job() -> Job:
    """Return a job that may run in four regions."""
    return Job(
        job_id=JOB_ID,
        machine_type="e2-standard-4",
        power_w=150.0,
        allowed_regions=("europe-west3", "europe-west9", "europe-southwest1", "europe-west2"),
        submitted_at=START,
        work_h=6.0,
        deadline=START + 24 * HOUR,
        script="digits.py",
    )


def sample_forecast() -> Forecast:
    """Return 30 hours of four grid zones."""
    zones = []
    for zone in LEVELS:
        middle = [intensity(zone, i) for i in range(30)]
        zones.append(
            ZoneForecast(
                grid_zone=zone,
                p10=tuple(0.9 * value for value in middle),
                p50=tuple(middle),
                p90=tuple(1.1 * value for value in middle),
                method=Method.TCN,
                history_h=168,
            )
        )
    return Forecast(
        origin=START,
        zones=tuple(zones),
        left_out=(LeftOut(grid_zone="PL", reason="no hour of the last 168 is recorded"),),
        model_version="0f3a",
        source=SOURCE,
    )


def sample_plan() -> Plan:
    """Return a plan with a pause and a move."""
    intervals = (
        PlannedInterval(
            start=START + HOUR,
            end=START + 4 * HOUR,
            grid_zone="FR",
            compute_zone="europe-west9-b",
            fallbacks=("europe-southwest1-c",),
            work_h=2.9,
            expected_gco2eq=26.0,
        ),
        PlannedInterval(
            start=START + 7 * HOUR,
            end=START + 11 * HOUR,
            grid_zone="ES",
            compute_zone="europe-southwest1-c",
            work_h=3.1,
            expected_gco2eq=60.0,
        ),
    )
    alternatives = (
        (Policy.RUN_NOW_HERE, 310.0, ("europe-west3-b",)),
        (Policy.BEST_FIXED_REGION, 95.0, ("europe-west9-b",)),
        (Policy.THIS_PLAN, 86.0, ("europe-west9-b", "europe-southwest1-c")),
        (Policy.BOUND, 80.0, ("europe-west9-b", "europe-southwest1-c")),
    )
    return Plan(
        plan_id="2025-06-02T0600Z",
        job_id=JOB_ID,
        created_at=START + timedelta(minutes=1),
        forecast_origin=START,
        work_left_h=6.0,
        deadline=START + 24 * HOUR,
        intervals=intervals,
        expected_gco2eq=86.0,
        meets_deadline=True,
        reason="Two intervals in France and Spain emit 86 g; running now in Germany 310 g.",
        alternatives=tuple(
            Alternative(
                policy=policy,
                emissions_gco2eq=grams,
                finish_at=START + 11 * HOUR,
                starts=2,
                moves=1,
                compute_zones=zones,
            )
            for policy, grams, zones in alternatives
        ),
        left_out=(LeftOut(grid_zone="PL", reason="no hour of the last 168 is recorded"),),
        forecast_source=SOURCE,
    )


def _entry(
    incarnation: int, zone: str, hours: tuple[float, float], steps: tuple[int, int, int], why: str
) -> LedgerEntry:
    start, end = (START + h * HOUR for h in hours)
    trains = start + timedelta(minutes=3)
    return LedgerEntry(
        job_id=JOB_ID,
        vm=f"ss-{JOB_ID}-{incarnation}",
        incarnation=incarnation,
        compute_zone=zone,
        started_at=start,
        updated_at=end,
        segments=(
            Segment(kind=SegmentKind.LOAD, start=start, end=trains, energy_kwh=0.0075),
            Segment(kind=SegmentKind.TRAIN, start=trains, end=end, energy_kwh=0.3),
        ),
        first_step=steps[0],
        last_step=steps[1],
        committed_step=steps[2],
        energy_basis="declared power 150 W x time",
        ended_because=why,
    )


def sample_metrics() -> tuple[MetricPoint, ...]:
    """Return a loss each ten steps, and an accuracy each hundred, over the three VMs."""
    points = []
    for step in range(10, 490, 10):
        entry = next(e for e in reversed(sample_ledger()) if e.first_step < step)
        share = (step - entry.first_step) / (entry.last_step - entry.first_step)
        at = entry.started_at + share * (entry.updated_at - entry.started_at)
        pairs = [("loss", 20 / (step + 8))] + [("val_accuracy", step / 490)] * (step % 100 == 0)
        points += [
            MetricPoint(step=step, name=name, value=value, incarnation=entry.incarnation, at=at)
            for name, value in pairs
        ]
    return tuple(points)


def sample_ledger() -> tuple[LedgerEntry, ...]:
    """Return three VMs: killed at step 130, stopped at the interval's end, finished."""
    return (
        _entry(1, "europe-west9-b", (1, 2.5), (0, 130, 100), ""),
        _entry(2, "europe-west9-b", (2.6, 4), (100, 240, 240), "interval end"),
        _entry(3, "europe-southwest1-c", (7, 10.5), (240, 480, 480), "finished"),
    )


def sample_lifetimes() -> tuple[VmLifetime, ...]:
    """Return what the control plane saw of the three VMs."""
    return tuple(
        VmLifetime(
            job_id=JOB_ID,
            vm=entry.vm,
            incarnation=entry.incarnation,
            compute_zone=entry.compute_zone,
            created_at=entry.started_at - timedelta(minutes=2),
            terminated_at=entry.updated_at + timedelta(minutes=1),
        )
        for entry in sample_ledger()
    )


def sample_receipt() -> Receipt:
    """Return the receipt of the finished job, made twelve hours in: the deadline is to come."""
    days = sample_days()
    return make_receipt(
        Evidence(
            job=sample_job(),
            outcome=Phase.FINISHED,
            closed_at=START + 10.6 * HOUR,
            manifest=_manifest(),
            ledger=sample_ledger(),
            lifetimes=sample_lifetimes(),
            actual={day.grid_zone: {hour.start: hour for hour in day.hours} for day in days},
            basis=Basis.LIFECYCLE,
            source=SOURCE,
            looks=lambda: (Look(at=sample_plan().created_at, forecast=sample_forecast()),),
        ),
        now=START + 12 * HOUR,
    )


def sample_days() -> tuple[IntensityDay, ...]:
    """Return twelve recorded hours of each grid zone."""
    return tuple(
        IntensityDay(
            grid_zone=zone,
            day=START.date(),
            basis=Basis.LIFECYCLE,
            source=SOURCE,
            hours=tuple(
                IntensityHour(
                    start=START + i * HOUR,
                    gco2eq_per_kwh=intensity(zone, i) * 0.97,
                    estimated=i == 10,
                )
                for i in range(12)
            ),
        )
        for zone in LEVELS
    )


def finished_job() -> JobDocuments:
    """Return all documents of the job after its end."""
    return JobDocuments(
        read_at=START + 12 * HOUR,
        job=sample_job(),
        state=JobState(
            job_id=JOB_ID,
            phase=Phase.FINISHED,
            seq=3,
            plan_id="2025-06-02T0600Z",
            incarnation=3,
            closed_at=START + 10.6 * HOUR,
            settled=True,
        ),
        plans=(sample_plan(),),
        forecasts=(sample_forecast(),),
        actual={day.grid_zone: {h.start: h for h in day.hours} for day in sample_days()},
        intensity_source=SOURCE,
        progress=Progress(
            job_id=JOB_ID,
            vm="ss-digits-3",
            incarnation=3,
            state=RunState.FINISHED,
            heartbeat_at=START + 10.5 * HOUR,
            steps_done=480,
            steps_total=480,
            seconds_per_step=45.0,
            metrics={"loss": 0.031, "val_accuracy": 0.98},
        ),
        lease=Lease(
            job_id=JOB_ID,
            holder="ss-digits-3/1",
            incarnation=3,
            acquired_at=START + 7 * HOUR,
            expires_at=START + 10.6 * HOUR,
            released=True,
        ),
        latest=_latest(),
        manifest=_manifest(),
        ledger=sample_ledger(),
        lifetimes=sample_lifetimes(),
        receipt=sample_receipt(),
        metrics=sample_metrics(),
    )


def running_job() -> JobDocuments:
    """Return the documents three hours in: the second VM trains, the receipt is far."""
    whole = finished_job()
    now = START + 3.2 * HOUR
    running = replace(sample_ledger()[1], updated_at=now, last_step=190, ended_because="")
    return replace(
        whole,
        read_at=now,
        state=JobState(
            job_id=JOB_ID,
            seq=1,
            plan_id="2025-06-02T0600Z",
            incarnation=2,
            target=Target(
                incarnation=2,
                vm="ss-digits-2",
                compute_zone="europe-west9-b",
                purpose=Purpose.START,
                interval_start=START + HOUR,
                interval_end=START + 4 * HOUR,
                reserved_at=START + 2.5 * HOUR,
            ),
        ),
        actual={
            day.grid_zone: {h.start: h for h in day.hours if h.start <= now}
            for day in sample_days()
        },
        progress=Progress(
            job_id=JOB_ID,
            vm="ss-digits-2",
            incarnation=2,
            state=RunState.TRAINING,
            heartbeat_at=now,
            steps_done=190,
            steps_total=480,
            metrics={"loss": 0.4},
        ),
        latest=None,
        manifest=None,
        ledger=(sample_ledger()[0], running),
        lifetimes=sample_lifetimes()[:1],
        receipt=None,
        metrics=tuple(point for point in sample_metrics() if point.at <= now),
    )


def put_job(store: BlobStore, documents: JobDocuments) -> None:
    """Write all documents where they belong in the bucket."""
    objects: dict[str, object | None] = {
        names.job(JOB_ID): documents.job,
        names.state(JOB_ID): documents.state,
        names.progress(JOB_ID): documents.progress,
        names.lease(JOB_ID): documents.lease,
        names.latest(JOB_ID): documents.latest,
        names.receipt(JOB_ID): documents.receipt,
    }
    if documents.manifest:
        objects[names.manifest(JOB_ID, documents.manifest.checkpoint_id)] = documents.manifest
    objects |= {names.plan(JOB_ID, plan.plan_id): plan for plan in documents.plans}
    objects |= {names.forecast(each.origin): each for each in documents.forecasts}
    objects |= {names.ledger_entry(JOB_ID, e.incarnation): e for e in documents.ledger}
    objects |= {names.vm_lifetime(JOB_ID, e.incarnation): e for e in documents.lifetimes}
    objects |= {names.intensity(day.grid_zone, day.day): day for day in sample_days()}
    for name, document in objects.items():
        if document is not None:
            store.write(name, encode(document))
    rows = [
        f"{p.step},{p.name},{p.value!r},{p.incarnation},{p.at.isoformat()}"
        for p in documents.metrics
    ]
    if rows:
        text = "\n".join(["step,name,value,incarnation,time", *rows, ""])
        store.write(names.metrics(JOB_ID), text.encode())


def _latest() -> Latest:
    return Latest(
        checkpoint_id=names.checkpoint_id(480, 3),
        step=480,
        incarnation=3,
        updated_at=START + 10.5 * HOUR,
        finished=True,
    )


def _manifest() -> CheckpointManifest:
    return CheckpointManifest(
        checkpoint_id=names.checkpoint_id(480, 3),
        job_id=JOB_ID,
        step=480,
        incarnation=3,
        created_at=START + 10.5 * HOUR,
        files=(CheckpointFile(name="state.pt", size_bytes=10, sha256="cd" * 32),),
        finished=True,
        weights_sha256=WEIGHTS,
        torch_version="2.13.0",
        runtime_version="0.1.0",
    )
