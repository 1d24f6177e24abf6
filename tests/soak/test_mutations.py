"""The soak can fail: each safeguard taken away is noticed, and the story shrinks."""

import pytest
from soak.mutations import MUTATIONS
from soak.schedule import draw
from soak.shrink import law_of, shrink
from soak.world import live

BOUND = 300
"""Schedules in which a missing safeguard must show."""

FIRST = dict.fromkeys(MUTATIONS, 0)
"""Where to begin to look: near a seed that showed it when this was written."""


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_safeguard_is_noticed(name: str) -> None:
    """A simulation that cannot fail proves nothing."""
    with MUTATIONS[name]():
        seeds = range(FIRST[name], FIRST[name] + BOUND)
        assert any(live(draw(seed)).violation for seed in seeds)


def test_a_counter_example_shrinks_to_the_faults_that_matter() -> None:
    """What is left breaks the same promise, and nothing can be left out of it."""
    with MUTATIONS["forced stop"]():
        seed = next(seed for seed in range(BOUND) if len(draw(seed).faults) > 2 and broken(seed))
        schedule, result = shrink(draw(seed), live(draw(seed)))

        assert 1 <= len(schedule.faults) < len(draw(seed).faults)
        assert law_of(result) == law_of(live(draw(seed)))
        assert law_of(live(schedule)) == law_of(result)


def broken(seed: int) -> bool:
    """Whether a schedule breaks a promise."""
    return bool(live(draw(seed)).violation)
