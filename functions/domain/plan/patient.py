"""The table for runs of a least length: a run that begins is followed until it is long enough.

Of a run at most one end lies inside a slot while it is not yet long enough: it begins with a slot,
or it is long enough at the edge before its end. Nothing is lost by that: the cost of an interval
of fixed length is linear in its begin as long as both ends stay in their slots, so some cheapest
one touches an edge.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from functions.domain.plan.bounds import Kept
from functions.domain.plan.curves import after_part, part_of, put
from functions.domain.plan.dense import DenseTable, Edge, Entries
from functions.domain.plan.problem import NEVER, Costs, Problem
from functions.domain.plan.table import Last, Piece


@dataclass(frozen=True, slots=True)
class _Growth:
    """How a run that begins in `begun` gets long enough by the end of slot `edge` - 1."""

    begun: int
    edge: int
    late: bool
    """Whether it begins inside its slot."""
    minutes: tuple[int, int]
    """Least and most: of the last slot if it begins with one, else of the slot it begins in."""
    between: Costs
    """Cost of the whole slots, by place; those beside the part."""
    between_min: int
    goes_on: bool = False
    """Whether it is the one that ran before the first slot."""


class PatientTable(DenseTable):
    """A table whose runs last at least `min_run_min`."""

    def __init__(self, problem: Problem, kept: Kept, scale: float) -> None:
        """Prepare the table; `fill` does the work."""
        super().__init__(problem, kept, scale)
        self._ready: dict[int, list[tuple[_Growth, Entries]]] = {}
        self._starting: Edge | None = None
        if problem.allowed is None:
            self._allowed = np.ones(problem.per_min.shape, dtype=bool)
        else:
            self._allowed = problem.allowed

    def fill(self) -> Last | None:
        """Return where the cheapest plan ends, the earliest of equals; `None` if there is none."""
        self.edges = [self._first_edge()]
        self.entries = []
        best: Last | None = None
        for slot in range(len(self.lengths)):
            entry = self._entry(slot, self.edges[-1])
            self.entries.append(entry)
            last = self._last(slot, entry)
            if last and (best is None or last.order < best.order):
                best = last
            self.edges.append(self._next_edge(slot, self.edges[-1], entry))
        return best

    def _first_edge(self) -> Edge:
        edge = super()._first_edge()
        if self.problem.running is None or self.problem.running_left_min <= 0:
            return edge
        # It has to go on for a while; nothing else can happen before.
        self._starting = edge
        nothing = np.full_like(edge.on, NEVER)
        return Edge(edge.low, edge.off, nothing, nothing, nothing[0], nothing[0])

    def _entry(self, slot: int, edge: Edge) -> Entries:
        entry = super()._entry(slot, edge)
        shortest = self.problem.min_run_min
        for growth in self._growths(slot, shortest):
            self._ready.setdefault(growth.edge, []).append((growth, entry))
        if slot == 0 and self._starting is not None:
            running = Entries(self._starting.low, np.stack([self._starting.on] * 2))
            for growth in self._growths(0, self.problem.running_left_min):
                if not growth.late:
                    going_on = replace(growth, goes_on=True)
                    self._ready.setdefault(growth.edge, []).append((going_on, running))
        return entry

    def _elsewhere(self, edge: Edge) -> tuple[Costs, Costs]:
        """Return the least of ON and of ENDED in other places, by place.

        Without a least length a "move" within one place never pays, see `Table`; with one it might
        burn a minute that makes the last run long enough.
        """
        return _least_of_others(edge.on), _least_of_others(edge.ended)

    def _growths(self, slot: int, shortest: int) -> Iterator[_Growth]:
        edges = self.problem.edges_min
        begin, end = int(edges[slot]), int(edges[slot + 1])
        long_at = int(np.searchsorted(edges, begin + shortest))
        if long_at < len(edges):
            last = int(edges[long_at - 1])
            minutes = (begin + shortest - last, int(edges[long_at]) - last)
            between = self._between(slot, long_at - 1, slot, long_at)
            yield _Growth(slot, long_at, False, minutes, between, last - begin)  # noqa: FBT003 - late
        for edge in range(slot + 1, len(edges)):
            more, less = int(edges[edge]) - end, int(edges[edge - 1]) - end
            first = max(shortest - more, 1)
            last = end - begin - 1
            if edge > slot + 1:
                last = min(last, shortest - less - 1)
            if first <= last:
                between = self._between(slot + 1, edge, slot, edge)
                yield _Growth(slot, edge, True, (first, last), between, more)  # noqa: FBT003 - late
            if first <= 1:
                return

    def _between(self, first: int, last: int, begun: int, edge: int) -> Costs:
        """Return the cost of whole slots, by place; what cannot be where a slot is not allowed."""
        allowed = self._allowed[begun:edge].all(axis=0)
        return np.where(allowed, self.between(first, last), NEVER)

    def _next_edge(self, slot: int, edge: Edge, entry: Entries) -> Edge:  # noqa: ARG002 - as DenseTable
        going_on = Entries(edge.low, np.stack([edge.on, np.full_like(edge.on, NEVER)]))
        if not self._allowed[slot].all():
            going_on.costs[:, ~self._allowed[slot]] = NEVER
        then = super()._next_edge(slot, edge, going_on)
        if self._starting is not None and slot == 0:
            then.off[:] = NEVER  # it may not stop yet
        width = len(then.off)
        for growth, begun in self._ready.get(slot + 1, []):
            source = begun.costs[int(growth.late)] + growth.between[:, None]
            shift = begun.low + growth.between_min - then.low
            if growth.late:
                grown = after_part(source, shift, width, self.per_min[growth.begun], growth.minutes)
                np.minimum(then.on, grown, out=then.on)
                continue
            least, most = growth.minutes
            grown = np.full_like(then.on, NEVER)
            put(grown, source + (self.per_min[slot] * most)[:, None], shift + most)
            np.minimum(then.on, grown, out=then.on)
            if least < most:
                grown = after_part(source, shift, width, self.per_min[slot], (least, most - 1))
                np.minimum(then.ended, grown, out=then.ended)
        return Edge(
            then.low, then.off, then.on, then.ended, then.on.min(axis=0), then.ended.min(axis=0)
        )

    def _last(self, slot: int, entry: Entries) -> Last | None:  # noqa: ARG002 - as DenseTable
        edge = self.edges[slot]
        on = np.where(self._allowed[slot][:, None], edge.on, NEVER)
        best = _going_on(self._finish(slot, slot, on, edge.low, (1, self.lengths[slot])))
        for growth, begun in self._ready.get(slot + 1, []):
            if growth.late:
                found = self._finish_late(growth, begun)
            else:
                costs = np.where(growth.between[:, None] >= NEVER, NEVER, begun.begin)
                found = self._finish(slot, growth.begun, costs, begun.low, growth.minutes)
                found = _going_on(found) if growth.goes_on else found
            if found and (best is None or found.order < best.order):
                best = found
        return best

    def _finish_late(self, growth: _Growth, begun: Entries) -> Last | None:
        """Return the cheapest way to finish at the very edge, having begun inside a slot."""
        work = self.problem.work_min
        source = begun.late + growth.between[:, None]
        shift = begun.low + growth.between_min - work
        found = after_part(source, shift, 1, self.per_min[growth.begun], growth.minutes)[:, 0]
        place = int(found.argmin())
        if found[place] >= NEVER >> 1:
            return None
        piece = self._late_piece(growth, begun, place, work, int(found[place]))
        return None if piece is None else Last(piece=piece, cost=int(found[place]))

    def piece_to(self, edge: int, *, running: bool, place: int, work: int) -> Piece:
        """Return the piece that leads to ON at an edge, or to ENDED in the slot before it."""
        then, before = self.edges[edge], self.edges[edge - 1]
        value = then.on_at(place, work) if running else then.ended_at(place, work)
        begin, end = (int(each) for each in self.problem.edges_min[edge - 1 : edge + 1])
        for growth, begun in self._ready.get(edge, []):
            if growth.late and running:
                piece = self._late_piece(growth, begun, place, work, value)
                if piece:
                    return piece
            elif not growth.late:
                piece = self._early_piece(growth, begun, place, work, value, running=running)
                if piece:
                    return piece
        length, cost = end - begin, int(self.per_min[edge - 1, place])
        minutes = (length, length) if running else (1, length - 1)
        part = part_of(before.on[place], work - before.low, cost, value, minutes)
        if part is None:
            raise ArithmeticError(f"table: no piece leads to edge {edge} in {place}. Report it.")
        return Piece(
            slot=edge - 1,
            place=place,
            work=work - part,
            begin_min=begin,
            end_min=begin + part,
            goes_on=True,
        )

    def _late_piece(
        self, growth: _Growth, begun: Entries, place: int, work: int, value: int
    ) -> Piece | None:
        between, cost = int(growth.between[place]), int(self.per_min[growth.begun, place])
        index = work - growth.between_min - begun.low
        part = part_of(begun.late[place], index, cost, value - between, growth.minutes)
        if between >= NEVER or part is None:
            return None
        edges = self.problem.edges_min
        return Piece(
            slot=growth.begun,
            place=place,
            work=work - growth.between_min - part,
            begin_min=int(edges[growth.begun + 1]) - part,
            end_min=int(edges[growth.edge]),
        )

    def _early_piece(  # noqa: PLR0913 - the state to be reached
        self,
        growth: _Growth,
        begun: Entries,
        place: int,
        work: int,
        value: int,
        *,
        running: bool,
    ) -> Piece | None:
        between, cost = int(growth.between[place]), int(self.per_min[growth.edge - 1, place])
        least, most = growth.minutes
        minutes = (most, most) if running else (least, most - 1)
        index = work - growth.between_min - begun.low
        part = part_of(begun.begin[place], index, cost, value - between, minutes)
        if between >= NEVER or part is None:
            return None
        begin = int(self.problem.edges_min[growth.begun])
        return Piece(
            slot=growth.begun,
            place=place,
            work=work - growth.between_min - part,
            begin_min=begin,
            end_min=begin + growth.between_min + part,
            goes_on=growth.goes_on,
        )


def _least_of_others(costs: Costs) -> Costs:
    if len(costs) == 1:
        return np.full_like(costs, NEVER)
    least, second = np.partition(costs, 1, axis=0)[:2]
    others: Costs = np.where(costs == least, second, least)
    return others


def _going_on(last: Last | None) -> Last | None:
    return last and replace(last, piece=replace(last.piece, goes_on=True))
