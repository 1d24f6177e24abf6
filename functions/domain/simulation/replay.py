"""Carries jobs out hour by hour on what was recorded, whoever decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.grid import HOUR_MIN
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.world import Floats, Ints, World


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """How jobs went; every array begins with the axis of the jobs."""

    emissions_gco2eq: Floats
    """On recorded intensity, overheads included."""
    energy_kwh: Floats
    finish_min: Ints
    """Minutes from submission to the end of the work, -1 if it was not done."""
    starts: Ints
    moves: Ints
    path: NDArray[np.int16]
    """Grid zone of the world in each hour, `PAUSE` for none, shape (jobs, hours)."""
    spans_min: NDArray[np.int8]
    """From and to which minute of the hour it ran there, shape (jobs, hours, 2)."""

    def missed(self, batch: Batch) -> NDArray[np.bool_]:
        """Tell which jobs were not done by their deadline."""
        late: NDArray[np.bool_] = (self.finish_min < 0) | (self.finish_min > batch.deadline_min)
        return late

    @classmethod
    def joined(cls, parts: Sequence["Course"]) -> "Course":
        """Return the courses of parts of the jobs as one."""
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(cls)
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Present:
    """The jobs that are not done, at one hour after their submission."""

    jobs: Ints
    """Which jobs of the batch."""
    hour: int
    """Hours since submission."""
    work_min: Ints
    """Work left and overhead still owed."""
    room_min: Ints
    """Minutes to the deadline; below 0 once it is missed."""
    running: Ints
    """Index into the job's places, `PAUSE` if its VM does not run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hour:
    """What each job does in the coming hour: nothing, or to run in one place, in one piece."""

    place: Ints
    """Index into the job's places, `PAUSE` for nothing."""
    begin_min: Ints
    """Minutes into the hour."""
    end_min: Ints
    """Minutes into the hour; at 60 the VM goes on running."""

    @classmethod
    def whole(cls, place: Ints) -> "Hour":
        """Return what runs all of the hour, if it runs."""
        return cls(place=place, begin_min=np.zeros_like(place), end_min=np.full_like(place, 60))


Decide: TypeAlias = Callable[[Present], Hour]
"""From the present to the coming hour."""


def replay(
    world: World,
    batch: Batch,
    decide: Decide,
    *,
    hours: int,
    on_hour: Callable[[int], None] = lambda _hour: None,
) -> Course:
    """Carry all jobs out, `hours` long at most.

    Args:
        world: what was recorded.
        batch: the jobs.
        decide: asked at every full hour about the jobs that are not done.
        hours: after so many a job that is not done is given up.
        on_hour: called after each hour, to show progress.
    """
    ledger = _Ledger.of(batch, hours)
    for hour in range(hours):
        jobs = np.flatnonzero(ledger.finish_min < 0)
        if not jobs.size:
            break
        now = Present(
            jobs=jobs,
            hour=hour,
            work_min=ledger.left_min[jobs] + ledger.owed_min[jobs],
            room_min=batch.deadline_min[jobs] - 60 * hour,
            running=ledger.running[jobs],
        )
        ledger.carry_out(world, batch, now, decide(now))
        on_hour(hour)
    return ledger.course(batch)


@dataclass(slots=True, kw_only=True, eq=False)
class _Ledger:
    """How far the jobs are."""

    left_min: Ints
    owed_min: Ints
    """Of a start or move that is not yet done."""
    running: Ints
    """Index into the job's places, of the VM that runs at this full hour."""
    starts: Ints
    moves: Ints
    minutes: Floats
    """At full power."""
    sums: Floats
    """Intensity x time."""
    finish_min: Ints
    path: NDArray[np.int16]
    spans_min: NDArray[np.int8]

    @classmethod
    def of(cls, batch: Batch, hours: int) -> "_Ledger":
        """Return that of the beginning."""
        count = len(batch)
        owed, starts, moves = (np.zeros(count, dtype=np.int64) for _ in range(3))
        return cls(
            left_min=batch.work_min.copy(),
            owed_min=owed,
            running=np.full(count, PAUSE, dtype=np.int64),
            starts=starts,
            moves=moves,
            minutes=np.zeros(count),
            sums=np.zeros(count),
            finish_min=np.full(count, -1, dtype=np.int64),
            path=np.full((count, hours), PAUSE, dtype=np.int16),
            spans_min=np.zeros((count, hours, 2), dtype=np.int8),
        )

    def carry_out(self, world: World, batch: Batch, now: Present, does: Hour) -> None:
        """Let an hour pass."""
        jobs, place, goes = now.jobs, does.place, does.place != PAUSE
        begins_min, moved = self._enter(batch, now, does)
        zone = batch.places[jobs, np.maximum(place, 0)]
        begin = 60 * (batch.submitted_h[jobs] + now.hour) + does.begin_min
        if batch.whole_hours:
            rate = world.emitted(zone, begin, begin + 60)
            self.sums[jobs] += np.where(goes, begins_min / 60 * rate, 0.0)
            self.minutes[jobs] += begins_min
        else:
            self.owed_min[jobs] = np.where(begins_min > 0, begins_min, self.owed_min[jobs])
        self.owed_min[jobs[~goes]] = 0
        most = np.where(goes, does.end_min - does.begin_min, 0)
        used = np.minimum(self.owed_min[jobs] + self.left_min[jobs], most)
        paid = np.minimum(self.owed_min[jobs], used)
        self.owed_min[jobs] -= paid
        self.left_min[jobs] -= used - paid
        self.sums[jobs] += np.where(goes, world.emitted(zone, begin, begin + used), 0.0)
        self.minutes[jobs] += used
        self.starts[jobs] += (begins_min > 0) & ~moved
        self.moves[jobs] += moved
        self.path[jobs, now.hour] = np.where(goes, zone, PAUSE)
        self.spans_min[jobs, now.hour] = np.stack([does.begin_min, does.begin_min + used], axis=1)
        done = self.left_min[jobs] == 0
        self.finish_min[jobs[done]] = (60 * now.hour + does.begin_min + used)[done]
        self.running[jobs] = np.where(goes & (does.end_min == HOUR_MIN), place, PAUSE)
        self.owed_min[jobs[self.running[jobs] == PAUSE]] = 0

    def _enter(self, batch: Batch, now: Present, does: Hour) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the minutes of the start or move that each run begins with, and which moves."""
        goes, at_edge = does.place != PAUSE, does.begin_min == 0
        fresh = goes & ~(at_edge & (does.place == now.running))
        # What stops at the hour to begin elsewhere within it is no cheap move.
        moved = fresh & (now.running != PAUSE) & (does.place != now.running)
        begins_min = np.where(moved, batch.move_min, np.where(fresh, batch.start_min, 0))
        return begins_min, moved

    def course(self, batch: Batch) -> Course:
        """Return how it went."""
        return Course(
            emissions_gco2eq=self.sums * batch.power_kw,
            energy_kwh=self.minutes / 60 * batch.power_kw,
            finish_min=self.finish_min,
            starts=self.starts,
            moves=self.moves,
            path=self.path,
            spans_min=self.spans_min,
        )
