"""The table of least costs, filled slot by slot: by state and work done, within bounds."""

from dataclasses import dataclass

import numpy as np

from functions.domain.plan.bounds import Kept
from functions.domain.plan.problem import (
    IMPOSSIBLE,
    MOVE_TIE,
    NEVER,
    START_TIE,
    TIE_BITS,
    Costs,
    Problem,
    whole,
)


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

    def place_cost(self, costs: Costs, place: int, work: int) -> int:
        """Return one of `on` or `ended`."""
        index = work - self.low
        return int(costs[place, index]) if 0 <= index < costs.shape[1] else int(NEVER)

    def off_cost(self, work: int) -> int:
        """Return one of `off`."""
        index = work - self.low
        return int(self.off[index]) if 0 <= index < len(self.off) else int(NEVER)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
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
class Last:
    """Where the work ends: `minutes` into `slot`."""

    slot: int
    place: int
    minutes: int
    cost: int


class ExtraCosts:
    """The extras as whole numbers, a column for each place."""

    def __init__(self, problem: Problem, scale: float) -> None:
        """Take the extras of `problem`; all 0 if it has none."""
        extras = problem.extras
        self.any = extras is not None
        if extras is not None:
            self.start = whole(extras.start, scale)[:, :, None]
            self.start_late = whole(extras.start_late, scale)[:, :, None]
            self.move = whole(extras.move, scale)[:, :, None]
            self.elsewhere = whole(extras.elsewhere, scale)[:, :, None]
            self.elsewhere_late = whole(extras.elsewhere_late, scale)[:, :, None]


class Table:
    """All edges and entries of one problem, within what is kept of it."""

    def __init__(self, problem: Problem, kept: Kept, scale: float) -> None:
        """Prepare the table; `fill` does the work. The places of `problem` are those kept."""
        self.problem = problem
        self.overheads = problem.overheads
        self.lengths: list[int] = problem.lengths_min.tolist()
        self.per_min = whole(problem.per_min, scale)
        self.extras = ExtraCosts(problem, scale)
        self.places = problem.per_min.shape[1]
        self._low, self._high = kept.low, kept.high
        self.edges: list[Edge] = []
        self.entries: list[Entry] = []

    def fill(self) -> Last | None:
        """Return where the cheapest plan ends, the earliest of equals; `None` if there is none."""
        self.edges = [self._first_edge()]
        self.entries = []
        best: Last | None = None
        for slot in range(len(self.lengths)):
            entry = self._entry(slot, self.edges[-1])
            self.entries.append(entry)
            last = self._last(slot, entry)
            # Strictly less: an equal total in a later slot finishes later.
            if last and (best is None or last.cost >> TIE_BITS < best.cost >> TIE_BITS):
                best = last
            self.edges.append(self._next_edge(slot, self.edges[-1], entry))
        return best

    def _first_edge(self) -> Edge:
        low, width = self._low[0], max(self._high[0] - self._low[0] + 1, 0)
        off = np.full(width, NEVER)
        on, ended = np.full((2, self.places, width), NEVER)
        running = self.problem.running
        at = -low if running is None else -self.overheads.running_min - low
        if 0 <= at < width:
            if running is None:
                off[at] = 0
            else:
                on[running, at] = 0
        return Edge(low, off, on, ended, on.min(axis=0), ended.min(axis=0))

    def _entry(self, slot: int, edge: Edge) -> Entry:
        """Return the costs of going on, starting and moving, by what is then still owed."""
        owed = self.overheads.most_min
        width = len(edge.off)
        low = edge.low - owed

        def after(overhead_min: int) -> slice:
            return slice(owed - overhead_min, owed - overhead_min + width)

        any_on, any_ended = edge.any_on, edge.any_ended
        costs = np.empty((2, self.places, width + owed), dtype=np.int64)
        start, elsewhere = after(self.overheads.start_min), after(self.overheads.elsewhere_min)
        move = after(self.overheads.move_min)
        # A "move" within one place is among these minima, but never pays: the way without it does
        # more work in the same minutes, and could be cut short.
        if self.extras.any:
            self._fill_with_extras(slot, edge, costs, (start, elsewhere, move))
        else:
            shared = np.full(width + owed, NEVER)
            shared[start] = edge.off + START_TIE
            np.minimum(shared[elsewhere], any_ended + MOVE_TIE, out=shared[elsewhere])
            costs[1] = shared
            np.minimum(shared[move], any_on + MOVE_TIE, out=shared[move])
            costs[0] = shared
            begin, late = costs[0][:, start], costs[1][:, start]
            own = edge.ended + START_TIE
            np.minimum(begin, own, out=begin)
            np.minimum(late, np.minimum(own, edge.on + START_TIE), out=late)
            late = costs[1][:, elsewhere]
            np.minimum(late, any_on + MOVE_TIE, out=late)
        going_on = costs[0][:, owed:]
        np.minimum(going_on, edge.on, out=going_on)
        if self.problem.allowed is not None:
            costs[:, ~self.problem.allowed[slot]] = NEVER
        return Entry(low, costs)

    def _fill_with_extras(
        self, slot: int, edge: Edge, costs: Costs, shifts: tuple[slice, slice, slice]
    ) -> None:
        start, elsewhere, move = shifts
        extras = self.extras
        costs[:] = NEVER
        any_on, any_ended = edge.any_on, edge.any_ended
        begin, late = costs
        own = np.minimum(edge.off, edge.ended) + START_TIE
        _lower(begin[:, start], own + extras.start[slot])
        _lower(begin[:, move], any_on + MOVE_TIE + extras.move[slot])
        _lower(begin[:, elsewhere], any_ended + MOVE_TIE + extras.elsewhere[slot])
        own = np.minimum(own, edge.on + START_TIE)
        _lower(late[:, start], own + extras.start_late[slot])
        other = np.minimum(any_on, any_ended) + MOVE_TIE
        _lower(late[:, elsewhere], other + extras.elsewhere_late[slot])

    def _next_edge(self, slot: int, edge: Edge, entry: Entry) -> Edge:
        low = self._low[slot + 1]
        width = max(self._high[slot + 1] - low + 1, 0)
        length, per_min = self.lengths[slot], self.per_min[slot][:, None]
        off = np.full(width, NEVER)
        resting = np.minimum(edge.any_on, edge.any_ended)
        np.minimum(resting, edge.off, out=resting)
        _put(off, resting, edge.low - low)
        off[: max(-low, 0)] = NEVER  # an overhead that bore no work: better never started
        if slot == 0 and self.problem.running is not None and 0 <= -low < width:
            off[-low] = 0  # it stops at once, and owes nothing
        on = np.full((self.places, width), NEVER)
        _put(on, entry.begin + per_min * length, entry.low + length - low)
        if length == 1:
            ended = np.full_like(on, NEVER)
        else:
            ended, late = self._parts(slot, entry, low, width)
            np.minimum(on, late, out=on)
        return Edge(low, off, on, ended, on.min(axis=0), ended.min(axis=0))

    def _parts(self, slot: int, entry: Entry, low: int, width: int) -> Costs:
        """Return the least costs after 1 to all but one minutes, shape (2, places, width)."""
        most = self.lengths[slot] - 1
        per_min = self.per_min[slot][:, None]
        best = np.full((2, self.places, width + most - 1), NEVER)
        _put(best, entry.costs, entry.low - (low - most))
        slope = per_min * np.arange(width + most)
        best -= slope[:, :-1]
        window = 1
        while window < most:
            # Windows of one size overlap to windows of any size up to twice as long.
            step = min(window, most - window)
            best = np.minimum(best[..., step:], best[..., :-step])
            window += step
        best += slope[:, most:]
        return best

    def _last(self, slot: int, entry: Entry) -> Last | None:
        """Return the cheapest way to finish the work in `slot`, the earliest of equals."""
        left = self.problem.work_min - entry.low
        first = max(left - entry.costs.shape[2] + 1, 1)
        last = min(self.lengths[slot], left)
        if last < first:
            return None
        minutes = np.arange(first, last + 1)
        totals = entry.begin[:, left - minutes] + self.per_min[slot][:, None] * minutes
        least = totals.min()
        if least >= IMPOSSIBLE:
            return None
        at = int(np.flatnonzero((totals >> TIE_BITS == least >> TIE_BITS).any(axis=0))[0])
        place = int(totals[:, at].argmin())
        return Last(slot=slot, place=place, minutes=first + at, cost=int(totals[place, at]))


def _lower(target: Costs, other: Costs) -> None:
    np.minimum(target, other, out=target)


def _put(target: Costs, source: Costs, shift: int) -> None:
    """Write `source`, moved by `shift` along the last axis, as far as it falls into `target`."""
    first = max(shift, 0)
    last = min(target.shape[-1], source.shape[-1] + shift)
    if last > first:
        target[..., first:last] = source[..., first - shift : last - shift]
