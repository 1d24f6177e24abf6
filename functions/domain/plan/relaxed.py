"""Plans that earn a price for each minute of work, whatever the work: forward and backward.

The least cost less the earnings up to a state, and from a state on, for many prices at once. Both
are lower bounds of what any true plan costs on that way (they let a part of a slot be its cheapest
part). States are those of the table: OFF, ON in p, ENDED in p.
"""

from dataclasses import dataclass

import numpy as np

from functions.domain.plan.problem import Extras, Floats, Problem

BLOCKED = 1e30
"""Cost of what is not allowed, far above any other."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Cost less earnings by edge, place and price."""

    on: Floats
    """Shape (edges, places, prices)."""
    ended: Floats
    """Shape (edges, places, prices)."""
    off: Floats
    """Shape (edges, prices)."""
    late: Floats
    """ON at the end of a slot, having begun inside it; forward only. (slots, places, prices)."""

    def of_prices(self, chosen: list[int]) -> "Values":
        """Return the values of some prices."""
        return Values(
            self.on[..., chosen],
            self.ended[..., chosen],
            self.off[..., chosen],
            self.late[..., chosen],
        )

    def at_end(self) -> Floats:
        """Return the least at the last edge, shape (prices,)."""
        least: Floats = np.vstack([self.on[-1], self.ended[-1], self.off[-1:]]).min(axis=0)
        return least

    @classmethod
    def empty(cls, edges: int, places: int, prices: int) -> "Values":
        """Return values to be filled."""
        on, ended = np.empty((2, edges, places, prices))
        late = np.empty((edges - 1, places, prices))
        return cls(on, ended, np.empty((edges, prices)), late)


def with_more(first: Values, second: Values) -> Values:
    """Return the values for the prices of both."""
    return Values(
        np.concatenate([first.on, second.on], axis=-1),
        np.concatenate([first.ended, second.ended], axis=-1),
        np.concatenate([first.off, second.off], axis=-1),
        np.concatenate([first.late, second.late], axis=-1),
    )


_least = np.minimum.reduce
"""Over the first axis; in small arrays the method `min` takes longer to be called than to run."""


class _Slots:
    """The net cost of slots, shape (slots, places, prices), and of overheads, (prices,)."""

    def __init__(self, problem: Problem, prices: Floats) -> None:
        overheads = problem.overheads
        self.start = prices * overheads.start_min
        self.move = prices * overheads.move_min
        self.elsewhere = prices * overheads.elsewhere_min
        lengths = problem.lengths_min[:, None, None]
        net = problem.per_min[:, :, None] - prices
        if problem.allowed is not None:
            net = np.where(problem.allowed[:, :, None], net, BLOCKED)
        self.whole = net * lengths
        # A part of a slot: its last or its first minute, or all but one, whichever is cheaper.
        self.part = np.where(lengths > 1, np.minimum(net, self.whole - net), BLOCKED)
        self.extras = None if problem.extras is None else _Columns(problem.extras)


class _Columns:
    """The extras with a last axis for the prices."""

    def __init__(self, extras: Extras) -> None:
        self.start = extras.start[:, :, None]
        self.start_late = extras.start_late[:, :, None]
        self.move = extras.move[:, :, None]
        self.elsewhere = extras.elsewhere[:, :, None]
        self.elsewhere_late = extras.elsewhere_late[:, :, None]


def forward(problem: Problem, prices: Floats) -> Values:
    """Return the values up to each edge."""
    slots = _Slots(problem, prices)
    edges, places = len(problem.edges_min), problem.per_min.shape[1]
    values = Values.empty(edges, places, len(prices))
    values.on[0], values.ended[0] = BLOCKED, BLOCKED
    off = np.zeros(len(prices))
    if problem.running is not None:
        values.on[0, problem.running] = prices * problem.overheads.running_min
        off = np.full(len(prices), BLOCKED)
    values.off[0] = off
    any_on = _least(values.on[0])
    for slot in range(edges - 1):
        on = values.on[slot]
        begin, late = _entries(slots, slot, on, off, any_on)
        begun = np.minimum(on, begin)
        ended = np.add(begun, slots.part[slot], out=values.ended[slot + 1])
        off = np.minimum(off, any_on, out=values.off[slot + 1])
        if slot == 0:
            np.minimum(off, 0.0, out=off)  # what runs may stop at once, and owes nothing
        if slots.extras is not None:
            np.minimum(off, _least(ended), out=off)
        begun += slots.whole[slot]
        late = np.add(late, slots.part[slot], out=values.late[slot])
        any_on = _least(np.minimum(begun, late, out=values.on[slot + 1]))
    return values


def _entries(
    slots: _Slots, slot: int, on: Floats, off: Floats, any_on: Floats
) -> tuple[Floats, Floats]:
    """Return the values before a run that begins with the slot, and later in it.

    What ENDED in the slot before is covered: had it run to the edge, or not begun, it would be ON
    or OFF at no more, and goes on from there for no more.
    """
    start, own = off + slots.start, on + slots.start
    extras = slots.extras
    if extras is None:
        rested = np.minimum(start, any_on + slots.elsewhere)
        begin = np.minimum(start, any_on + slots.move)
        return begin, np.minimum(rested, own, out=own)
    either = np.minimum(start, own)
    begin = np.minimum(either + extras.start[slot], any_on + slots.move + extras.move[slot])
    begin = np.minimum(begin, any_on + slots.elsewhere + extras.elsewhere[slot])
    begin = np.minimum(begin, start + extras.elsewhere[slot])
    other = np.minimum(start, any_on + slots.elsewhere) + extras.elsewhere_late[slot]
    return begin, np.minimum(either + extras.start_late[slot], other)


def backward(problem: Problem, prices: Floats) -> Values:
    """Return the values from each edge on."""
    slots = _Slots(problem, prices)
    edges, places = len(problem.edges_min), problem.per_min.shape[1]
    values = Values.empty(edges, places, len(prices))
    values.on[-1], values.ended[-1], values.off[-1] = 0.0, 0.0, 0.0
    for slot in range(edges - 2, -1, -1):
        on, ended, off = values.on[slot + 1], values.ended[slot + 1], values.off[slot + 1]
        part = slots.part[slot]
        late = part + on
        begin = slots.whole[slot] + on
        np.minimum(begin, part + ended, out=begin)
        started, moved, other = _exits(slots, slot, begin, late)
        any_started = _least(started)
        np.minimum(off, any_started, out=values.off[slot])
        rest = np.minimum(off, other, out=other)
        np.minimum(started, rest, out=values.ended[slot])
        np.minimum(moved, off, out=moved)
        late += slots.start
        if slots.extras is not None:
            late += slots.extras.start_late[slot]
        np.minimum(begin, late, out=begin)
        np.minimum(begin, moved, out=values.on[slot])
    return values


def _exits(slots: _Slots, slot: int, begin: Floats, late: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the values after a start, by place; after the best move; the best start elsewhere."""
    extras = slots.extras
    if extras is None:
        use = np.minimum(begin, late)
        any_begin, any_late = _least(begin), _least(late)
        moved = np.minimum(any_begin + slots.move, any_late + slots.elsewhere)
        other = np.minimum(any_begin, any_late) + slots.elsewhere
        use += slots.start
        return use, moved, other
    started = np.minimum(begin + extras.start[slot], late + extras.start_late[slot])
    late_other = _least(late + extras.elsewhere_late[slot]) + slots.elsewhere
    moved = np.minimum(_least(begin + extras.move[slot]) + slots.move, late_other)
    other = np.minimum(_least(begin + extras.elsewhere[slot]) + slots.elsewhere, late_other)
    return started + slots.start, moved, other
