"""What the time was spent on and what energy that took: measured where it can be, else modelled.

The times come in; counters of the machine are found by `energy_counters`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from vm_runtime.contract.ledger import Segment, SegmentKind

_log = logging.getLogger(__name__)

_WATT_SECONDS_PER_KWH = 3_600_000
_SLOT_S = 900


class CounterError(Exception):
    """A counter cannot be read."""


class EnergyCounter(Protocol):
    """Hardware that counts the energy of a part of the machine."""

    @property
    def name(self) -> str:
        """The part, for people."""
        ...

    @property
    def rated_w(self) -> float:
        """The part's share of the machine's declared power, watts."""
        ...

    def take_j(self) -> float:
        """Return the energy since the last call, joules; since its making at the first.

        Raises:
            CounterError: it cannot be read (any more).
        """
        ...


@dataclass(slots=True)
class _Stretch:
    kind: SegmentKind
    start: datetime
    end: datetime
    energy_j: float = 0.0
    measured_j: float = 0.0


class Meter:
    """Books time as segments; what no counter measures counts at its declared power."""

    def __init__(
        self,
        *,
        power_w: float,
        started_at: datetime,
        kind: SegmentKind,
        counters: Sequence[EnergyCounter] = (),
    ) -> None:
        """Start with `kind` at `started_at`.

        Args:
            power_w: declared power of the whole machine while it is up, watts.
            started_at: first line of the runtime.
            kind: what it is spent on until the first `switch`.
            counters: of parts of the machine; the rest counts at what is left of `power_w`.
        """
        self._power_w = power_w
        self._counters = list(counters)
        self._lost: list[str] = []
        self._closed: tuple[_Stretch, ...] = ()
        self._open = _Stretch(kind, started_at, started_at)

    @property
    def basis(self) -> str:
        """How the energy is found, for people."""
        declared = f"declared power {self._power_w:g} W"
        if not self._counters and not self._lost:
            return f"{declared} x time"
        measured = ", ".join(counter.name for counter in self._counters) or "nothing any more"
        lost = f"; until it failed also {', '.join(self._lost)}" if self._lost else ""
        return f"measured: {measured}{lost}; modelled: {self._rest_w:g} W of the {declared}"

    @property
    def _rest_w(self) -> float:
        """Declared power of what no counter measures, watts."""
        return max(self._power_w - sum(counter.rated_w for counter in self._counters), 0.0)

    def switch(self, kind: SegmentKind, now: datetime) -> None:
        """Book the time from `now` on as `kind`."""
        self._advance(now)
        if kind is not self._open.kind:
            self._close(kind)

    def segments(self, now: datetime) -> tuple[Segment, ...]:
        """Return all segments until `now`, ordered and without overlap."""
        self._advance(now)
        return tuple(
            Segment(
                kind=stretch.kind,
                start=stretch.start,
                end=stretch.end,
                energy_kwh=stretch.energy_j / _WATT_SECONDS_PER_KWH,
            )
            for stretch in _append(self._closed, self._open)
        )

    def energy_kwh(self, now: datetime) -> float:
        """Return the energy until `now`, kWh."""
        self._advance(now)
        return sum(s.energy_j for s in (*self._closed, self._open)) / _WATT_SECONDS_PER_KWH

    def measured_kwh(self, now: datetime) -> float:
        """Return the part of `energy_kwh` that counters measured, kWh."""
        self._advance(now)
        return sum(s.measured_j for s in (*self._closed, self._open)) / _WATT_SECONDS_PER_KWH

    def _advance(self, now: datetime) -> None:
        """Book the time until `now`; a clock that steps back books nothing twice."""
        at = self._open
        elapsed_s = max((now - at.end).total_seconds(), 0.0)
        measured_j = sum(self._take_j(counter) for counter in list(self._counters))
        at.energy_j += self._rest_w * elapsed_s + measured_j
        at.measured_j += measured_j
        at.end = max(at.end, now)
        # Measured power changes: a stretch of many hours would smear it over all of them.
        if self._counters and _slot_of(at.start) != _slot_of(at.end):
            self._close(at.kind)

    def _take_j(self, counter: EnergyCounter) -> float:
        try:
            return max(counter.take_j(), 0.0)
        except CounterError as error:
            self._counters.remove(counter)
            self._lost.append(counter.name)
            _log.warning(
                "energy of %s is not measured any more, but counts as %g W from now on: %s",
                counter.name,
                counter.rated_w,
                error,
            )
            return 0.0

    def _close(self, kind: SegmentKind) -> None:
        if self._open.end == self._open.start:
            self._open.kind = kind  # with what was counted in no time
            return
        self._closed = _append(self._closed, self._open)
        at = self._open.end
        self._open = _Stretch(kind, at, at)


def _append(booked: tuple[_Stretch, ...], new: _Stretch) -> tuple[_Stretch, ...]:
    """Add a stretch; one without time adds its energy to the one before.

    The third and later change within a quarter of an hour is booked to the stretch of its
    kind there, the others moved up: a checkpoint each minute would else make thousands of
    segments, and carbon intensity is the same all through the quarter.
    """
    if new.end <= new.start:
        return (*booked[:-1], _joined(booked[-1], new)) if booked and new.energy_j else booked
    slot = [item for item in booked[-3:] if _slot_of(item.start) == _slot_of(new.start)]
    same = next((n for n, item in enumerate(slot) if item.kind is new.kind), None)
    if same is None or _slot_of(new.start) != _slot_of(new.end):
        return (*booked, new)
    kept = booked[: len(booked) - len(slot) + same]
    length = new.end - new.start
    moved = [
        _Stretch(s.kind, s.start + length, s.end + length, s.energy_j, s.measured_j)
        for s in slot[same + 1 :]
    ]
    return (*kept, _joined(slot[same], new), *moved)


def _joined(before: _Stretch, new: _Stretch) -> _Stretch:
    """Return `before`, longer by `new`."""
    return _Stretch(
        before.kind,
        before.start,
        before.end + (new.end - new.start),
        before.energy_j + new.energy_j,
        before.measured_j + new.measured_j,
    )


def _slot_of(time: datetime) -> int:
    return int(time.timestamp() // _SLOT_S)
