"""The speed of plans: one, a long one, ten thousand, and that of a tick."""

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from statistics import median

import numpy as np
from control_plane import World
from figure import Figure, median_s
from planning_world import HOUR, ORIGIN, forecast_of, job_of
from sample_jobs import job, steps_of

from forecaster.series import Forecast
from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.document import Plan
from functions.domain.plan.planner import Request, make_plan, make_plans
from functions.domain.regions import GRID_ZONES, REGIONS
from functions.handlers.tick import tick

EVERYWHERE = tuple(REGIONS)
WORLDS = 5
"""A plan's time depends on the curves: the median is over as many, each timed alone."""
JOBS = 10_000
CORES = 2


def hard_forecast(hours: int, seed: int) -> Forecast:
    """Thirteen zones of like level, each with its own day and noise: no place is ruled out."""
    rng = np.random.default_rng(seed)
    day = np.sin(2 * np.pi * (np.arange(hours)[:, None] + rng.uniform(0, 24, 13)) / 24)
    curves = (200 + 60 * day + rng.normal(0, 10, (hours, 13))).round(1)
    return forecast_of(dict(zip(GRID_ZONES, curves.T.tolist(), strict=True)))


def _plan_s(hours: int, work_h: float, slot: int, running_in: str | None = None) -> float:
    some = job_of(
        allowed_regions=EVERYWHERE,
        work_h=work_h,
        deadline=ORIGIN + hours * HOUR,
        slot_minutes=slot,
    )

    def one(seed: int) -> float:
        forecast = hard_forecast(hours, seed)
        return median_s(
            lambda: make_plan(
                some, forecast, now=ORIGIN, work_left_h=work_h, running_in=running_in
            ),
            times=5,
        )

    return median(one(seed) for seed in range(WORLDS))


def day_figure() -> Figure:
    """24 h of 24 h: all that fits, a VM running."""
    span = _plan_s(24, 24.0, 60, "europe-west3-b")
    return Figure(what="plan, 13 places, 24 h, 24 h of work (bar 5 ms)", ours=_ms(span))


def half_day_figure() -> Figure:
    """12 h of 24 h: the most ways to choose from."""
    span = _plan_s(24, 12.0, 60)
    return Figure(what="plan, 13 places, 24 h, 12 h of work (bar 5 ms)", ours=_ms(span))


def week_figure() -> Figure:
    """100 h of a week, hourly."""
    span = _plan_s(168, 100.0, 60)
    return Figure(what="plan, 13 places, 168 h, 100 h of work (bar 30 ms)", ours=_ms(span))


def quarters_figure() -> Figure:
    """100 h of a week, in quarters of an hour."""
    span = _plan_s(168, 100.0, 15)
    return Figure(what="the same in slots of 15 min (bar 300 ms)", ours=_ms(span))


def _requests(first: int, step: int) -> Iterator[Request]:
    for number in range(first, JOBS, step):
        work_h = 1.0 + number % 80 / 4
        made = job_of(
            job_id=f"job-{number}",
            allowed_regions=EVERYWHERE[number % 5 : number % 5 + 3 + number % 9],
            work_h=work_h,
            deadline=ORIGIN + timedelta(hours=min(work_h * 1.5 + 1, 24)),
        )
        yield Request(job=made, now=ORIGIN, work_left_h=work_h)


def _share(first: int) -> tuple[int, int]:
    """Return how many plans were made, and by how much memory grew after the first tenth, KiB."""
    made, at_tenth = 0, 0
    for plan in make_plans(_requests(first, CORES), hard_forecast(24, 0)):
        made += isinstance(plan, Plan)
        if made == JOBS // CORES // 10:
            at_tenth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return made, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - at_tenth


def many_figure() -> Figure:
    """Ten thousand jobs against one forecast, a process on each core."""
    begin = time.perf_counter()
    with ProcessPoolExecutor(CORES) as pool:
        shares = list(pool.map(_share, range(CORES)))
    span = time.perf_counter() - begin
    grown_mib = max(grown for _, grown in shares) / 1024
    return Figure(
        what=f"{sum(made for made, _ in shares)} jobs against one 24 h forecast (bar 20 s)",
        ours=f"{span:.1f} s, memory +{grown_mib:.0f} MiB",
    )


def tick_figure() -> Figure:
    """From tick to plan published, source and bucket in memory."""
    world = World()
    world.submit(job(), steps_of(job()))

    def one() -> None:
        world.clock.advance(3600)
        tick(world.ports, Timing())

    return Figure(what="tick to plan published, in memory", ours=_ms(median_s(one, times=5)))


def _ms(span_s: float) -> str:
    return f"{1000 * span_s:.1f} ms"


FIGURES = (
    day_figure,
    half_day_figure,
    week_figure,
    quarters_figure,
    many_figure,
    tick_figure,
)
