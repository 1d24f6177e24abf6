"""The energy of a job's VMs, hour by hour, from what they booked and how long they lived."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vm_runtime.contract.ledger import LedgerEntry, SegmentKind, VmLifetime

HOUR = timedelta(hours=1)
WATT_SECONDS_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Energy of one VM over a time, taken as even."""

    compute_zone: str
    start: datetime
    end: datetime
    energy_kwh: float
    overhead_kwh: float
    """The part of it that did no useful work."""


@dataclass(slots=True)
class HourEnergy:
    """Energy of one hour in one place."""

    energy_kwh: float = 0.0
    overhead_kwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What all VMs of a job used."""

    stretches: tuple[Stretch, ...]
    useful: timedelta
    """Training whose steps are in the final weights."""
    lost_steps: int
    """Steps that were done and had to be done again."""
    compute_zones: tuple[str, ...]
    """Of each VM, by incarnation."""


def usage_of(
    ledger: Sequence[LedgerEntry],
    lifetimes: Sequence[VmLifetime],
    *,
    power_w: float,
    final_step: int,
) -> Usage:
    """Return what the VMs used; time that none of them booked counts as overhead at `power_w`.

    Args:
        ledger: one entry per VM that came to run.
        lifetimes: one per VM that was seen.
        power_w: power of the machine, watts.
        final_step: step of the finished training.
    """
    entries = {entry.incarnation: entry for entry in ledger}
    lives = {life.incarnation: life for life in lifetimes}
    stretches: list[Stretch] = []
    useful, lost_steps = timedelta(), 0
    for incarnation in sorted(entries.keys() | lives.keys()):
        entry, life = entries.get(incarnation), lives.get(incarnation)
        if entry is not None:
            lost = _lost_steps(entry, ledger, final_step)
            share = lost / (entry.last_step - entry.first_step) if lost else 0.0
            stretches += _booked(entry, share)
            useful += (1 - share) * _trained(entry)
            lost_steps += lost
        if life is not None:
            stretches += _unbooked(life, entry, power_w)
    zones = {entry.incarnation: entry.compute_zone for entry in ledger}
    zones |= {life.incarnation: life.compute_zone for life in lifetimes}
    return Usage(
        stretches=tuple(stretches),
        useful=useful,
        lost_steps=lost_steps,
        compute_zones=tuple(zones[incarnation] for incarnation in sorted(zones)),
    )


def by_hour(stretches: Iterable[Stretch]) -> dict[tuple[datetime, str], HourEnergy]:
    """Return the energy by begin of the hour and compute zone; nothing is lost or doubled."""
    hours: dict[tuple[datetime, str], HourEnergy] = defaultdict(HourEnergy)
    for stretch in stretches:
        for hour, share in shares_by_hour(stretch.start, stretch.end):
            cell = hours[hour, stretch.compute_zone]
            cell.energy_kwh += share * stretch.energy_kwh
            cell.overhead_kwh += share * stretch.overhead_kwh
    return dict(hours)


def shares_by_hour(start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """Yield the begin of each hour that `[start, end)` touches and its share of the time."""
    hour = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if end <= start:
        # Energy without time (a meter that jumped) still belongs to its hour.
        yield hour, 1.0
    while hour < end:
        part = min(end, hour + HOUR) - max(start, hour)
        if part:
            yield hour, part / (end - start)
        hour += HOUR


def energy_kwh(power_w: float, time: timedelta) -> float:
    """Return the energy of `power_w` over `time`, kWh."""
    return power_w * time.total_seconds() / WATT_SECONDS_PER_KWH


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


def _booked(entry: LedgerEntry, lost_share: float) -> Iterator[Stretch]:
    for segment in entry.segments:
        share = lost_share if segment.kind is SegmentKind.TRAIN else 1.0
        yield Stretch(
            compute_zone=entry.compute_zone,
            start=segment.start,
            end=segment.end,
            energy_kwh=segment.energy_kwh,
            overhead_kwh=share * segment.energy_kwh,
        )


def _unbooked(life: VmLifetime, entry: LedgerEntry | None, power_w: float) -> Iterator[Stretch]:
    """Yield the parts of a VM's life in no segment: boot, shutdown, or what died unbooked."""
    segments = sorted(entry.segments if entry else (), key=lambda segment: segment.start)
    at = life.created_at
    gaps = []
    for segment in segments:
        gaps.append((at, min(segment.start, life.terminated_at)))
        at = max(at, segment.end)
    gaps.append((at, life.terminated_at))
    for start, end in gaps:
        if start < end:
            energy = energy_kwh(power_w, end - start)
            yield Stretch(
                compute_zone=life.compute_zone,
                start=start,
                end=end,
                energy_kwh=energy,
                overhead_kwh=energy,
            )
