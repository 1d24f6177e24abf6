"""From the table of least costs back to the runs that lead there."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from functions.domain.plan import dense
from functions.domain.plan.patient import PatientTable
from functions.domain.plan.problem import MOVE_TIE, START_TIE, Entry, Run, joined
from functions.domain.plan.table import Edge, Last, Piece, Table

AnyTable = Table | PatientTable
AnyEdge = Edge | dense.Edge


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


def trace(table: AnyTable, last: Last) -> tuple[Run, ...]:
    """Return the runs that lead to `last`, ascending."""
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


def _came_from(table: AnyTable, piece: Piece, *, late: bool) -> _Step:
    """Return by which state and entry the run's first minute is reached most cheaply."""
    if piece.goes_on:
        return _Step(_State.ON, piece.place, piece.work, Entry.GOES_ON, 0)
    wanted = table.entry_cost(piece, late=late)
    for step, cost in _ways_in(table, piece, wanted, late=late):
        if cost == wanted:
            return step
    raise ArithmeticError(f"trace: no way into {piece}. Report it.")


def _ways_in(
    table: AnyTable, piece: Piece, wanted: int, *, late: bool
) -> Iterator[tuple[_Step, int]]:
    """Yield the ways in and their costs, but those that certainly cost more than `wanted`."""
    edge, overheads, place = table.edges[piece.slot], table.overheads, piece.place
    if not late and table.goes_on_at_once:
        goes_on = _Step(_State.ON, place, piece.work, Entry.GOES_ON, 0)
        yield goes_on, edge.on_at(place, piece.work)
    start = overheads.start_min
    then = piece.work + start
    cost = START_TIE + table.extras.of(Entry.START, piece.slot, place, late=late)
    yield _Step(_State.OFF, place, then, Entry.START, start), edge.off_at(then) + cost
    yield (
        _Step(_State.ENDED, place, then, Entry.START, start),
        edge.ended_at(place, then) + cost,
    )
    if late:
        yield _Step(_State.ON, place, then, Entry.START, start), edge.on_at(place, then) + cost
    from_on = (
        (Entry.ELSEWHERE, overheads.elsewhere_min) if late else (Entry.MOVE, overheads.move_min)
    )
    elsewhere = (Entry.ELSEWHERE, overheads.elsewhere_min)
    for state, entry, overhead in ((_State.ENDED, *elsewhere), (_State.ON, *from_on)):
        cost = MOVE_TIE + table.extras.of(entry, piece.slot, place, late=late)
        then = piece.work + overhead
        is_on = state is _State.ON
        if (edge.any_on_at(then) if is_on else edge.any_ended_at(then)) + cost > wanted:
            continue
        for other in edge.places_on if is_on else edge.places_ended:
            if other != place:
                step = _Step(state, other, then, entry, overhead)
                yield step, _cost_of(edge, step) + cost


def _cost_of(edge: AnyEdge, step: _Step) -> int:
    if step.state is _State.ON:
        return edge.on_at(step.place, step.work)
    return edge.ended_at(step.place, step.work)


def _piece_before(table: AnyTable, edge: int, step: _Step) -> Piece | None:
    """Return the piece that ended before the step, `None` if there is none."""
    state, place, work = step.state, step.place, step.work
    while edge > 0:
        if state is not _State.OFF:
            return table.piece_to(edge, running=state is _State.ON, place=place, work=work)
        value = table.edges[edge].off_at(work)
        edge -= 1
        before = table.edges[edge]
        if value == before.off_at(work):
            continue
        if edge == 0 and table.problem.running is not None and work == 0:
            return None  # what ran before the first slot was stopped at once
        state, place = _ran_before(before, work, value)
    return None


def _ran_before(edge: AnyEdge, work: int, value: int) -> tuple[_State, int]:
    """Return in which state a VM was before a pause that begins at `edge`."""
    for place in edge.places_on:
        if edge.on_at(place, work) == value:
            return _State.ON, place
    for place in edge.places_ended:
        if edge.ended_at(place, work) == value:
            return _State.ENDED, place
    raise ArithmeticError(f"trace: nothing ran before a pause with {work} min done. Report it.")
