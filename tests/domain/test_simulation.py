"""Replays: the same as the planner hour by hour, never better than the oracle, nothing lost."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_world import HOUR, ORIGIN, job_of

from forecaster.series import Forecast, Method, ZoneForecast
from functions.domain.plan.replan import replan
from functions.domain.regions import REGIONS
from functions.domain.simulation.batch import Batch
from functions.domain.simulation.comparing import AFTERWARDS_H, compare
from functions.domain.simulation.deciding import always
from functions.domain.simulation.hourly import PAUSE
from functions.domain.simulation.knowing import oracle
from functions.domain.simulation.planning import planned_and_best
from functions.domain.simulation.replanning import replanned
from functions.domain.simulation.replay import replay
from functions.domain.simulation.summary import Way
from functions.domain.simulation.whole_hours import replanned_by_hours
from functions.domain.simulation.world import World

NAMES = ("europe-west3", "europe-west9", "europe-west2")
ZONES = tuple(REGIONS[name].grid_zone for name in NAMES)
AHEAD_H = 36


def _world(seed: int, *, hours: int = 160, error: float = 0.1, every_h: int = 1) -> World:
    """Three zones with a daily curve and slow weather, and forecasts that err more further on."""
    rng = np.random.default_rng(seed)
    time = np.arange(hours + AHEAD_H)
    level = 220 + 60 * np.cumsum(rng.normal(0, 0.15, (3, len(time))), axis=1)
    daily = rng.uniform(20, 80, (3, 1)) * np.sin(2 * np.pi * (time + rng.integers(0, 24)) / 24)
    actual = np.clip(level + daily, 20, 800)
    origins = np.arange(0, hours, every_h)
    leads = np.arange(AHEAD_H)
    true = actual[:, origins[:, None] + leads].transpose(1, 0, 2)
    noise = rng.normal(0, 1, true.shape) * error * np.sqrt(leads + 1) / 3
    median = np.clip(true * (1 + noise), 1, 1500)
    width = median * error * np.sqrt(leads + 1) / 3
    quantiles = np.stack([np.clip(median - width, 0, None), median, median + width], axis=-1)
    return World(
        grid_zones=ZONES,
        actual=actual[:, :hours],
        forecasts=quantiles.astype(np.float32),
        every_h=every_h,
    )


def _batch(seed: int, *, jobs: int, places: int = 3) -> Batch:
    rng = np.random.default_rng(seed)
    work = rng.integers(60, 10 * 60, jobs)
    return Batch(
        submitted_h=rng.integers(0, 24, jobs),
        work_min=work,
        deadline_min=work + 3 + 60 * rng.integers(0, 15, jobs),
        places=np.tile(np.arange(places), (jobs, 1)),
        home=np.zeros(jobs, dtype=np.int64),
        power_kw=np.full(jobs, 0.25),
    )


def _by_the_planner(world: World, batch: Batch, job: int) -> float:
    """Return the grams of one job whose plan is made anew at each hour by `replan` itself."""
    begin = int(batch.submitted_h[job])
    some = job_of(
        allowed_regions=NAMES[: batch.places.shape[1]],
        work_h=batch.work_min[job] / 60,
        power_w=250.0,
        submitted_at=ORIGIN + begin * HOUR,
        deadline=ORIGIN + begin * HOUR + timedelta(minutes=int(batch.deadline_min[job])),
    )
    left, owed, running, grams = int(batch.work_min[job]), 0, PAUSE, 0.0
    for hour in range(begin, begin + batch.longest_h):
        at = ORIGIN + hour * HOUR
        plan = replan(
            some,
            _forecast(world, hour),
            now=at,
            work_left_h=(left + owed) / 60,
            running_in=None if running == PAUSE else REGIONS[NAMES[running]].primary,
        )
        first = plan.intervals[0]
        here, last = ZONES.index(first.grid_zone), min(first.end, at + HOUR)
        minutes = round((last - first.start) / timedelta(minutes=1))
        if minutes <= 0:
            owed, running = 0, PAUSE
            continue
        into = round((first.start - at) / timedelta(minutes=1))
        if into or here != running:
            owed = batch.move_min if running not in {PAUSE, here} else batch.start_min
        grams += 0.25 * minutes / 60 * float(world.actual[here, hour])
        owed, left = max(owed - minutes, 0), left - max(minutes - owed, 0)
        running = here if last == at + HOUR else PAUSE
        owed = owed if running != PAUSE else 0
        if left == 0:
            return float(grams)
    raise AssertionError("the planner did not finish the job")


def _forecast(world: World, hour: int) -> Forecast:
    quantiles = world.forecasts[hour].astype(float)
    return Forecast(
        origin=ORIGIN + hour * HOUR,
        zones=tuple(
            ZoneForecast(
                grid_zone=zone,
                p10=tuple(quantiles[row, :, 0].tolist()),
                p50=tuple(quantiles[row, :, 1].tolist()),
                p90=tuple(quantiles[row, :, 2].tolist()),
                method=Method.TCN,
                history_h=168,
            )
            for row, zone in enumerate(ZONES)
        ),
        model_version="test",
        source="simulated (test)",
    )


@pytest.mark.parametrize("places", [1, 3])
def test_a_replay_is_what_the_planner_made_anew_each_hour_comes_to(places: int) -> None:
    """To the gram: a plain loop over `replan` itself, on noisy forecasts, and the replay.

    Two of these jobs, if free, would be moved by noise but for the rule for leaving a place.
    """
    world, batch = _world(2, error=0.3), _batch(3, jobs=5, places=places)

    many = replay(world, batch, replanned(world, batch), hours=batch.longest_h)
    plain = [_by_the_planner(world, batch, job) for job in range(len(batch))]

    np.testing.assert_allclose(many.emissions_gco2eq, plain, rtol=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_nothing_beats_the_oracle_and_no_deadline_is_missed(seed: int) -> None:
    """Whatever the forecasts: the oracle is the least, and what can be in time is in time.

    To the difference of a move and a start: a plan does not know what ran a minute ago.
    """
    world, batch = _world(seed, error=0.4), _batch(seed + 1, jobs=4)
    minutes = batch.move_min - batch.start_min
    best = oracle(world, batch)

    for decide in (replanned(world, batch), always(batch.home)):
        course = replay(world, batch, decide, hours=batch.longest_h)
        most = minutes / 60 * batch.power_kw * world.actual.max() * (course.starts - 1)
        assert (course.emissions_gco2eq >= best.emissions_gco2eq - most - 1e-6).all()
        assert not (course.missed(batch) & batch.possible).any()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_work_is_conserved(seed: int) -> None:
    """Energy is that of the work and of the overheads, no minute more or less.

    Only a start that a newer forecast breaks off costs less than its minutes.
    """
    world, batch = _world(seed), _batch(seed, jobs=5)

    course = replay(world, batch, replanned(world, batch), hours=batch.longest_h)

    overhead = batch.start_min * course.starts + batch.move_min * course.moves
    spent = course.energy_kwh / batch.power_kw * 60 - batch.work_min
    assert (spent <= overhead + 1e-6).all()
    least = batch.start_min + np.maximum(course.starts + course.moves - 1, 0)
    assert (spent >= least - 1e-6).all()


def test_perfect_forecasts_give_the_oracle() -> None:
    """With the truth for a forecast nothing is lost but what moves must gain."""
    world = _world(5, error=0.0)
    here, free = _batch(6, jobs=8, places=1), _batch(6, jobs=8)

    for batch, most in ((here, 1.0), (free, 1.002)):
        course = replay(world, batch, replanned(world, batch), hours=batch.longest_h)
        best = oracle(world, batch)
        assert course.emissions_gco2eq.sum() <= most * best.emissions_gco2eq.sum() + 1e-6


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_whole_hours_are_exact_too(seed: int) -> None:
    """In whole hours the oracle is the least of all, of perfect forecasts as well; none is late."""
    rng = np.random.default_rng(seed)
    work = 60 * rng.integers(1, 8, 12)
    batch = replace(
        _batch(seed, jobs=12),
        work_min=work,
        deadline_min=work + 60 * rng.integers(0, 15, 12),
        whole_hours=True,
    )
    world, perfect = _world(seed, error=0.4), _world(seed, error=0.0)

    best = oracle(world, batch)
    course = replay(world, batch, replanned_by_hours(world, batch), hours=batch.longest_h)
    known = replay(perfect, batch, replanned_by_hours(perfect, batch), hours=batch.longest_h)

    assert (course.emissions_gco2eq >= best.emissions_gco2eq - 1e-6).all()
    assert known.emissions_gco2eq.sum() <= 1.005 * best.emissions_gco2eq.sum()
    for each in (best, course):
        assert not each.missed(batch).any()
        assert (each.finish_min >= batch.work_min).all()
        overhead = batch.start_min * each.starts + batch.move_min * each.moves
        np.testing.assert_allclose(each.energy_kwh / 0.25 * 60, batch.work_min + overhead)


def test_jobs_shared_among_processes_go_as_they_would_in_one() -> None:
    """Who computes it does not matter."""
    world, batch = _world(4), _batch(3, jobs=101)
    batch = replace(batch, work_min=np.full(101, 60), deadline_min=np.full(101, 120))

    alone = planned_and_best(world, batch)
    shared = planned_and_best(world, batch, workers=2)

    for one, two in zip(alone, shared, strict=True):
        np.testing.assert_array_equal(one.emissions_gco2eq, two.emissions_gco2eq)
        np.testing.assert_array_equal(one.path, two.path)


def test_an_observed_error_corrects_a_stale_forecast() -> None:
    """Between forecasts the newest recorded hour counts, and fades; at a forecast nothing does."""
    flat = np.full((1, 30), 100.0)
    world = World(
        grid_zones=("DE",),
        actual=flat,
        forecasts=np.full((5, 1, 24, 3), 60.0, dtype=np.float32),
        every_h=6,
    )
    zone = np.zeros((1, 1), dtype=np.int64)

    fresh = world.seen(np.array([6]), zone, 12)[0, 0, :, 1]
    late = world.seen(np.array([8]), zone, 12)[0, 0, :, 1]

    np.testing.assert_allclose(fresh, 60.0)
    np.testing.assert_allclose(late, 60 + 40 * 0.9 ** np.arange(1, 13))


def test_a_deadline_that_nobody_can_meet_counts_as_impossible_not_as_missed() -> None:
    """It runs at once, and is named apart."""
    world = _world(3)
    batch = Batch(
        submitted_h=np.array([2]),
        work_min=np.array([300]),
        deadline_min=np.array([240]),
        places=np.array([[0, 1, 2]]),
        home=np.array([0]),
        power_kw=np.array([0.25]),
    )

    summary, courses = compare(world, batch, means_before=world.actual.mean(axis=1))

    assert summary.impossible == 1
    assert summary.row(Way.PLAN).missed == 0
    assert courses[Way.PLAN].finish_min[0] == 303


def test_the_same_input_gives_the_same_figures_and_all_ways_are_there() -> None:
    """No chance is in it; the rule that knows no deadline may take longer, never for ever."""
    world, batch = _world(8), _batch(9, jobs=5)
    means = world.actual.mean(axis=1)

    first, courses = compare(world, batch, means_before=means)
    second, _ = compare(world, batch, means_before=means)

    assert first.as_dict() == second.as_dict()
    assert [row.way for row in first.rows] == [
        Way.NOW,
        Way.FIXED,
        Way.WINDOW,
        Way.THRESHOLD,
        Way.PLAN,
        Way.ORACLE,
        Way.BOUND,
    ]
    assert courses[Way.THRESHOLD].path.shape[1] == batch.longest_h + AFTERWARDS_H
    assert first.row(Way.BOUND).emissions_gco2eq <= first.row(Way.ORACLE).emissions_gco2eq
    assert first.row(Way.ORACLE).share_of_oracle == pytest.approx(1.0)
