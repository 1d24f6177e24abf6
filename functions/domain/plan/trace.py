"""From the table of least costs back to the runs that lead there."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from functions.domain.plan.problem import MOVE_TIE, START_TIE, Entry, Run, joined
from functions.domain.plan.table import Last, Piece, Table


class _State(Enum):
    OFF = auto()
    ON = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class _Step:
    """The state before a run, and how the run begins."""

    state: _State
    place: int
    work: int
    entry: Entry
    overhead_min: int


def trace(table: Table, last: Last) -> tuple[Run, ...]:
    """Return the runs that lead to `last`, ascending; places as in the table."""
    runs: list[Run] = []
    piece: Piece | None = last.piece
    while piece is not None:
        late = piece.begin_min > int(table.problem.edges_min[piece.slot])
        step = _came_from(table, piece, late=late)
        runs.append(
            Run(
                place=piece.place,
                begin_min=piece.begin_min,
                end_min=piece.end_min,
                overhead_min=step.overhead_min + table.running_overhead(piece.slot),
                entry=step.entry,
            )
        )
        piece = _piece_before(table, piece.slot, step)
    return joined(runs[::-1])


def _came_from(table: Table, piece: Piece, *, late: bool) -> _Step:
    """Return by which state and entry the run's first minute is reached most cheaply."""
    if piece.goes_on:
        return _Step(_State.ON, piece.place, piece.work, Entry.GOES_ON, 0)
    wanted = table.entry_cost(piece, late=late)
    for step, cost in _ways_in(table, piece, wanted, late=late):
        if cost == wanted:
            return step
    raise ArithmeticError(f"trace: no way into {piece}. Report it.")


def _ways_in(table: Table, piece: Piece, wanted: int, *, late: bool) -> Iterator[tuple[_Step, int]]:
    """Yield the ways in and their costs, but those that certainly cost more than `wanted`."""
    edge, overheads, place = table.edges[piece.slot], table.overheads, piece.place
    on, ended = _State.ON, _State.ENDED
    if not late and table.goes_on_at_once:
        goes_on = _Step(on, place, piece.work, Entry.GOES_ON, 0)
        yield goes_on, edge.place_cost(edge.on, place, piece.work)
    start = overheads.start_min
    then = piece.work + start
    cost = START_TIE + table.extras.of(Entry.START, piece.slot, place, late=late)
    yield _Step(_State.OFF, place, then, Entry.START, start), edge.cost(edge.off, then) + cost
    own = [(ended, edge.ended), (on, edge.on)] if late else [(ended, edge.ended)]
    for state, costs in own:
        before = edge.place_cost(costs, place, then)
        yield _Step(state, place, then, Entry.START, start), before + cost
    elsewhere, move = overheads.elsewhere_min, overheads.move_min
    from_on = (Entry.ELSEWHERE, elsewhere) if late else (Entry.MOVE, move)
    ways = [
        (ended, edge.ended, edge.any_ended, Entry.ELSEWHERE, elsewhere),
        (on, edge.on, edge.any_on, *from_on),
    ]
    for state, costs, least, entry, overhead in ways:
        cost = MOVE_TIE + table.extras.of(entry, piece.slot, place, late=late)
        then = piece.work + overhead
        if edge.cost(least, then) + cost > wanted:
            continue
        for other in range(table.places):
            if other != place:
                before = edge.place_cost(costs, other, then)
                yield _Step(state, other, then, entry, overhead), before + cost


def _piece_before(table: Table, edge: int, step: _Step) -> Piece | None:
    """Return the piece that ended before the step, `None` if there is none."""
    state, place, work = step.state, step.place, step.work
    while edge > 0:
        if state is not _State.OFF:
            return table.piece_to(edge, running=state is _State.ON, place=place, work=work)
        after, before = table.edges[edge], table.edges[edge - 1]
        value = after.cost(after.off, work)
        edge -= 1
        if value == before.cost(before.off, work):
            continue
        if edge == 0 and table.problem.running is not None and work == 0:
            return None  # what ran before the first slot was stopped at once
        column = work - before.low
        state = _State.ON if value == before.any_on[column] else _State.ENDED
        costs = before.on if state is _State.ON else before.ended
        place = int(costs[:, column].argmin())
    return None
