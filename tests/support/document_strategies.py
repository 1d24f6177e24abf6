"""Hypothesis strategies for every document of the bucket and the topic."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from receipt_strategies import receipts

from forecaster.series import (
    Forecast,
    IntensityDay,
    IntensityHour,
    LeftOut,
    Method,
    ZoneForecast,
)
from functions.domain.lifecycle.state import (
    Block,
    DataDisk,
    DiskMove,
    JobState,
    Phase,
    Purpose,
    Target,
    Verb,
    Wish,
)
from functions.domain.plan.document import Alternative, Plan, PlannedInterval, Policy
from functions.domain.regions import GRID_ZONES, REGIONS
from functions.wire import WakeUp, WakeUpKind
from vm_runtime.contract.checkpoint import CheckpointFile, CheckpointManifest, Latest
from vm_runtime.contract.job import Job, KeepDisk, Overheads
from vm_runtime.contract.job import Phase as OverheadPhase
from vm_runtime.contract.lease import Lease
from vm_runtime.contract.ledger import LedgerEntry, Segment, SegmentKind, VmLifetime
from vm_runtime.contract.progress import Progress, RunState

times = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
hours = times.map(lambda time: time.replace(minute=0, second=0, microsecond=0))
counts = st.integers(0, 10**9)
amounts = st.floats(0, 1e6)
intensities = st.floats(0, 2000)
job_ids = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
checkpoint_ids = st.from_regex(r"[0-9]{10}-[0-9]{6}(-[0-9]{2})?", fullmatch=True)
digests = st.from_regex(r"[0-9a-f]{64}", fullmatch=True)
compute_zones = st.sampled_from([z for r in REGIONS.values() for z in r.compute_zones])
grid_zones = st.sampled_from(GRID_ZONES)
some_steps = st.none() | counts

phases = st.builds(OverheadPhase, seconds=amounts, power_w=st.none() | amounts)
jobs = st.builds(
    Job,
    job_id=job_ids,
    machine_type=st.sampled_from(["e2-standard-8", "n2-highmem-16", "g2-standard-4"]),
    power_w=st.floats(0.1, 1e5),
    allowed_regions=st.lists(st.sampled_from(list(REGIONS)), min_size=1, unique=True).map(tuple),
    submitted_at=times,
    script=st.sampled_from(["train.py", "src/main.py"]),
    args=st.lists(texts, max_size=3).map(tuple),
    work_h=st.none() | st.floats(0.1, 1000),
    deadline=st.none() | times.map(lambda time: time + timedelta(days=6000)),
    slot_minutes=st.sampled_from([15, 60]),
    overheads=st.none() | st.builds(Overheads, boot=phases, checkpoint=phases, idle=phases),
    state_gb=st.floats(0.1, 1e4),
    network_kwh_per_gb=amounts,
    max_carbon_intensity_gco2eq_per_kwh=st.none() | st.floats(0.1, 2000),
    min_interval_minutes=counts,
    price_weight_g_per_usd=amounts,
    keep_disk=st.none() | st.builds(KeepDisk, size_gb=st.integers(10, 65_536), move_s=amounts),
)


@st.composite
def _spans(draw: st.DrawFn) -> tuple[datetime, datetime]:
    start = draw(times)
    return start, start + timedelta(seconds=draw(st.integers(1, 10**6)))


segments = st.builds(
    lambda span, kind, energy: Segment(kind=kind, start=span[0], end=span[1], energy_kwh=energy),
    _spans(),
    st.sampled_from(SegmentKind),
    amounts,
)
intervals = st.builds(
    lambda span, zone, grid, work: PlannedInterval(
        start=span[0],
        end=span[1],
        grid_zone=grid,
        compute_zone=zone,
        work_h=work,
        expected_gco2eq=work,
    ),
    _spans(),
    compute_zones,
    grid_zones,
    amounts,
)
left_out = st.builds(LeftOut, grid_zone=grid_zones, reason=texts)
plans = st.builds(
    Plan,
    plan_id=hours.map(lambda time: f"{time:%Y-%m-%dT%H%MZ}"),
    job_id=job_ids,
    created_at=times,
    forecast_origin=hours,
    work_left_h=amounts,
    deadline=st.none() | times,
    intervals=st.lists(intervals, max_size=1).map(tuple),
    expected_gco2eq=amounts,
    meets_deadline=st.booleans(),
    reason=texts,
    alternatives=st.lists(
        st.builds(
            Alternative,
            policy=st.sampled_from(Policy),
            emissions_gco2eq=amounts,
            finish_at=times,
            starts=counts,
            moves=counts,
            compute_zones=st.lists(compute_zones, max_size=3).map(tuple),
            usd=st.none() | amounts,
            delay_h=amounts,
            undone_h=amounts,
            meets_deadline=st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    left_out=st.lists(left_out, max_size=2).map(tuple),
    set_aside=st.lists(texts, max_size=2).map(tuple),
    impossible=st.none() | texts,
    caveats=st.lists(texts, max_size=2).map(tuple),
    expected_usd=st.none() | amounts,
    price_source=st.none() | texts,
    forecast_source=texts,
)
targets = st.builds(
    Target,
    incarnation=counts,
    vm=texts,
    compute_zone=compute_zones,
    purpose=st.sampled_from(Purpose),
    interval_start=times,
    interval_end=times,
    reserved_at=times,
    operation=st.none() | texts,
)
states = st.builds(
    JobState,
    job_id=job_ids,
    phase=st.sampled_from(Phase),
    seq=counts,
    plan_id=st.none() | texts,
    incarnation=counts,
    target=st.none() | targets,
    blocked=st.lists(st.builds(Block, place=compute_zones, until=times, reason=texts)).map(tuple),
    not_before=st.none() | times,
    disk=st.none() | st.builds(DataDisk, number=counts, compute_zone=compute_zones),
    disk_move=st.none()
    | st.builds(DiskMove, number=counts, compute_zone=compute_zones, began_at=times),
    closed_at=st.none() | times,
    wishes=st.lists(st.builds(Wish, verb=st.sampled_from(Verb), at=times), max_size=3).map(tuple),
)
manifests = st.builds(
    CheckpointManifest,
    checkpoint_id=checkpoint_ids,
    job_id=job_ids,
    step=counts,
    incarnation=counts,
    created_at=times,
    files=st.lists(
        st.builds(CheckpointFile, name=st.just("state.pt"), size_bytes=counts, sha256=digests),
        min_size=1,
        max_size=2,
    ).map(tuple),
    weights_sha256=digests,
    torch_version=texts,
    runtime_version=texts,
)


@st.composite
def _days(draw: st.DrawFn) -> IntensityDay:
    day = draw(st.dates())
    chosen = sorted(draw(st.sets(st.integers(0, 23), max_size=24)))
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return IntensityDay(
        grid_zone=draw(grid_zones),
        day=day,
        basis="lifecycle",
        source=draw(texts),
        hours=tuple(
            IntensityHour(start=midnight + timedelta(hours=hour), gco2eq_per_kwh=draw(intensities))
            for hour in chosen
        ),
    )


@st.composite
def _zone_forecasts(draw: st.DrawFn) -> ZoneForecast:
    triples = draw(st.lists(st.tuples(intensities, intensities, intensities), min_size=1))
    ordered = [sorted(triple) for triple in triples]
    p10, p50, p90 = (tuple(column) for column in zip(*ordered, strict=True))
    return ZoneForecast(
        grid_zone=draw(grid_zones),
        p10=p10,
        p50=p50,
        p90=p90,
        method=draw(st.sampled_from(Method)),
        history_h=draw(counts),
    )


forecasts = st.builds(
    Forecast,
    origin=hours,
    zones=st.lists(_zone_forecasts(), max_size=2).map(tuple),
    left_out=st.lists(left_out, max_size=2).map(tuple),
    model_version=texts,
    source=texts,
)

documents = st.one_of(
    jobs,
    plans,
    states,
    manifests,
    forecasts,
    receipts(),
    _days(),
    st.builds(
        Latest,
        checkpoint_id=st.none() | checkpoint_ids,
        step=counts,
        incarnation=counts,
        updated_at=times,
        finished=st.booleans(),
    ),
    st.builds(
        Lease,
        job_id=job_ids,
        holder=texts,
        incarnation=counts,
        acquired_at=times,
        expires_at=times,
        released=st.booleans(),
    ),
    st.builds(
        Progress,
        job_id=job_ids,
        vm=texts,
        incarnation=counts,
        state=st.sampled_from(RunState),
        heartbeat_at=times,
        steps_done=counts,
        steps_total=some_steps,
        seconds_per_step=st.none() | st.floats(1e-6, 1e6),
        metrics=st.dictionaries(texts, st.floats(allow_nan=False, allow_infinity=False)),
    ),
    st.builds(
        LedgerEntry,
        job_id=job_ids,
        vm=texts,
        incarnation=counts,
        compute_zone=compute_zones,
        started_at=times,
        updated_at=times,
        segments=st.lists(segments, max_size=3).map(tuple),
        first_step=counts,
        last_step=counts,
        committed_step=counts,
        energy_basis=texts,
    ),
    st.builds(
        VmLifetime,
        job_id=job_ids,
        vm=texts,
        incarnation=counts,
        compute_zone=compute_zones,
        created_at=times,
        terminated_at=times,
    ),
    st.builds(
        WakeUp,
        kind=st.sampled_from(WakeUpKind),
        sent_at=times,
        job_id=st.none() | job_ids,
        seq=some_steps,
        plan=st.none() | plans,
    ),
)
