"""How long a step takes, such that a plan may rely on it. Pure: the times come in."""

from collections import deque
from datetime import datetime
from math import isfinite
from statistics import median

_WARM_UP_STEPS = 3
"""Steps that do not count: caches, kernels, loader workers and memory come up in them."""
_REMEMBERED = 101
_STALL_FACTOR = 100.0
_SHORTEST_STALL_S = 600.0
"""A step is a stall beyond both: a validation or a checkpoint is none, a frozen machine is."""


class Pace:
    """Mean time of a step, validation and checkpoints included, warm-up and stalls not.

    The mean and not the median of the steps, because remaining steps x seconds per step must be
    the remaining time; of a stall only the median step counts, as it will not come again.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._step: int | None = None
        self._at: datetime | None = None
        self._noted = 0
        self._steps, self._seconds = 0, 0.0
        self._recent: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, step: int, now: datetime) -> float | None:
        """Note that a step is done and return seconds per step, `None` while not known.

        Args:
            step: optimizer steps done in all; one that goes back starts the estimate anew.
            now: time on the deployment's clock.
        """
        before, since = self._step, self._at
        if before is None or since is None or step < before:
            self._step, self._at, self._noted = step, now, 0
            self._steps, self._seconds = 0, 0.0
            self._recent.clear()
            return None
        done = step - before
        if done == 0:
            return self.seconds_per_step
        self._step, self._at = step, now
        self._noted += done
        if self._noted <= _WARM_UP_STEPS:
            return None
        self._add(done, (now - since).total_seconds())
        return self.seconds_per_step

    @property
    def seconds_per_step(self) -> float | None:
        """The estimate, seconds on the deployment's clock; `None`: not known yet."""
        return self._seconds / self._steps if self._steps and self._seconds > 0 else None

    def _add(self, done: int, elapsed_s: float) -> None:
        usual_s = median(self._recent) if self._recent else None
        each_s = elapsed_s / done
        is_stall = usual_s is not None and each_s > max(_STALL_FACTOR * usual_s, _SHORTEST_STALL_S)
        if elapsed_s < 0 or is_stall:  # a clock set back, or a machine that stood still
            each_s = usual_s or 0.0
        else:
            self._recent.append(each_s)
        self._steps += done
        self._seconds += each_s * done


def usable(seconds_per_step: float | None) -> float | None:
    """Return it, `None` if it cannot be: a clock that was set back measures nonsense."""
    if seconds_per_step is None or not isfinite(seconds_per_step) or seconds_per_step <= 0:
        return None
    return seconds_per_step
