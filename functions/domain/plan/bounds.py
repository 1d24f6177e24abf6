"""Which places and which amounts of work can lie on a plan that is cheaper than a known one.

Lagrange: if each minute of work earned a price, the best plan without regard to how much is done
would be found slot by slot, for many prices at once, in no time (`relaxed`). Its cost less the
earnings is a lower bound for every plan; forward and backward together it bounds every plan through
one state. What it proves to cost more than a plan already found need not be looked at: the search
stays exact.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.problem import Floats, Problem
from functions.domain.plan.relaxed import BothWays, Values, both_ways, lowest_of

Span = tuple[int, int]
"""First and last work done, minutes."""

_COARSE = np.concatenate([np.geomspace(0.7, 2.0, 24), [3.0, 6.0, 30.0, 150.0, 1000.0]])
"""Prices of a minute, by that at which starts and moves would be free. The high ones: where hardly
a minute is left over, one is worth more than any slot costs."""
_FAR = np.array([-8, -4, -2, -1, 0, 1, 2, 4, 8])
"""Which of them around the best one bound the work widely."""
_NEAR = 1 + np.array([-14, -9, -5, -2, 0, 2, 5, 9, 14]) / 1000
"""Prices that bound it sharply, by the one at which the bound is about highest."""
_FEW_SLOTS = 100
_GUESS_MIN = 0.2
_GUESS_FEW_MIN = 0.6
"""The gap between bound and optimum, minutes at the price; where a table is small, a second
search costs more than a wider one."""
_AT_ONCE = 256
"""States that are compared at once: as many as the processor's cache holds for all prices."""
_CLOSE = 1e-6
"""Minutes by which sums of floats may be off."""
_ROUNDING = 1e-7
"""Share of the total by which sums of floats and the integers of the search may differ."""


@dataclass(slots=True, eq=False)
class States:
    """The states at one edge that the search has to look at, each with its span of work."""

    off: Span | None = None
    on: dict[int, Span] = field(default_factory=dict)
    """By place, ascending."""
    ended: dict[int, Span] = field(default_factory=dict)
    """By place, ascending."""

    @property
    def places(self) -> list[int]:
        """Places in which a VM runs in the slot before, ascending."""
        return sorted(self.on.keys() | self.ended.keys())

    @property
    def spans(self) -> list[Span]:
        """The spans of all states."""
        return [*self.on.values(), *self.ended.values(), *([self.off] if self.off else [])]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What the search has to look at."""

    edges: list[States]
    late: list[list[int]]
    """Of each slot, the places in which a VM may start after its begin."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounds:
    """Lower bounds by price, edge and place."""

    problem: Problem
    prices: Floats
    """Ascending, shape (prices,)."""
    ways: BothWays
    lowest: float
    """No plan is cheaper."""
    best: int
    """Index of the price that proves it."""

    def guess(self) -> float:
        """Return how much dearer than the bound the optimum usually is at most."""
        few = len(self.problem.per_min) <= _FEW_SLOTS
        minutes = _GUESS_FEW_MIN if few else _GUESS_MIN
        return float(self.prices[self.best]) * minutes + self.slack

    @property
    def slack(self) -> float:
        """What rounding may amount to."""
        return _ROUNDING * (abs(self.lowest) + 1e-6)

    def keep(self, most: float) -> Kept | None:
        """Return what can lie on a plan that costs at most `most`; `None` if nothing can."""
        limit = most + self.slack
        rest = limit - self.prices * self.problem.work_min
        ahead, late, to_go = self.ways.ahead, self.ways.late, self.ways.to_go
        before, then = _in_rows(ahead), _in_rows(to_go)
        alive = (before + then <= rest).all(axis=2)
        edges, states = np.nonzero(alive)
        if not len(edges):
            return None
        low, high = self._between(
            np.ascontiguousarray((limit - before[edges, states]).T),
            np.ascontiguousarray((then[edges, states] + limit - rest).T),
        )
        alive_late = (late + to_go.on[1:] <= rest).all(axis=2)
        return Kept(
            edges=self._states(edges, states, low, high),
            late=[np.flatnonzero(row).tolist() for row in np.atleast_2d(alive_late)],
        )

    def _states(
        self, edges: NDArray[np.intp], states: NDArray[np.intp], low: Floats, high: Floats
    ) -> list[States]:
        """Return the states of each edge with their spans of work, in whole minutes."""
        places = self.problem.per_min.shape[1]
        least, most = _room(self.problem)
        least, most = least[edges], most[edges] - (states == 2 * places)
        lowest = np.ceil(np.clip(low - _CLOSE, least, most + 1)).astype(np.int64).tolist()
        highest = np.floor(np.clip(high + _CLOSE, least - 1, most)).astype(np.int64).tolist()
        found = [States() for _ in self.problem.edges_min]
        rows = zip(edges.tolist(), states.tolist(), lowest, highest, strict=True)
        for edge, state, first, last in rows:
            if first > last:
                continue
            if state == 2 * places:
                found[edge].off = (first, last)
            elif state < places:
                found[edge].on[state] = (first, last)
            else:
                found[edge].ended[state - places] = (first, last)
        return found

    def _between(self, rest: Floats, to_go: Floats) -> tuple[Floats, Floats]:
        """Return the least and most work of each state by all pairs of prices.

        Args:
            rest: what may still be spent from each state on, shape (prices, states).
            to_go: what is spent at least, less the earnings, of the same shape.
        """
        higher, lower = np.tril_indices(len(self.prices), -1)
        gaps = (self.prices[higher] - self.prices[lower])[:, None]
        low, high = np.empty((2, rest.shape[1]))
        for first in range(0, rest.shape[1], _AT_ONCE):
            states = slice(first, first + _AT_ONCE)
            spare, cost = rest[:, states], to_go[:, states]
            at = (spare[higher] - cost[lower]) / gaps
            high[states] = np.minimum.reduce(at, initial=np.inf)
            at = (spare[lower] - cost[higher]) / -gaps
            low[states] = np.maximum.reduce(at, initial=-np.inf)
        return low, high


def _in_rows(values: Values) -> Floats:
    """Return the states of each edge in one row: ON and ENDED by place, then OFF."""
    return np.concatenate([values.on, values.ended, values.off[:, None]], axis=1)


def _room(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and most work at each edge that the time allows."""
    left = problem.minutes - problem.edges_min
    least = np.maximum(problem.work_min - left, -problem.overheads.most_min)
    return least, np.minimum(problem.work_min, problem.edges_min)


def everything(problem: Problem, least_work_min: int) -> Kept:
    """Return all that may lead to some work from `least_work_min` on, whatever it costs."""
    slots, places = problem.per_min.shape
    may = np.ones((slots, places), dtype=bool) if problem.allowed is None else problem.allowed
    free = [np.flatnonzero(row).tolist() for row in may]
    _, most = _room(problem)
    to_come = problem.minutes - problem.edges_min
    least = np.maximum(least_work_min - to_come, -problem.overheads.most_min)
    spans = list(zip(least.tolist(), most.tolist(), strict=True))
    edges = [
        States(off=span, on=dict.fromkeys(here, span), ended=dict.fromkeys(here, span))
        for span, here in zip(spans, [[], *free], strict=True)
    ]
    return Kept(edges=edges, late=free)


def find_bounds(problem: Problem) -> Bounds | None:
    """Return bounds; `None` if no place is allowed at any time."""
    about = _price_without_overheads(problem)
    if about is None:
        return None
    coarse = about * _COARSE
    bounds = lowest_of(problem, coarse) + coarse * problem.work_min
    at = int(bounds.argmax())
    far = coarse[np.clip(at + _FAR, 0, len(coarse) - 1)]
    prices = np.unique(np.concatenate([far, _highest(coarse, bounds, at) * _NEAR]))
    ways = both_ways(problem, prices)
    lowest = ways.lowest() + prices * problem.work_min
    best = int(lowest.argmax())
    return Bounds(problem=problem, prices=prices, ways=ways, lowest=float(lowest[best]), best=best)


def _highest(prices: Floats, bounds: Floats, at: int) -> float:
    """Return about at which price the bound is highest, by a parabola through the best three.

    The bound is concave in the price: the true place is between the neighbours of the best one.
    """
    if not 0 < at < len(prices) - 1:
        return float(prices[at])
    before, price, after = prices[at - 1 : at + 2].tolist()
    low, high, then = bounds[at - 1 : at + 2].tolist()
    rise, fall = (high - low) / (price - before), (then - high) / (after - price)
    if rise <= fall:
        return float(price)
    middle = (before + price) / 2 + rise * (after - before) / (2 * (rise - fall))
    return float(min(max(middle, before), after))


def may_fit(problem: Problem) -> bool:
    """Tell whether the work fits where a VM is allowed; what is told not to, does not."""
    if problem.allowed is None:
        return True
    highest = max(float(problem.per_min.max()), 1e-9)
    if problem.extras is not None:
        highest = max(highest, problem.extras.highest())
    price = np.array([1e6 * highest])
    most_min = -float(lowest_of(problem, price)[0]) / price[0]
    return bool(most_min > problem.work_min - 0.5)  # the cost is a millionth of the earnings


def _price_without_overheads(problem: Problem) -> float | None:
    """Return what the dearest minute would cost if starts and moves were free."""
    cheapest = problem.per_min
    if problem.allowed is not None:
        cheapest = np.where(problem.allowed, cheapest, np.inf)
    best = cheapest.min(axis=1)
    order = np.argsort(best)
    order = order[np.isfinite(best[order])]
    if not len(order):
        return None
    done = np.cumsum(problem.lengths_min[order])
    at = min(int(np.searchsorted(done, problem.work_min)), len(order) - 1)
    return max(float(best[order[at]]), 1e-6 * float(problem.per_min.max()), 1e-9)
