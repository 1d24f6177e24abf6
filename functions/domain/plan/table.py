"""The table of least costs, filled slot by slot: by state and work done, within bounds."""

from dataclasses import dataclass

import numpy as np

from functions.domain.plan.bounds import Kept
from functions.domain.plan.curves import after_part, never, part_of, put
from functions.domain.plan.problem import (
    IMPOSSIBLE,
    MOVE_TIE,
    NEVER,
    START_TIE,
    TIE_BITS,
    Costs,
    Extras,
    Problem,
    whole,
)
from functions.domain.plan.problem import Entry as How

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
    has_ended: bool = True
    """Whether any of `ended` can be."""

    def place_cost(self, costs: Costs, place: int, work: int) -> int:
        """Return one of `on` or `ended`."""
        index = work - self.low
        return int(costs[place, index]) if 0 <= index < costs.shape[1] else int(NEVER)

    def cost(self, costs: Costs, work: int) -> int:
        """Return one of `off`, `any_on` or `any_ended`."""
        index = work - self.low
        return int(costs[index]) if 0 <= index < len(costs) else int(NEVER)


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

    def is_better_than(self, other: "Last | None") -> bool:
        """Tell whether it costs less; if not, the one that was found first finishes first."""
        return other is None or self.cost >> TIE_BITS < other.cost >> TIE_BITS


class ExtraCosts:
    """The extras as whole numbers, a column for each place."""

    def __init__(self, problem: Problem, scale: float) -> None:
        """Take the extras of `problem`; all 0 if it has none."""
        extras = problem.extras
        self.any = extras is not None
        if extras is None:
            extras = Extras.constant(0.0, problem.per_min.shape)
        self.start = whole(extras.start, scale)[:, :, None]
        self.start_late = whole(extras.start_late, scale)[:, :, None]
        self.move = whole(extras.move, scale)[:, :, None]
        self.elsewhere = whole(extras.elsewhere, scale)[:, :, None]
        self.elsewhere_late = whole(extras.elsewhere_late, scale)[:, :, None]

    def of(self, entry: How, slot: int, place: int, *, late: bool) -> int:
        """Return the extra cost of one entry."""
        if not self.any or entry is How.GOES_ON:
            return 0
        if entry is How.MOVE:
            costs = self.move
        elif entry is How.START:
            costs = self.start_late if late else self.start
        else:
            costs = self.elsewhere_late if late else self.elsewhere
        return int(costs[slot, place, 0])


class Table:
    """All edges and entries of one problem, within what is kept of it."""

    goes_on_at_once = True
    """Whether a run may end, and a run that goes on may be taken for one that begins."""

    def __init__(self, problem: Problem, kept: Kept, scale: float) -> None:
        """Prepare the table; `fill` does the work. The places of `problem` are those kept."""
        self.problem = problem
        self.overheads = problem.overheads
        self.lengths: list[int] = problem.lengths_min.tolist()
        self.per_min = whole(problem.per_min, scale)
        self.extras = ExtraCosts(problem, scale)
        self.places = problem.per_min.shape[1]
        self._low, self._high = kept.low, kept.high
        self._may_end, self._may_be_late = kept.ended, kept.late
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

    def fill(self) -> Last | None:
        """Return where the cheapest plan ends, the earliest of equals; `None` if there is none."""
        self.edges = [self._first_edge()]
        self.entries = []
        best: Last | None = None
        for slot in range(len(self.lengths)):
            entry = self._entry(slot, self.edges[-1])
            self.entries.append(entry)
            last = self._last(slot, entry)
            if last and last.is_better_than(best):
                best = last
            self.edges.append(self._next_edge(slot, self.edges[-1], entry))
        return best

    def _first_edge(self) -> Edge:
        low, width = self._low[0], max(self._high[0] - self._low[0] + 1, 0)
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

        kinds = 2 if len(self._may_be_late[slot]) else 1
        costs = np.empty((kinds, self.places, width + owed), dtype=np.int64)
        start, elsewhere = after(self.overheads.start_min), after(self.overheads.elsewhere_min)
        move = after(self.overheads.move_min)
        if self.extras.any or not self.goes_on_at_once:
            self._fill_with_extras(slot, edge, costs, (start, elsewhere, move))
        else:
            self._fill(edge, costs, (start, elsewhere, move))
        if self.goes_on_at_once:
            going_on = costs[0][:, owed:]
            np.minimum(going_on, edge.on, out=going_on)
        if self.problem.allowed is not None:
            costs[:, ~self.problem.allowed[slot]] = NEVER
        return Entries(low, costs)

    def _fill(self, edge: Edge, costs: Costs, shifts: tuple[slice, slice, slice]) -> None:
        """Fill in starts and moves.

        A "move" within one place is among these minima, but never pays: the way without it does
        more work in the same minutes, and could be cut short.
        """
        start, elsewhere, move = shifts
        shared = never(costs.shape[2])
        shared[start] = edge.off + START_TIE
        if edge.has_ended:
            _lower(shared[elsewhere], edge.any_ended + MOVE_TIE)
            own = edge.ended + START_TIE
        if len(costs) > 1:
            late = costs[1]
            late[:] = shared
            _lower(late[:, start], edge.on + START_TIE)
            _lower(late[:, elsewhere], edge.any_on + MOVE_TIE)
            if edge.has_ended:
                _lower(late[:, start], own)
        _lower(shared[move], edge.any_on + MOVE_TIE)
        costs[0] = shared
        if edge.has_ended:
            _lower(costs[0][:, start], own)

    def _fill_with_extras(
        self, slot: int, edge: Edge, costs: Costs, shifts: tuple[slice, slice, slice]
    ) -> None:
        start, elsewhere, move = shifts
        extras = self.extras
        costs[:] = NEVER
        any_on, any_ended = self._elsewhere(edge)
        begin = costs[0]
        own = np.minimum(edge.off, edge.ended) + START_TIE
        _lower(begin[:, start], own + extras.start[slot])
        _lower(begin[:, move], any_on + MOVE_TIE + extras.move[slot])
        _lower(begin[:, elsewhere], any_ended + MOVE_TIE + extras.elsewhere[slot])
        if len(costs) == 1:
            return
        late = costs[1]
        own = np.minimum(own, edge.on + START_TIE)
        _lower(late[:, start], own + extras.start_late[slot])
        other = np.minimum(any_on, any_ended) + MOVE_TIE
        _lower(late[:, elsewhere], other + extras.elsewhere_late[slot])

    def _elsewhere(self, edge: Edge) -> tuple[Costs, Costs]:
        """Return the least of ON and of ENDED in other places."""
        return edge.any_on, edge.any_ended

    def _next_edge(self, slot: int, edge: Edge, entry: Entries) -> Edge:
        low = self._low[slot + 1]
        width = max(self._high[slot + 1] - low + 1, 0)
        length, per_min = self.lengths[slot], self.per_min[slot][:, None]
        off = never(width)
        resting = np.minimum(edge.any_on, edge.off)
        if edge.has_ended:
            _lower(resting, edge.any_ended)
        put(off, resting, edge.low - low)
        if self.problem.running_left_min <= 0:
            off[: max(-low, 0)] = NEVER  # an overhead that bore no work: better never started
        if slot == 0 and self.problem.running is not None and 0 <= -low < width:
            off[-low] = 0  # it stops at once, and owes nothing
        on = never((self.places, width))
        put(on, entry.begin + per_min * length, entry.low + length - low)
        ended = None
        if length > 1:
            ended = self._after_parts(slot, entry, on, low)
        if ended is None:
            nothing = never(on.shape)
            return Edge(low, off, on, nothing, _least(on), nothing[0], has_ended=False)
        return Edge(low, off, on, ended, _least(on), _least(ended))

    def _after_parts(self, slot: int, entry: Entries, on: Costs, low: int) -> Costs | None:
        """Lower `on` by those that began inside the slot; return ENDED, `None` if none may be."""
        end, late = self._may_end[slot], self._may_be_late[slot]
        if not len(end) and not len(late):
            return None
        source = entry.begin[end]
        if len(late):
            source = np.concatenate([source, entry.late[late]])
        parts = after_part(
            source,
            entry.low - low,
            on.shape[1],
            self.per_min[slot][np.concatenate([end, late])],
            (1, self.lengths[slot] - 1),
        )
        if len(late):
            on[late] = np.minimum(on[late], parts[len(end) :])
        if not len(end):
            return None
        ended = never(on.shape)
        ended[end] = parts[: len(end)]
        return ended

    def _last(self, slot: int, entry: Entries) -> Last | None:
        """Return the cheapest way to finish the work in `slot`, the earliest of equals."""
        return self._finish(slot, slot, entry.begin, entry.low, (1, self.lengths[slot]))

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

    def piece_to(self, edge: int, *, running: bool, place: int, work: int) -> Piece:
        """Return the piece that leads to ON at an edge, or to ENDED in the slot before it."""
        slot, length, cost = edge - 1, self.lengths[edge - 1], int(self.per_min[edge - 1, place])
        entry, then = self.entries[slot], self.edges[edge]
        begin, end = int(self.problem.edges_min[slot]), int(self.problem.edges_min[edge])
        value = then.place_cost(then.on if running else then.ended, place, work)
        index = work - length - entry.low
        whole_fits = running and 0 <= index < entry.costs.shape[2]
        if whole_fits and int(entry.begin[place, index]) + cost * length == value:
            return Piece(slot=slot, place=place, work=work - length, begin_min=begin, end_min=end)
        costs = entry.late if running else entry.begin
        part = part_of(costs[place], work - entry.low, cost, value, (1, length - 1))
        if part is None:
            raise ArithmeticError(f"table: no piece leads to edge {edge} in {place}. Report it.")
        begin, end = (end - part, end) if running else (begin, begin + part)
        return Piece(slot=slot, place=place, work=work - part, begin_min=begin, end_min=end)


def _lower(target: Costs, other: Costs) -> None:
    np.minimum(target, other, out=target)
