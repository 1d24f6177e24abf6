"""eco4cast 0.0.8's threshold rule, made anew each day from the newest forecast."""

import numpy as np

from functions.domain.plan.threshold import DAY_H, NOWHERE, threshold_places
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.replay import Decide, Hour, Present
from functions.domain.simulation.world import P50, Ints, World


def by_threshold(world: World, batch: Batch) -> Decide:
    """Plan 24 hours at a time by eco4cast's rule; it knows neither deadline nor overheads."""
    plans = np.full((len(batch), DAY_H), PAUSE, dtype=np.int64)
    current = batch.home.copy()

    def decide(now: Present) -> Hour:
        hour = now.hour % DAY_H
        if hour == 0:
            some = batch.some(now.jobs)
            hourly = world.seen(some.submitted_h + now.hour, some.places, DAY_H)[..., P50]
            for row, job in enumerate(now.jobs):
                chosen = threshold_places(hourly[row].T, int(current[job]))
                plans[job] = [PAUSE if place == NOWHERE else place for place in chosen]
        places: Ints = plans[now.jobs, hour]
        goes = places != PAUSE
        current[now.jobs[goes]] = places[goes]
        return Hour.whole(places)

    return decide
