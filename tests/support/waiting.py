"""Waiting for what other threads and processes do, without sleeping longer than needed."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], *, timeout_s: float = 10.0) -> T:
    """Return the first truthy value of `look`.

    Raises:
        AssertionError: there was none within `timeout_s` real seconds.
    """
    end_s = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > end_s:
            raise AssertionError(f"expected it within {timeout_s} s, found {found!r}")
        time.sleep(0.01)
    return found
