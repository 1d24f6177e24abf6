"""The table of least costs, filled slot by slot: a curve by work done for each state kept."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from functions.domain.plan.bounds import Kept, Span
from functions.domain.plan.curves import Curve, least, part_of
from functions.domain.plan.problem import (
    IMPOSSIBLE,
    MOVE_TIE,
    NEVER,
    START_TIE,
    TIE_BITS,
    Entry,
    Problem,
    whole,
)

_RUNS_ON = {Entry.MOVE, Entry.START, Entry.ELSEWHERE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a run, between two states of the table."""

    slot: int
    """In which it begins."""
    place: int
    work: int
    """Done before it, its own overhead already owed."""
    begin_min: int
    end_min: int
    goes_on: bool = False
    """Whether it certainly goes on in its place; if not, its least cost tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Last:
    """The piece in which the work ends."""

    piece: Piece
    cost: int
    """Of the whole plan."""

    @property
    def order(self) -> tuple[int, int, int, int]:
        """What is to be least: the cost, then the finish, then moves and starts."""
        return self.cost >> TIE_BITS, self.piece.end_min, self.cost, self.piece.place


@dataclass(slots=True, eq=False)
class Edge:
    """Least costs at the edge of two slots, of the states that can matter."""

    off: Curve | None = None
    """No VM in the slot before."""
    on: dict[int, Curve] = field(default_factory=dict)
    """A VM runs at the edge, by place."""
    ended: dict[int, Curve] = field(default_factory=dict)
    """A VM ran in the slot before, not to its end, by place."""
    any_on: Curve | None = None
    """The least of `on`."""
    any_ended: Curve | None = None
    """The least of `ended`."""

    @property
    def places_on(self) -> Iterable[int]:
        """Places that may be ON."""
        return self.on

    @property
    def places_ended(self) -> Iterable[int]:
        """Places that may be ENDED."""
        return self.ended

    def off_at(self, work: int) -> int:
        """Return the cost of OFF."""
        return _at(self.off, work)

    def on_at(self, place: int, work: int) -> int:
        """Return the cost of ON in `place`."""
        return _at(self.on.get(place), work)

    def ended_at(self, place: int, work: int) -> int:
        """Return the cost of ENDED in `place`."""
        return _at(self.ended.get(place), work)

    def any_on_at(self, work: int) -> int:
        """Return the least cost of ON."""
        return _at(self.any_on, work)

    def any_ended_at(self, work: int) -> int:
        """Return the least cost of ENDED."""
        return _at(self.any_ended, work)

    def least_at(self, work: int) -> int:
        """Return the least cost at which a VM ran in the slot before."""
        return min(self.any_on_at(work), self.any_ended_at(work))


def _at(curve: Curve | None, work: int) -> int:
    return int(NEVER) if curve is None else curve.at(work)


class ExtraCosts:
    """The extras as whole numbers."""

    def __init__(self, problem: Problem, scale: float) -> None:
        """Take the extras of `problem`; all 0 if it has none."""
        extras = problem.extras
        kinds = [(entry, late) for entry in _RUNS_ON for late in (False, True)]
        self._costs: dict[tuple[Entry, bool], list[list[int]]] = {}
        if extras is not None:
            self._costs = {
                (entry, late): whole(extras.of(entry, late=late), scale).tolist()
                for entry, late in kinds
            }

    def of(self, entry: Entry, slot: int, place: int, *, late: bool) -> int:
        """Return the extra cost of one entry."""
        if not self._costs or entry is Entry.GOES_ON:
            return 0
        return self._costs[entry, late][slot][place]


class Table:
    """All edges and entries of one problem, within what is kept of it."""

    goes_on_at_once = True
    """Whether a run may end, and a run that goes on may be taken for one that begins."""

    def __init__(self, problem: Problem, kept: Kept, scale: float) -> None:
        """Fill the table."""
        self.problem = problem
        self.overheads = problem.overheads
        self.extras = ExtraCosts(problem, scale)
        self._kept = kept
        self._edges_min: list[int] = problem.edges_min.tolist()
        self._lengths: list[int] = problem.lengths_min.tolist()
        self._per_min: list[list[int]] = whole(problem.per_min, scale).tolist()
        self._begin: list[dict[int, Curve]] = []
        """Of each slot, costs just before the first minute, overhead owed, by place."""
        self._late: list[dict[int, Curve]] = []
        """The same of what begins later in the slot."""
        self.edges = [self._first_edge()]
        for slot in range(len(self._lengths)):
            self.edges.append(self._next_edge(slot, self.edges[-1]))

    def _first_edge(self) -> Edge:
        running = self.problem.running
        nothing = np.zeros(1, dtype=np.int64)
        if running is None:
            return Edge(off=Curve(0, nothing))
        on = Curve(-self.overheads.running_min, nothing)
        return Edge(on={running: on}, any_on=on)

    def _next_edge(self, slot: int, edge: Edge) -> Edge:
        states, late_places = self._kept.edges[slot + 1], self._kept.late[slot]
        length, per_min = self._lengths[slot], self._per_min[slot]
        begin_of: dict[int, Curve] = {}
        late_of: dict[int, Curve] = {}
        then = Edge(off=self._off(slot, edge, states.off))
        for place in states.places:
            begin = self._entered(self._ways_in(slot, place, edge))
            if begin is None:
                continue
            begin_of[place] = begin
            if place in states.on:
                on = Curve.never(states.on[place])
                on.lower(begin, length, per_min[place] * length)
                late = None
                if place in late_places and length > 1:
                    late = self._entered(self._late_ways_in(slot, place, edge))
                if late is not None:
                    late_of[place] = late
                    on.lower_after(late, per_min[place], length - 1)
                then.on[place] = on
            if place in states.ended and length > 1:
                ended = Curve.never(states.ended[place])
                ended.lower_after(begin, per_min[place], length - 1)
                then.ended[place] = ended
        self._begin.append(begin_of)
        self._late.append(late_of)
        then.any_on, then.any_ended = least(then.on), least(then.ended)
        return then

    def _off(self, slot: int, edge: Edge, span: Span | None) -> Curve | None:
        if span is None:
            return None
        # Below 0 an overhead bore no work: better never started.
        off = Curve.never((max(span[0], 0), span[1]))
        for source in (edge.off, edge.any_on, edge.any_ended):
            if source is not None:
                off.lower(source, 0, 0)
        if slot == 0 and self.problem.running is not None and off.low == 0 and len(off.costs):
            off.costs[0] = 0  # it stops at once, and owes nothing
        return off

    def _ways_in(self, slot: int, place: int, edge: Edge) -> Iterator[tuple[Curve, int, int]]:
        """Yield from where a run begins with a slot, the overhead owed, and what it costs.

        A "move" within one place is among the least of all places, but never pays: the way without
        it does more work in the same minutes, and could be cut short.
        """
        overheads, extra = self.overheads, self.extras.of
        if place in edge.on:
            yield edge.on[place], 0, 0
        rested = [curve for curve in (edge.off, edge.ended.get(place)) if curve is not None]
        if rested:
            cost = START_TIE + extra(Entry.START, slot, place, late=False)
            for curve in rested:
                yield curve, overheads.start_min, cost
        if edge.any_on is not None and edge.on.keys() != {place}:
            cost = MOVE_TIE + extra(Entry.MOVE, slot, place, late=False)
            yield edge.any_on, overheads.move_min, cost
        if edge.any_ended is not None and edge.ended.keys() != {place}:
            cost = MOVE_TIE + extra(Entry.ELSEWHERE, slot, place, late=False)
            yield edge.any_ended, overheads.elsewhere_min, cost

    def _late_ways_in(self, slot: int, place: int, edge: Edge) -> Iterator[tuple[Curve, int, int]]:
        """Yield the same for a run that begins inside a slot."""
        overheads, extra = self.overheads, self.extras.of
        cost = START_TIE + extra(Entry.START, slot, place, late=True)
        for curve in (edge.off, edge.ended.get(place), edge.on.get(place)):
            if curve is not None:
                yield curve, overheads.start_min, cost
        cost = MOVE_TIE + extra(Entry.ELSEWHERE, slot, place, late=True)
        for curve in (edge.any_ended, edge.any_on):
            if curve is not None:
                yield curve, overheads.elsewhere_min, cost

    def _entered(self, ways: Iterator[tuple[Curve, int, int]]) -> Curve | None:
        """Return the least of all `ways`, by work done with the overhead still owed."""
        found = list(ways)
        if not found:
            return None
        if len(found) == 1 and not found[0][2]:
            return found[0][0]
        low = min(curve.low - owed for curve, owed, _ in found)
        entered = Curve.never((low, max(curve.high - owed for curve, owed, _ in found)))
        for curve, owed, cost in found:
            entered.lower(curve, -owed, cost)
        return entered

    def last(self, work_min: int, until_min: int) -> Last | None:
        """Return where the cheapest plan for `work_min` ends that is done by `until_min`.

        Where a slot is cut by `until_min`, what it costs uncut is a lower bound.
        """
        bounds = [(edge.least_at(work_min), slot) for slot, edge in enumerate(self.edges[1:])]
        best: Last | None = None
        for bound, slot in sorted(each for each in bounds if each[0] < IMPOSSIBLE):
            if best is not None and bound >> TIE_BITS > best.cost >> TIE_BITS:
                break
            most = min(self._lengths[slot], until_min - self._edges_min[slot])
            for own, place in self._bounds_of_places(slot, work_min):
                if best is not None and own >> TIE_BITS > best.cost >> TIE_BITS:
                    break
                found = self._finish(slot, place, work_min, most)
                if found is not None and (best is None or found.order < best.order):
                    best = found
        return best

    def _bounds_of_places(self, slot: int, work_min: int) -> list[tuple[int, int]]:
        """Return what ending in `slot` costs at least, and the place, the cheapest first."""
        then = self.edges[slot + 1]
        return sorted(
            (min(then.on_at(place, work_min), then.ended_at(place, work_min)), place)
            for place in self._begin[slot]
        )

    def _finish(self, slot: int, place: int, work_min: int, most: int) -> Last | None:
        """Return the cheapest way to finish at most `most` minutes into `slot`, the earliest."""
        begin = self._begin[slot][place]
        first, last = max(work_min - begin.high, 1), min(work_min - begin.low, most)
        if last < first:
            return None
        into = np.arange(first, last + 1)
        totals = begin.costs[work_min - begin.low - into] + self._per_min[slot][place] * into
        at = int((totals >> TIE_BITS).argmin())
        if totals[at] >= IMPOSSIBLE:
            return None
        begin_min, minutes = self._edges_min[slot], int(into[at])
        piece = Piece(
            slot=slot,
            place=place,
            work=work_min - minutes,
            begin_min=begin_min,
            end_min=begin_min + minutes,
        )
        return Last(piece=piece, cost=int(totals[at]))

    def entry_cost(self, piece: Piece, *, late: bool) -> int:
        """Return the least cost before the first minute of `piece`."""
        entries = self._late if late else self._begin
        return entries[piece.slot][piece.place].at(piece.work)

    def running_overhead(self, slot: int) -> int:
        """Return what the run before the first slot adds to what a run in `slot` owes."""
        is_first = slot == 0 and self.problem.running is not None
        return self.overheads.running_min if is_first else 0

    def piece_to(self, edge: int, *, running: bool, place: int, work: int) -> Piece:
        """Return the piece that leads to ON at an edge, or to ENDED in the slot before it."""
        slot, length, cost = edge - 1, self._lengths[edge - 1], self._per_min[edge - 1][place]
        begin, end = self._edges_min[slot], self._edges_min[edge]
        then, entry = self.edges[edge], self._begin[slot][place]
        value = then.on_at(place, work) if running else then.ended_at(place, work)
        if running and entry.at(work - length) + cost * length == value:
            return Piece(slot=slot, place=place, work=work - length, begin_min=begin, end_min=end)
        source = self._late[slot].get(place) if running else entry
        part = None
        if source is not None:
            part = part_of(source.costs, work - source.low, cost, value, (1, length - 1))
        if part is None:
            raise ArithmeticError(f"table: no piece leads to edge {edge} in {place}. Report it.")
        begin, end = (end - part, end) if running else (begin, begin + part)
        return Piece(slot=slot, place=place, work=work - part, begin_min=begin, end_min=end)
