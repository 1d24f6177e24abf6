"""On what terms a job can run: what each minute, start and move costs in grams and in money.

Overheads, as the planner counts them:

- The minutes of a start or move do no work. They are part of the interval and drawn at the job's
  power, rounded up to whole minutes; the checkpoint at an interval's end is counted with them.
- If they draw more (or the idle time after the interval does), the rest of the energy counts at
  the intensity of the slot in which the interval begins.
- If they draw less, the difference is taken off at the intensity of the cleanest slot that the
  overhead may touch: never more than what its minutes cost.
- What a VM loads over the network at a start or move counts at the slot in which it begins.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.grid import HOUR_MIN, Grid
from functions.domain.plan.problem import Entry, Extras, Floats, Overheads, Problem, Run
from vm_runtime.contract.job import Job
from vm_runtime.contract.job import Overheads as Phases

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dues:
    """What a start, a move and an end take: whole minutes, and energy beyond or below them."""

    overheads: Overheads
    start_kwh: float
    """Energy of a start less that of its minutes at full power; of all that it entails."""
    move_kwh: float
    elsewhere_kwh: float

    @classmethod
    def of(cls, job: Job) -> "Dues":
        """Return the dues of `job`."""
        network_kwh = job.state_gb * job.network_kwh_per_gb
        phases, disk_s = job.overheads, job.keep_disk.move_s if job.keep_disk else 0.0
        if phases is None:
            start, move = _minutes(job.start_overhead_s), _minutes(job.move_overhead_s + disk_s)
            overheads = Overheads(start_min=start, move_min=move)
            return cls(
                overheads=overheads,
                start_kwh=network_kwh,
                move_kwh=network_kwh,
                elsewhere_kwh=network_kwh,
            )
        longer = replace(phases.move, seconds=phases.move.seconds + disk_s)
        return cls._of_phases(replace(phases, move=longer), job.power_w, network_kwh)

    @classmethod
    def _of_phases(cls, phases: Phases, power_w: float, network_kwh: float) -> "Dues":
        ending_s = phases.checkpoint.seconds
        overheads = Overheads(
            start_min=_minutes(phases.boot.seconds + phases.restore.seconds + ending_s),
            move_min=_minutes(phases.move.seconds + phases.restore.seconds + ending_s),
            running_min=_minutes(ending_s),
        )
        every = (phases.boot, phases.restore, phases.checkpoint, phases.idle)
        start_kwh = network_kwh + sum(phase.energy_kwh(power_w) for phase in every)
        move_kwh = start_kwh + phases.move.energy_kwh(power_w)
        counted_kwh = power_w / 1000 / HOUR_MIN
        elsewhere = overheads.elsewhere_min
        return cls(
            overheads=overheads,
            start_kwh=_exact(start_kwh - counted_kwh * overheads.start_min),
            move_kwh=_exact(move_kwh - counted_kwh * overheads.move_min),
            elsewhere_kwh=_exact(max(start_kwh, move_kwh) - counted_kwh * elsewhere),
        )

    @property
    def are_even(self) -> bool:
        """Whether the minutes tell all of the energy."""
        return not (self.start_kwh or self.move_kwh or self.elsewhere_kwh)


def _minutes(seconds: float) -> int:
    return ceil(seconds / 60)


def _exact(kwh: float) -> float:
    """Return 0 for what is only the rounding of a sum."""
    tiny_kwh = 1e-12
    return 0.0 if abs(kwh) < tiny_kwh else kwh


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """What minutes and entries cost on one grid."""

    grid: Grid
    power_kw: float
    dues: Dues
    known: Mask | None = None
    """Where there are data, shape (slots, places); `None`: everywhere."""
    limit_gco2eq_per_kwh: float | None = None
    """Slots above it are not used."""
    min_run_min: int = 1
    usd_per_h: tuple[float | None, ...] = ()
    """By place."""
    weight_g_per_usd: float = 0.0
    transfer_usd: float = 0.0
    """Of a start or move."""
    extra_gco2eq: Extras | None = None
    """Emissions of entries beyond their minutes."""

    @property
    def overheads(self) -> Overheads:
        """Minutes without work."""
        return self.dues.overheads

    @cached_property
    def _cuts(self) -> dict[int, "Terms"]:
        """What `until` gave, to share its sums."""
        return {}

    @cached_property
    def _sums(self) -> Floats:
        return self.grid.hours_of_intensity()

    def until(self, minute: int) -> "Terms":
        """Return the terms before `minute`, which must be above 0."""
        if minute >= self.grid.minutes:
            return self
        if minute not in self._cuts:
            grid = self.grid.until(minute)
            self._cuts[minute] = self._cut(grid, slice(0, len(grid.gco2eq_per_kwh)))
        return self._cuts[minute]

    def since(self, minute: int) -> "Terms":
        """Return the terms from `minute` on; minutes count from there."""
        grid = self.grid.since(minute)
        return self._cut(
            grid, slice(len(self.grid.gco2eq_per_kwh) - len(grid.gco2eq_per_kwh), None)
        )

    def _cut(self, grid: Grid, slots: slice) -> "Terms":
        extras = self.extra_gco2eq
        return replace(
            self,
            grid=grid,
            known=None if self.known is None else self.known[slots],
            extra_gco2eq=None if extras is None else extras.of_slots(slots),
        )

    def allowed(self) -> Mask | None:
        """Return where a VM may run, `None`: everywhere."""
        if self.limit_gco2eq_per_kwh is None:
            return self.known
        clean: Mask = self.grid.gco2eq_per_kwh <= self.limit_gco2eq_per_kwh
        return clean if self.known is None else clean & self.known

    def score_per_kwh(self) -> Floats:
        """Return what is minimised for each kWh at the job's power, g, shape (slots, places).

        Money is weighed in. Left in this unit, a sum of whole intensities stays exact, and a tie
        between two plans is seen as one.
        """
        score = self.grid.gco2eq_per_kwh
        if self.weight_g_per_usd:
            usd = np.array([0.0 if each is None else each for each in self.usd_per_h])
            score = score + usd * (self.weight_g_per_usd / self.power_kw)
        return score

    def problem(self, work_min: int, running: int | None, running_left_min: int = 0) -> Problem:
        """Return the problem of doing `work_min` on these terms at the least score."""
        overheads = self.overheads
        one_run = work_min + min(overheads.start_min, overheads.move_min)
        extras, shortest = self._score_extras(), self.min_run_min
        if self._draws_less():
            # A run that ends within its overhead would be paid for it.
            if one_run > overheads.most_min:
                shortest = max(shortest, overheads.most_min + 1)
            else:
                extras = None if extras is None else extras.at_least(0.0)
        return Problem(
            edges_min=self.grid.edges_min,
            per_min=self.score_per_kwh(),
            work_min=work_min,
            overheads=overheads,
            running=running,
            allowed=self.allowed(),
            extras=extras,
            min_run_min=max(min(shortest, one_run), 1),
            running_left_min=min(running_left_min, work_min + overheads.running_min),
        )

    def _draws_less(self) -> bool:
        dues = self.dues
        return min(dues.start_kwh, dues.move_kwh, dues.elsewhere_kwh) < 0

    def _score_extras(self) -> Extras | None:
        """Return the extras in the unit of a minute's score."""
        money_g = self.weight_g_per_usd * self.transfer_usd
        minute_kwh = self.power_kw / HOUR_MIN
        if self.extra_gco2eq is not None:
            return self.extra_gco2eq.plus(money_g).times(1 / minute_kwh)
        if not money_g:
            return None
        return Extras.constant(money_g / minute_kwh, self.grid.gco2eq_per_kwh.shape)

    @cached_property
    def _edges(self) -> list[int]:
        edges: list[int] = self.grid.edges_min.tolist()
        return edges

    def _slot_of(self, minute: int) -> int:
        """Return the slot that begins at `minute` or holds it; the last one for the end."""
        return min(bisect_right(self._edges, minute) - 1, len(self._edges) - 2)

    @cached_property
    def _rows(self) -> tuple[list[list[float]], list[list[float]]]:
        """Sums up to a slot and intensity in it, as lists: one number of an array is slow."""
        return self._sums.tolist(), self.grid.gco2eq_per_kwh.tolist()

    def _sum_at(self, minute: int, place: int) -> float:
        slot = self._slot_of(minute)
        into_h = (minute - self._edges[slot]) / HOUR_MIN
        sums, intensity = self._rows
        return sums[slot][place] + into_h * intensity[slot][place]

    def span_gco2eq(self, place: int, begin_min: int, end_min: int) -> float:
        """Return what the job's power emits in `place` between two minutes, g."""
        return (self._sum_at(end_min, place) - self._sum_at(begin_min, place)) * self.power_kw

    def spans_score(self, begins_min: NDArray[np.int64], ends_min: NDArray[np.int64]) -> Floats:
        """Return what spans cost in each place, money weighed in, g, shape (spans, places)."""
        score = (self._sums_at(ends_min) - self._sums_at(begins_min)) * self.power_kw
        if self.weight_g_per_usd:
            hours = (ends_min - begins_min)[:, None] / HOUR_MIN
            usd = np.array([0.0 if each is None else each for each in self.usd_per_h])
            score = score + usd * hours * self.weight_g_per_usd
        return score

    def _sums_at(self, minutes: NDArray[np.int64]) -> Floats:
        edges = self.grid.edges_min
        slots = np.minimum(np.searchsorted(edges, minutes, side="right"), len(edges) - 1) - 1
        into_h = (minutes - edges[slots])[:, None] / HOUR_MIN
        at: Floats = self._sums[slots] + into_h * self.grid.gco2eq_per_kwh[slots]
        return at

    def run_gco2eq(self, run: Run) -> float:
        """Return what `run` emits, g."""
        total = self.span_gco2eq(run.place, run.begin_min, run.end_min)
        if self.extra_gco2eq is None or run.entry is Entry.GOES_ON:
            return total
        slot = self._slot_of(run.begin_min)
        late = self._edges[slot] != run.begin_min
        amount = self.extra_gco2eq.of(run.entry, late=late)[slot, run.place]
        return max(total + float(amount), 0.0)

    def total_gco2eq(self, runs: Sequence[Run]) -> float:
        """Return what all `runs` emit, g."""
        return sum(self.run_gco2eq(run) for run in runs)

    def total_usd(self, runs: Sequence[Run]) -> float | None:
        """Return what all `runs` cost, `None` if a price is not known."""
        total = 0.0
        for run in runs:
            usd_per_h = self.usd_per_h[run.place] if self.usd_per_h else None
            if usd_per_h is None:
                return None
            total += usd_per_h * run.minutes / HOUR_MIN
            total += self.transfer_usd if run.entry is not Entry.GOES_ON else 0.0
        return total

    def total_score(self, runs: Sequence[Run]) -> float:
        """Return what is minimised, of all `runs`."""
        usd = self.total_usd(runs) if self.weight_g_per_usd else 0.0
        return self.total_gco2eq(runs) + self.weight_g_per_usd * (usd or 0.0)


def extras_on(grid: Grid, dues: Dues) -> Extras | None:
    """Return the emissions of entries beyond their minutes, g; `None` if there are none."""
    if dues.are_even:
        return None
    overheads = dues.overheads
    elsewhere, start = overheads.elsewhere_min, overheads.start_min
    return Extras(
        start=_amount(grid, dues.start_kwh, start, late=False),
        start_late=_amount(grid, dues.start_kwh, start, late=True),
        move=_amount(grid, dues.move_kwh, overheads.move_min, late=False),
        elsewhere=_amount(grid, dues.elsewhere_kwh, elsewhere, late=False),
        elsewhere_late=_amount(grid, dues.elsewhere_kwh, elsewhere, late=True),
    )


def _amount(grid: Grid, kwh: float, minutes: int, *, late: bool) -> Floats:
    intensity = grid.gco2eq_per_kwh
    if kwh >= 0:
        return kwh * intensity
    edges = grid.edges_min
    begins = edges[1:] - 1 if late else edges[:-1]
    last = np.searchsorted(edges, begins + max(minutes - 1, 0), side="right") - 1
    last = np.minimum(last, len(intensity) - 1)
    cleanest = intensity.copy()
    slots = np.arange(len(intensity))
    for ahead in range(1, int((last - slots).max(initial=0)) + 1):
        touched = np.minimum(slots + ahead, last)
        cleanest = np.minimum(cleanest, intensity[touched])
    return kwh * cleanest
