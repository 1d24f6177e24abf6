"""The planner's words once more, by trying everything: slow, plain, independent of the planner."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, product

Piece = tuple[int, int, int] | None
"""Place, first minute and end within a slot, `None`: no VM."""

GOES_ON, START, MOVE, ELSEWHERE = "goes_on", "start", "move", "elsewhere"


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
    ending: int = 0
    """Overhead of a VM that ran before, for its end; owed if one runs in the first slot."""
    blocked: list[tuple[int, int]] = field(default_factory=list)
    """Slots and places in which no VM may run."""
    extras: dict[str, list[list[float]]] = field(default_factory=dict)
    """What an entry costs by kind (`start`, `start_late`, ...), slot and place; none if empty."""
    shortest: int = 1
    """Least length of a run, minutes."""
    running_left: int = 0
    """How long the run that goes on must still last, minutes."""


@dataclass(frozen=True, order=True)
class Outcome:
    """What a way to run costs; smaller is better."""

    cost: float
    finish_min: int
    moves: int
    starts: int


@dataclass(kw_only=True)
class _Run:
    place: int
    begin: int
    end: int
    slot: int
    late: bool
    entry: str


def pieces(length: int, places: int) -> Iterator[Piece]:
    """Return all that may happen in a slot of `length` minutes."""
    yield None
    for place in range(places):
        for begin in range(length):
            for end in range(begin + 1, length + 1):
                yield place, begin, end


def _runs(task: Instance, way: Sequence[Piece]) -> list[_Run]:
    runs: list[_Run] = []
    edges = [0, *accumulate(task.lengths)]
    # Place in the slot before, and whether the VM still ran at that slot's end.
    before: tuple[int, bool] | None = None if task.running is None else (task.running, True)
    for slot, piece in enumerate(way):
        if piece is None:
            before = None
            continue
        place, begin, end = piece
        without_pause = before is not None and before[1] and begin == 0
        elsewhere = before is not None and before[0] != place
        entry = START
        if without_pause:
            entry = MOVE if elsewhere else GOES_ON
        elif elsewhere:
            entry = ELSEWHERE
        if entry == GOES_ON and runs:
            runs[-1].end = edges[slot] + end
        else:
            at = edges[slot]
            run = _Run(
                place=place, begin=at + begin, end=at + end, slot=slot, late=begin > 0, entry=entry
            )
            runs.append(run)
        before = (place, end == task.lengths[slot])
    return runs


def _work_done(task: Instance, runs: Sequence[_Run]) -> list[int]:
    """Return the work done up to the end of each run."""
    owed = {GOES_ON: 0, START: task.start, MOVE: task.move}
    owed[ELSEWHERE] = max(task.start, task.move)
    done, work = [], 0
    for run in runs:
        work += run.end - run.begin - owed[run.entry]
        if run.slot == 0 and task.running is not None:
            work -= task.ending
        done.append(work)
    return done


def is_allowed(task: Instance, way: Sequence[Piece], *, any_ends: bool = False) -> bool:
    """Tell whether all limits are kept, and nothing runs once the work is done.

    A run that must last long may have one end inside a slot while it is not yet long enough, or
    both with `any_ends`.
    """
    if any((slot, piece[0]) in task.blocked for slot, piece in enumerate(way) if piece):
        return False
    runs = _runs(task, way)
    edges = [0, *accumulate(task.lengths)]
    if task.running_left > 0 and not (runs and runs[0].entry == GOES_ON):
        return False
    if task.shortest > 1 and any(done >= task.work for done in _work_done(task, runs)[:-1]):
        return False
    for run in runs:
        least = task.running_left if run.entry == GOES_ON else task.shortest
        if run.end - run.begin < least:
            return False
        last_edge = max(edge for edge in edges if edge <= run.end)
        at_edge = run.begin in edges or last_edge - run.begin >= least
        if least > 1 and not at_edge and not any_ends:
            return False
    return True


def outcome(task: Instance, way: Sequence[Piece]) -> tuple[int, Outcome]:
    """Return the work done and what it costs if the VM runs by `way`."""
    runs = _runs(task, way)
    work = (_work_done(task, runs) or [0])[-1]
    cost = 0.0
    for slot, piece in enumerate(way):
        if piece is not None:
            cost += (piece[2] - piece[1]) * task.intensity[slot][piece[0]]
    for run in runs:
        if task.extras and run.entry != GOES_ON:
            cost += task.extras[run.entry + "_late" * run.late][run.slot][run.place]
    finish = runs[-1].end if runs else 0
    moves = sum(run.entry in (MOVE, ELSEWHERE) for run in runs)
    starts = sum(run.entry == START for run in runs)
    return work, Outcome(cost, finish, moves, starts)


def best_outcome(task: Instance, *, any_ends: bool = False) -> Outcome | None:
    """Return the best way to do the work, `None` if there is none."""
    every = product(*(tuple(pieces(length, len(task.intensity[0]))) for length in task.lengths))
    best = None
    for way in every:
        done, result = outcome(task, way)
        if done != task.work or not (best is None or result < best):
            continue
        if is_allowed(task, way, any_ends=any_ends):
            best = result
    return best
