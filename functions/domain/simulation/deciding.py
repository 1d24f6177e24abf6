"""The ways to decide hour by hour: at once, in one window, by a plan made anew at each hour."""

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.noise import AGAIN, BELIEF, noise
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE, Outlook, outlook
from functions.domain.simulation.replay import Decide, Present
from functions.domain.simulation.world import P50, Floats, Ints, World


def always(places: Ints) -> Decide:
    """Run without a pause in the given place of each job."""

    def decide(now: Present) -> Ints:
        chosen: Ints = places[now.jobs]
        return chosen

    return decide


def in_one_window(world: World, batch: Batch) -> Decide:
    """Wait for the window that looks best when the job is submitted, then run without a pause."""
    begin, place = best_windows(world, batch)

    def decide(now: Present) -> Ints:
        return np.where(now.hour >= begin[now.jobs], place[now.jobs], PAUSE)

    return decide


def best_windows(world: World, batch: Batch) -> tuple[Ints, Ints]:
    """Return begin (hours from submission) and place of the window with the cleanest forecast."""
    hours = batch.longest_h
    hourly = world.seen(batch.submitted_h, batch.places, hours)[..., P50]
    sums = np.concatenate([np.zeros((*hourly.shape[:2], 1)), hourly.cumsum(axis=2)], axis=2)
    length = batch.work_min + batch.start_min
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


def replanned(world: World, batch: Batch) -> Decide:
    """Plan anew at every hour from the true work left; leave a place only for more than noise."""

    def decide(now: Present) -> Ints:
        some = batch.some(now.jobs)
        ahead = max(int(-(-now.room_min.max() // 60)), int(-(-now.work_min.max() // 60)) + 1)
        quantiles = world.seen(some.submitted_h + now.hour, some.places, ahead)
        hourly = np.ascontiguousarray(quantiles[..., P50].transpose(0, 2, 1))
        found = _outlook(some, now, hourly, now.running)
        place = _allowed(some, now, found)
        leaving = np.flatnonzero((now.running != PAUSE) & (place != now.running))
        if leaving.size and some.places.shape[1] > 1:
            _reconsider(some, now, quantiles=quantiles, found=found, place=place, leaving=leaving)
        return place

    return decide


def _outlook(batch: Batch, now: Present, hourly: Floats, running: Ints) -> Outlook:
    return outlook(
        hourly,
        work_min=now.work_min,
        room_min=now.room_min,
        running=running,
        start_h=batch.start_min / 60,
        move_h=batch.move_min / 60,
    )


def _allowed(batch: Batch, now: Present, found: Outlook) -> Ints:
    """Return the best place of those that still let the deadline be met, to the minute."""
    rows = np.arange(len(now.jobs))
    rests = now.running == PAUSE
    slack_min = now.room_min - now.work_min
    run = found.run.copy()
    stuck = np.flatnonzero(~rests & (slack_min < batch.move_min))
    keep = run[stuck, now.running[stuck]]
    run[stuck] = np.inf
    run[stuck, now.running[stuck]] = keep
    place = run.argmin(axis=1)
    may_pause = slack_min - 60 >= batch.start_min
    pauses = may_pause & (found.pause < run[rows, place])
    return np.where(pauses, PAUSE, place)


def _reconsider(  # noqa: PLR0913 - all of one hour
    batch: Batch,
    now: Present,
    *,
    quantiles: Floats,
    found: Outlook,
    place: Ints,
    leaving: NDArray[np.int64],
) -> None:
    """Keep in their places, in `place`, those jobs that would gain no more than noise elsewhere.

    A pause is reconsidered too: it may be but a cheap way to leave.
    """
    here = now.running[leaving]
    elsewhere = found.run[leaving].copy()
    elsewhere[np.arange(len(leaving)), here] = np.inf
    pauses = place[leaving] == PAUSE
    there = np.where(pauses, elsewhere.argmin(axis=1), place[leaving])
    of_here, of_there = quantiles[leaving, here], quantiles[leaving, there]
    some = Present(
        jobs=now.jobs[leaving],
        hour=now.hour,
        work_min=now.work_min[leaving],
        room_min=now.room_min[leaving],
        running=np.zeros(len(leaving), dtype=np.int64),
    )
    staying = _outlook(batch, some, of_here[:, :, P50, None], some.running)
    stays = _allowed(batch, some, staying)
    cost = np.where(stays == PAUSE, staying.pause, staying.run[:, 0])
    gain = cost - np.where(pauses, found.pause[leaving], found.run[leaving, there])
    hours = -(-some.work_min // 60)
    counts = (np.arange(quantiles.shape[2]) < hours[:, None])[:, :, None]
    least = BELIEF * noise(of_here * counts, of_there * counts)
    least += AGAIN * batch.move_min / 60 * of_there[:, 0, P50]
    keep = gain <= least
    place[leaving[keep]] = np.where(stays == PAUSE, PAUSE, here)[keep]
