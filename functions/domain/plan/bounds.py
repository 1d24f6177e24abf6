"""Which places and which amounts of work can lie on a plan that is cheaper than a known one.

Lagrange: if each minute of work earned a price, the best plan without regard to how much is done
would be found slot by slot, for many prices at once, in no time (`relaxed`). Its cost less the
earnings is a lower bound for every plan; forward and backward together it bounds every plan through
one state. What it proves to cost more than a plan already found need not be looked at: the search
stays exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from functions.domain.plan.problem import Floats, Problem
from functions.domain.plan.relaxed import Values, backward, forward, with_more

_HIGH = [3.0, 6.0, 30.0, 150.0, 1000.0]
"""Where hardly a minute is left over, one is worth more than any slot costs."""
_COARSE = np.concatenate([np.geomspace(0.7, 2.0, 24), _HIGH])
"""Prices of a minute, by that at which starts and moves would be free."""
_FINE = 32
_NEAR = np.array([-3, -1, 0, 1, 3])
_FAR = np.array([-8, -4, -2, -1, 0, 1, 2, 4, 8])
"""Which prices around the best one bound the work: near ones sharply, far ones widely."""
_FEW_SLOTS = 100
_DENSE = np.concatenate([np.geomspace(0.7, 2.0, 106), _HIGH])
_DENSE_AROUND = np.array([-30, -12, -5, -2, -1, 0, 1, 2, 5, 12, 30])
_GUESS_MIN = 0.15
_GUESS_FEW_MIN = 0.6
"""The gap between bound and optimum, minutes at the price; where a table is small, a second
search costs more than a wider one."""
_AT_ONCE = 256
"""States that are compared at once: as many as the processor's cache holds for all prices."""
_ROUNDING = 1e-7
"""Share of the total by which sums of floats and the integers of the search may differ."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What the search has to look at."""

    places: NDArray[np.intp]
    """Ascending."""
    low: list[int]
    """Least work done at each edge, minutes."""
    high: list[int]
    """Most work done at each edge."""
    ended: list[NDArray[np.intp]]
    """Of each slot, at which of `places` a VM may stop before its end."""
    late: list[NDArray[np.intp]]
    """Of each slot, at which of `places` one may start after its begin."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounds:
    """Lower bounds by price, edge and place."""

    problem: Problem
    prices: Floats
    """Ascending, shape (prices,)."""
    ahead: Values
    to_go: Values
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
        earned = self.prices * self.problem.work_min
        on = self.ahead.on + self.to_go.on
        ended = self.ahead.ended + self.to_go.ended
        alive_on = (on + earned).max(axis=2) <= limit
        alive_ended = (ended + earned).max(axis=2) <= limit
        alive_off = (self.ahead.off + self.to_go.off + earned).max(axis=1) <= limit
        used = alive_on.any(axis=0) | alive_ended.any(axis=0)
        if self.problem.running is not None:
            used[self.problem.running] = True
        places = np.flatnonzero(used)
        if not len(places):
            return None
        alive = np.concatenate(
            [alive_on[:, places], alive_ended[:, places], alive_off[:, None]], axis=1
        )
        low, high = self._work_range(limit, alive, places)
        late = (self.ahead.late + self.to_go.on[1:] + earned).max(axis=2) <= limit
        return Kept(
            places=places,
            low=low,
            high=high,
            ended=[np.flatnonzero(row) for row in alive_ended[1:, places]],
            late=[np.flatnonzero(row) for row in late[:, places]],
        )

    def _work_range(
        self, limit: float, alive: NDArray[np.bool_], places: NDArray[np.intp]
    ) -> tuple[list[int], list[int]]:
        """Return the least and most work at each edge: at two prices, a bound grows with it."""
        problem = self.problem
        # Only the states that are alive, in one row; prices first, to be quick.
        ahead, to_go = _row(self.ahead, places)[:, alive], _row(self.to_go, places)[:, alive]
        to_go += (self.prices * problem.work_min)[:, None]
        low, high = self._between(limit - ahead, to_go)
        lowest, highest = np.full(alive.shape, np.inf), np.full(alive.shape, -np.inf)
        lowest[alive], highest[alive] = low, high
        least, most = _room(problem)
        lower = np.ceil(np.clip(lowest.min(axis=1) - 1e-6, least, most + 1)).astype(np.int64)
        upper = np.floor(np.clip(highest.max(axis=1) + 1e-6, least - 1, most)).astype(np.int64)
        return lower.tolist(), upper.tolist()

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


def _row(values: Values, places: NDArray[np.intp]) -> Floats:
    """Return all states in one row, shape (prices, edges, states)."""
    row = np.concatenate(
        [values.on[:, places], values.ended[:, places], values.off[:, None]], axis=1
    )
    return np.ascontiguousarray(row.transpose(2, 0, 1))


def _room(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the least and most work at each edge that the time allows."""
    left = problem.minutes - problem.edges_min
    least = np.maximum(problem.work_min - left, -problem.overheads.most_min)
    return least, np.minimum(problem.work_min - 1, problem.edges_min)


def everything(problem: Problem) -> Kept:
    """Return all that fits into the time, whatever it costs."""
    least, most = _room(problem)
    slots, places = problem.per_min.shape
    return Kept(
        places=np.arange(places),
        low=least.tolist(),
        high=most.tolist(),
        ended=[np.arange(places)] * slots,
        late=[np.arange(places)] * slots,
    )


def find_bounds(problem: Problem) -> Bounds | None:
    """Return bounds; `None` if no place is allowed at any time."""
    about = _price_without_overheads(problem)
    if about is None:
        return None
    if len(problem.per_min) <= _FEW_SLOTS:
        return _bounds(problem, about * _DENSE, _DENSE_AROUND)
    coarse = about * _COARSE
    far = forward(problem, coarse)
    at = int((far.at_end() + coarse * problem.work_min).argmax())
    fine = np.linspace(coarse[max(at - 1, 0)], coarse[min(at + 1, len(coarse) - 1)], _FINE + 2)
    fine = fine[1:-1]
    near = forward(problem, fine)
    best = int((near.at_end() + fine * problem.work_min).argmax())
    far_chosen = np.unique(np.clip(at + _FAR, 0, len(coarse) - 1)).tolist()
    near_chosen = np.unique(np.clip(best + _NEAR, 0, len(fine) - 1)).tolist()
    prices = np.concatenate([coarse[far_chosen], fine[near_chosen]])
    ahead = with_more(far.of_prices(far_chosen), near.of_prices(near_chosen))
    prices, order = np.unique(prices, return_index=True)
    return _with_way_back(problem, prices, ahead.of_prices(order.tolist()))


def _bounds(problem: Problem, prices: Floats, around: NDArray[np.int64]) -> Bounds:
    """Return bounds by one pass over many prices: enough where there are few slots."""
    ahead = forward(problem, prices)
    best = int((ahead.at_end() + prices * problem.work_min).argmax())
    chosen = np.unique(np.clip(best + around, 0, len(prices) - 1)).tolist()
    return _with_way_back(problem, prices[chosen], ahead.of_prices(chosen))


def _with_way_back(problem: Problem, prices: Floats, ahead: Values) -> Bounds:
    """Return bounds by `prices`, ascending, from the values up to each edge."""
    lowest = ahead.at_end() + prices * problem.work_min
    best = int(lowest.argmax())
    return Bounds(
        problem=problem,
        prices=prices,
        ahead=ahead,
        to_go=backward(problem, prices),
        lowest=float(lowest[best]),
        best=best,
    )


def may_fit(problem: Problem) -> bool:
    """Tell whether the work fits where a VM is allowed; what is told not to, does not."""
    if problem.allowed is None:
        return True
    highest = max(float(problem.per_min.max()), 1e-9)
    if problem.extras is not None:
        highest = max(highest, problem.extras.highest())
    price = np.array([1e6 * highest])
    most_min = -float(forward(problem, price).at_end()[0]) / price[0]
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
