"""What could have been saved: the exact optimum of what was recorded, and the free bound."""

from typing import Any

import numpy as np

from functions.domain.plan.grid import HOUR_MIN
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
    grams, minutes, finish, starts, moves, paths, spans = zip(*rows, strict=True)
    return Course(
        emissions_gco2eq=np.array(grams),
        energy_kwh=np.array(minutes) / HOUR_MIN * batch.power_kw,
        finish_min=np.array(finish, dtype=np.int64),
        starts=np.array(starts, dtype=np.int64),
        moves=np.array(moves, dtype=np.int64),
        path=np.array(paths, dtype=np.int16),
        spans_min=np.array(spans, dtype=np.int8),
    )


def _best(world: World, batch: Batch, job: int, hours: int) -> tuple[Any, ...]:
    """Return grams, minutes, finish, starts, moves, path and spans of one job."""
    begin = int(batch.submitted_h[job])
    zones = batch.places[job]
    room = int(batch.deadline_min[job])
    if not batch.possible[job]:
        room = int(batch.work_min[job]) + batch.start_min
    edges = np.append(np.arange(0, room, HOUR_MIN), room)
    hourly = world.actual[zones, begin : begin + len(edges) - 1].T
    runs = cheapest_runs(
        Problem(
            edges_min=edges.astype(np.int64),
            per_min=np.ascontiguousarray(hourly / HOUR_MIN),
            work_min=int(batch.work_min[job]),
            overheads=Overheads(start_min=batch.start_min, move_min=batch.move_min),
        )
    )
    if runs is None:
        raise ArithmeticError("expected a plan for what fits, found none. Report it.")
    path, spans = [PAUSE] * hours, [(0, 0)] * hours
    places = np.array([int(zones[run.place]) for run in runs])
    first = np.array([run.begin_min for run in runs])
    last = np.array([run.end_min for run in runs])
    since = HOUR_MIN * begin
    grams = float(world.emitted(places, since + first, since + last).sum() * batch.power_kw[job])
    for run, zone in zip(runs, places.tolist(), strict=True):
        for hour in range(run.begin_min // HOUR_MIN, -(-run.end_min // HOUR_MIN)):
            path[hour] = zone
            into = HOUR_MIN * hour
            spans[hour] = max(run.begin_min - into, 0), min(run.end_min - into, HOUR_MIN)
    moves = sum(run.moved for run in runs)
    minutes = int((last - first).sum())
    return grams, minutes, runs[-1].end_min, len(runs) - moves, moves, path, spans


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
