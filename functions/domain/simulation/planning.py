"""The two courses that take thought, of all jobs: by plans made anew, and the oracle's.

Jobs know nothing of each other, so they are shared among processes in small parts.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from functions.domain.simulation.batch import Batch
from functions.domain.simulation.knowing import oracle
from functions.domain.simulation.replanning import replanned
from functions.domain.simulation.replay import Course, replay
from functions.domain.simulation.whole_hours import replanned_by_hours
from functions.domain.simulation.world import World

_PART = 40
"""Jobs of a part: some seconds of work."""
_FEW = 100
"""Up to so many jobs a second process takes longer to begin than to help."""
_here: list[World] = []
"""The world of this process, given once."""

Both = tuple[Course, Course]


def planned_and_best(
    world: World,
    batch: Batch,
    *,
    workers: int = 1,
    on_job: Callable[[], None] = lambda: None,
) -> Both:
    """Return how the jobs go by plans made anew at each hour, and at best.

    Args:
        world: what was recorded, and forecast.
        batch: the jobs.
        workers: processes.
        on_job: called after each job.
    """
    hours = batch.longest_h
    if batch.whole_hours or workers == 1 or len(batch) <= _FEW:
        parts: Iterable[Both] = [_both(world, batch, hours)]
        return _collected(parts, on_job)
    some = [batch.some(part) for part in np.array_split(np.arange(len(batch)), len(batch) // _PART)]
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(world,)
    ) as pool:
        return _collected(pool.map(_both_here, some, [hours] * len(some)), on_job)


def _collected(parts: Iterable[Both], on_job: Callable[[], None]) -> Both:
    planned, best = [], []
    for course, oracles in parts:
        planned.append(course)
        best.append(oracles)
        for _ in range(len(course.starts)):
            on_job()
    return Course.joined(planned), Course.joined(best)


def _begin(world: World) -> None:
    _here.append(world)


def _both_here(batch: Batch, hours: int) -> Both:
    return _both(_here[0], batch, hours)


def _both(world: World, batch: Batch, hours: int) -> Both:
    decide = (replanned_by_hours if batch.whole_hours else replanned)(world, batch)
    return replay(world, batch, decide, hours=hours), oracle(world, batch, hours=hours)
