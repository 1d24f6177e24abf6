"""Replays a batch in every way and compares them."""

from collections.abc import Callable

import numpy as np

from functions.domain.simulation.batch import Batch
from functions.domain.simulation.deciding import always, in_one_window
from functions.domain.simulation.knowing import bound_gco2eq
from functions.domain.simulation.planning import planned_and_best
from functions.domain.simulation.replay import Course, replay
from functions.domain.simulation.summary import Summary, Way, cleanest_before, summarise
from functions.domain.simulation.threshold import by_threshold
from functions.domain.simulation.world import Floats, World

AFTERWARDS_H = 72
"""A rule that knows no deadline may go on for so long after it, before a job counts as given up."""


def compare(
    world: World,
    batch: Batch,
    *,
    means_before: Floats,
    workers: int = 1,
    on_step: Callable[[], None] = lambda: None,
) -> tuple[Summary, dict[Way, Course]]:
    """Return all ways side by side, and how the jobs went in each.

    Args:
        world: recorded hours and forecasts; must go `AFTERWARDS_H` beyond the last deadline.
        batch: the jobs.
        means_before: mean intensity of each zone in the year before, shape (zones,): by it the
            best fixed region is chosen, as one could have.
        workers: processes to share the plans among.
        on_step: called after each of `steps(batch)` steps, to show progress.
    """
    hours = batch.longest_h
    fixed = cleanest_before(batch.places, means_before)
    ways = {
        Way.NOW: always(batch.home),
        Way.FIXED: always(fixed),
        Way.WINDOW: in_one_window(world, batch),
        Way.THRESHOLD: by_threshold(world, batch),
    }
    courses: dict[Way, Course] = {}
    for way, decide in ways.items():
        longest = hours + (AFTERWARDS_H if way is Way.THRESHOLD else 0)
        courses[way] = replay(world, batch, decide, hours=longest, on_hour=lambda _hour: on_step())
    courses[Way.PLAN], courses[Way.ORACLE] = planned_and_best(
        world, batch, workers=workers, on_job=on_step
    )
    bound = np.minimum(bound_gco2eq(world, batch), courses[Way.ORACLE].emissions_gco2eq)
    return summarise(batch, courses, bound, world.grid_zones), courses


def steps(batch: Batch) -> int:
    """Return about how many steps `compare` makes."""
    return 4 * batch.longest_h + AFTERWARDS_H + len(batch)
