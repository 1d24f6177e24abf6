"""Plans that earn a price for each minute of work, whatever the work: forward and backward.

The least cost less the earnings up to a state, and from a state on, for many prices at once. Both
are lower bounds of what any true plan costs on that way. States are those of the table: OFF, ON in
p, ENDED in p.

One pass over the slots serves all prices and both directions, each a column: going forward a VM
that enters a slot comes from ON, a move or a start; going backward one that is left at an edge goes
on, moves or stops; the same minima, with the start paid on the other side. A part of a slot is left
out of the pass. If minutes earn more than they cost, the whole slot is no dearer, and if they cost
more, none of it is; so no part lowers the way on. What parts there are is found afterwards, of all
slots together.

Extras are taken at the cheapest place of each slot: a little low, as a bound may be.
"""

from dataclasses import dataclass

import numpy as np

from functions.domain.plan.problem import Floats, Problem

BLOCKED = 1e30
"""Cost of what is not allowed, far above any other."""

_least = np.minimum.reduce
"""Over the first axis; in small arrays the method `min` takes longer to be called than to run."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Cost less earnings by edge, place and price."""

    on: Floats
    """Shape (edges, places, prices)."""
    ended: Floats
    """Shape (edges, places, prices)."""
    off: Floats
    """Shape (edges, prices)."""


@dataclass(frozen=True, slots=True, eq=False)
class BothWays:
    """What every plan costs at least, less its earnings, up to each state and from it on."""

    ahead: Values
    late: Floats
    """Up to the end of a slot, having begun inside it, shape (slots, places, prices)."""
    to_go: Values

    def lowest(self) -> Floats:
        """Return what every plan costs at least, less its earnings, shape (prices,)."""
        lowest: Floats = np.minimum(_least(self.ahead.on[-1]), self.ahead.off[-1])
        return lowest


class _Slots:
    """The net cost of slots, shape (slots, places, prices), and of entries, (slots, prices)."""

    def __init__(self, problem: Problem, prices: Floats) -> None:
        lengths = problem.lengths_min[:, None, None]
        net = problem.per_min[:, :, None] - prices
        if problem.allowed is not None:
            net = np.where(problem.allowed[:, :, None], net, BLOCKED)
        self.net = net
        self.whole = net * lengths
        self._lengths = lengths
        self._set_entries(problem, prices)

    def part(self) -> Floats:
        """Return the cost of a slot's first or last minute or all but one, the least of them."""
        part = np.minimum(self.net, self.whole - self.net)
        return part if self._lengths.min() > 1 else np.where(self._lengths > 1, part, BLOCKED)

    def _set_entries(self, problem: Problem, prices: Floats) -> None:
        overheads, extras = problem.overheads, problem.extras
        slots = (len(problem.per_min), 1)
        self.start = np.tile(prices * overheads.start_min, slots)
        self.move = np.tile(prices * overheads.move_min, slots)
        self.elsewhere = np.tile(prices * overheads.elsewhere_min, slots)
        self.start_late, self.elsewhere_late = self.start, self.elsewhere
        if extras is None:
            return
        start, move, other, late, other_late = (
            each.min(axis=1, keepdims=True)
            for each in (
                extras.start,
                extras.move,
                extras.elsewhere,
                extras.start_late,
                extras.elsewhere_late,
            )
        )
        self.start_late, self.elsewhere_late = self.start + late, self.elsewhere + other_late
        # What began late in the slot before counts as if it began at the edge after it.
        rested = np.minimum(start, other)
        rested[1:] = np.minimum(rested[1:], np.minimum(late, other_late)[:-1])
        self.move = np.minimum(self.move + move, self.elsewhere + other)
        self.start = self.start + rested
        self.elsewhere = self.elsewhere + other
        if min(float(each.min()) for each in (start, move, other)) < 0:
            # A start may be cheaper than to go on: what stopped in the slot before counts as ON.
            self.move = np.minimum(self.move, self.start)


def lowest_of(problem: Problem, prices: Floats) -> Floats:
    """Return what every plan costs at least, less its earnings, shape (prices,)."""
    slots = _Slots(problem, prices)
    start = slots.start
    before, off = _before_first(problem, prices)
    entry, off = _pass(
        (before, off), slots.whole, slots.move, (start, np.zeros_like(start)), _free_stop(problem)
    )
    lowest: Floats = np.minimum(_least(entry[-1] + slots.whole[-1]), off[-1])
    return lowest


def both_ways(problem: Problem, prices: Floats) -> BothWays:
    """Return the values up to each edge and from each edge on."""
    slots, columns = _Slots(problem, prices), len(prices)
    whole, start, none = slots.whole, slots.start, np.zeros_like(slots.start)
    before, off = _before_first(problem, prices)
    # Backward, the value before the last slot is known at once; the pass adds the slot before it.
    earlier = np.concatenate([whole[-2::-1], np.zeros_like(whole[:1])])
    reached, offs = _pass(
        (_beside(before, whole[-1]), _beside(off, np.zeros(columns))),
        _beside(whole, earlier),
        _beside(slots.move, slots.move[::-1]),
        (_beside(start, none), _beside(none, start[::-1])),
        _free_stop(problem),
    )
    entry, stay = reached[..., :columns], reached[::-1, :, columns:]
    ahead, late = _ahead(slots, before, entry, offs[:, :columns])
    return BothWays(ahead, late, _to_go(slots, stay, offs[::-1, columns:]))


def _beside(first: Floats, second: Floats) -> Floats:
    return np.concatenate([first, second], axis=-1)


def _before_first(problem: Problem, prices: Floats) -> tuple[Floats, Floats]:
    """Return ON and OFF at minute 0."""
    on = np.full((problem.per_min.shape[1], len(prices)), BLOCKED)
    if problem.running is None:
        return on, np.zeros(len(prices))
    on[problem.running] = prices * problem.overheads.running_min
    return on, np.full(len(prices), BLOCKED)


def _free_stop(problem: Problem) -> float:
    """Return what OFF after the first slot costs at most: what runs may stop at once, for 0."""
    return BLOCKED if problem.running is None else 0.0


def _pass(
    first: tuple[Floats, Floats],
    whole: Floats,
    move: Floats,
    start: tuple[Floats, Floats],
    free_stop: float,
) -> tuple[Floats, Floats]:
    """Return the values of a VM at each step, shape (slots, places, columns), and of none.

    Args:
        first: values before the first step, of a VM by place and of none.
        whole: what is added after each step, shape (slots, places, columns).
        move: cost of a move at each step, shape (slots, columns).
        start: cost of a VM after none, and of none after a VM.
        free_stop: what none after the first step costs at most.
    """
    on, off = first[0].copy(), first[1]
    reached = np.empty(whole.shape)
    offs = np.empty((len(whole) + 1, whole.shape[2]))
    offs[0] = off
    to_on, to_off = start
    for step, added in enumerate(whole):
        any_on = _least(on)
        entering = np.minimum(any_on + move[step], off + to_on[step])
        now = np.minimum(on, entering, out=reached[step])
        any_on += to_off[step]
        off = np.minimum(off, any_on, out=offs[step + 1])
        if step == 0:
            np.minimum(off, free_stop, out=off)
        np.add(now, added, out=on)
    return reached, offs


def _ahead(slots: _Slots, before: Floats, entry: Floats, off: Floats) -> tuple[Values, Floats]:
    """Return the values up to each edge, and of what began inside the slot before it."""
    part = slots.part()
    on, ended = np.empty((2, len(entry) + 1, *entry.shape[1:]))
    on[0], ended[0] = before, BLOCKED
    np.add(entry, slots.whole, out=on[1:])
    np.add(entry, part, out=ended[1:])
    any_on = on[:-1].min(axis=1)
    other = np.minimum(any_on + slots.elsewhere_late, off[:-1] + slots.start_late)
    late = on[:-1] + slots.start_late[:, None]
    np.minimum(late, other[:, None], out=late)
    late += part
    np.minimum(on[1:], late, out=on[1:])
    return Values(on, ended, off), late


def _to_go(slots: _Slots, stay: Floats, off: Floats) -> Values:
    """Return the values from each edge on; `stay` is ON at the begin of each slot."""
    on, ended = np.zeros((2, len(stay) + 1, *stay.shape[1:]))
    on[:-1] = stay
    use = np.minimum(slots.whole, slots.part())
    use += on[1:]
    other = np.minimum(use.min(axis=1) + np.minimum(slots.elsewhere, slots.elsewhere_late), off[1:])
    use += np.minimum(slots.start, slots.start_late)[:, None]
    np.minimum(use, other[:, None], out=ended[:-1])
    return Values(on, ended, off)
