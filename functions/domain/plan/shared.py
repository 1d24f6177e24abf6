"""Tables that many jobs share: what a work costs at least does not depend on how much is to come.

A table of everything, filled once, answers for each work and each deadline. It takes as long as
some searches within bounds, so it is made only for what comes again and again, and only where it
is small. What is found is the same.
"""

from collections import OrderedDict
from dataclasses import replace
from threading import Lock

from functions.domain.plan.bounds import everything
from functions.domain.plan.problem import Problem, scale_of
from functions.domain.plan.table import Table

_WORTH_IT = 4
"""From this time on that the same is asked, a table costs less than searches."""
_MOST_CELLS = 700_000
"""Slots x minutes x places: 24 hours in thirteen places, or 48 in five; some 10 MB."""
_MOST_TABLES = 8
_MOST_SEEN = 4096


class SharedTables:
    """Tables for plans made in a row: give one to `make_plan` or `replan` for many jobs.

    It keeps the few that were used last, so jobs in the order of their regions are quickest.
    Threads may share it.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._seen: OrderedDict[tuple[object, ...], int] = OrderedDict()
        self._lock = Lock()
        self._tables: OrderedDict[tuple[object, ...], Table] = OrderedDict()

    @property
    def count(self) -> int:
        """Return how many tables are kept."""
        return len(self._tables)

    def table_of(self, problem: Problem) -> Table | None:
        """Return the table for `problem` whatever its work, `None` if it is not worth one."""
        slots, places = problem.per_min.shape
        is_small = slots * problem.minutes * places <= _MOST_CELLS
        if not is_small or problem.is_patient or problem.extras is not None:
            return None
        with self._lock:
            return self._find(_key(problem), problem)

    def _find(self, key: tuple[object, ...], problem: Problem) -> Table | None:
        table = self._tables.get(key)
        if table is not None:
            self._tables.move_to_end(key)
            return table
        times = self._seen.pop(key, 0) + 1
        if times < _WORTH_IT:
            self._seen[key] = times
            if len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
            return None
        whole = replace(problem, work_min=problem.minutes)
        table = self._tables[key] = Table(whole, everything(whole, 1), scale_of(whole))
        if len(self._tables) > _MOST_TABLES:
            self._tables.popitem(last=False)
        return table


def _key(problem: Problem) -> tuple[object, ...]:
    """Return all that a table rests on."""
    allowed = problem.allowed
    return (
        problem.edges_min.tobytes(),
        problem.per_min.tobytes(),
        None if allowed is None else allowed.tobytes(),
        problem.per_min.shape,
        problem.overheads,
        problem.running,
    )
