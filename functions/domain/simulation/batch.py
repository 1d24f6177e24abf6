"""Many jobs as arrays, all counted from the world's hour 0."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from functions.domain.simulation.world import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Jobs to be replayed; every array begins with the axis of the jobs."""

    submitted_h: Ints
    """Hour in which the job may begin; a plan is made at full hours."""
    work_min: Ints
    """Work, minutes, above 0."""
    deadline_min: Ints
    """Minutes from that hour to the deadline."""
    places: Ints
    """Grid zones of the world that the job may use, shape (jobs, places)."""
    home: Ints
    """Which of `places` is "here"."""
    power_kw: Floats
    start_min: int = 3
    """A start or resume, minutes at full power."""
    move_min: int = 5
    """A move, minutes at full power."""
    whole_hours: bool = False
    """Whether places are used by whole hours, and starts and moves take energy but no time."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done in whole hours.

        Raises:
            ValueError: work or deadline is no whole number of hours.
        """
        if self.whole_hours and ((self.work_min % 60).any() or (self.deadline_min % 60).any()):
            raise ValueError("whole_hours: expected work and deadlines in hours, found minutes")

    def __len__(self) -> int:
        """Return the number of jobs."""
        return len(self.submitted_h)

    @property
    def start_lasts_min(self) -> int:
        """How long a start keeps from work, minutes."""
        return 0 if self.whole_hours else self.start_min

    @property
    def possible(self) -> NDArray[np.bool_]:
        """Whether the deadline could be met at all."""
        fits: NDArray[np.bool_] = self.work_min + self.start_lasts_min <= self.deadline_min
        return fits

    @property
    def longest_h(self) -> int:
        """Hours from a job's first to the last that it could need, deadline missed or not."""
        longest = np.maximum(self.deadline_min, self.work_min + self.start_min + self.move_min)
        return int(-(-longest.max() // 60))

    def some(self, which: Ints | NDArray[np.bool_]) -> "Batch":
        """Return a part of the jobs."""
        return replace(
            self,
            submitted_h=self.submitted_h[which],
            work_min=self.work_min[which],
            deadline_min=self.deadline_min[which],
            places=self.places[which],
            home=self.home[which],
            power_kw=self.power_kw[which],
        )
