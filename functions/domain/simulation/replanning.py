"""Plans anew at every full hour, by the minute, as the planner itself does.

The plan is the planner's own optimum (`functions.domain.plan.optimum`), and whether what runs is
left by its own rule (`functions.domain.plan.leaving`).
"""

from dataclasses import replace

import numpy as np

from functions.domain.plan.grid import HOUR_MIN
from functions.domain.plan.leaving import least_gain, left_for
from functions.domain.plan.optimum import cheapest_runs
from functions.domain.plan.problem import Entry, Overheads, Problem, Run
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.replay import Decide, Hour, Present
from functions.domain.simulation.world import P50, Floats, World

Runs = tuple[Run, ...]


def replanned(world: World, batch: Batch) -> Decide:
    """Do in each hour what a fresh plan says; leave a place only for more than noise."""
    overheads = Overheads(start_min=batch.start_min, move_min=batch.move_min)

    def decide(now: Present) -> Hour:
        some = batch.some(now.jobs)
        ahead_h = int(-(-max(now.room_min.max(), now.work_min.max() + overheads.most_min) // 60))
        quantiles = world.seen(some.submitted_h + now.hour, some.places, ahead_h)
        place = np.full(len(now.jobs), PAUSE, dtype=np.int64)
        begin, end = np.zeros_like(place), np.full_like(place, 60)
        for row in range(len(place)):
            running = int(now.running[row])
            run = next_run(
                quantiles[row],
                work_min=int(now.work_min[row]),
                room_min=int(now.room_min[row]),
                running=None if running == PAUSE else running,
                overheads=overheads,
            )
            if run.begin_min < HOUR_MIN:
                place[row], begin[row], end[row] = run.place, run.begin_min, min(run.end_min, 60)
        return Hour(place=place, begin_min=begin, end_min=end)

    return decide


def next_run(
    quantiles: Floats,
    *,
    work_min: int,
    room_min: int,
    running: int | None,
    overheads: Overheads,
) -> Run:
    """Return what a plan made anew begins with.

    Args:
        quantiles: forecast of the hours to the deadline or beyond, shape (places, hours, 3).
        work_min: work left, above 0.
        room_min: minutes to the deadline; if the work cannot be done by then, it is done at once.
        running: place in which a VM runs.
        overheads: of starts and moves.
    """
    edges = np.append(np.arange(0, room_min, 60), max(room_min, 0)).astype(np.int64)
    problem = Problem(
        edges_min=edges,
        per_min=np.ascontiguousarray(quantiles[:, : len(edges) - 1, P50].T) / 60,
        work_min=work_min,
        overheads=overheads,
        running=running,
    )
    runs = cheapest_runs(problem) if room_min > 0 else None
    if runs is None:
        return _at_once(quantiles[..., P50], work_min, running, overheads)
    if running is None or (index := left_for(_spans(runs), running)) is None:
        return runs[0]
    staying = _staying(problem, running)
    if staying is None:
        return runs[0]
    first = runs[index].begin_min // 60
    hours = slice(first, first + max(-(-work_min // 60), 1))
    least = least_gain(
        quantiles[running, hours],
        quantiles[runs[index].place, hours],
        move_h=overheads.move_min / 60,
    )
    gain = (_cost(problem, staying) - _cost(problem, runs)) / 60
    return runs[0] if gain > least else staying[0]


def _spans(runs: Runs) -> list[tuple[int, int, int]]:
    return [(run.place, run.begin_min, run.end_min) for run in runs]


def _staying(problem: Problem, place: int) -> Runs | None:
    """Return the best runs in `place` alone."""
    alone = np.ascontiguousarray(problem.per_min[:, [place]])
    runs = cheapest_runs(replace(problem, per_min=alone, running=0))
    return None if runs is None else tuple(replace(run, place=place) for run in runs)


def _cost(problem: Problem, runs: Runs) -> float:
    edges = problem.edges_min
    total = 0.0
    for run in runs:
        sums = np.append(0.0, np.cumsum(problem.per_min[:, run.place] * problem.lengths_min))
        begin, end = np.interp([run.begin_min, run.end_min], edges, sums)
        total += float(end - begin) * 60
    return total


def _at_once(hourly: Floats, work_min: int, running: int | None, overheads: Overheads) -> Run:
    """Return the run that is done first, in the cleanest place of those."""
    owed = 0 if running is not None else overheads.start_min
    end = work_min + owed
    if running is None:
        sums = np.hstack([np.zeros((len(hourly), 1)), hourly.cumsum(axis=1)])
        edges = 60 * np.arange(sums.shape[1])
        place = int(np.argmin([np.interp(end, edges, row) for row in sums]))
    else:
        place = running
    entry = Entry.GOES_ON if running is not None else Entry.START
    return Run(place=place, begin_min=0, end_min=end, overhead_min=owed, entry=entry)
