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
- Every minute costs its intensity. The work is done exactly; the total is least; among equals the
  finish is earliest, then moves are fewest, then starts.

State at the edge of two slots: work done (minutes), and OFF (no VM in the slot before), ON in p (it
runs at the edge) or ENDED in p (it ran in the slot before, not to its end). A part inside a slot is
never better than an early part, so it is not tried. Costs are integers: sums are exact, and the
lowest bits count moves and starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.grid import Grid

Costs = NDArray[np.int64]

_NEVER = np.int64(1 << 61)
_ROOM_BITS = 39
_START = 1
_MOVE = 1 << 10
_TIE_BITS = 20

_OFF, _ON, _ENDED = "off", "on", "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheads:
    """What starts and moves cost, whole minutes at full power."""

    start_min: int
    move_min: int

    @property
    def elsewhere_min(self) -> int:
        """A start in another place than that of the slot before."""
        return max(self.start_min, self.move_min)

    @property
    def most_min(self) -> int:
        """The longest one."""
        return max(self.start_min, self.move_min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A VM that runs without a pause in one place."""

    place: int
    begin_min: int
    end_min: int
    overhead_min: int
    moved: bool = False
    """Whether it took over from another place."""


@dataclass(frozen=True, slots=True, eq=False)
class _Edge:
    """Least costs at an edge, by work done + the longest overhead, minutes."""

    off: Costs
    on: Costs
    ended: Costs

    def value(self, state: str, place: int, index: int) -> int:
        """Return one cost; `place` does not matter if `state` is off."""
        if index >= len(self.off):
            return int(_NEVER)
        if state == _OFF:
            return int(self.off[index])
        return int((self.on if state == _ON else self.ended)[place, index])


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """Least costs just before the first minute of a run, its overhead already owed."""

    begin: Costs
    """If it begins with the slot."""
    late: Costs
    """If it begins later in the slot."""


@dataclass(frozen=True, slots=True)
class _Step:
    """The state before a run, and what the run owes at its begin."""

    state: str
    place: int
    overhead_min: int
    tie: int
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Last:
    """Where the work ends."""

    slot: int
    place: int
    minutes: int


def cheapest_runs(
    grid: Grid, work_min: int, overheads: Overheads, running: int | None
) -> tuple[Run, ...] | None:
    """Return the cheapest runs that do `work_min`, `None` if it cannot be done in time.

    Args:
        grid: slots and their intensity.
        work_min: work to be done, minutes, above 0.
        overheads: what starts and moves cost.
        running: place in which a VM runs at the grid's start, `None` if none does.
    """
    if work_min + (overheads.start_min if running is None else 0) > grid.minutes:
        return None
    search = _Search(grid, work_min, overheads)
    edges, last = search.forward(running)
    return search.backward(edges, last)


class _Search:
    def __init__(self, grid: Grid, work_min: int, overheads: Overheads) -> None:
        self._overheads = overheads
        self._zero = overheads.most_min
        """Index of the state in which no work is done and none owed."""
        self._size = self._zero + work_min + 1
        self._edges_min = grid.edges_min
        self._lengths = np.diff(grid.edges_min)
        self._costs = _to_integers(grid, 2 * self._size)

    def forward(self, running: int | None) -> tuple[list[_Edge], _Last]:
        """Return the least costs at the begin of every slot, and the best end."""
        edges = [self._first_edge(running)]
        best: tuple[int, int] | None = None
        for slot in range(len(self._lengths)):
            entry = self._entry(edges[-1])
            done = int(self._totals(slot, entry).min()) >> _TIE_BITS
            # Strictly less: an equal total in a later slot finishes later.
            if done < int(_NEVER) >> _TIE_BITS and (best is None or done < best[0]):
                best = (done, slot)
            edges.append(self._next_edge(slot, edges[-1], entry))
        if best is None:
            raise ArithmeticError("work: expected a plan for what fits, found none. Report it.")
        return edges, self._earliest(best, edges)

    def backward(self, edges: list[_Edge], last: _Last) -> tuple[Run, ...]:
        """Return the runs that lead to `last`."""
        runs: list[Run] = []
        slot, place = last.slot, last.place
        index = self._size - 1 - last.minutes
        begin, end = 0, last.minutes
        while True:
            at = int(self._edges_min[slot])
            step = self._came_from(edges[slot], place, index, late=begin > 0)
            runs.append(
                Run(
                    place=place,
                    begin_min=at + begin,
                    end_min=at + end,
                    overhead_min=step.overhead_min,
                    moved=step.tie == _MOVE,
                )
            )
            found = self._previous_run(edges, slot, step)
            if found is None:
                return joined(runs[::-1])
            slot, place, index, begin, end = found

    def _first_edge(self, running: int | None) -> _Edge:
        places = self._costs.shape[1]
        edge = _Edge(
            off=np.full(self._size, _NEVER),
            on=np.full((places, self._size), _NEVER),
            ended=np.full((places, self._size), _NEVER),
        )
        if running is None:
            edge.off[self._zero] = 0
        else:
            edge.on[running, self._zero] = 0
        return edge

    def _entry(self, edge: _Edge) -> _Entry:
        start, elsewhere = self._overheads.start_min, self._overheads.elsewhere_min
        # A "move" within one place is among these minima, but never pays: the way without it does
        # more work in the same minutes, and could be cut short.
        any_on, any_ended = edge.on.min(axis=0), edge.ended.min(axis=0)
        rested = np.minimum(_owing(edge.off, start, _START), _owing(any_ended, elsewhere, _MOVE))
        fresh = np.minimum(rested, _owing(edge.ended, start, _START))
        begin = np.minimum(fresh, edge.on)
        begin = np.minimum(begin, _owing(any_on, self._overheads.move_min, _MOVE))
        late = np.minimum(fresh, _owing(edge.on, start, _START))
        late = np.minimum(late, _owing(any_on, elsewhere, _MOVE))
        return _Entry(begin=begin, late=late)

    def _next_edge(self, slot: int, edge: _Edge, entry: _Entry) -> _Edge:
        length, costs = int(self._lengths[slot]), self._costs[slot]
        off = np.minimum(edge.off, np.minimum(edge.on.min(axis=0), edge.ended.min(axis=0)))
        off[: self._zero] = _NEVER  # an overhead that bore no work: better never started
        on = _owing(entry.begin, -length, 0) + (costs * length)[:, None]
        np.minimum(on, _NEVER, out=on)
        early, late = _after_part(np.stack([entry.begin, entry.late]), costs, length - 1)
        return _Edge(off=off, on=np.minimum(on, late), ended=early)

    def _totals(self, slot: int, entry: _Entry) -> Costs:
        """Return the totals if the work ends in `slot`, shape (places, minutes it takes there)."""
        most = min(int(self._lengths[slot]), self._size - 1)
        minutes = np.arange(1, most + 1)
        before = entry.begin[:, self._size - 1 - minutes]
        totals: Costs = np.minimum(before + self._costs[slot][:, None] * minutes, _NEVER)
        return totals

    def _earliest(self, best: tuple[int, int], edges: list[_Edge]) -> _Last:
        done, slot = best
        totals = self._totals(slot, self._entry(edges[slot]))
        minute = int(np.flatnonzero((totals >> _TIE_BITS == done).any(axis=0))[0])
        place = int(totals[:, minute].argmin())
        return _Last(slot=slot, place=place, minutes=minute + 1)

    def _came_from(self, edge: _Edge, place: int, index: int, *, late: bool) -> _Step:
        """Return by which state and overhead the run's first minute is reached most cheaply."""
        start, elsewhere = self._overheads.start_min, self._overheads.elsewhere_min
        others = [q for q in range(edge.on.shape[0]) if q != place]
        pause = elsewhere if late else self._overheads.move_min
        steps = [
            _Step(_OFF, place, start, _START),
            _Step(_ENDED, place, start, _START),
            *(_Step(_ENDED, q, elsewhere, _MOVE) for q in others),
            _Step(_ON, place, start, _START) if late else _Step(_ON, place, 0, 0),
            *(_Step(_ON, q, pause, _MOVE) for q in others),
        ]

        def cost(step: _Step) -> int:
            return edge.value(step.state, step.place, index + step.overhead_min) + step.tie

        best = min(steps, key=cost)
        return replace(best, index=index + best.overhead_min)

    def _previous_run(
        self, edges: list[_Edge], slot: int, step: _Step
    ) -> tuple[int, int, int, int, int] | None:
        """Return slot, place, index, begin and end of the run before, `None` if there is none."""
        state, place, index = step.state, step.place, step.index
        while slot > 0:
            slot -= 1
            if state != _OFF:
                return (slot, place, *self._part(slot, edges, state, place, index))
            value, before = edges[slot + 1].off[index], edges[slot]
            if value == before.off[index]:
                continue
            state = _ON if value == before.on[:, index].min() else _ENDED
            place = int((before.on if state == _ON else before.ended)[:, index].argmin())
        return None

    def _part(
        self, slot: int, edges: list[_Edge], state: str, place: int, index: int
    ) -> tuple[int, int, int]:
        """Return index before, begin and end of the part of `slot` that leads to the state."""
        length, cost = int(self._lengths[slot]), int(self._costs[slot, place])
        entry, value = self._entry(edges[slot]), edges[slot + 1].value(state, place, index)
        whole = state == _ON and index >= length
        if whole and int(entry.begin[place, index - length]) + cost * length == value:
            return index - length, 0, length
        source = entry.late if state == _ON else entry.begin
        minutes = np.arange(1, min(length - 1, index) + 1)
        reached = source[place, index - minutes] + cost * minutes == value
        part = int(minutes[np.flatnonzero(reached)[0]])
        begin, end = (length - part, length) if state == _ON else (0, part)
        return index - part, begin, end


def _to_integers(grid: Grid, slack_min: int) -> Costs:
    """Return the cost of a minute, shape (slots, places), with the lowest bits free for ties."""
    highest = max(float(grid.gco2eq_per_kwh.max()), 1.0)
    room = (1 << _ROOM_BITS) / (highest * (grid.minutes + slack_min))
    scale = 10.0 ** np.floor(np.log10(room))
    integers: Costs = np.rint(grid.gco2eq_per_kwh * scale).astype(np.int64) << _TIE_BITS
    return integers


def _owing(costs: Costs, overhead_min: int, tie: int) -> Costs:
    """Return `costs` by the work that is left of it once the overhead is paid."""
    shifted = np.full_like(costs, _NEVER)
    size = costs.shape[-1]
    if overhead_min >= 0:
        shifted[..., : max(size - overhead_min, 0)] = costs[..., overhead_min:]
    else:
        shifted[..., -overhead_min:] = costs[..., : max(size + overhead_min, 0)]
    return np.minimum(shifted + tie, _NEVER)


def _after_part(costs: Costs, per_minute: Costs, most_min: int) -> Costs:
    """Return the least costs 1 to `most_min` minutes on; both shapes (..., places, work)."""
    size = costs.shape[-1]
    if most_min < 1:
        return np.full_like(costs, _NEVER)
    slope = per_minute[:, None] * np.arange(size)
    best = costs - slope
    width = 1
    while width < most_min:
        # Windows of `width` overlap to windows of any length up to twice as long.
        more = min(width, most_min - width)
        best[..., more:] = np.minimum(best[..., more:], best[..., :-more])
        width += more
    return np.minimum(_owing(best, -1, 0) + slope, _NEVER)


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return `runs`, ascending, with what goes on in one place merged."""
    merged: list[Run] = []
    for run in runs:
        before = merged[-1] if merged else None
        if before and before.place == run.place and before.end_min == run.begin_min:
            merged[-1] = Run(
                place=run.place,
                begin_min=before.begin_min,
                end_min=run.end_min,
                overhead_min=before.overhead_min,
                moved=before.moved,
            )
        else:
            merged.append(run)
    return tuple(merged)
