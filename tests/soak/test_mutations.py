"""The soak can fail: each safeguard taken away is noticed, and the story shrinks."""

from soak.mutations import MUTATIONS
from soak.schedule import Schedule, draw
from soak.world import Result, live

FOUND_BY: dict[str, tuple[int, str]] = {}
"""A seed in which the safeguard is missed, and the promise that breaks. `find` looks for them."""


def find(name: str, at_most: int) -> tuple[Schedule, Result] | None:
    """Return the first schedule from seed 0 on that breaks a promise without the safeguard."""
    with MUTATIONS[name]():
        for seed in range(at_most):
            result = live(draw(seed))
            if result.violation:
                return draw(seed), result
    return None
