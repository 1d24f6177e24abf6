"""The soak can fail: a safeguard that is taken away is noticed."""

import pytest
from soak.mutations import MUTATIONS
from soak.schedule import draw
from soak.world import live

BOUND = 60
"""Schedules in which a missing safeguard must show; these do within about 20."""


@pytest.mark.parametrize(
    "name", ["manifest last", "lease check while training", "create before delete", "guest's timer"]
)
def test_a_missing_safeguard_is_noticed(name: str) -> None:
    """A simulation that cannot fail proves nothing; `docs/soak.md` has the others."""
    with MUTATIONS[name]():
        assert any(live(draw(seed)).violation for seed in range(BOUND))
