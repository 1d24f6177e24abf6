"""The planner's words once more, by trying everything: slow, plain, independent of the planner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

Piece = tuple[int, int, int] | None
"""Place, first minute and end within a slot, `None`: no VM."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A small planning task."""

    lengths: list[int]
    """Of the slots, minutes."""
    intensity: list[list[float]]
    """By slot and place."""
    work: int
    start: int
    move: int
    running: int | None


@dataclass(frozen=True, order=True)
class Outcome:
    """What a way to run costs; smaller is better."""

    cost: float
    finish_min: int
    moves: int
    starts: int


def pieces(length: int, places: int) -> Iterator[Piece]:
    """Return all that may happen in a slot of `length` minutes."""
    yield None
    for place in range(places):
        for begin in range(length):
            for end in range(begin + 1, length + 1):
                yield place, begin, end


def outcome(task: Instance, way: Sequence[Piece]) -> tuple[int, Outcome]:
    """Return the work done and what it costs if the VM runs by `way`."""
    at = work = moves = starts = finish = 0
    cost = 0.0
    # Place in the slot before, and whether the VM still ran at that slot's end.
    before: tuple[int, bool] | None = None if task.running is None else (task.running, True)
    for slot, piece in enumerate(way):
        if piece is None:
            before = None
        else:
            place, begin, end = piece
            elsewhere = before is not None and before[0] != place
            without_pause = before is not None and before[1] and begin == 0
            if without_pause and elsewhere:
                overhead = task.move
            elif without_pause:
                overhead = 0
            elif elsewhere:
                overhead = max(task.start, task.move)
            else:
                overhead = task.start
            moves += elsewhere
            starts += not elsewhere and not without_pause
            work += end - begin - overhead
            cost += (end - begin) * task.intensity[slot][place]
            finish = at + end
            before = (place, end == task.lengths[slot])
        at += task.lengths[slot]
    return work, Outcome(cost, finish, moves, starts)


def best_outcome(task: Instance) -> Outcome | None:
    """Return the best way to do the work, `None` if there is none."""
    every = product(*(tuple(pieces(length, len(task.intensity[0]))) for length in task.lengths))
    results = (outcome(task, way) for way in every)
    return min((result for done, result in results if done == task.work), default=None)
