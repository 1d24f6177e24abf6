"""Many jobs at a time, in bounded threads, within the time that a function has."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from functions.domain.lifecycle.vm import Vm
from functions.ports import Pace

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Items begun or waiting for each thread; what is beyond is not yet in memory."""


def _now_s() -> float:
    return time.monotonic()


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Runs from its making on."""

    pace: Pace
    begin_s: float = field(default_factory=_now_s)

    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return _now_s() - self.begin_s > self.pace.time_limit_s

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Yield what `work` returns for each item, in order, until the time is over.

        Only so many items are under way that memory stays flat. `work` must not raise.
        """
        if self.pace.threads <= 1:
            for item in items:
                if self.is_over():
                    return
                yield work(item)
            return
        with ThreadPoolExecutor(self.pace.threads) as pool:
            under_way: deque[Future[R]] = deque()
            for item in items:
                if self.is_over():
                    break
                under_way.append(pool.submit(work, item))
                if len(under_way) >= _AHEAD * self.pace.threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()


def by_job(vms: Iterable[Vm]) -> Mapping[str, Sequence[Vm]]:
    """Return the VMs of each job that has some."""
    found: defaultdict[str, list[Vm]] = defaultdict(list)
    for vm in vms:
        found[vm.job_id].append(vm)
    return found
