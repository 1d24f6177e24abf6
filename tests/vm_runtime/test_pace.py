"""Seconds per step: what a plan needs to know of the rest."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import START

from vm_runtime.pace import Pace


def run(gaps_s: list[float], pace: Pace | None = None) -> float | None:
    """Note a step after each gap."""
    pace = pace or Pace()
    now, seen = START, pace.note(0, START)
    for step, gap_s in enumerate(gaps_s, start=1):
        now += timedelta(seconds=gap_s)
        seen = pace.note(step, now)
    return seen


def test_warm_up_does_not_count() -> None:
    """The first steps compile, cache and start workers."""
    assert run([60.0, 5.0, 2.0]) is None
    assert run([60.0, 5.0, 2.0, 0.5, 0.5, 0.5]) == pytest.approx(0.5)


@given(
    steps=st.lists(st.floats(0.01, 5.0), min_size=4, max_size=60),
    every=st.integers(2, 10),
    validation_s=st.floats(0.0, 300.0),
)
def test_validation_and_checkpoints_count(
    steps: list[float], every: int, validation_s: float
) -> None:
    """Remaining steps x seconds per step is the remaining time: the mean, not the median."""
    gaps = [s + (validation_s if n % every == 0 else 0.0) for n, s in enumerate(steps)]
    counted = gaps[3:]
    assert run(gaps) == pytest.approx(sum(counted) / len(counted), abs=1e-5)


def test_a_machine_that_stood_still_spoils_nothing() -> None:
    """A suspended VM, a paused process, a clock that jumps: these do not come again."""
    usual = [0.5] * 50
    assert run([*usual, 7200.0, *usual]) == pytest.approx(0.5)
    assert run([*usual, -3600.0, *usual]) == pytest.approx(0.5)


def test_a_slow_step_of_a_slow_training_is_no_stall() -> None:
    """Steps of a minute with a validation of half an hour are as they are."""
    gaps = [60.0] * 30 + [1860.0]
    assert run(gaps) == pytest.approx((27 * 60 + 1860) / 28)


def test_going_back_starts_anew() -> None:
    """Another training, or one that resumed before: what was measured is not its pace."""
    pace = Pace()
    run([1.0] * 10, pace)
    assert pace.note(3, START) is None
    assert pace.note(3, START) is None
