"""Two ways to decide without a new plan: at once, and in one window."""

import numpy as np

from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.replay import Decide, Hour, Present
from functions.domain.simulation.world import P50, Ints, World


def always(places: Ints) -> Decide:
    """Run without a pause in the given place of each job."""

    def decide(now: Present) -> Hour:
        return Hour.whole(places[now.jobs])

    return decide


def in_one_window(world: World, batch: Batch) -> Decide:
    """Wait for the window that looks best when the job is submitted, then run without a pause."""
    begin, place = best_windows(world, batch)

    def decide(now: Present) -> Hour:
        return Hour.whole(np.where(now.hour >= begin[now.jobs], place[now.jobs], PAUSE))

    return decide


def best_windows(world: World, batch: Batch) -> tuple[Ints, Ints]:
    """Return begin (hours from submission) and place of the window with the cleanest forecast."""
    hours = batch.longest_h
    hourly = world.seen(batch.submitted_h, batch.places, hours)[..., P50]
    sums = np.concatenate([np.zeros((*hourly.shape[:2], 1)), hourly.cumsum(axis=2)], axis=2)
    length = batch.work_min + batch.start_lasts_min
    last = np.maximum((batch.deadline_min - length) // 60, 0)
    best = np.full(len(batch), np.inf)
    begin, place = np.zeros(len(batch), dtype=np.int64), batch.home.copy()
    jobs = np.arange(len(batch))
    for hour in range(int(last.max()) + 1):
        whole, part = np.divmod(length, 60)
        end = np.minimum(hour + whole, hours)
        cost = sums[jobs, :, end] - sums[jobs, :, hour]
        cost += hourly[jobs, :, np.minimum(end, hours - 1)] * (part / 60)[:, None]
        where = cost.argmin(axis=1)
        value = cost[jobs, where]
        better = (value < best) & (hour <= last)
        best = np.where(better, value, best)
        begin, place = np.where(better, hour, begin), np.where(better, where, place)
    return begin, place
