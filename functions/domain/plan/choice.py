"""Which runs are planned: the best ones that keep all limits, or what is done if none can.

- The deadline is the job's, or the end of the forecast if that comes first.
- If the work does not fit with all limits, limits are set aside, the least harmful first: the
  shortest interval, then the highest intensity, then both. Rather dirty than late.
- If it does not fit at all, it runs at once where it finishes first.
- If work or deadline are not known, it runs in the best half of each 24 h.
"""

from dataclasses import dataclass

from functions.domain.plan.grid import HOUR_MIN, MINUTE
from functions.domain.plan.optimum import cheapest_runs_of
from functions.domain.plan.problem import Run
from functions.domain.plan.shared import SharedTables
from functions.domain.plan.task import Task
from functions.domain.plan.terms import Terms
from functions.domain.plan.ways import DAY_MIN, cleanest, cleanest_halves, soonest, work_min

INTENSITY, INTERVAL = "max_carbon_intensity_gco2eq_per_kwh", "min_interval_minutes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The runs that are planned, and what was given up for them."""

    runs: tuple[Run, ...]
    meets_deadline: bool
    later_min: int = 0
    """Work that lies beyond the end of the forecast, minutes."""
    set_aside: tuple[str, ...] = ()
    """Fields of the job whose limits are not kept."""
    impossible: str | None = None


def choose(task: Task, tables: SharedTables | None = None) -> Choice:
    """Return what is planned for `task`; `tables` make it quicker for many in a row."""
    if task.work == 0:
        return Choice(runs=(), meets_deadline=True)
    if task.work is None or task.deadline is None:
        return _choose_halves(task)
    if task.deadline_min > 0:
        for set_aside in _ways_to_give_up(task):
            runs = _cleanest(task, task.work, set_aside, tables)
            if runs is not None:
                return Choice(runs=runs, meets_deadline=True, set_aside=set_aside)
    return _as_soon_as_can_be(task, task.work)


def _cleanest(
    task: Task, work: int, set_aside: tuple[str, ...], tables: SharedTables | None
) -> tuple[Run, ...] | None:
    terms, until = limited(task, set_aside), task.deadline_min
    left = 0 if INTERVAL in set_aside else task.running_left_min
    if tables is not None:
        # Whole days, so that jobs of many deadlines share a table.
        days = terms.until(-(-until // DAY_MIN) * DAY_MIN)
        table = tables.table_of(days.problem(work, task.running, left))
        if table is not None:
            return cheapest_runs_of(table, work, until)
    return cleanest(terms.until(until), work, task.running, left)


def limited(task: Task, set_aside: tuple[str, ...]) -> Terms:
    """Return the terms of `task` with all of its limits but those set aside."""
    return task.limited(intensity=INTENSITY not in set_aside, interval=INTERVAL not in set_aside)


def _ways_to_give_up(task: Task) -> list[tuple[str, ...]]:
    has_interval = task.job.min_interval_minutes > 1
    has_limit = task.job.max_carbon_intensity_gco2eq_per_kwh is not None
    ways: list[tuple[str, ...]] = [()]
    ways += [(INTERVAL,)] * has_interval
    ways += [(INTENSITY,)] * has_limit
    ways += [(INTERVAL, INTENSITY)] * (has_interval and has_limit)
    return ways


def _as_soon_as_can_be(task: Task, work: int) -> Choice:
    runs = soonest(task.terms, work, task.running)
    later_min = work - work_min(runs)
    finish = task.now + (runs[-1].end_min + later_min) * MINUTE
    deadline = task.deadline
    if deadline is None or finish <= deadline:
        return Choice(runs=runs, meets_deadline=True, later_min=later_min)
    room_min = max((deadline - task.now) // MINUTE, 0)
    overhead_min = runs[0].overhead_min
    kept = [INTERVAL] * (task.job.min_interval_minutes > 1)
    kept += [INTENSITY] * (task.job.max_carbon_intensity_gco2eq_per_kwh is not None)
    return Choice(
        runs=runs,
        meets_deadline=False,
        later_min=later_min,
        set_aside=tuple(kept),
        impossible=(
            f"deadline: {work / HOUR_MIN:.2f} h of work and {overhead_min} min of overhead need"
            f" {(work + overhead_min) / HOUR_MIN:.2f} h, found {room_min / HOUR_MIN:.2f} h until"
            f" {deadline:%Y-%m-%d %H:%M} UTC"
        ),
    )


def _choose_halves(task: Task) -> Choice:
    if task.deadline_min > 0:
        for set_aside in _ways_to_give_up(task):
            terms = limited(task, set_aside).until(task.deadline_min)
            runs = cleanest_halves(terms, task.running, task.work)
            if runs:
                later_min = 0 if task.work is None else task.work - work_min(runs)
                return Choice(
                    runs=runs, meets_deadline=True, later_min=later_min, set_aside=set_aside
                )
    # Too short for a half, or late: all of what is left.
    everything = task.grid.minutes if task.work is None else task.work
    runs = soonest(task.terms, everything, task.running)
    meets = task.deadline is None or task.grid.at(runs[-1].end_min) <= task.deadline
    return Choice(runs=runs, meets_deadline=meets)
