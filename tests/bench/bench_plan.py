"""The speed of plans, and of a tick."""

from datetime import timedelta

from control_plane import World
from figure import Figure, median_s
from planning_world import ORIGIN, forecast_of, job_of
from sample_jobs import job, steps_of

from functions.domain.lifecycle.timing import Timing
from functions.domain.plan.planner import make_plan
from functions.domain.regions import GRID_ZONES, REGIONS
from functions.handlers.tick import tick


def plan_figure() -> Figure:
    """The exact optimum of one job over 48 h and all places."""
    some = job_of(
        allowed_regions=tuple(REGIONS), work_h=12.0, deadline=ORIGIN + timedelta(hours=48)
    )
    curves = {
        zone: [100 + 50 * ((hour + 3 * index) % 24) / 24 for hour in range(48)]
        for index, zone in enumerate(GRID_ZONES)
    }
    forecast = forecast_of(curves)
    span = median_s(
        lambda: make_plan(some, forecast, now=ORIGIN, work_left_h=12.0, running_in=None), times=10
    )
    return Figure(what="plan, 13 places, 48 h, 12 h of work", ours=f"{1000 * span:.0f} ms")


def tick_figure() -> Figure:
    """From tick to plan published, source and bucket in memory."""
    world = World()
    world.submit(job(), steps_of(job()))

    def one() -> None:
        world.clock.advance(3600)
        tick(world.ports, Timing())

    return Figure(
        what="tick to plan published, in memory", ours=f"{1000 * median_s(one, times=5):.0f} ms"
    )


FIGURES = (plan_figure, tick_figure)
