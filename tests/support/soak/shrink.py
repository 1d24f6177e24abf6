"""From a schedule that breaks a promise to a small one that breaks the same."""

from collections.abc import Callable
from dataclasses import replace

from soak.schedule import Schedule
from soak.world import Result, live

MOST_TRIES = 400


def shrink(schedule: Schedule, result: Result) -> tuple[Schedule, Result]:
    """Return the smallest schedule found that breaks the same promise, and how it goes."""
    law, tries = law_of(result), 0
    best = (schedule, result)

    def breaks(smaller: Schedule) -> bool:
        nonlocal best, tries
        tries += 1
        found = live(smaller) if tries <= MOST_TRIES else None
        if found is None or law_of(found) != law:
            return False
        best = (smaller, found)
        return True

    for submission in schedule.submissions:
        if len(best[0].submissions) > 1:
            others = tuple(each for each in best[0].submissions if each is not submission)
            breaks(replace(best[0], submissions=others))
    _drop_faults(lambda: best[0], breaks)
    return best


def _drop_faults(best: Callable[[], Schedule], breaks: Callable[[Schedule], bool]) -> None:
    """Remove ever smaller groups of faults (delta debugging: Zeller and Hildebrandt, 2002)."""
    size = max(1, len(best().faults) // 2)
    while True:
        dropped = False
        at = 0
        while at < len(best().faults):
            faults = best().faults
            if breaks(replace(best(), faults=faults[:at] + faults[at + size :])):
                dropped = True
            else:
                at += size
        if size == 1 and not dropped:
            return
        size = max(1, size // 2)


def law_of(result: Result) -> str:
    """Return which promise was broken, empty if none was."""
    return result.violation.partition(":")[0]
