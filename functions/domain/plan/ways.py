"""Ways to do a work on given terms: at once, in one window, half of each day, freely."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.grid import HOUR_MIN
from functions.domain.plan.optimum import cheapest_runs
from functions.domain.plan.problem import Entry, Run, joined
from functions.domain.plan.terms import Terms

DAY_MIN = 24 * HOUR_MIN

Runs = tuple[Run, ...]


def work_min(runs: Sequence[Run]) -> int:
    """Return the work that `runs` do, minutes."""
    return sum(run.minutes - run.overhead_min for run in runs)


def cleanest(
    terms: Terms, work: int, running: int | None, running_left_min: int = 0
) -> Runs | None:
    """Return the exact optimum of `work` minutes, `None` if they do not fit."""
    return cheapest_runs(terms.problem(work, running, running_left_min))


def at_once(terms: Terms, place: int, work: int, running: int | None) -> Runs:
    """Return one run in `place` without a pause, cut where the data end."""
    overheads = terms.overheads
    if running is None:
        entry, owed = Entry.START, overheads.start_min
    elif running == place:
        entry, owed = Entry.GOES_ON, overheads.running_min
    else:
        entry, owed = Entry.MOVE, overheads.move_min + overheads.running_min
    end = min(owed + work, _known_until(terms, place))
    return (Run(place=place, begin_min=0, end_min=end, overhead_min=owed, entry=entry),)


def _known_until(terms: Terms, place: int) -> int:
    """Return up to which minute there are data for `place` without a gap."""
    if terms.known is None or terms.known[:, place].all():
        return terms.grid.minutes
    return int(terms.grid.edges_min[int(terms.known[:, place].argmin())])


def soonest(terms: Terms, work: int, running: int | None) -> Runs:
    """Return the run that finishes first, the cleanest of those that do: dirty rather than late."""
    places = range(terms.grid.gco2eq_per_kwh.shape[1])
    ways = [at_once(terms, place, work, running) for place in places]
    ways = [way for way in ways if way[0].minutes > 0]
    # What does all of the work first, then what does most before the data end, then the cleanest.
    return min(
        ways,
        key=lambda way: (
            work_min(way) < work,
            way[0].overhead_min,
            -work_min(way),
            terms.total_score(way),
        ),
    )


def best_window(terms: Terms, work: int, running: int | None) -> Runs | None:
    """Return the best run in one piece, `None` if none fits; it may wait, but never pauses.

    Its cost is linear in its begin while both ends stay in their slots: it touches an edge.
    """
    overheads, grid = terms.overheads, terms.grid
    places = range(grid.gco2eq_per_kwh.shape[1])
    length = overheads.start_min + work
    begins = np.unique(np.concatenate([grid.edges_min, grid.edges_min - length]))
    begins = begins[(begins >= (0 if running is None else 1)) & (begins + length <= grid.minutes)]
    found: list[Runs] = []
    if running is not None:
        found = [at_once(terms, place, work, running) for place in places]
        found = [way for way in found if work_min(way) == work and _is_allowed(terms, way[0])]
    if len(begins):
        found += _later_windows(terms, begins, length)
    return min(found, key=lambda way: (terms.total_score(way), way[0].end_min), default=None)


def _later_windows(terms: Terms, begins: NDArray[np.int64], length: int) -> list[Runs]:
    """Return the best window that starts a VM, of each place or of all where that is enough."""
    start_min = terms.overheads.start_min
    scores = terms.spans_score(begins, begins + length)
    if terms.allowed() is None and terms.extra_gco2eq is None:
        at, best = divmod(int(scores.argmin()), scores.shape[1])
        return [(_window(best, int(begins[at]), length, start_min),)]
    found: list[Runs] = []
    for place in range(scores.shape[1]):
        order = scores[:, place].argsort(kind="stable")
        runs = (_window(place, int(begins[each]), length, start_min) for each in order)
        found += [(run,) for run in islice((r for r in runs if _is_allowed(terms, r)), 1)]
    return found


def _window(place: int, begin_min: int, length_min: int, start_min: int) -> Run:
    return Run(
        place=place, begin_min=begin_min, end_min=begin_min + length_min, overhead_min=start_min
    )


def _is_allowed(terms: Terms, run: Run) -> bool:
    allowed = terms.allowed()
    if allowed is None:
        return True
    edges = terms.grid.edges_min
    first = int(np.searchsorted(edges, run.begin_min, side="right")) - 1
    last = int(np.searchsorted(edges, run.end_min, side="left"))
    return bool(allowed[first:last, run.place].all())


def cleanest_halves(terms: Terms, running: int | None, most_work: int | None) -> Runs:
    """Return the exact optimum of running half of each 24 h, counted from the begin.

    Counted from there and not from midnight, so that a plan made anew each hour sees a whole cycle
    ahead each time: with what is left of a day it would wait for the evening each day.

    Args:
        terms: of all minutes that may be used.
        running: place in which a VM runs at the start, `None` if none does.
        most_work: work after which to stop, minutes; `None`: not known.
    """
    runs: list[Run] = []
    left = most_work
    for begin in range(0, terms.grid.minutes, DAY_MIN):
        window = terms.since(begin)
        window = window.until(min(DAY_MIN, window.grid.minutes))
        half = window.grid.minutes // 2 - terms.overheads.start_min
        work = half if left is None else min(half, left)
        found = cleanest(window, work, running) if work > 0 else None
        shifted = [
            replace(run, begin_min=run.begin_min + begin, end_min=run.end_min + begin)
            for run in found or ()
        ]
        at_end = bool(shifted) and shifted[-1].end_min == begin + window.grid.minutes
        running = shifted[-1].place if at_end else None
        left = None if left is None else left - work_min(shifted)
        runs += shifted
    return joined(runs)


def bound(terms: Terms, work: int) -> Runs:
    """Return the best minutes for `work`, were starts and moves free."""
    grid, score = terms.grid, terms.score_per_kwh()
    if terms.known is not None:
        score = np.where(terms.known, score, np.inf)
    best, lowest = score.argmin(axis=1), score.min(axis=1)
    lengths = np.diff(grid.edges_min)
    order = np.argsort(lowest, kind="stable")
    used = np.clip(work - (np.cumsum(lengths[order]) - lengths[order]), 0, lengths[order])
    used[~np.isfinite(lowest[order])] = 0
    minutes_of = dict(zip(order.tolist(), used.tolist(), strict=True))
    runs: list[Run] = []
    for slot in np.sort(order[used > 0]).tolist():
        begin, place = int(grid.edges_min[slot]), int(best[slot])
        moved = bool(runs) and runs[-1].end_min == begin and runs[-1].place != place
        run = Run(
            place=place,
            begin_min=begin,
            end_min=begin + int(minutes_of[slot]),
            overhead_min=0,
            entry=Entry.MOVE if moved else Entry.START,
        )
        runs.append(run)
    return joined(runs)
