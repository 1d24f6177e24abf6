"""The table of least costs with all places side by side, for runs of a least length."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from functions.domain.plan.bounds import Kept, Span
from functions.domain.plan.curves import after_part, never, put
from functions.domain.plan.problem import (
    IMPOSSIBLE,
    MOVE_TIE,
    NEVER,
    START_TIE,
    TIE_BITS,
    Costs,
    Entry,
    Problem,
    whole,
)
from functions.domain.plan.table import ExtraCosts, Last, Piece

_least = np.minimum.reduce
"""Over the first axis; the method `min` takes longer to be called than to run."""


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Least costs at the edge of two slots, by work done from `low` minutes on."""

    low: int
    off: Costs
    """No VM in the slot before, shape (work,)."""
    on: Costs
    """A VM runs at the edge, shape (places, work)."""
    ended: Costs
    """A VM ran in the slot before, not to its end, shape (places, work)."""
    any_on: Costs
    """The least of `on`, shape (work,)."""
    any_ended: Costs
    """The least of `ended`, shape (work,)."""

    @property
    def places_on(self) -> Iterable[int]:
        """Places that may be ON."""
        return range(len(self.on))

    @property
    def places_ended(self) -> Iterable[int]:
        """Places that may be ENDED."""
        return range(len(self.ended))

    def off_at(self, work: int) -> int:
        """Return the cost of OFF."""
        index = work - self.low
        return int(self.off[index]) if 0 <= index < len(self.off) else int(NEVER)

    def on_at(self, place: int, work: int) -> int:
        """Return the cost of ON in `place`."""
        index = work - self.low
        return int(self.on[place, index]) if 0 <= index < len(self.off) else int(NEVER)

    def ended_at(self, place: int, work: int) -> int:
        """Return the cost of ENDED in `place`."""
        index = work - self.low
        return int(self.ended[place, index]) if 0 <= index < len(self.off) else int(NEVER)

    def any_on_at(self, work: int) -> int:
        """Return the least cost of ON."""
        index = work - self.low
        return int(self.any_on[index]) if 0 <= index < len(self.off) else int(NEVER)

    def any_ended_at(self, work: int) -> int:
        """Return the least cost of ENDED."""
        index = work - self.low
        return int(self.any_ended[index]) if 0 <= index < len(self.off) else int(NEVER)


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Least costs just before the first minute in a slot, overhead already owed."""

    low: int
    costs: Costs
    """Begin with the slot, and later in it, shape (2, places, work)."""

    @property
    def begin(self) -> Costs:
        """If the VM runs from the slot's begin on."""
        begin: Costs = self.costs[0]
        return begin

    @property
    def late(self) -> Costs:
        """If it begins later in the slot."""
        late: Costs = self.costs[1]
        return late


class DenseTable:
    """All edges and entries of one problem, within the work that is kept at each edge."""

    goes_on_at_once = False
    """A run may not end, nor one that goes on be taken for one that begins, before its time."""

    def __init__(self, problem: Problem, kept: Kept, scale: float) -> None:
        """Prepare the table; `fill` does the work."""
        self.problem = problem
        self.overheads = problem.overheads
        self.lengths: list[int] = problem.lengths_min.tolist()
        self.per_min = whole(problem.per_min, scale)
        self.extras = ExtraCosts(problem, scale)
        self.places = problem.per_min.shape[1]
        self._spans = [_around(states.spans) for states in kept.edges]
        self.edges: list[Edge] = []
        self.entries: list[Entries] = []

    def entry_cost(self, piece: Piece, *, late: bool) -> int:
        """Return the least cost before the first minute of `piece`."""
        entries = self.entries[piece.slot]
        return int(entries.costs[int(late), piece.place, piece.work - entries.low])

    def running_overhead(self, slot: int) -> int:
        """Return what the run before the first slot adds to what a run in `slot` owes."""
        is_first = slot == 0 and self.problem.running is not None
        return self.overheads.running_min if is_first else 0

    def _first_edge(self) -> Edge:
        low, width = self._spans[0]
        off = never(width)
        on, ended = never((2, self.places, width))
        running = self.problem.running
        at = -low if running is None else -self.overheads.running_min - low
        if 0 <= at < width:
            if running is None:
                off[at] = 0
            else:
                on[running, at] = 0
        return Edge(low, off, on, ended, _least(on), _least(ended))

    def _entry(self, slot: int, edge: Edge) -> Entries:
        """Return the costs of going on, starting and moving, by what is then still owed."""
        owed = self.overheads.most_min
        width = len(edge.off)
        low = edge.low - owed

        def after(overhead_min: int) -> slice:
            return slice(owed - overhead_min, owed - overhead_min + width)

        start, elsewhere = after(self.overheads.start_min), after(self.overheads.elsewhere_min)
        move = after(self.overheads.move_min)
        begin, late = costs = never((2, self.places, width + owed))
        any_on, any_ended = self._elsewhere(edge)
        own = np.minimum(edge.off, edge.ended) + START_TIE
        _lower(begin[:, start], own + self._extra(Entry.START, slot))
        _lower(begin[:, move], any_on + MOVE_TIE + self._extra(Entry.MOVE, slot))
        _lower(begin[:, elsewhere], any_ended + MOVE_TIE + self._extra(Entry.ELSEWHERE, slot))
        own = np.minimum(own, edge.on + START_TIE)
        _lower(late[:, start], own + self._extra(Entry.START, slot, late=True))
        other = np.minimum(any_on, any_ended) + MOVE_TIE
        _lower(late[:, elsewhere], other + self._extra(Entry.ELSEWHERE, slot, late=True))
        if self.problem.allowed is not None:
            costs[:, ~self.problem.allowed[slot]] = NEVER
        return Entries(low, costs)

    def _extra(self, entry: Entry, slot: int, *, late: bool = False) -> Costs:
        """Return the extra cost of one entry by place, a column."""
        extra = self.extras.of
        return np.array([[extra(entry, slot, each, late=late)] for each in range(self.places)])

    def _elsewhere(self, edge: Edge) -> tuple[Costs, Costs]:
        """Return the least of ON and of ENDED in other places."""
        return edge.any_on, edge.any_ended

    def _next_edge(self, slot: int, edge: Edge, entry: Entries) -> Edge:
        low, width = self._spans[slot + 1]
        length, per_min = self.lengths[slot], self.per_min[slot][:, None]
        off = never(width)
        put(off, np.minimum(np.minimum(edge.any_on, edge.off), edge.any_ended), edge.low - low)
        if self.problem.running_left_min <= 0:
            off[: max(-low, 0)] = NEVER  # an overhead that bore no work: better never started
        if slot == 0 and self.problem.running is not None and 0 <= -low < width:
            off[-low] = 0  # it stops at once, and owes nothing
        on, ended = never((2, self.places, width))
        put(on, entry.begin + per_min * length, entry.low + length - low)
        if length > 1:
            minutes = (1, length - 1)
            ended = after_part(entry.begin, entry.low - low, width, self.per_min[slot], minutes)
        return Edge(low, off, on, ended, _least(on), _least(ended))

    def _finish(
        self, slot: int, begun: int, costs: Costs, low: int, minutes: tuple[int, int]
    ) -> Last | None:
        """Return the cheapest way to finish `minutes` into `slot`, from the begin of `begun` on.

        Args:
            slot: in which the work ends.
            begun: slot with whose begin the piece begins, `slot` or one before it.
            costs: least costs before that, by work from `low` on, shape (places, work).
            low: see `costs`.
            minutes: least and most minutes into `slot`.
        """
        before = int(self.problem.edges_min[slot] - self.problem.edges_min[begun])
        left = self.problem.work_min - low - before
        first, last = max(left - costs.shape[1] + 1, minutes[0]), min(minutes[1], left)
        if last < first:
            return None
        into = np.arange(first, last + 1)
        totals = costs[:, left - into] + self.per_min[slot][:, None] * into
        totals += self.between(begun, slot)[:, None]
        least = totals.min()
        if least >= IMPOSSIBLE:
            return None
        at = int(np.flatnonzero((totals >> TIE_BITS == least >> TIE_BITS).any(axis=0))[0])
        place = int(totals[:, at].argmin())
        piece = Piece(
            slot=begun,
            place=place,
            work=self.problem.work_min - before - int(into[at]),
            begin_min=int(self.problem.edges_min[begun]),
            end_min=int(self.problem.edges_min[slot] + into[at]),
        )
        return Last(piece=piece, cost=int(totals[place, at]))

    def between(self, first: int, last: int) -> Costs:
        """Return what all of the slots from `first` to before `last` cost, by place."""
        lengths = self.problem.lengths_min[first:last, None]
        total: Costs = (self.per_min[first:last] * lengths).sum(axis=0)
        return total


def _lower(target: Costs, other: Costs) -> None:
    np.minimum(target, other, out=target)


def _around(spans: list[Span]) -> tuple[int, int]:
    """Return the least work of all `spans`, and how many minutes reach to the most."""
    if not spans:
        return 0, 0
    low = min(first for first, _ in spans)
    return low, max(last for _, last in spans) - low + 1
