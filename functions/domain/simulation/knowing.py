"""What could have been saved: the exact optimum of what was recorded, and the free bound."""

import numpy as np

from functions.domain.plan.optimum import cheapest_runs
from functions.domain.plan.problem import Overheads, Problem
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.replay import Course, replay
from functions.domain.simulation.whole_hours import knowing_all_hours
from functions.domain.simulation.world import Floats, World


def oracle(world: World, batch: Batch, *, hours: int | None = None) -> Course:
    """Return the course with the least emissions that meets the deadline, the future known.

    It is the planner's exact optimum by the minute (or by whole hours, if the batch says so),
    overheads included; a job whose deadline cannot be met runs at once where that is cleanest.

    Args:
        world: what was recorded.
        batch: the jobs.
        hours: length of the path; `None`: as the longest job needs.
    """
    hours = batch.longest_h if hours is None else hours
    if batch.whole_hours:
        return replay(world, batch, knowing_all_hours(world, batch), hours=hours)
    rows = [_best(world, batch, job, hours) for job in range(len(batch))]
    grams, minutes, finish, starts, moves, paths = zip(*rows, strict=True)
    return Course(
        emissions_gco2eq=np.array(grams),
        energy_kwh=np.array(minutes) / 60 * batch.power_kw,
        finish_min=np.array(finish, dtype=np.int64),
        starts=np.array(starts, dtype=np.int64),
        moves=np.array(moves, dtype=np.int64),
        path=np.array(paths, dtype=np.int16),
    )


def _best(
    world: World, batch: Batch, job: int, hours: int
) -> tuple[float, int, int, int, int, list[int]]:
    begin = int(batch.submitted_h[job])
    zones = batch.places[job]
    room = int(batch.deadline_min[job])
    if not batch.possible[job]:
        room = int(batch.work_min[job]) + batch.start_min
    edges = np.append(np.arange(0, room, 60), room)
    hourly = world.actual[zones, begin : begin + len(edges) - 1].T
    runs = cheapest_runs(
        Problem(
            edges_min=edges.astype(np.int64),
            per_min=np.ascontiguousarray(hourly / 60),
            work_min=int(batch.work_min[job]),
            overheads=Overheads(start_min=batch.start_min, move_min=batch.move_min),
        )
    )
    if runs is None:
        raise ArithmeticError("expected a plan for what fits, found none. Report it.")
    path = [PAUSE] * hours
    grams, minutes, moves = 0.0, 0, 0
    for run in runs:
        zone = int(zones[run.place])
        first, last = 60 * begin + run.begin_min, 60 * begin + run.end_min
        grams += float(
            world.emitted(np.array([zone]), np.array([first]), np.array([last]))[0]
        ) * float(batch.power_kw[job])
        minutes += run.end_min - run.begin_min
        moves += run.moved
        for hour in range(run.begin_min // 60, -(-run.end_min // 60)):
            path[hour] = zone
    return grams, minutes, runs[-1].end_min, len(runs) - moves, moves, path


def bound_gco2eq(world: World, batch: Batch) -> Floats:
    """Return the emissions in the cleanest hours, were starts and moves free: unreachable."""
    hours = batch.longest_h
    index = batch.submitted_h[:, None] + np.arange(hours)
    hourly = world.actual[batch.places[:, :, None], index[:, None, :]].min(axis=1)
    room = np.where(batch.possible, batch.deadline_min, batch.work_min + batch.start_lasts_min)
    lengths = np.clip(room[:, None] - 60 * np.arange(hours), 0, 60)
    order = np.argsort(hourly, axis=1, kind="stable")
    lengths = np.take_along_axis(lengths, order, axis=1)
    before = lengths.cumsum(axis=1) - lengths
    used = np.clip(batch.work_min[:, None] - before, 0, lengths)
    total: Floats = (used / 60 * np.take_along_axis(hourly, order, axis=1)).sum(axis=1)
    return total * batch.power_kw
