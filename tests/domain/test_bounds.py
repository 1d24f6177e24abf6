"""What the bounds leave out, at full size: nothing that matters, and most of the rest."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.domain.plan.bounds import everything, find_bounds
from functions.domain.plan.optimum import cheapest_runs, cheapest_runs_of
from functions.domain.plan.problem import Extras, Floats, Overheads, Problem, scale_of
from functions.domain.plan.relaxed import both_ways
from functions.domain.plan.table import Table

PLACES = 5


@st.composite
def _problems(draw: st.DrawFn) -> Problem:
    """Half a day in hours or quarters of an hour, with and without each limit."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    length, slots = draw(st.sampled_from([(60, 12), (15, 20)]))
    shape = (slots, PLACES)
    day = 60 * np.sin(np.arange(slots)[:, None] / slots * 6.3 + rng.uniform(0, 6.3, PLACES))
    per_min = (200 + day + rng.uniform(0, 40, shape)).round(1)
    overheads = Overheads(start_min=3, move_min=draw(st.sampled_from([2, 5])), running_min=0)
    running = draw(st.sampled_from([None, 0, 3]))
    if running is not None and draw(st.booleans()):
        overheads = replace(overheads, running_min=2)
    return Problem(
        edges_min=np.arange(slots + 1) * length,
        per_min=per_min,
        work_min=draw(st.integers(30, slots * length - 10)),
        overheads=overheads,
        running=running,
        allowed=rng.uniform(size=shape) < 0.8 if draw(st.booleans()) else None,
        extras=_extras(rng, per_min) if draw(st.booleans()) else None,
    )


def _extras(rng: np.random.Generator, per_min: Floats) -> Extras:
    """Overheads that draw more than their minutes, each place and slot by its own intensity."""
    start, move, more = (per_min * each for each in rng.uniform(0, 6, 3))
    elsewhere = np.maximum(start, move) + more
    return Extras(
        start=start,
        start_late=start,
        move=move,
        elsewhere=elsewhere,
        elsewhere_late=elsewhere,
    )


def _of_everything(problem: Problem) -> Table:
    return Table(problem, everything(problem, 1), scale_of(problem))


@settings(max_examples=40)
@given(_problems())
def test_the_bounds_leave_out_nothing_that_matters(problem: Problem) -> None:
    """The search within bounds finds the very runs of the search of everything."""
    every = cheapest_runs_of(_of_everything(problem), problem.work_min, problem.minutes)
    assert cheapest_runs(problem) == every


@settings(max_examples=25)
@given(_problems(), st.floats(0.5, 1.5))
def test_no_state_costs_less_than_its_bound(problem: Problem, level: float) -> None:
    """Whatever the price: the least cost up to each state is not below the bound of its place."""
    prices = level * np.array([100.0, 200.0, 260.0])
    ahead, scale = both_ways(problem, prices).ahead, scale_of(problem)
    for index, edge in enumerate(_of_everything(problem).edges):
        states = [(edge.off, ahead.off[index])]
        states += [(curve, ahead.on[index, place]) for place, curve in edge.on.items()]
        states += [(curve, ahead.ended[index, place]) for place, curve in edge.ended.items()]
        for curve, bound in states:
            if curve is None:
                continue
            work = np.arange(curve.low, curve.high + 1)[:, None]
            costs = (curve.costs >> 20)[:, None] / scale
            assert (costs - prices * work >= bound - 1e-3).all()


def test_most_places_and_most_work_are_left_out() -> None:
    """What can matter is a small part of all, place by place: so the search is quick."""
    rng = np.random.default_rng(0)
    problem = Problem(
        edges_min=np.arange(25) * 60,
        per_min=rng.uniform(100, 300, (24, PLACES)),
        work_min=700,
        overheads=Overheads(start_min=3, move_min=5),
    )
    bounds = find_bounds(problem)
    assert bounds is not None
    kept = bounds.keep(bounds.lowest + bounds.guess())
    assert kept is not None
    assert sum(len(edge.on) for edge in kept.edges) < 0.3 * 24 * PLACES
    assert sum(len(edge.ended) for edge in kept.edges) < 0.3 * 24 * PLACES
    assert sum(len(late) for late in kept.late) < 0.3 * 24 * PLACES
    minutes = [high - low + 1 for edge in kept.edges for low, high in edge.spans]
    assert np.mean(minutes) == pytest.approx(60, abs=50)
