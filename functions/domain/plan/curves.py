"""Curves of least cost by work done: empty ones, ones moved, and ones some minutes later."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from functions.domain.plan.problem import NEVER, Costs


@dataclass(slots=True, eq=False)
class Curve:
    """Least costs of one state by work done, minutes; what lies outside cannot be."""

    low: int
    """Work of the first of `costs`."""
    costs: Costs
    """Shape (work,)."""

    @classmethod
    def never(cls, span: tuple[int, int]) -> "Curve":
        """Return a curve from the first to the last of `span` of what cannot be."""
        return cls(span[0], never(max(span[1] - span[0] + 1, 0)))

    @property
    def high(self) -> int:
        """Work of the last of `costs`."""
        return self.low + len(self.costs) - 1

    def at(self, work: int) -> int:
        """Return the cost at `work`."""
        index = work - self.low
        return int(self.costs[index]) if 0 <= index < len(self.costs) else int(NEVER)

    def lower(self, other: "Curve", shift: int, cost: int) -> None:
        """Lower this curve by `other`, `shift` minutes more work and `cost` dearer."""
        move = other.low + shift - self.low
        first, last = max(move, 0), min(move + len(other.costs), len(self.costs))
        if first < last:
            target = self.costs[first:last]
            np.minimum(target, other.costs[first - move : last - move] + cost, out=target)

    def lower_after(self, other: "Curve", per_min: int, most: int) -> None:
        """Lower this curve by `other` after 1 to `most` minutes of work, each at `per_min`."""
        costs, width = self.costs, len(self.costs)
        best = never(width + most - 1)
        put(best, other.costs, other.low - self.low + most)
        slope = per_min * _minutes(width + most)
        best -= slope[: width + most - 1]
        window = 1
        while window < most:
            # Windows of one size overlap to windows of any size up to twice as long.
            step = min(window, most - window)
            best = np.minimum(best[step:], best[:-step])
            window += step
        best += slope[most:]
        np.minimum(costs, best, out=costs)


@lru_cache(maxsize=4096)
def _minutes(count: int) -> Costs:
    minutes = np.arange(count)
    minutes.flags.writeable = False
    return minutes


def least(curves: Mapping[int, Curve]) -> Curve | None:
    """Return the least of all `curves`, `None` if there are none."""
    every = list(curves.values())
    if len(every) < 2:  # noqa: PLR2004 - one curve is its own least
        return every[0] if every else None
    found = Curve.never((min(each.low for each in every), max(each.high for each in every)))
    for each in every:
        found.lower(each, 0, 0)
    return found


def after_part(
    costs: Costs, shift: int, width: int, per_min: Costs, minutes: tuple[int, int]
) -> Costs:
    """Return the least costs some minutes later.

    Args:
        costs: by work, shape (..., places, work).
        shift: work of the first of `costs`, less that of the first result.
        width: how many results are wanted.
        per_min: cost of a minute by place.
        minutes: least and most of the minutes, both above 0.
    """
    least, most = minutes
    size = most - least + 1
    best = never((*costs.shape[:-1], width + size - 1))
    put(best, costs, shift + most)
    slope = per_min[:, None] * np.arange(width + most)
    best -= slope[:, : width + size - 1]
    window = 1
    while window < size:
        # Windows of one size overlap to windows of any size up to twice as long.
        step = min(window, size - window)
        best = np.minimum(best[..., step:], best[..., :-step])
        window += step
    best += slope[:, most:]
    return best


def part_of(
    costs: Costs, index: int, per_min: int, value: int, minutes: tuple[int, int]
) -> int | None:
    """Return after how many minutes `costs` lead to `value` at `index`, the least of them."""
    into = np.arange(minutes[0], minutes[1] + 1)
    into = into[(index - into >= 0) & (index - into < len(costs))]
    found = np.flatnonzero(costs[index - into] + per_min * into == value)
    return int(into[found[0]]) if len(found) else None


def never(shape: int | tuple[int, ...]) -> Costs:
    """Return costs of what cannot be."""
    costs = np.empty(shape, dtype=np.int64)
    costs.fill(NEVER)
    return costs


def put(target: Costs, source: Costs, shift: int) -> None:
    """Write `source`, moved by `shift` along the last axis, as far as it falls into `target`."""
    first = max(shift, 0)
    last = min(target.shape[-1], source.shape[-1] + shift)
    if last > first:
        target[..., first:last] = source[..., first - shift : last - shift]
