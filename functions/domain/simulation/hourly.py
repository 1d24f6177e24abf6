"""What to do in the coming hour, for many jobs at once: dynamic programming over whole hours.

For replays in whole hours: work and rooms are full hours, and an overhead costs its minutes at the
intensity of the hour in which it falls, but takes no time. By that it is the exact optimum.
"""

from dataclasses import dataclass

import numpy as np

from functions.domain.simulation.world import Floats, Ints

_NEVER = 1e12
PAUSE = -1
"""No place: do not run in the coming hour."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """What each thing to do in the coming hour costs until the end, gCO2eq/kWh x h."""

    run: Floats
    """In each place, shape (jobs, places)."""
    pause: Floats
    """Shape (jobs,)."""


def outlook(  # noqa: PLR0913 - the facts of the jobs
    hourly: Floats,
    *,
    work_min: Ints,
    room_min: Ints,
    running: Ints,
    start_h: float,
    move_h: float,
) -> Outlook:
    """Return the least costs that begin with each thing to do in the first hour.

    Args:
        hourly: intensity, gCO2eq/kWh, shape (jobs, hours, places).
        work_min: work left, minutes, above 0, shape (jobs,).
        room_min: minutes to the deadline, shape (jobs,).
        running: place in which the job's VM runs, `PAUSE` if none does, shape (jobs,).
        start_h: overhead of a start, hours.
        move_h: overhead of a move, hours.
    """
    jobs, hours, places = hourly.shape
    whole = -(-work_min // 60)
    last_part = (work_min - 60 * (whole - 1)) / 60
    most = int(whole.max())
    until = np.maximum(room_min // 60, 1)
    weights = np.ones((jobs, most + 1))
    weights[:, 1] = last_part
    off = np.full((jobs, most + 1), _NEVER)
    off[:, 0] = 0.0
    on = np.repeat(off[:, None, :], places, axis=1)
    for hour in range(hours - 1, 0, -1):
        run = _run(on, hourly[:, hour], weights)
        rate = hourly[:, hour, :, None]
        started = (run + start_h * rate).min(axis=1)
        moved = (run + move_h * rate).min(axis=1) if places > 1 else run[:, 0]
        resting = np.minimum(off, started)
        going = np.minimum(np.minimum(run, moved[:, None, :]), off[:, None, :])
        resting[:, 0] = going[:, :, 0] = 0.0
        inside = (hour < until)[:, None]
        off = np.where(inside, resting, off)
        on = np.where(inside[:, :, None], going, on)
    rows = np.arange(jobs)
    run = _run(on, hourly[:, 0], weights)[rows, :, whole]
    owed = np.where((running == PAUSE)[:, None], start_h, move_h) * np.ones((jobs, places))
    there = np.flatnonzero(running != PAUSE)
    owed[there, running[there]] = 0.0
    return Outlook(run=run + owed * hourly[:, 0], pause=off[rows, whole])


def _run(on: Floats, rate: Floats, weights: Floats) -> Floats:
    """Return the costs of an hour of work and what follows, shape (jobs, places, hours left)."""
    run = np.full_like(on, _NEVER)
    run[:, :, 1:] = on[:, :, :-1] + rate[:, :, None] * weights[:, None, 1:]
    run[:, :, 0] = 0.0
    return run
