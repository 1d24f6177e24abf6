"""Other ways to do the planned work under the same forecast, counted alike."""

from collections.abc import Sequence

import numpy as np

from functions.domain.plan.choice import Choice, limited
from functions.domain.plan.document import Alternative, Policy
from functions.domain.plan.grid import HOUR_MIN
from functions.domain.plan.problem import Entry, Run
from functions.domain.plan.task import Task
from functions.domain.plan.threshold import NOWHERE, threshold_places
from functions.domain.plan.ways import at_once, best_window, bound, work_min

HERE = 0
"""The first place: that of the first region that the job allows and that can be used."""


def alternatives_of(task: Task, choice: Choice) -> tuple[Alternative, ...]:
    """Return the ways to do the planned work; one that needs hours not forecast is left out."""
    work = work_min(choice.runs)
    if work <= 0:
        return ()
    terms = task.terms
    at_once_in = [at_once(terms, place, work, task.running) for place in range(len(task.places))]
    whole = [way for way in at_once_in if work_min(way) == work]
    here = [way for way in whole if way[0].place == HERE]
    fixed = [min(whole, key=terms.total_score)] if whole else []
    until = max(task.deadline_min, choice.runs[-1].end_min)
    window = best_window(limited(task, choice.set_aside).until(until), work, task.running)
    soonest_min = min((way[-1].end_min for way in whole), default=0)
    ways: list[tuple[Policy, Sequence[Run]]] = [
        *((Policy.RUN_NOW_HERE, way) for way in here),
        *((Policy.BEST_WINDOW, way) for way in [window] if way),
        *((Policy.BEST_FIXED_REGION, way) for way in fixed),
        *((Policy.THRESHOLD_RULE, way) for way in [_by_threshold(task, work)] if way is not None),
        (Policy.THIS_PLAN, choice.runs),
        (Policy.BOUND, bound(terms.until(until), work)),
    ]
    return tuple(_alternative(task, policy, runs, work, soonest_min) for policy, runs in ways)


def _alternative(
    task: Task, policy: Policy, runs: Sequence[Run], work: int, soonest_min: int
) -> Alternative:
    moves = sum(run.moved for run in runs)
    zones = [task.compute_zone(run) for run in runs]
    undone = 0 if policy is Policy.BOUND else work - work_min(runs)
    end_min = runs[-1].end_min if runs else task.grid.minutes
    finish = task.grid.at(end_min)
    in_time = task.deadline is None or finish <= task.deadline
    return Alternative(
        policy=policy,
        emissions_gco2eq=task.terms.total_gco2eq(runs),
        usd=task.terms.total_usd(runs),
        finish_at=finish,
        delay_h=max(end_min - soonest_min, 0) / HOUR_MIN,
        starts=sum(run.entry is Entry.START for run in runs),
        moves=moves,
        compute_zones=tuple(
            zone for index, zone in enumerate(zones) if index == 0 or zone != zones[index - 1]
        ),
        undone_h=undone / HOUR_MIN,
        meets_deadline=in_time and undone == 0,
    )


def _by_threshold(task: Task, work: int) -> list[Run] | None:
    """Return the runs of eco4cast's rule until the work is done, with our overheads.

    `None` if a place has gaps: the rule knows none, and takes a missing zone for 0 g.
    """
    terms, grid = task.terms, task.grid
    if terms.known is not None:
        return None
    lead_min = task.now.minute
    hours = -(-(grid.minutes + lead_min) // HOUR_MIN)
    begins = np.maximum(np.arange(hours) * HOUR_MIN - lead_min, 0)
    hourly = grid.gco2eq_per_kwh[np.searchsorted(grid.edges_min, begins, side="right") - 1]
    current = HERE if task.running is None else task.running
    chosen = threshold_places(hourly, current)
    return _runs_of(task, chosen, [*begins.tolist(), grid.minutes], work)


def _runs_of(task: Task, chosen: Sequence[int], edges: Sequence[int], work: int) -> list[Run]:
    overheads = task.terms.overheads
    runs: list[Run] = []
    left = work
    for hour, place in enumerate(chosen):
        if place == NOWHERE or left <= 0:
            continue
        begin, end = edges[hour], edges[hour + 1]
        before = runs[-1] if runs else None
        if before is not None and before.end_min == begin and before.place == place:
            entry, owed = Entry.GOES_ON, 0
        elif before is not None and before.end_min == begin:
            entry, owed = Entry.MOVE, overheads.move_min
        elif begin == 0 and task.running is not None:
            going_on = task.running == place
            entry = Entry.GOES_ON if going_on else Entry.MOVE
            owed = overheads.running_min + (0 if going_on else overheads.move_min)
        else:
            entry, owed = Entry.START, overheads.start_min
        end = min(end, begin + owed + left)
        left -= end - begin - owed
        if entry is Entry.GOES_ON and before is not None:
            runs[-1] = Run(
                place=place,
                begin_min=before.begin_min,
                end_min=end,
                overhead_min=before.overhead_min,
                entry=before.entry,
            )
        else:
            runs.append(
                Run(place=place, begin_min=begin, end_min=end, overhead_min=owed, entry=entry)
            )
    return runs
