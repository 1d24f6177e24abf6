"""The cheapest way to do a given work within given slots: exact, by dynamic programming.

The words, which the brute force of the tests implements on its own:

- Time is whole minutes, cut into slots. In a slot a VM runs in at most one place, in one piece: the
  whole slot, its early part, its late part, or a part inside.
- A run in one place costs an overhead, which does no work:
  - nothing, if it goes on without a pause in the place of the slot before;
  - a move, if it goes on without a pause in another place;
  - a start, if there was a pause; but not less than a move if a VM ran elsewhere in the slot
    before (else a pause of a minute would be a cheap move).
- Work done = minutes that a VM runs, less the overheads. An overhead that is longer than its slot
  goes on in the next one.
- Every minute costs what its slot and place cost, and a run costs its `Extras` once. The work is
  done exactly; the total is least; among equals the finish is earliest, then moves are fewest,
  then starts.

State at the edge of two slots: work done (minutes), and OFF (no VM in the slot before), ON in p (it
runs at the edge) or ENDED in p (it ran in the slot before, not to its end). A part inside a slot is
never better than an early part, so it is not tried. Costs are integers: sums are exact, and the
lowest bits count moves and starts.

It is fast because it looks only at states that can matter, and it is exact because what it leaves
out is proved not to: `bounds` gives a cost that every plan through a state exceeds. The search
first believes that the optimum is at most a little dearer than the bound for all plans; if what it
finds bears that out, nothing left out can be better (every plan through it costs more than the
limit that the plan found keeps). Else it looks again, with the plan found as the limit.
"""

from dataclasses import dataclass

import numpy as np

from functions.domain.plan.bounds import Kept, everything, find_bounds, may_fit
from functions.domain.plan.patient import PatientTable
from functions.domain.plan.problem import (
    TIE_BITS,
    Entry,
    Problem,
    Run,
    scale_of,
)
from functions.domain.plan.table import Last, Table
from functions.domain.plan.trace import trace

_WIDER = 4.0
_GIVE_UP = 1e3


def cheapest_runs(problem: Problem) -> tuple[Run, ...] | None:
    """Return the cheapest runs that do the work, `None` if it cannot be done in time."""
    first = problem.overheads.start_min if problem.running is None else 0
    if problem.work_min + first > problem.minutes:
        return None
    if problem.running is not None and _can_only_go_on(problem):
        return _going_on(problem, problem.running)
    bounds = find_bounds(problem)
    if bounds is None or not may_fit(problem):
        return None
    scale = scale_of(problem)
    limit = bounds.lowest + bounds.guess()
    while True:
        found = _search(problem, bounds.keep(limit), scale)
        if found is not None and found.cost <= limit:
            return found.runs()
        if found is not None:
            limit = found.cost
        elif limit > bounds.lowest + _GIVE_UP * bounds.guess():
            last = _search(problem, everything(problem, problem.work_min), scale)
            return None if last is None else last.runs()
        else:
            limit = bounds.lowest + _WIDER * (limit - bounds.lowest)


def cheapest_runs_of(table: Table, work_min: int, until_min: int) -> tuple[Run, ...] | None:
    """Return the same from a table of everything, for any work and until any minute of it."""
    last = table.last(work_min, until_min)
    return None if last is None else trace(table, last)


def _can_only_go_on(problem: Problem) -> bool:
    """Tell whether there is time for nothing but to go on: neither a move nor a pause fits."""
    if problem.is_patient:
        return False
    overheads, free_min = problem.overheads, problem.minutes - problem.work_min
    left_min = free_min - overheads.running_min
    again_min = min(overheads.move_min, overheads.start_min + 1)
    # What runs may stop at once, and then owes nothing; the first slot is lost.
    anew_min = int(problem.edges_min[1]) + overheads.start_min
    return 0 <= left_min < again_min and free_min < anew_min


def _going_on(problem: Problem, place: int) -> tuple[Run, ...] | None:
    """Return the run that goes on to the end of the work, `None` where it is not allowed."""
    owed_min = problem.overheads.running_min
    end_min = problem.work_min + owed_min
    slots = int(np.searchsorted(problem.edges_min, end_min, side="left"))
    if problem.allowed is not None and not problem.allowed[:slots, place].all():
        return None
    entry = Entry.GOES_ON
    return (Run(place=place, begin_min=0, end_min=end_min, overhead_min=owed_min, entry=entry),)


@dataclass(frozen=True, slots=True)
class _Found:
    table: Table | PatientTable
    last: Last
    cost: float
    """Of the plan, or a little above it if the limit was too low."""

    def runs(self) -> tuple[Run, ...]:
        """Return the runs; only a cost within the limit is sure to have them."""
        return trace(self.table, self.last)


def _search(problem: Problem, kept: Kept | None, scale: float) -> _Found | None:
    """Return the best plan within what is kept, `None` if there is none."""
    if kept is None:
        return None
    table: Table | PatientTable
    if problem.is_patient:
        table = PatientTable(problem, kept, scale)
        last = table.fill()
    else:
        table = Table(problem, kept, scale)
        last = table.last(problem.work_min, problem.minutes)
    return None if last is None else _Found(table, last, (last.cost >> TIE_BITS) / scale)
