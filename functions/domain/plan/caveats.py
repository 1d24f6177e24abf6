"""What a plan lacked, and what it took instead; said in the plan, for people."""

from datetime import timedelta

from forecaster.series import Forecast, Method
from functions.domain.plan.choice import Choice
from functions.domain.plan.task import Task

OLD = timedelta(hours=3)
"""From this age on a forecast is called old: a tick makes one each hour."""
_RELIABLE_H = 24
"""Hours of the model; what lies beyond is climatology (design 5)."""


def caveats_of(task: Task, choice: Choice, forecast: Forecast) -> tuple[str, ...]:
    """Return one sentence for each thing that was missing."""
    job, found = task.job, []
    if task.work is None:
        found.append(
            "work_h: not known yet, so the job runs in the best half of each 24 h until its"
            " progress tells."
        )
    elif job.deadline is None:
        found.append(
            f"deadline: none given, so submitted_at + 2 x work_h is taken,"
            f" {task.deadline:%Y-%m-%d %H:%M} UTC."
            if task.deadline
            else "deadline: none given and none can be derived without work_h."
        )
    age = task.now - forecast.origin
    if age > OLD:
        hours = age / timedelta(hours=1)
        found.append(f"forecast: {hours:.1f} h old, so it misses what was recorded since.")
    found += _about_data(task, choice, forecast)
    return tuple(found)


def _about_data(task: Task, choice: Choice, forecast: Forecast) -> list[str]:
    found = []
    shapes = [
        place.region.grid_zone
        for place in task.places
        if place.forecast.method is Method.CLIMATOLOGY
    ]
    if shapes:
        found.append(f"forecast: {', '.join(shapes)} by climatology only, for lack of recent data.")
    if task.terms.known is not None:
        short = [
            f"{place.region.grid_zone} ({len(place.forecast.p50)} h)"
            for index, place in enumerate(task.places)
            if not task.terms.known[:, index].all()
        ]
        found.append(
            f"forecast: {', '.join(short)} ends before the others; hours without data are not used."
        )
    last = task.grid.at(choice.runs[-1].end_min) if choice.runs else task.now
    if last > forecast.origin + timedelta(hours=_RELIABLE_H):
        found.append(f"forecast: what is planned after its first {_RELIABLE_H} h is climatology.")
    if task.deadline is not None and choice.later_min > 0:
        found.append(
            f"forecast: ends at {task.grid.at(task.grid.minutes):%Y-%m-%d %H:%M} UTC, before the"
            " work can be done; the rest is planned by later forecasts."
        )
    return found
