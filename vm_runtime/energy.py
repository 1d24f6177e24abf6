"""What the time was spent on and what energy that took. Pure: the times come in."""

from datetime import datetime, timedelta

from vm_runtime.contract.ledger import Segment, SegmentKind

_WATT_SECONDS_PER_KWH = 3_600_000
_SLOT_S = 900
_Stretch = tuple[SegmentKind, datetime, datetime]


class Meter:
    """Books time as segments, at the declared power of the whole machine."""

    def __init__(self, *, power_w: float, started_at: datetime, kind: SegmentKind) -> None:
        """Start with `kind` at `started_at`.

        Args:
            power_w: power while the machine is up, watts.
            started_at: first line of the runtime.
            kind: what it is spent on until the first `switch`.
        """
        self._power_w = power_w
        self._closed: tuple[_Stretch, ...] = ()
        self._kind = kind
        self._since = self._latest = started_at

    @property
    def basis(self) -> str:
        """How the energy is found, for people."""
        return f"declared power {self._power_w:g} W x time"

    def switch(self, kind: SegmentKind, now: datetime) -> None:
        """Book the time from `now` on as `kind`."""
        self._latest = max(self._latest, now)  # a clock that steps back books nothing twice
        if kind is self._kind:
            return
        self._closed = _append(self._closed, (self._kind, self._since, self._latest))
        self._kind, self._since = kind, self._latest

    def segments(self, now: datetime) -> tuple[Segment, ...]:
        """Return all segments until `now`, ordered and without overlap."""
        booked = _append(self._closed, (self._kind, self._since, max(now, self._latest)))
        return tuple(
            Segment(kind=kind, start=start, end=end, energy_kwh=self._energy_kwh(end - start))
            for kind, start, end in booked
        )

    def energy_kwh(self, now: datetime) -> float:
        """Return the energy until `now`, kWh."""
        return sum(segment.energy_kwh for segment in self.segments(now))

    def _energy_kwh(self, time: timedelta) -> float:
        return self._power_w * time.total_seconds() / _WATT_SECONDS_PER_KWH


def _append(booked: tuple[_Stretch, ...], new: _Stretch) -> tuple[_Stretch, ...]:
    """Add a stretch; an empty one adds nothing.

    The third and later change within a quarter of an hour is booked to the stretch of its
    kind there, the others moved up: a checkpoint each minute would else make thousands of
    segments, and carbon intensity is the same all through the quarter.
    """
    kind, start, end = new
    if end <= start:
        return booked
    slot = [item for item in booked[-3:] if _slot_of(item[1]) == _slot_of(start)]
    same = next((n for n, item in enumerate(slot) if item[0] is kind), None)
    if same is None or _slot_of(start) != _slot_of(end):
        return (*booked, new)
    kept = booked[: len(booked) - len(slot) + same]
    longer = slot[same][2] + (end - start)
    moved = [(k, s + (end - start), e + (end - start)) for k, s, e in slot[same + 1 :]]
    return (*kept, (kind, slot[same][1], longer), *moved)


def _slot_of(time: datetime) -> int:
    return int(time.timestamp() // _SLOT_S)
