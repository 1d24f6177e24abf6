"""Ways to do a work on a grid: at once, in the cleanest half of each day, with perfect freedom."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.grid import HOUR_MIN, Grid
from functions.domain.plan.optimum import cheapest_runs
from functions.domain.plan.problem import Overheads, Problem, Run, joined

DAY_MIN = 24 * HOUR_MIN


@dataclass(frozen=True, slots=True, eq=False)
class Meter:
    """Tells what runs emit."""

    grid: Grid
    power_w: float
    sums: NDArray[np.float64]

    @classmethod
    def on(cls, grid: Grid, power_w: float) -> "Meter":
        """Return a meter for `grid` and a machine of `power_w`."""
        return cls(grid, power_w, grid.hours_of_intensity())

    def emissions_gco2eq(self, place: int, begin_min: int, end_min: int) -> float:
        """Return what the machine emits in `place` between two minutes, g."""
        ends = np.interp([begin_min, end_min], self.grid.edges_min, self.sums[:, place])
        return float(ends[1] - ends[0]) * self.power_w / 1000

    def total_gco2eq(self, runs: Sequence[Run]) -> float:
        """Return what all `runs` emit, g."""
        return sum(self.emissions_gco2eq(run.place, run.begin_min, run.end_min) for run in runs)


def cleanest(
    grid: Grid, work: int, overheads: Overheads, running: int | None
) -> tuple[Run, ...] | None:
    """Return the exact optimum of `work` minutes on `grid`, `None` if they do not fit."""
    problem = Problem(
        edges_min=grid.edges_min,
        per_min=grid.gco2eq_per_kwh,
        work_min=work,
        overheads=overheads,
        running=running,
    )
    return cheapest_runs(problem)


def work_min(runs: Sequence[Run]) -> int:
    """Return the work that `runs` do, minutes."""
    return sum(run.end_min - run.begin_min - run.overhead_min for run in runs)


def at_once(
    grid: Grid, place: int, work: int, overheads: Overheads, running: int | None
) -> tuple[Run, ...]:
    """Return one run in `place` without a pause, cut where the grid ends."""
    moved = running is not None and running != place
    owed = overheads.move_min if moved else overheads.start_min if running is None else 0
    end = min(owed + work, grid.minutes)
    return (Run(place=place, begin_min=0, end_min=end, overhead_min=owed, moved=moved),)


def soonest(meter: Meter, work: int, overheads: Overheads, running: int | None) -> tuple[Run, ...]:
    """Return the run that finishes first, the cleanest of those that do: dirty rather than late."""
    places = range(meter.sums.shape[1])
    ways = [at_once(meter.grid, place, work, overheads, running) for place in places]
    return min(ways, key=lambda way: (way[0].overhead_min, meter.total_gco2eq(way)))


def cleanest_halves(
    grid: Grid, overheads: Overheads, running: int | None, most_work: int | None
) -> tuple[Run, ...]:
    """Return the exact optimum of running half of each 24 h, counted from the grid's start.

    Counted from the start and not from midnight, so that a plan made anew each hour sees a whole
    cycle ahead each time: with what is left of a day it would wait for the evening each day.

    Args:
        grid: all minutes that may be used.
        overheads: what starts and moves cost.
        running: place in which a VM runs at the start, `None` if none does.
        most_work: work after which to stop, minutes; `None`: not known.
    """
    runs: list[Run] = []
    left = most_work
    for begin in range(0, grid.minutes, DAY_MIN):
        window = grid.since(begin)
        window = window.until(min(DAY_MIN, window.minutes))
        half = window.minutes // 2 - overheads.start_min
        work = half if left is None else min(half, left)
        found = cleanest(window, work, overheads, running) if work > 0 else None
        shifted = [
            replace(run, begin_min=run.begin_min + begin, end_min=run.end_min + begin)
            for run in found or ()
        ]
        at_end = bool(shifted) and shifted[-1].end_min == begin + window.minutes
        running = shifted[-1].place if at_end else None
        left = None if left is None else left - work_min(shifted)
        runs += shifted
    return joined(runs)


def bound(grid: Grid, work: int) -> tuple[Run, ...]:
    """Return the cleanest minutes for `work`, were starts and moves free."""
    best = grid.gco2eq_per_kwh.argmin(axis=1)
    lowest = grid.gco2eq_per_kwh.min(axis=1)
    lengths = np.diff(grid.edges_min)
    order = np.argsort(lowest, kind="stable")
    used = np.clip(work - (np.cumsum(lengths[order]) - lengths[order]), 0, lengths[order])
    runs: list[Run] = []
    for slot in sorted(int(slot) for slot in order[used > 0]):
        begin, minutes = int(grid.edges_min[slot]), int(used[np.flatnonzero(order == slot)[0]])
        moved = bool(runs) and runs[-1].end_min == begin and runs[-1].place != int(best[slot])
        runs.append(
            Run(
                place=int(best[slot]),
                begin_min=begin,
                end_min=begin + minutes,
                overhead_min=0,
                moved=moved,
            )
        )
    return joined(runs)
