"""Carries jobs out hour by hour on what was recorded, whoever decides."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

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

    def missed(self, batch: Batch) -> NDArray[np.bool_]:
        """Tell which jobs were not done by their deadline."""
        late: NDArray[np.bool_] = (self.finish_min < 0) | (self.finish_min > batch.deadline_min)
        return late


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


Decide: TypeAlias = Callable[[Present], Ints]
"""From the present to the place of the coming hour, an index into the job's places or `PAUSE`."""


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
    count = len(batch)
    left = batch.work_min.copy()
    running = np.full(count, PAUSE, dtype=np.int64)
    owed, starts, moves = (np.zeros(count, dtype=np.int64) for _ in range(3))
    minutes = np.zeros(count)
    sums = np.zeros(count)
    finish = np.full(count, -1, dtype=np.int64)
    path = np.full((count, hours), PAUSE, dtype=np.int16)
    for hour in range(hours):
        jobs = np.flatnonzero(finish < 0)
        if not jobs.size:
            break
        now = Present(
            jobs=jobs,
            hour=hour,
            work_min=left[jobs] + owed[jobs],
            room_min=batch.deadline_min[jobs] - 60 * hour,
            running=running[jobs],
        )
        place = decide(now)
        goes = place != PAUSE
        fresh, moved = goes & (now.running == PAUSE), goes & (now.running != PAUSE)
        moved &= place != now.running
        owed[jobs] = np.where(fresh, batch.start_min, np.where(moved, batch.move_min, owed[jobs]))
        owed[jobs[~goes]] = 0
        used = np.where(goes, np.minimum(owed[jobs] + left[jobs], 60), 0)
        paid = np.minimum(owed[jobs], used)
        owed[jobs] -= paid
        left[jobs] -= used - paid
        zone = batch.places[jobs, np.maximum(place, 0)]
        begin = 60 * (batch.submitted_h[jobs] + hour)
        sums[jobs] += np.where(goes, world.emitted(zone, begin, begin + used), 0.0)
        minutes[jobs] += used
        starts[jobs] += fresh
        moves[jobs] += moved
        path[jobs, hour] = np.where(goes, zone, PAUSE)
        done = left[jobs] == 0
        finish[jobs[done]] = 60 * hour + used[done]
        running[jobs] = place
        on_hour(hour)
    return Course(
        emissions_gco2eq=sums * batch.power_kw,
        energy_kwh=minutes / 60 * batch.power_kw,
        finish_min=finish,
        starts=starts,
        moves=moves,
        path=path,
    )
