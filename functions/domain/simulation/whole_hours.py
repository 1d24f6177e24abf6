"""Decides by whole hours, for many jobs at once: the plan made anew, and what the oracle does."""

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.leaving import least_gain
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE, Outlook, outlook
from functions.domain.simulation.replay import Decide, Hour, Present
from functions.domain.simulation.world import P50, Floats, Ints, World


def replanned_by_hours(world: World, batch: Batch) -> Decide:
    """Plan anew at every hour from the work left; leave a place only for more than noise."""

    def decide(now: Present) -> Hour:
        some = batch.some(now.jobs)
        quantiles = world.seen(some.submitted_h + now.hour, some.places, _ahead_h(now))
        found = _outlook(some, now, quantiles[..., P50], now.running)
        place = _best(found)
        leaving = np.flatnonzero((now.running != PAUSE) & (place != now.running))
        if leaving.size and some.places.shape[1] > 1:
            _reconsider(some, now, quantiles=quantiles, found=found, place=place, leaving=leaving)
        return Hour.whole(place)

    return decide


def knowing_all_hours(world: World, batch: Batch) -> Decide:
    """Do the best in each hour of what was recorded later."""

    def decide(now: Present) -> Hour:
        some = batch.some(now.jobs)
        hours = (some.submitted_h + now.hour)[:, None] + np.arange(_ahead_h(now))
        last = world.actual.shape[1] - 1
        hourly = world.actual[some.places[:, :, None], np.minimum(hours, last)[:, None, :]]
        return Hour.whole(_best(_outlook(some, now, hourly, now.running)))

    return decide


def _ahead_h(now: Present) -> int:
    return int(max(now.room_min.max(), now.work_min.max())) // 60


def _outlook(batch: Batch, now: Present, hourly: Floats, running: Ints) -> Outlook:
    return outlook(
        np.ascontiguousarray(hourly.transpose(0, 2, 1)),
        work_min=now.work_min,
        room_min=now.room_min,
        running=running,
        start_h=batch.start_min / 60,
        move_h=batch.move_min / 60,
    )


def _best(found: Outlook) -> Ints:
    place = found.run.argmin(axis=1)
    pauses = found.pause < found.run[np.arange(len(place)), place]
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
    some = Present(
        jobs=now.jobs[leaving],
        hour=now.hour,
        work_min=now.work_min[leaving],
        room_min=now.room_min[leaving],
        running=np.zeros(len(leaving), dtype=np.int64),
    )
    of_here = quantiles[leaving, here]
    staying = _outlook(batch, some, of_here[:, None, :, P50], some.running)
    stays = _best(staying)
    cost = np.where(stays == PAUSE, staying.pause, staying.run[:, 0])
    gain = cost - np.where(pauses, found.pause[leaving], found.run[leaving, there])
    for row, job in enumerate(leaving.tolist()):
        hours = int(some.work_min[row]) // 60
        least = least_gain(
            of_here[row, :hours],
            quantiles[job, there[row], :hours],
            move_h=batch.move_min / 60,
        )
        if gain[row] <= least:
            place[job] = PAUSE if stays[row] == PAUSE else here[row]
