"""Checkpoints are worth their cost: the bounds hold, and where they cannot, a person is told."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vm_runtime.checkpoint_cadence import (
    HIGHEST_OVERHEAD,
    MEAN_TIME_BETWEEN_FAILURES_S,
    CheckpointCost,
    cadence,
    first_cadence,
    notice_warning,
)

SECONDS = st.floats(0.0001, 1000)


def cost(pause_s: float, write_s: float = 1.0, cpu_s: float = 0.0) -> CheckpointCost:
    """Return what a checkpoint cost."""
    return CheckpointCost(
        pause_s=pause_s, background_cpu_s=cpu_s, write_s=write_s, size_bytes=200_000_000
    )


@given(pause_s=SECONDS, cpu_s=SECONDS, write_s=SECONDS, longest_s=st.floats(1, 7200))
def test_overhead_and_loss_are_bounded_or_a_person_is_told(
    pause_s: float, cpu_s: float, write_s: float, longest_s: float
) -> None:
    """Without a warning both promises hold; with one, the promise about loss is tried first."""
    spent = cost(pause_s, write_s, cpu_s)
    result = cadence(spent, longest_s=longest_s)
    overhead, loss_s = spent.training_s / result.every_s, result.every_s + write_s

    assert result.every_s >= write_s
    if not result.warning:
        assert overhead <= HIGHEST_OVERHEAD * (1 + 1e-9)
        assert loss_s <= longest_s * (1 + 1e-9)
    elif 2 * write_s <= longest_s:
        assert loss_s <= longest_s * (1 + 1e-9)
        assert overhead > HIGHEST_OVERHEAD
        assert "checkpoint_every_s" in result.warning


@given(pause_s=st.floats(0.001, 3.0))
def test_between_the_bounds_it_is_youngs_formula(pause_s: float) -> None:
    """The cadence minimises cost / interval + interval / (2 x time between failures)."""
    every_s = cadence(cost(pause_s), longest_s=7200).every_s
    assume(every_s > 60)

    def loss(interval_s: float) -> float:
        return pause_s / interval_s + interval_s / (2 * MEAN_TIME_BETWEEN_FAILURES_S)

    assert loss(every_s) <= min(loss(every_s * 0.99), loss(every_s * 1.01))


def test_an_epochs_end_is_no_reason_to_stand_still() -> None:
    """Epochs of a second do not make a checkpoint each second if one costs 0.1 s."""
    result = cadence(cost(0.05, 2.0, 0.05), longest_s=600)

    assert result.shortest_s == pytest.approx(10.0)
    assert cadence(cost(0.05), longest_s=None).every_s == math.inf


def test_a_fast_clock_counts_the_cost_in_its_own_seconds() -> None:
    """On a clock that runs 100 times as fast, a pause of 0.1 s takes 10 of its seconds."""
    assert cadence(cost(0.1, 0.2), longest_s=7200, clock_speed=100.0) == cadence(
        cost(10.0, 20.0), longest_s=7200
    )


def test_the_first_checkpoint_comes_soon_because_it_measures() -> None:
    """Within a minute, or within what a crash may lose."""
    assert first_cadence(600.0).every_s == 60.0
    assert first_cadence(2.0).every_s == 2.0
    assert first_cadence(None).every_s == math.inf


def test_a_state_too_large_for_the_notice_is_told() -> None:
    """The warning gives what was expected, what was measured, and what to do."""
    assert notice_warning(cost(0.1, 29.0), notice_s=30.0) == ""
    assert "within the 30 s" in (told := notice_warning(cost(0.1, 45.5), notice_s=30.0))
    assert "45.5 s for 200 MB" in told
