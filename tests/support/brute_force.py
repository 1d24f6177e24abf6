"""The planner's words once more, by trying everything: slow, plain, independent of the planner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

Piece = tuple[int, int, int] | None
"""Place, first minute and end within a slot, `None`: no VM."""


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


def outcome(  # noqa: PLR0913 - a test oracle takes everything plainly
    way: Sequence[Piece],
    lengths: Sequence[int],
    intensity: Sequence[Sequence[float]],
    start: int,
    move: int,
    running: int | None,
) -> tuple[int, Outcome]:
    """Return the work done and what it costs if the VM runs by `way`."""
    at = work = moves = starts = finish = 0
    cost = 0.0
    # Place in the slot before, and whether the VM still ran at that slot's end.
    before: tuple[int, bool] | None = None if running is None else (running, True)
    for slot, piece in enumerate(way):
        if piece is None:
            before = None
        else:
            place, begin, end = piece
            elsewhere = before is not None and before[0] != place
            without_pause = before is not None and before[1] and begin == 0
            if without_pause and elsewhere:
                overhead = move
            elif without_pause:
                overhead = 0
            elif elsewhere:
                overhead = max(start, move)
            else:
                overhead = start
            moves += elsewhere
            starts += not elsewhere and not without_pause
            work += end - begin - overhead
            cost += (end - begin) * intensity[slot][place]
            finish = at + end
            before = (place, end == lengths[slot])
        at += lengths[slot]
    return work, Outcome(cost, finish, moves, starts)


def best_outcome(  # noqa: PLR0913 - as above
    lengths: Sequence[int],
    intensity: Sequence[Sequence[float]],
    work: int,
    start: int,
    move: int,
    running: int | None,
) -> Outcome | None:
    """Return the best way to do `work`, `None` if there is none."""
    every = product(*(tuple(pieces(length, len(intensity[0]))) for length in lengths))
    results = (outcome(way, lengths, intensity, start, move, running) for way in every)
    return min((result for done, result in results if done == work), default=None)
