"""What the optimum is sought for: slots, what a minute costs in each place, and what runs owe.

Costs are of any unit: grams, or grams with money weighed in. Knows nothing of jobs or forecasts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.int64]
Floats = NDArray[np.float64]

NEVER = np.int64(1 << 61)
"""Cost of what cannot be. Sums may drift from it by less than a quarter."""
IMPOSSIBLE = np.int64(1 << 60)
"""From here on a cost is that of what cannot be: true ones stay below 2^59."""
TIE_BITS = 20
"""The lowest bits of a cost count moves and starts, so that fewer win among equals."""
START_TIE = 1
MOVE_TIE = 1 << 10
_ROOM_BITS = 38


class Entry(StrEnum):
    """How a run begins; what it owes depends on it."""

    GOES_ON = "goes on"
    """A VM ran in this place before the first slot."""
    START = "start"
    """After a pause."""
    MOVE = "move"
    """Without a pause after a run elsewhere."""
    ELSEWHERE = "elsewhere"
    """After a short pause, when a VM ran elsewhere in the slot before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheads:
    """Minutes of a run that do no work; their cost is that of any minute."""

    start_min: int
    """Of a run after a pause."""
    move_min: int
    """Of a run that takes over from another place without a pause."""
    running_min: int = 0
    """Of the run that goes on from before the first slot: what its end will take."""

    @property
    def elsewhere_min(self) -> int:
        """A start in another place than that of the slot before."""
        return max(self.start_min, self.move_min)

    @property
    def most_min(self) -> int:
        """The longest one."""
        return max(self.start_min, self.move_min, self.running_min)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extras:
    """What a run costs once, beyond its minutes, by slot and place in which it begins.

    All of shape (slots, places). May be negative (a VM that boots draws less than one that
    trains), but never by more than the overhead's own minutes cost: an overhead is no gain. With
    negative ones, `min_run_min` must be above every overhead, or a run that ends before its start
    is done would gain after all. An entry inside the slot is never cheaper than one at its begin.
    """

    start: Floats
    """A start at the begin of the slot."""
    start_late: Floats
    """A start inside the slot."""
    move: Floats
    """A move at the begin of the slot."""
    elsewhere: Floats
    """A start at the begin of the slot, in another place than that of the slot before."""
    elsewhere_late: Floats
    """The same inside the slot."""

    @classmethod
    def constant(cls, amount: float, shape: tuple[int, ...]) -> "Extras":
        """Return the same amount everywhere."""
        same = np.full(shape, amount)
        return cls(start=same, start_late=same, move=same, elsewhere=same, elsewhere_late=same)

    def _each(self, change: Callable[[Floats], Floats]) -> "Extras":
        return Extras(
            start=change(self.start),
            start_late=change(self.start_late),
            move=change(self.move),
            elsewhere=change(self.elsewhere),
            elsewhere_late=change(self.elsewhere_late),
        )

    def of_places(self, places: NDArray[np.intp]) -> "Extras":
        """Return the extras of some places."""
        return self._each(lambda amounts: amounts[:, places])

    def of_slots(self, slots: slice) -> "Extras":
        """Return the extras of some slots."""
        return self._each(lambda amounts: amounts[slots])

    def plus(self, amount: float) -> "Extras":
        """Return the extras with `amount` added to each."""
        return self._each(lambda amounts: amounts + amount) if amount else self

    def times(self, factor: float) -> "Extras":
        """Return the extras in another unit."""
        return self._each(lambda amounts: amounts * factor)

    def at_least(self, amount: float) -> "Extras":
        """Return the extras, none below `amount`."""
        return self._each(lambda amounts: np.maximum(amounts, amount))

    def of(self, entry: Entry, *, late: bool) -> Floats:
        """Return the amounts of a start, a move or a start elsewhere."""
        if entry is Entry.MOVE:
            return self.move
        if entry is Entry.START:
            return self.start_late if late else self.start
        return self.elsewhere_late if late else self.elsewhere

    def highest(self) -> float:
        """Return the largest amount."""
        every = (self.start, self.start_late, self.move, self.elsewhere, self.elsewhere_late)
        return max(float(np.abs(each).max()) for each in every)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """A work to be done within slots at least cost."""

    edges_min: NDArray[np.int64]
    """Ends of the slots after the leading 0, minutes, ascending, shape (slots + 1,)."""
    per_min: Floats
    """Cost of a minute, shape (slots, places)."""
    work_min: int
    """Work to be done, minutes, above 0."""
    overheads: Overheads
    running: int | None = None
    """Place in which a VM runs at minute 0, `None` if none does."""
    allowed: NDArray[np.bool_] | None = None
    """Where a VM may run, shape (slots, places); `None`: everywhere."""
    extras: Extras | None = None
    """`None`: none."""
    min_run_min: int = 1
    """Shortest run, overhead included."""
    running_left_min: int = 0
    """How long the run that goes on must still last."""

    @property
    def minutes(self) -> int:
        """Length of all slots together."""
        return int(self.edges_min[-1])

    @property
    def is_patient(self) -> bool:
        """Whether a run may not end whenever it likes."""
        return self.min_run_min > 1 or self.running_left_min > 0

    @property
    def lengths_min(self) -> NDArray[np.int64]:
        """Length of each slot."""
        return np.diff(self.edges_min)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A VM that runs without a pause in one place."""

    place: int
    begin_min: int
    end_min: int
    overhead_min: int
    entry: Entry = Entry.START

    @property
    def moved(self) -> bool:
        """Whether it took over from another place."""
        return self.entry in (Entry.MOVE, Entry.ELSEWHERE)

    @property
    def minutes(self) -> int:
        """How long it lasts."""
        return self.end_min - self.begin_min


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return `runs`, ascending, with what goes on in one place merged."""
    heads: list[Run] = []
    ends: list[int] = []
    for run in runs:
        if heads and heads[-1].place == run.place and ends[-1] == run.begin_min:
            ends[-1] = run.end_min
        else:
            heads.append(run)
            ends.append(run.end_min)
    return tuple(
        head if head.end_min == end else replace(head, end_min=end)
        for head, end in zip(heads, ends, strict=True)
    )


def scale_of(problem: Problem) -> float:
    """Return by what a cost is multiplied to become a whole number; a power of ten."""
    highest = max(float(problem.per_min.max()), 1e-9)
    most = highest * (2 * problem.minutes + 4 * problem.overheads.most_min)
    if problem.extras is not None:
        most += problem.extras.highest() * (len(problem.edges_min) + 1)
    return float(10.0 ** np.floor(np.log10((1 << _ROOM_BITS) / most)))


def whole(costs: Floats, scale: float) -> Costs:
    """Return costs as whole numbers with the lowest bits free for ties."""
    numbers: Costs = np.rint(costs * scale).astype(np.int64) << TIE_BITS
    return numbers
