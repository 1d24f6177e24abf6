"""The stop flag and the meter."""

import itertools
import os
import signal
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import START, ManualClock

from vm_runtime.contract.ledger import SegmentKind
from vm_runtime.energy import Meter
from vm_runtime.session import StopReason
from vm_runtime.stop import URGENCY, StopFlag, shortest_notice_s

KINDS = st.sampled_from(list(SegmentKind))


def test_the_interval_end_is_a_reason_and_may_move() -> None:
    """A later end extends, an earlier one cuts short; once seen to be over it stays over."""
    clock = ManualClock()
    stop = StopFlag(clock, interval_end=START + timedelta(hours=1))
    clock.move(3000)
    stop.move_interval_end(START + timedelta(hours=2))
    clock.move(3000)
    assert stop.reason() is None
    stop.move_interval_end(clock.now())
    assert stop.reason() is StopReason.INTERVAL_END
    stop.move_interval_end(START + timedelta(hours=9))
    assert stop.reason() is StopReason.INTERVAL_END


def test_an_open_end_never_comes() -> None:
    """Without an interval there is no reason, and nothing is overdue."""
    clock = ManualClock()
    stop = StopFlag(clock)
    clock.move(1e6)
    assert stop.reason() is None
    assert not stop.is_overdue(0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_raises_the_flag(number: signal.Signals) -> None:
    """SIGTERM and SIGINT stop at the next step; the handlers of before come back."""
    before = signal.getsignal(number)
    stop = StopFlag(ManualClock())
    with stop.on_signals():
        os.kill(os.getpid(), number)
        stop.wait(5)
        assert stop.reason() is StopReason.SIGNAL
        stop.raise_flag(StopReason.PREEMPTED)
        assert stop.reason() is StopReason.SIGNAL
    assert signal.getsignal(number) is before


@given(order=st.permutations(list(StopReason)), heard=st.integers(1, len(StopReason)))
def test_the_most_urgent_reason_wins_until_it_was_seen(order: list[StopReason], heard: int) -> None:
    """Of what was heard before the first look, the one that leaves least time; then it stays."""
    stop = StopFlag(ManualClock())
    for reason in order[:heard]:
        stop.raise_flag(reason)
    assert stop.reason() is min(order[:heard], key=URGENCY.index)
    for reason in order:
        stop.raise_flag(reason)
    assert stop.reason() is min(order[:heard], key=URGENCY.index)
    assert set(URGENCY) == set(StopReason)


def test_the_time_left_is_that_of_the_shortest_notice() -> None:
    """A preemption after a SIGTERM leaves 30 s, not 110; other reasons leave what they like."""
    stop = StopFlag(ManualClock())
    assert (stop.left_s, stop.since_s) == (None, 0.0)
    stop.raise_flag(StopReason.REQUESTED)
    assert stop.left_s is None
    assert stop.since_s > 0
    stop.raise_flag(StopReason.SIGNAL)
    assert stop.left_s == pytest.approx(110.0, abs=5.0)
    stop.raise_flag(StopReason.PREEMPTED)
    assert stop.left_s == pytest.approx(30.0, abs=5.0)
    assert (shortest_notice_s(is_spot=True), shortest_notice_s(is_spot=False)) == (30.0, 110.0)


def test_a_second_interrupt_interrupts() -> None:
    """Who presses Ctrl-C twice does not want to wait."""
    stop = StopFlag(ManualClock())
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        stop.wait(1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_it_is_overdue_after_the_grace() -> None:
    """The guest's own timer counts from the interval's end as last told."""
    clock = ManualClock()
    stop = StopFlag(clock, interval_end=START + timedelta(seconds=100))
    clock.move(159)
    assert not stop.is_overdue(60)
    clock.move(1)
    assert stop.is_overdue(60)


@given(changes=st.lists(st.tuples(KINDS, st.floats(-60, 4000)), max_size=40))
def test_segments_partition_the_time(changes: list[tuple[SegmentKind, float]]) -> None:
    """Without gap or overlap, each kind's sum and the energy are those of the time booked."""
    meter = Meter(power_w=250.0, started_at=START, kind=SegmentKind.LOAD)
    now = latest = START
    kind, booked = SegmentKind.LOAD, dict.fromkeys(SegmentKind, 0.0)
    for following, wait_s in changes:
        now += timedelta(seconds=wait_s)
        booked[kind] += max((now - latest).total_seconds(), 0.0)
        latest = max(latest, now)
        meter.switch(following, now)
        kind = following
    segments = meter.segments(latest)
    assert all(segment.start < segment.end for segment in segments)
    joints = itertools.pairwise(segments)
    assert all(before.end == after.start for before, after in joints)
    for one in SegmentKind:
        total_s = sum((s.end - s.start).total_seconds() for s in segments if s.kind is one)
        assert total_s == pytest.approx(booked[one], abs=1e-3)
    hours = (latest - START).total_seconds() / 3600
    assert meter.energy_kwh(latest) == pytest.approx(0.25 * hours, abs=1e-6)
    if segments:
        assert (segments[0].start, segments[-1].end) == (START, latest)


def test_many_checkpoints_make_few_segments() -> None:
    """A day with a checkpoint each minute fits into a small document."""
    meter = Meter(power_w=250.0, started_at=START, kind=SegmentKind.TRAIN)
    now = START
    for _ in range(24 * 60):
        now += timedelta(seconds=58)
        meter.switch(SegmentKind.CHECKPOINT, now)
        now += timedelta(seconds=2)
        meter.switch(SegmentKind.TRAIN, now)
    segments = meter.segments(now)
    assert len(segments) < 24 * 4 * 4
    at_checkpoint = [s.end - s.start for s in segments if s.kind is SegmentKind.CHECKPOINT]
    assert sum(at_checkpoint, timedelta()) == timedelta(seconds=2 * 24 * 60)
