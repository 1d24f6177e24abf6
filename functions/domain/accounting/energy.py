"""The energy of a job's VMs, row by row, from what they booked and how long they lived."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from forecaster.series import IntensityHour
from functions.domain.accounting.parts import ReceiptRow, SpentOn
from functions.domain.regions import grid_zone_of
from vm_runtime.contract.job import Job
from vm_runtime.contract.ledger import LedgerEntry, SegmentKind, VmLifetime

HOUR = timedelta(hours=1)
WATT_SECONDS_PER_KWH = 3_600_000

Actual = Mapping[str, Mapping[datetime, IntensityHour]]
"""Hours as published afterwards, by grid zone and begin of the hour."""

_KINDS = {
    SegmentKind.BOOT: SpentOn.BOOT,
    SegmentKind.LOAD: SpentOn.RESTORE,
    SegmentKind.WAIT: SpentOn.IDLE,
    SegmentKind.TRAIN: SpentOn.TRAINING,
    SegmentKind.CHECKPOINT: SpentOn.CHECKPOINT,
    SegmentKind.SHUTDOWN: SpentOn.SHUTDOWN,
    SegmentKind.LOST: SpentOn.LOST,
}
_OF_A_MOVE = {SpentOn.BOOT, SpentOn.RESTORE, SpentOn.IDLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Energy of one VM on one thing over a time, taken as even."""

    incarnation: int
    compute_zone: str
    kind: SpentOn
    start: datetime
    end: datetime
    energy_kwh: float
    measured_kwh: float = 0.0
    """The part of it that a counter measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VmUse:
    """One VM of the job, and all that it used."""

    life: VmLifetime
    entry: LedgerEntry | None
    """`None`: it never spoke."""
    stretches: tuple[Stretch, ...]
    lost_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What all VMs of a job used."""

    vms: tuple[VmUse, ...]
    """By incarnation."""
    useful: timedelta
    """Training whose steps are in the last checkpoint."""
    useful_kwh: float
    """Energy of it."""

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """All of all VMs."""
        return tuple(stretch for vm in self.vms for stretch in vm.stretches)

    @property
    def lost_steps(self) -> int:
        """Steps that were done and had to be done again."""
        return sum(vm.lost_steps for vm in self.vms)


def usage_of(
    job: Job, ledger: Sequence[LedgerEntry], lifetimes: Sequence[VmLifetime], *, final_step: int
) -> Usage:
    """Return what the VMs used; time that none of them booked counts at the declared power.

    Args:
        job: whose power and start overhead count where nothing else is known.
        ledger: one entry per VM that came to run.
        lifetimes: one per VM that was seen.
        final_step: step of the last committed checkpoint.
    """
    entries = {entry.incarnation: entry for entry in ledger}
    lives = {life.incarnation: life for life in lifetimes}
    vms: list[VmUse] = []
    useful, useful_kwh = timedelta(), 0.0
    for incarnation in sorted(entries.keys() | lives.keys()):
        entry = entries.get(incarnation)
        life = lives.get(incarnation) or _assumed(job, entries[incarnation])
        moved = bool(vms) and _took_over(vms[-1].life, life)
        lost, share = 0, 0.0
        if entry is not None:
            lost = _lost_steps(entry, ledger, final_step)
            share = lost / (entry.last_step - entry.first_step) if lost else 0.0
            useful += (1 - share) * _trained(entry)
        stretches = tuple(_stretches(job, life, entry, share, moved=moved))
        useful_kwh += sum(s.energy_kwh for s in stretches if s.kind is SpentOn.TRAINING)
        vms.append(VmUse(life=life, entry=entry, stretches=stretches, lost_steps=lost))
    return Usage(vms=tuple(vms), useful=useful, useful_kwh=useful_kwh)


def rows_of(stretches: Iterable[Stretch], actual: Actual) -> tuple[ReceiptRow, ...]:
    """Return the energy by hour, VM and kind; nothing is lost or doubled.

    Raises:
        InvalidInputError: a VM ran in an unknown compute zone.
    """
    cells: dict[tuple[datetime, int, str, SpentOn], list[float]] = defaultdict(lambda: [0, 0, 0])
    for stretch in stretches:
        place = stretch.incarnation, stretch.compute_zone, stretch.kind
        for hour, share in shares_by_hour(stretch.start, stretch.end):
            cell = cells[hour, *place]
            cell[0] += share * stretch.energy_kwh
            cell[1] += share * stretch.measured_kwh
            cell[2] += share * (stretch.end - stretch.start).total_seconds()
    rows = []
    for (hour, incarnation, compute_zone, kind), cell in sorted(cells.items()):
        grid_zone = grid_zone_of(compute_zone)
        known = actual.get(grid_zone, {}).get(hour)
        rows.append(
            ReceiptRow(
                hour=hour,
                incarnation=incarnation,
                compute_zone=compute_zone,
                grid_zone=grid_zone,
                kind=kind,
                duration_s=max(cell[2], 0.0),
                energy_kwh=cell[0],
                measured_kwh=min(cell[1], cell[0]),
                gco2eq_per_kwh=None if known is None else known.gco2eq_per_kwh,
                estimated=known is not None and known.estimated,
            )
        )
    return tuple(rows)


def shares_by_hour(start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """Yield the begin of each hour that `[start, end)` touches and its share of the time."""
    hour = floor_hour(start)
    if end <= start:
        # Energy without time (a meter that jumped) still belongs to its hour.
        yield hour, 1.0
    while hour < end:
        part = min(end, hour + HOUR) - max(start, hour)
        if part:
            yield hour, part / (end - start)
        hour += HOUR


def floor_hour(time: datetime) -> datetime:
    """Return the full hour at or before `time`, UTC."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def energy_kwh(power_w: float, time: timedelta) -> float:
    """Return the energy of `power_w` over `time`, kWh."""
    return power_w * time.total_seconds() / WATT_SECONDS_PER_KWH


def _assumed(job: Job, entry: LedgerEntry) -> VmLifetime:
    """Return the life of a VM that nobody saw end: booted as slowly as planned, then its words."""
    return VmLifetime(
        job_id=entry.job_id,
        vm=entry.vm,
        incarnation=entry.incarnation,
        compute_zone=entry.compute_zone,
        created_at=entry.started_at - timedelta(seconds=job.start_overhead_s),
        terminated_at=entry.updated_at,
        is_assumed=True,
    )


def _took_over(before: VmLifetime, life: VmLifetime) -> bool:
    """Whether the VM before was still up, elsewhere, when this one was made."""
    return before.compute_zone != life.compute_zone and life.created_at < before.terminated_at


def _trained(entry: LedgerEntry) -> timedelta:
    return sum(
        (s.end - s.start for s in entry.segments if s.kind is SegmentKind.TRAIN), timedelta()
    )


def _lost_steps(entry: LedgerEntry, ledger: Sequence[LedgerEntry], final_step: int) -> int:
    """Return the steps of `entry` that a later VM did again.

    Only what a VM that trained took over counts: one that died while it loaded tells nothing.
    """
    resumed = [
        later.first_step
        for later in ledger
        if later.incarnation > entry.incarnation and _trained(later)
    ]
    kept = min([*resumed, final_step])
    return max(entry.last_step - max(kept, entry.first_step), 0)


def _stretches(
    job: Job, life: VmLifetime, entry: LedgerEntry | None, lost_share: float, *, moved: bool
) -> Iterator[Stretch]:
    """Yield all that a VM used, in the order of time but for what nobody booked."""
    trains_at = next(
        (s.start for s in (entry.segments if entry else ()) if s.kind is SegmentKind.TRAIN),
        life.terminated_at,
    )
    used = _booked(entry, lost_share), _unbooked(life, entry, job.power_w), _loaded(job, entry)
    for stretch in chain(*used):
        is_of_move = moved and stretch.kind in _OF_A_MOVE and stretch.start < trains_at
        kind = SpentOn.MOVE if is_of_move else stretch.kind
        yield replace(stretch, kind=kind)


def _booked(entry: LedgerEntry | None, lost_share: float) -> Iterator[Stretch]:
    """Yield the segments; of the training, the last part is what was lost."""
    if entry is None:
        return
    kept = (1 - lost_share) * _trained(entry)
    # Counters are told for the whole VM: what they measured is taken as even over its energy.
    total_kwh = sum(segment.energy_kwh for segment in entry.segments)
    measured = min(entry.energy_measured_kwh / total_kwh, 1.0) if total_kwh else 0.0
    for segment in entry.segments:
        kind, duration = _KINDS[segment.kind], segment.end - segment.start
        parts = [(kind, duration)]
        if kind is SpentOn.TRAINING and lost_share:
            mine = min(kept, duration)
            kept -= mine
            parts = [(kind, mine), (SpentOn.LOST, duration - mine)]
        at = segment.start
        for spent_on, time in parts:
            share = time / duration if duration else 1.0
            if share:
                yield Stretch(
                    incarnation=entry.incarnation,
                    compute_zone=entry.compute_zone,
                    kind=spent_on,
                    start=at,
                    end=at + time,
                    energy_kwh=share * segment.energy_kwh,
                    measured_kwh=measured * share * segment.energy_kwh,
                )
            at += time


def _loaded(job: Job, entry: LedgerEntry | None) -> Iterator[Stretch]:
    """Yield the network's energy for what a VM loads, if the job gives a factor for it."""
    network_kwh = job.state_gb * job.network_kwh_per_gb
    if entry is not None and network_kwh:
        yield Stretch(
            incarnation=entry.incarnation,
            compute_zone=entry.compute_zone,
            kind=SpentOn.NETWORK,
            start=entry.started_at,
            end=entry.started_at,
            energy_kwh=network_kwh,
        )


def _unbooked(life: VmLifetime, entry: LedgerEntry | None, power_w: float) -> Iterator[Stretch]:
    """Yield the parts of a VM's life in no segment: boot, shutdown, or what died unbooked."""
    segments = sorted(entry.segments if entry else (), key=lambda segment: segment.start)
    at, kind = life.created_at, SpentOn.BOOT
    gaps = []
    for segment in segments:
        gaps.append((at, min(segment.start, life.terminated_at), kind))
        at, kind = max(at, segment.end), SpentOn.SHUTDOWN
    gaps.append((at, life.terminated_at, kind))
    for start, end, spent_on in gaps:
        if start < end:
            yield Stretch(
                incarnation=life.incarnation,
                compute_zone=life.compute_zone,
                kind=spent_on,
                start=start,
                end=end,
                energy_kwh=energy_kwh(power_w, end - start),
            )
