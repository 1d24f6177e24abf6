"""One line of `make bench`, and how a span is measured."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""


def median_s(call: Callable[[], object], *, times: int) -> float:
    """Return the median duration of a call, seconds, after one that does not count."""
    call()
    spans = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        spans.append(time.perf_counter() - begin)
    return statistics.median(spans)
