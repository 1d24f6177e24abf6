"""Curves of least cost by work done: empty ones, ones moved, and ones some minutes later."""

import numpy as np

from functions.domain.plan.problem import NEVER, Costs


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
