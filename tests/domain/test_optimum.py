"""The optimum against trying everything."""

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from brute_force import Instance, Outcome, Piece, best_outcome, is_allowed, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import HOUR, ORIGIN

from functions.domain.plan.grid import Grid, make_grid
from functions.domain.plan.optimum import cheapest_runs
from functions.domain.plan.problem import Extras, Overheads, Problem, Run
from functions.domain.plan.terms import Dues, Terms
from functions.domain.plan.ways import bound, cleanest, cleanest_halves, work_min


def _grid(lengths: Sequence[int], intensity: Sequence[Sequence[float]]) -> Grid:
    return Grid(
        start=ORIGIN,
        edges_min=np.concatenate([[0], np.cumsum(lengths)]),
        gco2eq_per_kwh=np.array(intensity, dtype=float),
    )


def _terms(grid: Grid, start: int = 3, move: int = 5) -> Terms:
    """Return the terms of a machine of 1 kW."""
    overheads = Overheads(start_min=start, move_min=move)
    dues = Dues(overheads=overheads, start_kwh=0.0, move_kwh=0.0, elsewhere_kwh=0.0)
    return Terms(grid=grid, power_kw=1.0, dues=dues)


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


@st.composite
def _limited_instances(draw: st.DrawFn) -> Instance:
    task = draw(_instances())
    slots, places = len(task.lengths), len(task.intensity[0])
    one_run = task.work + min(task.start, task.move)
    most = max(task.start, task.move)
    cells = [(slot, place) for slot in range(slots) for place in range(places)]
    ending = 0 if task.running is None else draw(st.integers(0, 2))
    left = 0 if task.running is None else draw(st.integers(0, task.work + ending))
    shortest = draw(st.integers(1, one_run)) if draw(st.booleans()) and one_run > 0 else 1
    kinds = ["none", "more"] + ["less"] * (one_run > most)
    kind = draw(st.sampled_from(kinds))
    return replace(
        task,
        ending=ending,
        running_left=left,
        blocked=draw(st.lists(st.sampled_from(cells), max_size=len(cells) // 3, unique=True)),
        shortest=max(shortest, most + 1) if kind == "less" else shortest,
        extras={} if kind == "none" else draw(_more(task) if kind == "more" else _less(task)),
    )


def _more(task: Instance) -> st.SearchStrategy[dict[str, list[list[float]]]]:
    """Extras of overheads that draw more: never less inside a slot, nor elsewhere."""
    slots, places = len(task.lengths), len(task.intensity[0])
    amounts = st.integers(0, 60).map(float)
    row = st.lists(amounts, min_size=places, max_size=places)
    table = st.lists(row, min_size=slots, max_size=slots).map(np.array)

    def ordered(drawn: tuple[np.ndarray, ...]) -> dict[str, list[list[float]]]:
        start, move, late, other, later = drawn
        late = np.maximum(late, start)
        other = np.maximum(other, np.maximum(start, move))
        later = np.maximum(later, np.maximum(other, late))
        names = ("start", "move", "start_late", "elsewhere", "elsewhere_late")
        tables = (start, move, late, other, later)
        return {name: each.tolist() for name, each in zip(names, tables, strict=True)}

    return st.tuples(table, table, table, table, table).map(ordered)


def _less(task: Instance) -> st.SearchStrategy[dict[str, list[list[float]]]]:
    """Extras of overheads that draw less than their minutes, at the cleanest intensity."""
    cleanest_of = np.tile(np.array(task.intensity).min(axis=0), (len(task.lengths), 1))

    def tables(saved: tuple[int, int]) -> dict[str, list[list[float]]]:
        start, move = saved
        longest = max(task.start, task.move)
        other = longest - max(task.start - start, task.move - move)
        minutes = {
            "start": start,
            "start_late": start,
            "move": move,
            "elsewhere": other,
            "elsewhere_late": other,
        }
        return {name: (-each * cleanest_of).tolist() for name, each in minutes.items()}

    return st.tuples(st.integers(0, task.start), st.integers(0, task.move)).map(tables)


def _problem(task: Instance) -> Problem:
    allowed = np.ones((len(task.lengths), len(task.intensity[0])), dtype=bool)
    for slot, place in task.blocked:
        allowed[slot, place] = False
    extras = {kind: np.array(rows, dtype=float) for kind, rows in task.extras.items()}
    return Problem(
        edges_min=np.concatenate([[0], np.cumsum(task.lengths)]),
        per_min=np.array(task.intensity, dtype=float),
        work_min=task.work,
        overheads=Overheads(start_min=task.start, move_min=task.move, running_min=task.ending),
        running=task.running,
        allowed=allowed if task.blocked else None,
        extras=Extras(**extras) if extras else None,
        min_run_min=task.shortest,
        running_left_min=task.running_left,
    )


def _check(task: Instance) -> None:
    best = best_outcome(task)
    runs = cheapest_runs(_problem(task))
    if best is None:
        assert runs is None
        return
    assert runs is not None
    way = _way(runs, task.lengths)
    assert is_allowed(task, way)
    done, found = outcome(task, way)
    assert done == work_min(runs) == task.work
    assert found.cost == pytest.approx(best.cost, abs=1e-6)
    assert replace(found, cost=best.cost) == best


@settings(max_examples=int(os.environ.get("PLAN_EXAMPLES", "120")))
@given(_instances())
def test_equals_brute_force(task: Instance) -> None:
    """No way to run is cleaner, nor as clean and sooner, nor that with fewer moves or starts."""
    _check(task)


@settings(max_examples=int(os.environ.get("PLAN_EXAMPLES", "300")))
@given(_limited_instances())
def test_equals_brute_force_with_all_limits(task: Instance) -> None:
    """So too with blocked hours, least intervals and overheads of any energy.

    `PLAN_EXAMPLES=2500` is the long run.
    """
    _check(task)


def test_brute_force_knows_a_hand_checked_case() -> None:
    """The oracle itself: 3 minutes of work, start 1, clean second slot: 2 x 5 + 2 x 1 = 12."""
    task = Instance(lengths=[3, 2], intensity=[[5.0], [1.0]], work=3, start=1, move=1, running=None)
    best = best_outcome(task)
    assert best == Outcome(cost=12.0, finish_min=5, moves=0, starts=1)


def test_a_pause_of_a_minute_is_no_cheap_move() -> None:
    """Another place right after costs a move, whether or not there is a pause between."""
    grid = _grid([60, 60], [[1.0, 900.0], [900.0, 1.0]])
    runs = cleanest(_terms(grid), 100, None)
    assert runs is not None
    assert [(run.place, run.overhead_min, run.moved) for run in runs] == [
        (0, 3, False),
        (1, 5, True),
    ]
    assert sum(run.end_min - run.begin_min for run in runs) == 108


def test_another_place_may_begin_late_in_the_next_slot() -> None:
    """After a pause inside the slot the other place begins late, for the price of a move."""
    grid = _grid([60, 60, 60], [[1.0, 900.0], [900.0, 50.0], [900.0, 1.0]])
    runs = cleanest(_terms(grid), 122, None)
    assert runs is not None
    assert [(run.place, run.begin_min, run.end_min, run.overhead_min) for run in runs] == [
        (0, 0, 60, 3),
        (1, 110, 180, 5),
    ]


def test_work_that_does_not_fit_has_no_runs() -> None:
    """One minute too much, and there is no way."""
    grid = _grid([60, 60], [[1.0], [1.0]])
    terms = _terms(grid)
    assert cleanest(terms, 118, None) is None
    assert cleanest(terms, 117, None) is not None
    assert cleanest(terms, 120, 0) is not None


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
    meter = _terms(grid)
    runs = cleanest(meter, work, None)
    assert runs is not None
    assert work_min(runs) == work
    total = meter.total_gco2eq(runs)
    whole = work + 3
    contiguous = min(
        meter.span_gco2eq(place, begin, begin + whole)
        for place in range(3)
        for begin in range(0, grid.minutes - whole + 1, 7)
    )
    assert total <= contiguous * (1 + 1e-6)
    assert meter.total_gco2eq(bound(meter, work)) <= total * (1 + 1e-6)


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
    runs = cleanest_halves(_terms(grid), None, None)
    assert [(run.begin_min // 60, run.end_min // 60) for run in runs] == [(12, 24), (36, 48)]
    assert work_min(cleanest_halves(_terms(grid), None, 800)) == 800


def test_bound_takes_the_cleanest_minutes() -> None:
    """Were all free, one would hop to the cleanest place of each hour."""
    grid = _grid([60, 60, 60], [[9.0, 1.0], [2.0, 8.0], [5.0, 7.0]])
    runs = bound(_terms(grid), 130)
    assert [(run.place, run.begin_min, run.end_min, run.moved) for run in runs] == [
        (1, 0, 60, False),
        (0, 60, 130, True),
    ]
    assert _terms(grid).total_gco2eq(runs) == pytest.approx(1 + 2 + 5 / 6)
