"""Many schedules in several processes."""

import gc
import multiprocessing
from collections.abc import Iterator

from soak.schedule import draw
from soak.world import Result, live

CHUNK = 20
"""Schedules that a process is given at once."""


def live_all(seeds: range, jobs: int) -> Iterator[list[Result]]:
    """Yield results as they come, some at a time, from so many processes."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    if jobs == 1 or len(chunks) == 1:
        yield from map(_live_some, chunks)
        return
    # Spawned, not forked: torch and the progress bar have threads.
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_live_some, chunks)


def _live_some(seeds: range) -> list[Result]:
    """Live through some schedules; stories are left out, as they can be told again."""
    gc.freeze()
    found = []
    for seed in seeds:
        result = live(draw(seed))
        found.append(
            Result(
                seed=seed,
                violation=result.violation,
                phases=result.phases,
                vms=result.vms,
                hours=result.hours,
                events=result.events,
            )
        )
    gc.collect()
    return found
