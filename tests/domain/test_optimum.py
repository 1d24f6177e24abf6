"""The optimum against trying everything."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from brute_force import Instance, Outcome, Piece, best_outcome, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import HOUR, ORIGIN

from functions.domain.plan.grid import Grid, make_grid
from functions.domain.plan.problem import Overheads, Run
from functions.domain.plan.ways import Meter, bound, cleanest, cleanest_halves, work_min


def _grid(lengths: Sequence[int], intensity: Sequence[Sequence[float]]) -> Grid:
    return Grid(
        start=ORIGIN,
        edges_min=np.concatenate([[0], np.cumsum(lengths)]),
        gco2eq_per_kwh=np.array(intensity, dtype=float),
    )


def _way(runs: Sequence[Run], lengths: Sequence[int]) -> list[Piece]:
    """Cut runs at the edges of the slots."""
    way: list[Piece] = []
    at = 0
    for length in lengths:
        pieces = [
            (run.place, max(run.begin_min - at, 0), min(run.end_min - at, length))
            for run in runs
            if run.begin_min < at + length and run.end_min > at
        ]
        assert len(pieces) <= 1, "a slot has one place and one piece"
        way.append(pieces[0] if pieces else None)
        at += length
    return way


@st.composite
def _instances(draw: st.DrawFn) -> Instance:
    places = draw(st.integers(1, 3))
    slots = draw(st.integers(1, 3 if places == 3 else 4))
    lengths = draw(st.lists(st.integers(1, 3), min_size=slots, max_size=slots))
    highest = draw(st.sampled_from([2, 9, 60]))
    row = st.lists(st.integers(0, highest).map(float), min_size=places, max_size=places)
    return Instance(
        lengths=lengths,
        intensity=draw(st.lists(row, min_size=slots, max_size=slots)),
        work=draw(st.integers(1, sum(lengths))),
        start=draw(st.integers(0, 3)),
        move=draw(st.integers(0, 4)),
        running=draw(st.sampled_from([None, *range(places)])),
    )


@settings(max_examples=120)
@given(_instances())
def test_equals_brute_force(task: Instance) -> None:
    """No way to run is cleaner, nor as clean and sooner, nor that with fewer moves or starts."""
    best = best_outcome(task)
    overheads = Overheads(start_min=task.start, move_min=task.move)
    grid = _grid(task.lengths, task.intensity)
    runs = cleanest(grid, task.work, overheads, task.running)
    if best is None:
        assert runs is None
        return
    assert runs is not None
    assert outcome(task, _way(runs, task.lengths)) == (task.work, best)
    assert work_min(runs) == task.work


def test_brute_force_knows_a_hand_checked_case() -> None:
    """The oracle itself: 3 minutes of work, start 1, clean second slot: 2 x 5 + 2 x 1 = 12."""
    task = Instance(lengths=[3, 2], intensity=[[5.0], [1.0]], work=3, start=1, move=1, running=None)
    best = best_outcome(task)
    assert best == Outcome(cost=12.0, finish_min=5, moves=0, starts=1)


def test_a_pause_of_a_minute_is_no_cheap_move() -> None:
    """Another place right after costs a move, whether or not there is a pause between."""
    grid = _grid([60, 60], [[1.0, 900.0], [900.0, 1.0]])
    runs = cleanest(grid, 100, Overheads(start_min=3, move_min=5), None)
    assert runs is not None
    assert [(run.place, run.overhead_min, run.moved) for run in runs] == [
        (0, 3, False),
        (1, 5, True),
    ]
    assert sum(run.end_min - run.begin_min for run in runs) == 108


def test_another_place_may_begin_late_in_the_next_slot() -> None:
    """After a pause inside the slot the other place begins late, for the price of a move."""
    grid = _grid([60, 60, 60], [[1.0, 900.0], [900.0, 50.0], [900.0, 1.0]])
    runs = cleanest(grid, 122, Overheads(start_min=3, move_min=5), None)
    assert runs is not None
    assert [(run.place, run.begin_min, run.end_min, run.overhead_min) for run in runs] == [
        (0, 0, 60, 3),
        (1, 110, 180, 5),
    ]


def test_work_that_does_not_fit_has_no_runs() -> None:
    """One minute too much, and there is no way."""
    grid = _grid([60, 60], [[1.0], [1.0]])
    overheads = Overheads(start_min=3, move_min=5)
    assert cleanest(grid, 118, overheads, None) is None
    assert cleanest(grid, 117, overheads, None) is not None
    assert cleanest(grid, 120, overheads, 0) is not None


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    work=st.integers(1, 700),
    slot_min=st.sampled_from([15, 60]),
    late_min=st.integers(0, 119),
)
def test_real_sizes_do_the_work_below_every_contiguous_run(
    seed: int, work: int, slot_min: int, late_min: int
) -> None:
    """At full size the work is done exactly, and no contiguous run in one place is cleaner."""
    hourly = np.random.default_rng(seed).uniform(10, 500, (14, 3))
    start = ORIGIN + timedelta(minutes=late_min)
    grid = make_grid(start, ORIGIN + 14 * HOUR, slot_min, hourly, ORIGIN)
    meter = Meter.on(grid, 1000.0)
    runs = cleanest(grid, work, Overheads(start_min=3, move_min=5), None)
    assert runs is not None
    assert work_min(runs) == work
    total = meter.total_gco2eq(runs)
    whole = work + 3
    contiguous = min(
        meter.emissions_gco2eq(place, begin, begin + whole)
        for place in range(3)
        for begin in range(0, grid.minutes - whole + 1, 7)
    )
    assert total <= contiguous * (1 + 1e-6)
    assert meter.total_gco2eq(bound(grid, work)) <= total * (1 + 1e-6)


def test_slots_are_aligned_to_the_clock_and_cut_at_both_ends() -> None:
    """The first slot is what is left of the hour, the last one ends with the grid."""
    hourly = np.arange(4.0)[:, None]
    start, end = ORIGIN + timedelta(minutes=50, seconds=30), ORIGIN + timedelta(minutes=140)
    grid = make_grid(start, end, 60, hourly, ORIGIN)
    assert grid.edges_min.tolist() == [0, 10, 70, 90]
    assert grid.gco2eq_per_kwh[:, 0].tolist() == [0.0, 1.0, 2.0]
    quarters = make_grid(start, end, 15, hourly, ORIGIN)
    assert quarters.edges_min.tolist() == [0, 10, 25, 40, 55, 70, 85, 90]
    assert quarters.gco2eq_per_kwh[:, 0].tolist() == [0, 1, 1, 1, 1, 2, 2]


def test_cleanest_halves_take_half_of_each_day() -> None:
    """Of each 24 h the clean half is used, and no more work is done than is left."""
    hourly = np.tile(np.repeat([100.0, 10.0], 12), 2)[:, None]
    grid = make_grid(ORIGIN, ORIGIN + 48 * HOUR, 60, hourly, ORIGIN)
    overheads = Overheads(start_min=3, move_min=5)
    runs = cleanest_halves(grid, overheads, None, None)
    assert [(run.begin_min // 60, run.end_min // 60) for run in runs] == [(12, 24), (36, 48)]
    assert work_min(cleanest_halves(grid, overheads, None, 800)) == 800


def test_bound_takes_the_cleanest_minutes() -> None:
    """Were all free, one would hop to the cleanest place of each hour."""
    grid = _grid([60, 60, 60], [[9.0, 1.0], [2.0, 8.0], [5.0, 7.0]])
    runs = bound(grid, 130)
    assert [(run.place, run.begin_min, run.end_min, run.moved) for run in runs] == [
        (1, 0, 60, False),
        (0, 60, 130, True),
    ]
    assert Meter.on(grid, 1000.0).total_gco2eq(runs) == pytest.approx(1 + 2 + 5 / 6)
