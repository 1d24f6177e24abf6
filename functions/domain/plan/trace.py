"""From the table of least costs back to the runs that lead there."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from functions.domain.plan.problem import MOVE_TIE, START_TIE, Run, joined
from functions.domain.plan.table import Last, Table

_OFF, _ON, _ENDED = "off", "on", "ended"


@dataclass(frozen=True, slots=True)
class _Step:
    """The state before a run, and what the run owes at its begin."""

    state: str
    place: int
    work: int
    overhead_min: int
    tie: int


def trace(table: Table, last: Last) -> tuple[Run, ...]:
    """Return the runs that lead to `last`, ascending; places as in the table."""
    runs: list[Run] = []
    slot, place = last.slot, last.place
    work = table.problem.work_min - last.minutes
    begin, end = 0, last.minutes
    while True:
        at = int(table.problem.edges_min[slot])
        step = _came_from(table, slot, place, work, late=begin > 0)
        runs.append(
            Run(
                place=place,
                begin_min=at + begin,
                end_min=at + end,
                overhead_min=step.overhead_min,
                moved=step.tie == MOVE_TIE,
            )
        )
        found = _piece_before(table, slot, step)
        if found is None:
            return joined(runs[::-1])
        slot, place, work, begin, end = found


def _came_from(table: Table, slot: int, place: int, work: int, *, late: bool) -> _Step:
    """Return by which state and overhead the run's first minute is reached most cheaply."""
    edge = table.edges[slot]
    costs = table.entries[slot]
    wanted = int(costs.costs[int(late), place, work - costs.low])
    for step, cost in _ways_in(table, slot, place, work, late=late):
        if cost == wanted:
            return step
    raise ArithmeticError(f"trace: no way into slot {slot} at {edge.low}. Report it.")


def _ways_in(
    table: Table, slot: int, place: int, work: int, *, late: bool
) -> Iterator[tuple[_Step, int]]:
    edge, overheads, extras = table.edges[slot], table.overheads, table.extras
    start, elsewhere, move = overheads.start_min, overheads.elsewhere_min, overheads.move_min
    extra_start = extra_elsewhere = extra_move = 0
    if extras.any:
        extra_start = int((extras.start_late if late else extras.start)[slot, place, 0])
        extra_elsewhere = int((extras.elsewhere_late if late else extras.elsewhere)[slot, place, 0])
        extra_move = int(extras.move[slot, place, 0])
    if not late:
        yield _Step(_ON, place, work, 0, 0), edge.place_cost(edge.on, place, work)
    then = work + start
    tie = START_TIE + extra_start
    yield _Step(_OFF, place, then, start, START_TIE), edge.off_cost(then) + tie
    yield (
        _Step(_ENDED, place, then, start, START_TIE),
        edge.place_cost(edge.ended, place, then) + tie,
    )
    if late:
        yield (
            _Step(_ON, place, then, start, START_TIE),
            edge.place_cost(edge.on, place, then) + tie,
        )
    tie = MOVE_TIE + extra_elsewhere
    then = work + elsewhere
    for other in range(table.places):
        if other == place:
            continue
        cost = edge.place_cost(edge.ended, other, then) + tie
        yield _Step(_ENDED, other, then, elsewhere, MOVE_TIE), cost
        if late:
            cost = edge.place_cost(edge.on, other, then) + tie
            yield _Step(_ON, other, then, elsewhere, MOVE_TIE), cost
        else:
            cost = edge.place_cost(edge.on, other, work + move) + MOVE_TIE + extra_move
            yield _Step(_ON, other, work + move, move, MOVE_TIE), cost


def _piece_before(table: Table, slot: int, step: _Step) -> tuple[int, int, int, int, int] | None:
    """Return slot, place, work before, begin and end of the piece before; `None`: there is none."""
    state, place, work = step.state, step.place, step.work
    while slot > 0:
        slot -= 1
        if state != _OFF:
            return (slot, place, *_piece(table, slot, state, place, work))
        value, before = table.edges[slot + 1].off_cost(work), table.edges[slot]
        if value == before.off_cost(work):
            continue
        if slot == 0 and table.problem.running is not None and work == 0:
            return None
        column = work - before.low
        state = _ON if value == before.on[:, column].min() else _ENDED
        place = int((before.on if state == _ON else before.ended)[:, column].argmin())
    return None


def _piece(table: Table, slot: int, state: str, place: int, work: int) -> tuple[int, int, int]:
    """Return work before, begin and end of the piece of `slot` that leads to the state."""
    length, cost = table.lengths[slot], int(table.per_min[slot, place])
    entry, edge = table.entries[slot], table.edges[slot + 1]
    value = edge.place_cost(edge.on if state == _ON else edge.ended, place, work)
    if state == _ON:
        index = work - length - entry.low
        fits = 0 <= index < entry.costs.shape[2]
        if fits and int(entry.begin[place, index]) + cost * length == value:
            return work - length, 0, length
    source = entry.late if state == _ON else entry.begin
    minutes = np.arange(1, length)
    at = work - minutes - entry.low
    inside = (at >= 0) & (at < source.shape[1])
    minutes, at = minutes[inside], at[inside]
    reached = source[place, at] + cost * minutes == value
    part = int(minutes[np.flatnonzero(reached)[0]])
    begin, end = (length - part, length) if state == _ON else (0, part)
    return work - part, begin, end
